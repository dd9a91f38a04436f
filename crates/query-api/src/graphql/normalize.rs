//! The shape of a result, as the specification of GraphQL has it (sections 6.4.2 and 6.4.4).
//!
//! The library writes the fields of an object in the order in which they came to be known, and leaves out those that met an
//! error. Here they stand in the order of the query; what met an error is null, or its parent is, where null is not allowed.

use async_graphql::{
    Name, PathSegment, Response, ServerError, Value,
    indexmap::IndexMap,
    parser::types::{DocumentOperations, ExecutableDocument, Field, OperationType, Selection, SelectionSet},
    registry::Registry,
};

/// The fields that a part of a result was asked for, by the key that they answer under.
type Wanted<'d> = IndexMap<&'d Name, Vec<&'d Field>>;

/// Gives a result its shape.
pub(crate) fn complete(
    document: &ExecutableDocument,
    operation_name: Option<&str>,
    registry: &Registry,
    response: &mut Response,
) {
    let operation = match &document.operations {
        DocumentOperations::Single(operation) => operation,
        DocumentOperations::Multiple(operations) => {
            let Some(operation) = operation_name.and_then(|name| operations.get(name)) else { return };
            operation
        }
    };
    let root = match operation.node.ty {
        OperationType::Query => Some(&registry.query_type),
        OperationType::Mutation => registry.mutation_type.as_ref(),
        OperationType::Subscription => registry.subscription_type.as_ref(),
    };
    let Some(root) = root else { return };
    let completion = Completion { document, registry, errors: &response.errors };
    let mut wanted = Wanted::new();
    completion.collect(&operation.node.selection_set.node, &mut wanted);
    completion.complete(&mut response.data, root, &wanted, &mut Vec::new());
}

struct Completion<'d> {
    document: &'d ExecutableDocument,
    registry: &'d Registry,
    errors: &'d [ServerError],
}

impl<'d> Completion<'d> {
    /// The fields of a selection, those of its fragments in their place. Which fragments apply, the result itself tells.
    fn collect(&self, selection: &'d SelectionSet, wanted: &mut Wanted<'d>) {
        for item in &selection.items {
            match &item.node {
                Selection::Field(field) => {
                    wanted.entry(&field.node.response_key().node).or_default().push(&field.node);
                }
                Selection::InlineFragment(fragment) => self.collect(&fragment.node.selection_set.node, wanted),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.node.fragment_name.node) {
                        self.collect(&fragment.node.selection_set.node, wanted);
                    }
                }
            }
        }
    }

    /// Completes a value; false when it is null where null is not allowed, so that its parent has to be null.
    fn complete(&self, value: &mut Value, ty: &str, wanted: &Wanted<'d>, path: &mut Vec<PathSegment>) -> bool {
        let inner = ty.strip_suffix('!').unwrap_or(ty);
        let of_list = inner.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        // An object all of whose fields met errors.
        if *value == Value::Null && of_list.is_none() && self.errors_below(path) {
            *value = Value::Object(IndexMap::new());
        }
        let whole = match (&mut *value, of_list) {
            (Value::List(items), Some(of)) => items.iter_mut().enumerate().all(|(at, item)| {
                path.push(PathSegment::Index(at));
                let whole = self.complete(item, of, wanted, path);
                path.pop();
                whole
            }),
            (Value::Object(fields), None) if !wanted.is_empty() => self.complete_fields(fields, inner, wanted, path),
            _ => true,
        };
        if !whole {
            *value = Value::Null;
        }
        *value != Value::Null || inner.len() == ty.len()
    }

    fn complete_fields(
        &self,
        fields: &mut IndexMap<Name, Value>,
        parent: &str,
        wanted: &Wanted<'d>,
        path: &mut Vec<PathSegment>,
    ) -> bool {
        let mut found = std::mem::take(fields);
        for (key, of_key) in wanted {
            path.push(PathSegment::Field(key.to_string()));
            let value = found.swap_remove(*key).or_else(|| self.has_error(path).then_some(Value::Null));
            let whole = value.is_none_or(|mut value| {
                let whole = self.complete_field(&mut value, parent, of_key, path);
                fields.insert((*key).clone(), value);
                whole
            });
            path.pop();
            if !whole {
                return false;
            }
        }
        true
    }

    fn complete_field(
        &self,
        value: &mut Value,
        parent: &str,
        of_key: &[&'d Field],
        path: &mut Vec<PathSegment>,
    ) -> bool {
        let mut wanted = Wanted::new();
        for field in of_key {
            self.collect(&field.selection_set.node, &mut wanted);
        }
        let ty = of_key.first().and_then(|field| self.type_of(parent, &field.name.node));
        // A field of one of several types: what it may not be is not known here, and it is let be.
        let Some(ty) = ty else { return true };
        self.complete(value, ty, &wanted, path)
    }

    fn type_of(&self, parent: &str, field: &str) -> Option<&'d str> {
        match field {
            "__schema" => Some("__Schema!"),
            "__type" => Some("__Type"),
            _ => self.registry.types.get(parent)?.field_by_name(field).map(|field| field.ty.as_str()),
        }
    }

    fn has_error(&self, path: &[PathSegment]) -> bool {
        self.errors.iter().any(|error| error.path.starts_with(path))
    }

    /// Whether a field below met an error.
    fn errors_below(&self, path: &[PathSegment]) -> bool {
        let below = |error: &ServerError| error.path.strip_prefix(path).map(<[_]>::first).is_some_and(is_field);
        self.errors.iter().any(below)
    }
}

fn is_field(segment: Option<&PathSegment>) -> bool {
    matches!(segment, Some(PathSegment::Field(_)))
}
