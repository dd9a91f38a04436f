//! States as they were: the fold of stored events up to a moment, and the differences between two states.

use std::{borrow::Cow, collections::BTreeSet};

use chrono::{DateTime, Utc};
use daybook_domain::{Event, Fold, order::Order};
use serde_json::{Map, Value};

use crate::{DecodeError, decode};

/// A stored event, as far as a fold needs it.
#[derive(Debug, Clone)]
pub struct StoredEvent<'e> {
    /// The name of its type.
    pub event_type: &'e str,
    /// The version of its schema.
    pub schema_version: i16,
    /// The data: one JSON object.
    pub data: Cow<'e, [u8]>,
    /// When it took effect.
    pub effective_at: DateTime<Utc>,
}

/// The order after these events of its stream.
///
/// # Errors
/// [`DecodeError`] if this program cannot read one of them.
pub fn fold_order<'e>(events: impl IntoIterator<Item = StoredEvent<'e>>) -> Result<Order, DecodeError> {
    let mut order = Order::default();
    for StoredEvent { event_type, schema_version, data, effective_at } in events {
        // The stream of an order has no events of other slices.
        if let Event::Order(event) = decode(event_type, schema_version, &data)? {
            order.evolve(&event, effective_at);
        }
    }
    Ok(order)
}

/// A difference between two states.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The place of the difference: a JSON pointer (RFC 6901).
    pub path: String,
    /// The value in the first state; `None` where it has none.
    pub before: Option<Value>,
    /// The value in the second state; `None` where it has none.
    pub after: Option<Value>,
}

/// The differences between two states as JSON, each at the deepest field that differs. A list counts as one value, and null as no value.
#[must_use]
pub fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", Some(before), Some(after), &mut found);
    found
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    let none = Map::new();
    let (before, after) = (before.filter(|value| !value.is_null()), after.filter(|value| !value.is_null()));
    let fields = match (before, after) {
        (before, after) if before == after => return,
        (Some(Value::Object(before)), Some(Value::Object(after))) => Some((before, after)),
        // A state that begins or ends differs in each of its fields.
        (Some(Value::Object(before)), None) if !before.is_empty() => Some((before, &none)),
        (None, Some(Value::Object(after))) if !after.is_empty() => Some((&none, after)),
        _ => None,
    };
    let Some((before, after)) = fields else {
        found.push(Difference { path: path.to_owned(), before: before.cloned(), after: after.cloned() });
        return;
    };
    for name in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        compare(&path, before.get(name), after.get(name), found);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Value, differences};

    fn changes(before: &Value, after: &Value) -> Vec<(String, Option<Value>, Option<Value>)> {
        differences(before, after).into_iter().map(|change| (change.path, change.before, change.after)).collect()
    }

    #[test]
    fn each_difference_is_at_the_deepest_field_that_differs() {
        let before = json!({ "phase": "placed", "totals": { "net": { "minor_units": 1 } }, "lines": [1], "a/b~": 1 });
        let after = json!({ "phase": "placed", "totals": { "net": { "minor_units": 2 } }, "lines": [2], "a/b~": 2 });
        let change = |path: &str, before: Value, after: Value| (path.to_owned(), Some(before), Some(after));
        let expected = [
            change("/a~1b~0", json!(1), json!(2)),
            change("/lines", json!([1]), json!([2])),
            change("/totals/net/minor_units", json!(1), json!(2)),
        ];
        assert_eq!(changes(&before, &after), expected);
        assert_eq!(changes(&before, &before), []);
    }

    #[test]
    fn what_begins_or_ends_differs_in_each_field_and_null_is_no_value() {
        let state = json!({ "phase": "held", "note": null, "totals": { "net": 1 } });
        let began =
            [("/phase".to_owned(), None, Some(json!("held"))), ("/totals/net".to_owned(), None, Some(json!(1)))];
        assert_eq!(changes(&Value::Null, &state), began);
        assert_eq!(changes(&json!({ "note": null }), &json!({})), []);
        let ended = changes(&state, &Value::Null);
        assert_eq!(ended.len(), 2);
        assert!(ended.iter().all(|(_, before, after)| before.is_some() && after.is_none()), "{ended:?}");
    }
}
