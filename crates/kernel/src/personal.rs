//! Personal data in an event: a sealed box, never plaintext.
//!
//! A slice holds, copies and stores boxes. It cannot open one: keys are outside the book and outside its back-ups, so erasing a
//! key makes every box of its owner unreadable, wherever a copy is.

use std::{borrow::Cow, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use uuid::Uuid;

/// What a box may hold: a type of personal data, with the name and version of its form.
pub trait PersonalKind {
    /// The form of the plaintext, such as `contact.v1`.
    const FORM: &'static str;
    /// The class of its key, such as `contact`; `x-personal` in JSON Schema.
    const CLASS: &'static str;
}

/// The most characters of a box.
const MAX_BOX: usize = 65_536;

/// A sealed value of kind `T`: `{"sealed": "contact.v1", "key": "018f…", "box": "base64url"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(bound = "")]
pub struct Personal<T: PersonalKind> {
    sealed: Form<T>,
    key: Uuid,
    r#box: String,
}

impl<T: PersonalKind> Personal<T> {
    /// A box that was sealed under a key.
    ///
    /// # Errors
    /// [`NotABox`] when `ciphertext` is not base64url or too long.
    pub fn sealed(key: Uuid, ciphertext: &str) -> Result<Self, NotABox> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if ciphertext.is_empty() || ciphertext.len() > MAX_BOX || !ciphertext.bytes().all(allowed) {
            return Err(NotABox);
        }
        Ok(Self { sealed: Form(PhantomData), key, r#box: ciphertext.to_owned() })
    }

    /// The key that opens it.
    #[must_use]
    pub const fn key(&self) -> Uuid {
        self.key
    }

    /// The sealed bytes, as base64url.
    #[must_use]
    pub fn ciphertext(&self) -> &str {
        &self.r#box
    }
}

/// The text is not a box.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a box is 1 to {MAX_BOX} characters of base64url")]
pub struct NotABox;

/// The name of the form, which is the same for every box of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Form<T>(PhantomData<T>);

impl<T: PersonalKind> Serialize for Form<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(T::FORM)
    }
}

impl<'de, T: PersonalKind> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Stored {
            sealed: String,
            key: Uuid,
            r#box: String,
        }
        let Stored { sealed, key, r#box } = Stored::deserialize(deserializer)?;
        if sealed != T::FORM {
            return Err(D::Error::custom(format!("a box of {} and not of {sealed} is wanted", T::FORM)));
        }
        Self::sealed(key, &r#box).map_err(D::Error::custom)
    }
}

impl<T: PersonalKind> JsonSchema for Personal<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Sealed_{}", T::FORM.replace('.', "_")).into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "Personal data, sealed under the key of its owner.",
            "properties": {
                "sealed": { "const": T::FORM },
                "key": { "type": "string", "format": "uuid" },
                "box": { "type": "string", "minLength": 1, "maxLength": MAX_BOX, "pattern": "^[A-Za-z0-9_-]+$" },
            },
            "required": ["sealed", "key", "box"],
            "additionalProperties": false,
            "x-personal": T::CLASS,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Contact;

    impl PersonalKind for Contact {
        const FORM: &'static str = "contact.v1";
        const CLASS: &'static str = "contact";
    }

    #[test]
    fn a_box_is_stored_as_it_was_sealed_and_names_its_key() {
        let stored = json!({ "sealed": "contact.v1", "key": "018f0000-0000-7000-8000-000000000001", "box": "q83v-_8" });
        let sealed: Personal<Contact> = serde_json::from_value(stored.clone()).expect("it is a box");
        assert_eq!(sealed.key(), Uuid::from_u128(0x018f_0000_0000_7000_8000_0000_0000_0001));
        assert_eq!(sealed.ciphertext(), "q83v-_8");
        assert_eq!(serde_json::to_value(&sealed).expect("it is written"), stored);
    }

    #[test]
    fn plaintext_and_boxes_of_another_kind_are_no_boxes() {
        let key = "018f0000-0000-7000-8000-000000000001";
        for wrong in [
            json!({ "email": "ann@example.org" }),
            json!({ "sealed": "address.v1", "key": key, "box": "q83v" }),
            json!({ "sealed": "contact.v1", "key": key, "box": "ann@example.org" }),
            json!({ "sealed": "contact.v1", "key": key, "box": "" }),
            json!({ "sealed": "contact.v1", "key": key, "box": "q83v", "email": "ann@example.org" }),
        ] {
            assert!(serde_json::from_value::<Personal<Contact>>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
