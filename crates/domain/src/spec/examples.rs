//! A body for every command, made from its contract. All ids have the number 1, and all optional fields are set.

use serde_json::{Map, Value, json};

use super::command;
use crate::{Command, CommandContract};

/// An example of a command.
pub(crate) fn example(contract: &CommandContract) -> Command {
    let schema = contract.schema.as_value();
    command(contract.name, Reader { root: schema }.value(schema, ""))
}

struct Reader<'s> {
    root: &'s Value,
}

impl Reader<'_> {
    /// A value that a schema allows. `name` is the name of its definition.
    fn value(&self, schema: &Value, name: &str) -> Value {
        if let Some(target) = schema["$ref"].as_str() {
            let definition = self.root.pointer(target.trim_start_matches('#')).expect("a reference has a target");
            return self.value(definition, target.rsplit('/').next().unwrap_or_default());
        }
        if let Some(choices) = schema["anyOf"].as_array() {
            let choice = choices.iter().find(|choice| choice["type"] != "null").expect("one choice is a value");
            return self.value(choice, name);
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().find(|kind| **kind != "null"),
            kind => Some(kind),
        };
        match kind.and_then(Value::as_str) {
            Some("object") => self.object(schema),
            Some("array") => json!([self.value(&schema["items"], name)]),
            Some("string") => text(schema, name),
            Some("integer") => json!(schema["minimum"].as_i64().unwrap_or(1).max(1)),
            Some("boolean") => json!(true),
            _ => panic!("no example is known of the schema {schema}"),
        }
    }

    fn object(&self, schema: &Value) -> Value {
        let properties = schema["properties"].as_object().into_iter().flatten();
        let fields: Map<_, _> = properties.map(|(key, schema)| (key.clone(), self.value(schema, ""))).collect();
        fields.into()
    }
}

fn text(schema: &Value, name: &str) -> Value {
    match (schema["format"].as_str(), name) {
        (Some("uuid"), _) => json!(super::uuid(1)),
        (Some("date-time"), _) => json!("2020-01-01T00:00:00Z"),
        (Some(other), _) => panic!("no example is known of the format {other}"),
        (None, "Currency") => json!("EUR"),
        (None, "Channel") => json!("web"),
        (None, "LocationId") => json!("main"),
        (None, _) => json!("a"),
    }
}
