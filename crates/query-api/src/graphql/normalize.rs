//! Normalizes a result as the specification of GraphQL requires (sections 6.4.2 and 6.4.4).
//!
//! The library writes the fields of an object in the order in which they were resolved, and omits fields with errors. Here they get
//! the order of the query. A field with an error becomes null, or its parent does where null is not allowed.

use async_graphql::{
    Name, PathSegment, Response, ServerError, Value,
    indexmap::IndexMap,
    parser::types::{DocumentOperations, ExecutableDocument, Field, OperationType, Selection, SelectionSet},
    registry::Registry,
};

/// The fields that are selected of an object, by their response keys.
type Selected<'d> = IndexMap<&'d Name, Vec<&'d Field>>;

/// Normalizes the result of an operation.
pub(crate) fn normalize(
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
    let normalizer = Normalizer { document, registry, errors: &response.errors };
    let mut selected = Selected::new();
    normalizer.collect(&operation.node.selection_set.node, &mut selected);
    normalizer.value(&mut response.data, root, &selected, &mut Vec::new());
}

struct Normalizer<'d> {
    document: &'d ExecutableDocument,
    registry: &'d Registry,
    errors: &'d [ServerError],
}

impl<'d> Normalizer<'d> {
    /// The fields of a selection and of its fragments. The result itself shows which fragments applied.
    fn collect(&self, selection: &'d SelectionSet, selected: &mut Selected<'d>) {
        for item in &selection.items {
            match &item.node {
                Selection::Field(field) => {
                    selected.entry(&field.node.response_key().node).or_default().push(&field.node);
                }
                Selection::InlineFragment(fragment) => self.collect(&fragment.node.selection_set.node, selected),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.node.fragment_name.node) {
                        self.collect(&fragment.node.selection_set.node, selected);
                    }
                }
            }
        }
    }

    /// Normalizes a value. Returns false when it is null where null is not allowed, so that its parent becomes null.
    fn value(&self, value: &mut Value, ty: &str, selected: &Selected<'d>, path: &mut Vec<PathSegment>) -> bool {
        let inner = ty.strip_suffix('!').unwrap_or(ty);
        let of_list = inner.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        // The library gives null for an object when all of its fields have errors.
        if *value == Value::Null && of_list.is_none() && self.errors_below(path) {
            *value = Value::Object(IndexMap::new());
        }
        let valid = match (&mut *value, of_list) {
            (Value::List(items), Some(of)) => items.iter_mut().enumerate().all(|(at, item)| {
                path.push(PathSegment::Index(at));
                let valid = self.value(item, of, selected, path);
                path.pop();
                valid
            }),
            (Value::Object(fields), None) if !selected.is_empty() => self.fields(fields, inner, selected, path),
            _ => true,
        };
        if !valid {
            *value = Value::Null;
        }
        *value != Value::Null || inner.len() == ty.len()
    }

    fn fields(
        &self,
        fields: &mut IndexMap<Name, Value>,
        parent: &str,
        selected: &Selected<'d>,
        path: &mut Vec<PathSegment>,
    ) -> bool {
        let mut found = std::mem::take(fields);
        for (key, of_key) in selected {
            path.push(PathSegment::Field(key.to_string()));
            let value = found.swap_remove(*key).or_else(|| self.has_error(path).then_some(Value::Null));
            let valid = value.is_none_or(|mut value| {
                let valid = self.field(&mut value, parent, of_key, path);
                fields.insert((*key).clone(), value);
                valid
            });
            path.pop();
            if !valid {
                return false;
            }
        }
        true
    }

    fn field(&self, value: &mut Value, parent: &str, of_key: &[&'d Field], path: &mut Vec<PathSegment>) -> bool {
        let mut selected = Selected::new();
        for field in of_key {
            self.collect(&field.selection_set.node, &mut selected);
        }
        let ty = of_key.first().and_then(|field| self.type_of(parent, &field.name.node));
        // The parent is an interface or a union, and the field is one of a concrete type: whether it may be null is not known here.
        let Some(ty) = ty else { return true };
        self.value(value, ty, &selected, path)
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

    /// Whether a field below the path has an error.
    fn errors_below(&self, path: &[PathSegment]) -> bool {
        let below = |error: &ServerError| error.path.strip_prefix(path).map(<[_]>::first).is_some_and(is_field);
        self.errors.iter().any(below)
    }
}

fn is_field(segment: Option<&PathSegment>) -> bool {
    matches!(segment, Some(PathSegment::Field(_)))
}
