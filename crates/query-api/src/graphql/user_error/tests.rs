//! Types, data and selections of refusals, by contracts made for these tests.

use std::collections::BTreeMap;

use async_graphql::{
    Value,
    parser::{parse_query, types::DocumentOperations},
    registry::{MetaType, Registry},
    value,
};
use serde_json::json;

use super::{contract::Contract, describe, refusal::RefusalTypes};
use crate::graphql::commands::Problem;

/// A contract with data of every kind.
fn of_every_kind() -> Contract {
    let money = json!({
        "type": "object", "required": ["minor_units", "currency"],
        "properties": {"minor_units": {"type": "integer", "format": "int64"}, "currency": {"$ref": "#/$defs/Currency"}},
    });
    let phase = json!({"oneOf": [{"type": "string", "const": "placed"}, {"type": "string", "const": "held"}]});
    Contract {
        code: "of_every_kind",
        name: "OfEveryKind",
        description: "It holds one of each.",
        schema: json!({
            "type": "object",
            "$defs": {
                "Currency": {"type": "string"}, "Money": money, "Phase": phase,
                "CartId": {"type": "string", "format": "uuid"},
            },
            "properties": {
                "cart_id": {"$ref": "#/$defs/CartId", "description": "The cart."},
                "expired_at": {"type": "string", "format": "date-time"},
                "phase": {"$ref": "#/$defs/Phase"},
                "how": {"type": ["string", "null"]},
                "allowed": {"type": "boolean"},
                "requested": {"type": "integer", "format": "uint32", "minimum": 0},
                "available": {"type": "integer", "format": "int64"},
                "total": {"$ref": "#/$defs/Money", "description": "What it comes to."},
                "expected": {"anyOf": [{"$ref": "#/$defs/Money"}, {"type": "null"}]},
                "locations": {"type": "array", "items": {"type": "string"}},
                "totals": {"type": "array", "items": {"$ref": "#/$defs/Money"}},
                "other": {"type": "object"},
                "absent": {"type": "string"},
            },
            "required": ["cart_id", "expired_at", "phase", "how", "allowed", "requested", "available", "total", "expected",
                         "locations", "totals", "other"],
        }),
    }
}

fn problem(data: &serde_json::Value) -> Problem {
    let mut problem = json!({"status": 422, "code": "of_every_kind", "detail": "no", "pointer": "/lines/1/unit_price"});
    let fields = data.as_object().cloned().unwrap_or_default();
    problem.as_object_mut().expect("it is an object").extend(fields);
    serde_json::from_value(problem).expect("it is a problem")
}

fn data() -> serde_json::Value {
    json!({
        "cart_id": "1b671a64-40d5-491e-99b0-da01ff1f3341", "expired_at": "2026-01-01T00:00:00Z", "phase": "held", "how": null,
        "allowed": true, "requested": 7, "available": 1_i64 << 60, "total": {"minor_units": 250, "currency": "EUR"},
        "expected": null, "locations": ["main"], "totals": [{"minor_units": 5, "currency": "EUR"}], "other": {"a": [1]},
    })
}

/// What a selection wants of the object of a problem.
fn selected(problem: Problem, selection: &str) -> Value {
    let types = RefusalTypes::of(vec![of_every_kind()]);
    let mut registry = Registry::default();
    describe(&types, &mut registry);
    let document =
        parse_query(format!("{{ {selection} }} fragment F on OfEveryKind {{ requested }}")).expect("it is a query");
    let DocumentOperations::Single(operation) = document.operations else { panic!("there is one operation") };
    let object = types.object(problem, &value!({"lines": [{}, {}]}));
    object.select(&operation.node.selection_set.node, &document.fragments, &registry)
}

#[test]
fn a_contract_becomes_a_type_with_all_its_data() {
    let types = RefusalTypes::of(vec![of_every_kind()]);
    let mut registry = Registry::default();
    let MetaType::Interface { possible_types, .. } = describe(&types, &mut registry) else {
        panic!("it is an interface")
    };
    assert_eq!(possible_types.iter().collect::<Vec<_>>(), ["OfEveryKind", "OtherUserError"]);
    let ty = &registry.types["OfEveryKind"];
    let fields: BTreeMap<&str, &str> =
        ty.fields().expect("it has fields").values().map(|field| (&*field.name, &*field.ty)).collect();
    let expected = [
        ("code", "String!"),
        ("message", "String!"),
        ("path", "[String!]"),
        ("cartId", "ID!"),
        ("expiredAt", "DateTime!"),
        ("phase", "String!"),
        ("how", "String"),
        ("allowed", "Boolean!"),
        ("requested", "Int!"),
        ("available", "Long!"),
        ("total", "Money!"),
        ("expected", "Money"),
        ("locations", "[String!]!"),
        ("totals", "[Money!]!"),
        ("other", "JSON!"),
        ("absent", "String"),
    ];
    assert_eq!(fields, expected.into());
    assert_eq!(ty.field_by_name("cartId").and_then(|field| field.description.as_deref()), Some("The cart."));
    assert!(
        matches!(ty, MetaType::Object { description, .. } if description.as_deref() == Some("It holds one of each."))
    );
}

#[test]
fn the_data_of_a_refusal_is_selected_by_its_type() {
    let all = "code message path cartId expiredAt phase how allowed requested available total { currency minorUnits formatted }
               expected { currency } locations totals { minorUnits } other absent";
    let expected = value!({
        "code": "of_every_kind", "message": "no", "path": ["lines", "1", "unitPrice"],
        "cartId": "1b671a64-40d5-491e-99b0-da01ff1f3341", "expiredAt": "2026-01-01T00:00:00Z", "phase": "held", "how": null,
        "allowed": true, "requested": 7, "available": "1152921504606846976",
        "total": {"currency": "EUR", "minorUnits": 250, "formatted": "2.50 EUR"}, "expected": null, "locations": ["main"],
        "totals": [{"minorUnits": 5}], "other": {"a": [1]}, "absent": null,
    });
    assert_eq!(selected(problem(&data()), all), expected);
}

#[test]
fn a_selection_takes_aliases_and_the_fragments_that_apply() {
    let selection = "__typename why: message ... on UserError { code } ... on OtherUserError { path } ...F
                     ... { total { currency } } total { minorUnits }";
    let expected = value!({
        "__typename": "OfEveryKind", "why": "no", "code": "of_every_kind", "requested": 7,
        "total": {"currency": "EUR", "minorUnits": 250},
    });
    assert_eq!(selected(problem(&data()), selection), expected);
}

#[test]
fn data_that_is_not_what_the_contract_says_is_left_out_with_its_type() {
    for (field, other) in
        [("requested", json!("seven")), ("total", json!({"currency": "EUR"})), ("cart_id", json!(null))]
    {
        let mut data = data();
        data[field] = other;
        let expected = value!({"__typename": "OtherUserError", "code": "of_every_kind", "message": "no"});
        assert_eq!(
            selected(problem(&data), "__typename code message ... on OfEveryKind { phase }"),
            expected,
            "{field}"
        );
    }
}
