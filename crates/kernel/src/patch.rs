//! A change of an optional field: left out keeps it, null empties it, and a value replaces it (as in JSON Merge Patch, RFC 7396).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What a command says of an optional field. Its field needs `#[serde(default, skip_serializing_if = "Patch::is_keep")]`.
///
/// ```
/// use daybook_kernel::Patch;
///
/// let changed = |patch: Patch<u8>| patch.applied_to(Some(&1));
/// assert_eq!(changed(Patch::Keep), Some(1));
/// assert_eq!(changed(Patch::Clear), None);
/// assert_eq!(changed(Patch::Set(2)), Some(2));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// The field is left out: it stays as it is.
    #[default]
    Keep,
    /// The field is null: it is emptied.
    Clear,
    /// The field has a value, which it has from now on.
    Set(T),
}

impl<T> Patch<T> {
    /// Whether the field stays as it is.
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// The new value, if one is given.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }
}

impl<T: Clone> Patch<T> {
    /// The field after the change.
    pub fn applied_to(&self, before: Option<&T>) -> Option<T> {
        match self {
            Self::Keep => before.cloned(),
            Self::Clear => None,
            Self::Set(value) => Some(value.clone()),
        }
    }
}

impl<T: Clone + Default> Patch<T> {
    /// The field after the change, where an empty one is the default value: an empty list.
    pub fn or_empty(&self, before: &T) -> T {
        self.applied_to(Some(before)).unwrap_or_default()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Patch<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Patch_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        <Option<T>>::json_schema(generator)
    }
}

/// Reads a field that can be left out and cannot be emptied.
///
/// # Errors
/// The deserialiser's, for null as well.
pub fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value = Option::deserialize(deserializer)?;
    value.map(Some).ok_or_else(|| de::Error::custom("it cannot be emptied; leave it out to keep it"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Change {
        #[serde(default, skip_serializing_if = "Patch::is_keep")]
        brand: Patch<String>,
        #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    }

    #[test]
    fn what_is_left_out_null_and_a_value_are_distinct_in_both_directions() {
        for (body, brand) in [
            (json!({}), Patch::Keep),
            (json!({ "brand": null }), Patch::Clear),
            (json!({ "brand": "B" }), Patch::Set("B".to_owned())),
        ] {
            let change: Change = serde_json::from_value(body.clone()).expect("it has the form");
            assert_eq!(change, Change { brand, name: None });
            assert_eq!(serde_json::to_value(change).expect("it is an object"), body);
        }
    }

    #[test]
    fn what_a_thing_needs_is_not_emptied() {
        let error = serde_json::from_value::<Change>(json!({ "name": null })).expect_err("a name is needed");
        assert!(error.to_string().contains("cannot be emptied"), "{error}");
    }
}
