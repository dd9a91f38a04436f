//! Objects whose types are known only when the schema is built. The library selects from types of Rust, so these select by themselves.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned, Value,
    indexmap::IndexMap,
    parser::types::{Field, FragmentDefinition, Selection, SelectionSet},
    registry::Registry,
};

/// A value of a type that is known at run time.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    /// A scalar or an enum.
    Plain(Value),
    /// An object.
    Object(Object),
    /// A list.
    List(Vec<Self>),
}

/// An object of a type that is known at run time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object {
    type_name: String,
    fields: HashMap<String, Data>,
}

/// The fragments of a document, by name.
type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;
/// The fields that are selected, by the key that they answer under. A key may come several times.
type Selected<'s> = IndexMap<&'s Name, Vec<&'s Field>>;

impl Object {
    pub(super) fn new(type_name: &str, fields: impl IntoIterator<Item = (String, Data)>) -> Self {
        Self { type_name: type_name.to_owned(), fields: fields.into_iter().collect() }
    }

    pub(super) fn type_name(&self) -> &str {
        &self.type_name
    }

    /// What a selection wants of the object.
    pub(super) fn select(&self, selection: &SelectionSet, fragments: &Fragments, registry: &Registry) -> Value {
        let document = Document { fragments, registry };
        document.object(self, [selection])
    }
}

/// What a selection is understood by.
struct Document<'d> {
    fragments: &'d Fragments,
    registry: &'d Registry,
}

impl<'d> Document<'d> {
    fn object<'s>(&self, object: &Object, selections: impl IntoIterator<Item = &'s SelectionSet>) -> Value
    where
        'd: 's,
    {
        let mut selected = Selected::new();
        for selection in selections {
            self.collect(object, selection, &mut selected);
        }
        let values = selected.into_iter().filter_map(|(key, fields)| {
            let value = match fields.first()?.name.node.as_str() {
                "__typename" => Value::String(object.type_name.clone()),
                name => self.value(object.fields.get(name)?, &fields),
            };
            Some((key.clone(), value))
        });
        Value::Object(values.collect())
    }

    fn value(&self, data: &Data, fields: &[&Field]) -> Value {
        match data {
            Data::Plain(value) => value.clone(),
            Data::Object(object) => self.object(object, fields.iter().map(|field| &field.selection_set.node)),
            Data::List(items) => Value::List(items.iter().map(|item| self.value(item, fields)).collect()),
        }
    }

    /// The fields of a selection that the object has, those of its fragments in their place.
    fn collect<'s>(&self, object: &Object, selection: &'s SelectionSet, selected: &mut Selected<'s>)
    where
        'd: 's,
    {
        for item in &selection.items {
            match &item.node {
                Selection::Field(field) => {
                    selected.entry(&field.node.response_key().node).or_default().push(&field.node);
                }
                Selection::InlineFragment(fragment) => {
                    let condition = fragment.node.type_condition.as_ref();
                    if condition.is_none_or(|condition| self.applies(object, &condition.node.on.node)) {
                        self.collect(object, &fragment.node.selection_set.node, selected);
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = self.fragments.get(&spread.node.fragment_name.node);
                    if let Some(fragment) = fragment
                        && self.applies(object, &fragment.node.type_condition.node.on.node)
                    {
                        self.collect(object, &fragment.node.selection_set.node, selected);
                    }
                }
            }
        }
    }

    /// Whether a fragment on a type is one for this object.
    fn applies(&self, object: &Object, ty: &str) -> bool {
        let interfaces = self.registry.implements.get(&object.type_name);
        object.type_name == ty || interfaces.is_some_and(|interfaces| interfaces.contains(ty))
    }
}
