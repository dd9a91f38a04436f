//! The seam for personal data. An event holds it in sealed boxes ([`Personal`](daybook_domain::Personal)), which are sealed before the bus.
//! The codec opens none. It finds the key of the first box while it writes the event, and the event store keeps that key beside it.
//!
//! A box is known by its stored form: an object that begins with `sealed` and `key`.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;
use uuid::Uuid;

/// The JSON of an event, and the key of its first box.
///
/// # Errors
/// None for data whose keys are texts. The signature is that of serde.
pub(crate) fn write(data: &impl Serialize) -> Result<(String, Option<Uuid>), serde_json::Error> {
    let (mut json, mut finder) = (Vec::with_capacity(256), BoxFinder::default());
    data.serialize(&mut serde_json::Serializer::with_formatter(&mut json, &mut finder))?;
    Ok((String::from_utf8(json).expect("serde_json writes UTF-8"), finder.key_id))
}

/// Writes compact JSON, and remembers the key of the first box.
#[derive(Debug, Default)]
struct BoxFinder {
    key_id: Option<Uuid>,
    next: Next,
}

/// What the next text of the JSON is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Next {
    /// Nothing that concerns a box.
    #[default]
    Other,
    /// The first name in an object.
    FirstName,
    /// The form of a box.
    Form,
    /// The second name in an object that begins like a box.
    SecondName,
    /// The key of a box.
    Key,
}

impl BoxFinder {
    fn read(&mut self, text: &str) {
        self.next = match (self.next, text) {
            (Next::FirstName, "sealed") | (Next::Form, _) => Next::Form,
            (Next::SecondName, "key") => Next::Key,
            (Next::Key, key) => {
                self.key_id = self.key_id.or_else(|| key.parse().ok());
                Next::Other
            }
            _ => Next::Other,
        };
    }
}

impl Formatter for &mut BoxFinder {
    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first {
            self.next = Next::FirstName;
            return Ok(());
        }
        self.next = if self.next == Next::Form { Next::SecondName } else { Next::Other };
        writer.write_all(b",")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if self.next != Next::Other {
            self.read(fragment);
        }
        writer.write_all(fragment.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use daybook_kernel::personal::{Personal, PersonalKind};
    use serde_json::json;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Contact;

    impl PersonalKind for Contact {
        const FORM: &'static str = "contact.v1";
        const CLASS: &'static str = "contact";
    }

    fn sealed(key: u128) -> Personal<Contact> {
        Personal::sealed(Uuid::from_u128(key), "q83v-_8").expect("it is a box")
    }

    /// The key that is kept beside an event with these data. The JSON is that of serde.
    fn key_of(data: &impl Serialize) -> Option<u128> {
        let (json, key) = write(data).expect("the data are written");
        assert_eq!(json, serde_json::to_string(data).expect("the data are JSON"));
        key.map(|key| key.as_u128())
    }

    #[test]
    fn the_key_of_the_first_box_is_kept_beside_the_event() {
        assert_eq!(key_of(&sealed(7)), Some(7));
        let fields = BTreeMap::from([("contact", sealed(8)), ("recipient", sealed(9))]);
        assert_eq!(key_of(&(json!({ "id": "sealed", "note": "a \"text\"" }), Some(vec![fields]))), Some(8));
    }

    #[test]
    fn an_event_without_a_box_has_no_key() {
        let key = Uuid::from_u128(7);
        for clear in [
            json!({}),
            json!({ "key": key, "reason": "sealed" }),
            json!({ "a": "sealed", "key": key }),
            json!({ "sealed": { "key": key } }),
            json!({ "sealed": "contact.v1", "zone": key }),
            json!(["sealed", "key", key]),
        ] {
            assert_eq!(key_of(&clear), None, "{clear}");
        }
    }
}
