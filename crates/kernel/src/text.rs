//! Bounded texts: every text that enters the book has a type that says how long it may be and what it may hold.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::de::{self, Deserializer, Visitor};

/// Why a text was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It is empty, or longer than its type allows.
    #[error("must have {min} to {max} characters")]
    Length {
        /// The least number of characters.
        min: usize,
        /// The greatest number of characters.
        max: usize,
    },
    /// It begins or ends with a blank, which nobody sees.
    #[error("must not begin or end with a blank")]
    Blank,
    /// It holds a character that its type does not allow.
    #[error("must not contain {0:?}")]
    Character(char),
}

/// What a text may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// Letters, digits and `. _ - : / +`: texts that name things in streams, URLs and files.
    Token,
    /// Letters, digits, ASCII punctuation and blanks within: codes as other systems have them, such as `AB 12`, `#1001`, `A&B`.
    Code,
    /// Lower-case letters, digits and `-`.
    Slug,
    /// Anything but control characters, on one line.
    Line,
    /// Anything but control characters; line breaks and tabs are welcome.
    Prose,
}

impl Alphabet {
    /// The same as a regular expression of JSON Schema. A token may also hold what is written with letters and counts as one,
    /// such as the vowel signs of Devanagari; not every reader of JSON Schema has a name for those.
    #[must_use]
    pub const fn pattern(self) -> &'static str {
        match self {
            Self::Token => r"^[\p{L}\p{N}._:/+-]+$",
            Self::Code => r"^[\p{L}\p{N}!-~]([\p{L}\p{N} -~]*[\p{L}\p{N}!-~])?$",
            Self::Slug => "^[a-z0-9-]+$",
            Self::Line => r"^[^\u0000-\u001f\u007f-\u009f]+$",
            Self::Prose => r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]+$",
        }
    }

    fn allows(self, c: char) -> bool {
        match self {
            Self::Token => c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '/' | '+'),
            Self::Code => c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ',
            Self::Slug => c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
            Self::Line => !c.is_control(),
            Self::Prose => !c.is_control() || c == '\n' || c == '\r' || c == '\t',
        }
    }
}

/// Checks `text` against its bounds.
///
/// # Errors
/// [`TextError`] names the bound that was broken.
pub fn check(text: &str, min: usize, max: usize, alphabet: Alphabet) -> Result<(), TextError> {
    // A text of `max` characters has at least `max` bytes, so long input is refused without counting it whole.
    let length = if text.len() > max * 4 { max + 1 } else { text.chars().count() };
    if !(min..=max).contains(&length) {
        return Err(TextError::Length { min, max });
    }
    if let Some(c) = text.chars().find(|c| !alphabet.allows(*c)) {
        return Err(TextError::Character(c));
    }
    let has_blank_ends = alphabet == Alphabet::Code && (text.starts_with(' ') || text.ends_with(' '));
    if has_blank_ends { Err(TextError::Blank) } else { Ok(()) }
}

/// Reads what is written as a string, from where it stands: a `String` or `Cow` would be a copy that is thrown away.
#[doc(hidden)]
pub fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    struct Text<T>(PhantomData<T>);

    impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Text(PhantomData))
}

/// Declares a text type: a string that has been checked once, at the edge, and is cheap to clone.
///
/// ```
/// daybook_kernel::text!(
///     /// The code that is printed on a gift card.
///     GiftCode, 4..=16, Token
/// );
///
/// assert!("A-4711".parse::<GiftCode>().is_ok());
/// assert!("A 4711".parse::<GiftCode>().is_err());
/// ```
#[macro_export]
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $min:literal ..= $max:literal, $alphabet:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(::std::sync::Arc<str>);

        impl $name {
            /// Accepts a text within the bounds of this type.
            ///
            /// # Errors
            /// `TextError` names the bound that was broken.
            pub fn new(text: impl AsRef<str>) -> Result<Self, $crate::text::TextError> {
                let text = text.as_ref();
                $crate::text::check(text, $min, $max, $crate::text::Alphabet::$alphabet)?;
                Ok(Self(text.into()))
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl $crate::Scalar for $name {
            type Value = str;

            fn value(&self) -> &str {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Debug::fmt(&self.0, f)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::text::TextError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::text::parsed(deserializer)
            }
        }

        impl ::schemars::JsonSchema for $name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!({
                    "type": "string",
                    "minLength": $min,
                    "maxLength": $max,
                    "pattern": $crate::text::Alphabet::$alphabet.pattern(),
                    "x-alphabet": format!("{:?}", $crate::text::Alphabet::$alphabet).to_lowercase(),
                })
            }
        }
    };
}

text!(
    /// What people call a thing: a product, a category, an option. One line.
    Name, 1..=300, Line
);
text!(
    /// A part of a URL, unique among products: `oat-milk-1l`.
    Slug, 1..=200, Slug
);
text!(
    /// A longer text in several lines: a description, a note.
    Prose, 1..=10_000, Prose
);
text!(
    /// Why a change was made, kept on the order or stock that it changed. One line.
    Reason, 1..=500, Line
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_what_other_systems_print() {
        let is_code = |text: &str| check(text, 1, 64, Alphabet::Code).is_ok();
        for code in ["AB 12", "AB#12", "A&B", "#1001", "ann@example.org", "50%_off", "a\"b'c", "Größe/5", "燕麦-1"]
        {
            assert!(is_code(code), "{code}");
        }
        for code in [" a", "a ", "a\tb", "a\nb", "a\u{a0}b", "a\u{200b}b", "a\u{202e}b", ""] {
            assert!(!is_code(code), "{code:?}");
        }
    }

    #[test]
    fn bounds_are_held_and_named() {
        assert_eq!(Slug::new(""), Err(TextError::Length { min: 1, max: 200 }));
        assert_eq!(Slug::new("Oat"), Err(TextError::Character('O')));
        assert_eq!(Name::new("two\nlines"), Err(TextError::Character('\n')));
        assert_eq!(Name::new("x".repeat(1_000_000)), Err(TextError::Length { min: 1, max: 300 }));
        assert!(Name::new("ü".repeat(300)).is_ok());
        assert!(Prose::new("two\nlines").is_ok());
    }
}
