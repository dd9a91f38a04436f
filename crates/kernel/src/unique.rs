//! Maps of what a client sends: a name that comes twice is an error. The usual reader would keep the last value and drop the others
//! without a word. Two names are the same when their normal forms are.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::Patch;

/// Reads a map whose names are all different.
///
/// # Errors
/// The deserialiser's, and one that names what comes twice.
pub fn unique<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord + fmt::Display,
    V: Deserialize<'de>,
{
    struct Map<K, V>(PhantomData<(K, V)>);

    impl<'de, K: Deserialize<'de> + Ord + fmt::Display, V: Deserialize<'de>> Visitor<'de> for Map<K, V> {
        type Value = BTreeMap<K, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((name, value)) = access.next_entry::<K, V>()? {
                if map.contains_key(&name) {
                    return Err(A::Error::custom(format_args!("`{name}` is given twice")));
                }
                map.insert(name, value);
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(Map(PhantomData))
}

/// Reads a change of a map: one whose names are all different, or null.
///
/// # Errors
/// As [`unique`].
pub fn unique_patch<'de, D, K, V>(deserializer: D) -> Result<Patch<BTreeMap<K, V>>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord + fmt::Display,
    V: Deserialize<'de>,
{
    struct Unique<K, V>(BTreeMap<K, V>);

    impl<'de, K: Deserialize<'de> + Ord + fmt::Display, V: Deserialize<'de>> Deserialize<'de> for Unique<K, V> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            unique(deserializer).map(Self)
        }
    }

    let read = Option::<Unique<K, V>>::deserialize(deserializer)?;
    Ok(read.map_or(Patch::Clear, |Unique(map)| Patch::Set(map)))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::text::Name;

    #[derive(Debug, Deserialize)]
    struct Body {
        #[serde(default, deserialize_with = "unique")]
        options: BTreeMap<Name, Name>,
        #[serde(default, deserialize_with = "unique_patch")]
        attributes: Patch<BTreeMap<Name, Name>>,
    }

    #[test]
    fn a_name_comes_once() {
        let read = |json: &str| serde_json::from_str::<Body>(json);
        let body = read(r#"{"options": {"a": "1", "b": "2"}, "attributes": {"a": "1"}}"#).expect("it is well formed");
        assert_eq!((body.options.len(), body.attributes.value().map(BTreeMap::len)), (2, Some(1)));
        assert!(read("{}").is_ok_and(|body| body.attributes.is_keep()));
        assert!(read(r#"{"attributes": null}"#).is_ok_and(|body| body.attributes == Patch::Clear));
        for twice in [
            r#"{"options": {"a": "1", "a": "2"}}"#,
            r#"{"options": {"é": "1", " e\u0301": "2"}}"#,
            r#"{"attributes": {"é": "1", "e\u0301 ": "2"}}"#,
        ] {
            assert!(read(twice).is_err_and(|error| error.to_string().contains("is given twice")), "{twice}");
        }
    }
}
