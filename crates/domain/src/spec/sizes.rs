//! The largest event of every type: as long as its texts and lists may be, in the characters that take the most bytes. It is smaller than
//! an event may be, so the store, the wire and the views can hold whatever a command writes.

use serde_json::{Map, Value, json};

use crate::{
    Event, EventContract, MAX_EVENT_BYTES,
    cart::policy::MAX_LINES,
    catalog::policy::{MAX_ATTRIBUTES, MAX_CATEGORIES, MAX_VARIANT_BYTES},
    order::policy::MAX_IMPORTED_LINES,
};

/// A letter of four bytes in UTF-8. No letter takes more, and no character that a text may hold takes more as JSON.
const WIDE: &str = "\u{10437}";

/// The most elements of a list, or entries of a map, of an event.
fn limit(event_type: &str, field: &str) -> usize {
    match (event_type, field) {
        ("order.OrderPlaced" | "cart.CartMerged", "lines") => MAX_LINES,
        ("order.OrderImported", "lines") => MAX_IMPORTED_LINES,
        ("catalog.ProductCreated" | "catalog.ProductRevised", "categories") => MAX_CATEGORIES,
        ("catalog.ProductCreated" | "catalog.ProductRevised", "attributes") => MAX_ATTRIBUTES,
        // The name and the options are bounded by their bytes.
        ("catalog.VariantAdded" | "catalog.VariantRevised" | "order.OrderPlaced", "options") => 0,
        (event_type, field) => panic!("{event_type}.{field} is a list or a map; how many may it hold?"),
    }
}

/// The largest data of an event type.
fn largest(contract: &EventContract) -> Value {
    let root = contract.schema.as_value();
    let mut data = Largest { root, event_type: contract.event_type }.value(root, "", 0);
    match contract.event_type {
        "catalog.VariantAdded" | "catalog.VariantRevised" => say_most_of_variant(&mut data, "name"),
        "order.OrderPlaced" => {
            let lines = data["lines"].as_array_mut().expect("an order has lines");
            lines.iter_mut().for_each(|line| say_most_of_variant(line, "variant_name"));
        }
        _ => {}
    }
    data
}

/// Says as much of a variant as may be said of one.
fn say_most_of_variant(of: &mut Value, name: &str) {
    of[name] = json!("x".repeat(300));
    of["options"] = json!({ "o": "x".repeat((MAX_VARIANT_BYTES - 309).min(300)) });
}

/// The texts that a pattern allows, where it lists them: `^(A|B)$`.
pub(super) fn listed(schema: &Value) -> Option<Vec<&str>> {
    let within = schema["pattern"].as_str()?.strip_prefix("^(")?.strip_suffix(")$")?;
    let texts: Vec<_> = within.split('|').collect();
    let is_plain = |text: &&str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    texts.iter().all(is_plain).then_some(texts)
}

struct Largest<'s> {
    root: &'s Value,
    event_type: &'s str,
}

impl Largest<'_> {
    /// The largest value that a schema allows. `number` tells apart the entries of a map.
    fn value(&self, schema: &Value, field: &str, number: usize) -> Value {
        if let Some(target) = schema["$ref"].as_str() {
            let definition = self.root.pointer(target.trim_start_matches('#')).expect("a reference has a target");
            return self.value(definition, field, number);
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(choices) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
            let values = choices.iter().filter(|choice| choice["type"] != "null");
            let values = values.map(|choice| self.value(choice, field, number));
            return values.max_by_key(|value| value.to_string().len()).expect("one choice is a value");
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().find(|kind| **kind != "null"),
            kind => Some(kind),
        };
        match kind.and_then(Value::as_str) {
            Some("object") => self.object(schema, field),
            Some("array") => {
                let element = self.value(&schema["items"], field, number);
                json!(vec![element; limit(self.event_type, field)])
            }
            Some("string") => text(schema, number),
            Some("integer") => integer(schema),
            Some("boolean") => json!(false),
            _ => panic!("the largest value of the schema {schema} is not known"),
        }
    }

    fn object(&self, schema: &Value, field: &str) -> Value {
        let properties = schema["properties"].as_object().into_iter().flatten();
        let mut fields: Map<_, _> =
            properties.map(|(name, schema)| (name.clone(), self.value(schema, name, 0))).collect();
        if let Some((_, entry)) = schema["patternProperties"].as_object().and_then(|all| all.iter().next()) {
            for number in 0..limit(self.event_type, field) {
                let key = self.value(entry, field, number);
                fields.insert(key.as_str().expect("a text").to_owned(), self.value(entry, field, number));
            }
        }
        fields.into()
    }
}

fn text(schema: &Value, number: usize) -> Value {
    match schema["format"].as_str() {
        Some("uuid") => return json!(uuid::Uuid::nil()),
        Some("date-time") => return json!("9999-12-31T23:59:59.999999Z"),
        Some(other) => panic!("the longest text of the format {other} is not known"),
        None => {}
    }
    if let Some(texts) = listed(schema) {
        return json!(texts.into_iter().max_by_key(|text| text.len()));
    }
    let length = usize::try_from(schema["maxLength"].as_u64().expect("a text has a limit")).expect("it is small");
    let number = format!("{number:03}");
    let wide = if schema["x-alphabet"] == "slug" { "x" } else { WIDE };
    json!(number.clone() + &wide.repeat(length - number.len()))
}

fn integer(schema: &Value) -> Value {
    match (schema["maximum"].as_u64(), schema["format"].as_str()) {
        (Some(maximum), _) => json!(maximum),
        (None, Some("int32")) => json!(i32::MIN),
        (None, Some("int64")) => json!(i64::MIN),
        (None, Some("uint" | "uint32")) => json!(u32::MAX),
        (None, other) => panic!("the largest integer of the format {other:?} is not known"),
    }
}

#[test]
fn the_largest_event_of_every_type_is_smaller_than_an_event_may_be() {
    let mut most = ("", 0);
    for contract in Event::contracts() {
        let read = Event::deserialize(contract.event_type, largest(&contract)).expect("the type exists");
        let event = read.unwrap_or_else(|error| panic!("{} is not as large as that: {error}", contract.event_type));
        let bytes = serde_json::to_string(&event).expect("JSON").len();
        assert!(bytes <= MAX_EVENT_BYTES, "{} may have {bytes} bytes", contract.event_type);
        if bytes > most.1 {
            most = (contract.event_type, bytes);
        }
    }
    assert!(most.1 > MAX_EVENT_BYTES / 2, "the largest event is {most:?}, so the limit could be lower");
}
