//! The types of numbers and scalars in the schemas.

use std::collections::BTreeSet;

use async_graphql::parser::{
    parse_schema,
    types::{FieldDefinition, InputValueDefinition, TypeKind, TypeSystemDefinition},
};
use daybook_query_api::{admin_sdl, storefront_sdl};

/// The names of the fields and arguments that are an `Int`, each with its bound. What has no bound is a `Long`.
const BOUNDED: &[(&str, &str)] = &[
    ("first", "a page has at most 1,000 rows"),
    ("last", "a page has at most 1,000 rows"),
    ("quantity", "a line, a reservation or a move of stock has at most 10,000,000 units"),
    ("requested", "a line has at most 10,000,000 units"),
    ("delta", "a correction of stock has at most 10,000,000 units"),
    ("limit", "a limit of a policy"),
    ("options", "the options of a variant, which come from a body of at most 1 MiB"),
    ("bytes", "the size of an event, which comes from a body of at most 1 MiB"),
    ("line", "the index of a line in a body of at most 1 MiB"),
    ("lines", "the lines of a body of at most 1 MiB, or of a cart"),
    ("index", "the index of an element in a body of at most 1 MiB"),
];

/// Every field, argument and input field of a schema, with its type.
fn values(sdl: &str) -> Vec<(String, String, String)> {
    let mut values = Vec::new();
    let input = |owner: &str, input: &InputValueDefinition| {
        (owner.to_owned(), input.name.node.to_string(), input.ty.node.to_string())
    };
    for definition in parse_schema(sdl).expect("the schema is valid").definitions {
        let TypeSystemDefinition::Type(ty) = definition else { continue };
        let owner = ty.node.name.node.to_string();
        let fields: Vec<FieldDefinition> = match ty.node.kind {
            TypeKind::Object(object) => object.fields.into_iter().map(|field| field.node).collect(),
            TypeKind::Interface(interface) => interface.fields.into_iter().map(|field| field.node).collect(),
            TypeKind::InputObject(object) => {
                values.extend(object.fields.iter().map(|field| input(&owner, &field.node)));
                Vec::new()
            }
            TypeKind::Scalar | TypeKind::Union(_) | TypeKind::Enum(_) => Vec::new(),
        };
        for field in fields {
            let of = format!("{owner}.{}", field.name.node);
            values.extend(field.arguments.iter().map(|argument| input(&of, &argument.node)));
            values.push((owner.clone(), field.name.node.to_string(), field.ty.node.to_string()));
        }
    }
    values
}

#[test]
fn every_int_has_a_bound_and_what_can_be_large_is_a_long() {
    let mut used = BTreeSet::new();
    for sdl in [storefront_sdl(), admin_sdl()] {
        let values = values(&sdl);
        assert!(values.len() > 300, "only {} values were found", values.len());
        for (owner, name, ty) in values {
            let base = ty.trim_matches(['[', ']', '!']);
            let bound = BOUNDED.iter().find(|(bounded, _)| *bounded == name);
            assert!(base != "Int" || bound.is_some(), "{owner}.{name} is an Int without a bound");
            used.extend(bound.filter(|_| base == "Int").map(|(name, _)| *name));
        }
    }
    assert_eq!(used.len(), BOUNDED.len(), "only {used:?} are an Int");
}

#[test]
fn scalars_have_the_names_of_graphql() {
    for sdl in [storefront_sdl(), admin_sdl()] {
        let scalars: BTreeSet<&str> = sdl.lines().filter_map(|line| line.strip_prefix("scalar ")).collect();
        let known = BTreeSet::from(["Date", "DateTime", "JSON", "Long", "UUID"]);
        assert!(scalars.is_subset(&known), "{scalars:?}");
    }
}
