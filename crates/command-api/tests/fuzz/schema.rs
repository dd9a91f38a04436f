//! Commands drawn from their contracts: bodies that our JSON Schemas allow. The names come from a small pool, so commands meet the
//! carts, SKUs and orders of other commands.

use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};

/// Values that a schema allows.
pub(crate) fn allowed(schema: &Value) -> BoxedStrategy<Value> {
    Reader { root: schema }.of(schema, "")
}

struct Reader<'s> {
    root: &'s Value,
}

impl Reader<'_> {
    fn of(&self, schema: &Value, name: &str) -> BoxedStrategy<Value> {
        if let Some(target) = schema["$ref"].as_str() {
            let definition = target.trim_start_matches('#');
            let definition = self.root.pointer(definition).expect("a reference has a target");
            return self.of(definition, definition_name(target));
        }
        if let Some(choices) = schema["anyOf"].as_array() {
            let choices: Vec<_> = choices.iter().map(|choice| self.of(choice, name)).collect();
            return proptest::strategy::Union::new(choices).boxed();
        }
        let kinds = match &schema["type"] {
            Value::String(kind) => vec![kind.as_str()],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => panic!("a schema without a type: {schema}"),
        };
        let kinds = kinds.into_iter().map(|kind| self.of_kind(kind, schema, name));
        proptest::strategy::Union::new(kinds.collect::<Vec<_>>()).boxed()
    }

    fn of_kind(&self, kind: &str, schema: &Value, name: &str) -> BoxedStrategy<Value> {
        match kind {
            "object" => self.object(schema),
            "array" => {
                let least = schema["minItems"].as_u64().map_or(0, |least| usize::try_from(least).expect("it is small"));
                prop::collection::vec(self.of(&schema["items"], name), least..4).prop_map(Value::Array).boxed()
            }
            "string" => text(schema, name),
            "integer" => integer(schema),
            "boolean" => any::<bool>().prop_map(Value::Bool).boxed(),
            "null" => Just(Value::Null).boxed(),
            other => panic!("no contract has the type {other}"),
        }
    }

    fn object(&self, schema: &Value) -> BoxedStrategy<Value> {
        let Some(properties) = schema["properties"].as_object() else {
            let by_pattern = schema["patternProperties"].as_object().and_then(|patterns| patterns.values().next());
            let values = self.of(by_pattern.unwrap_or(&schema["additionalProperties"]), "");
            let map = prop::collection::btree_map(select(vec!["colour", "size", "größe"]), values, 0..3);
            return map.prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()).boxed();
        };
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut object = Just(Map::new()).boxed();
        for (key, schema) in properties {
            let (key, needed) = (key.clone(), required.contains(&key.as_str()));
            let value = self.of(schema, &key);
            let value = if needed { value.prop_map(Some).boxed() } else { prop::option::of(value).boxed() };
            object = (object, value)
                .prop_map(move |(mut object, value)| {
                    if let Some(value) = value {
                        object.insert(key.clone(), value);
                    }
                    object
                })
                .boxed();
        }
        object.prop_map(Value::Object).boxed()
    }
}

/// A UUID of version 4, as callers choose them.
pub(crate) fn id(number: u128) -> uuid::Uuid {
    uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid()
}

fn definition_name(target: &str) -> &str {
    target.rsplit('/').next().unwrap_or_default()
}

fn text(schema: &Value, name: &str) -> BoxedStrategy<Value> {
    match (schema["format"].as_str(), name) {
        (Some("uuid"), _) => (1_u128..6).prop_map(|number| json!(id(number))).boxed(),
        (Some("date-time"), _) => times(),
        (Some(other), _) => panic!("no contract has the format {other}"),
        (None, "Currency") => select(vec![json!("EUR"), json!("JPY"), json!("USD"), json!("ZZZ")]).boxed(),
        (None, "Slug") => select(vec![json!("oat-milk"), json!("tea")]).boxed(),
        (None, _) => select(vec![json!("oat"), json!("tea"), json!("main"), json!("web"), json!("x")]).boxed(),
    }
}

/// Times. One is a leap second, and one is the last that there is.
fn times() -> BoxedStrategy<Value> {
    let times =
        ["2017-01-01T00:00:00Z", "2016-12-31T23:59:60.5Z", "2999-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"];
    select(times.map(Value::from).to_vec()).boxed()
}

fn integer(schema: &Value) -> BoxedStrategy<Value> {
    let bound = |name: &str| schema[name].as_i64();
    let (least, most) = (bound("minimum").unwrap_or(i64::MIN), bound("maximum").unwrap_or(i64::MAX));
    prop_oneof![4 => least.max(1)..=most.min(9), 1 => Just(least), 1 => Just(most)].prop_map(Value::from).boxed()
}
