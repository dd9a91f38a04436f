//! How much memory the values of an answer take, roughly.

use async_graphql::Value;

/// What a value takes beside its text, with its place in an object or a list.
const OF_VALUE: usize = 96;

/// The bytes of a value of a field. The fields of an object are counted by themselves, unless the value is a leaf: a scalar can be an
/// object of JSON.
pub(crate) fn of(value: &Value, leaf: bool) -> usize {
    OF_VALUE
        + match value {
            Value::String(text) => text.len(),
            Value::Enum(name) => name.len(),
            Value::Binary(bytes) => bytes.len(),
            Value::List(items) if leaf => items.iter().map(|item| of(item, leaf)).sum(),
            Value::Object(fields) if leaf => fields.iter().map(|(name, value)| name.len() + of(value, leaf)).sum(),
            Value::Null | Value::Number(_) | Value::Boolean(_) | Value::List(_) | Value::Object(_) => 0,
        }
}

#[cfg(test)]
mod tests {
    use async_graphql::value;

    use super::{OF_VALUE, of};

    #[test]
    fn a_leaf_counts_whole_and_an_object_without_its_fields() {
        let object = value!({"name": "Soap", "tags": ["a", "bc"]});
        assert_eq!(of(&object, false), OF_VALUE);
        assert_eq!(of(&object, true), 5 * OF_VALUE + "nameSoaptagsabc".len());
    }
}
