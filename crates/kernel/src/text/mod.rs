//! Texts: every text that enters the book has a type that says how long it may be and what it may hold. `docs/text.md` has the rules.
//!
//! What enters is brought into its [normal form](normal) and checked. What is [stored](stored) is read as it stands, since the rules of
//! the day on which it entered may have been others.

mod characters;
mod folding;
mod slug;

use std::{borrow::Cow, cell::Cell, fmt, marker::PhantomData, str::FromStr, sync::Arc};

use serde::de::{self, Deserializer, Visitor};
use unicode_normalization::{UnicodeNormalization, is_nfc};

pub use self::{
    characters::Alphabet,
    folding::{fold, query, words},
};

/// How many bytes a character may have before it is brought into its normal form: three code points of four bytes.
const MAX_BYTES: usize = 12;

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
    /// It holds a character that its type does not allow.
    #[error("must not contain {}", shown(*.0))]
    Character(char),
    /// Nothing of it can be seen.
    #[error("must have a character that can be seen")]
    Unseen,
}

/// A character as a message shows it. The number helps where it cannot be seen, or looks like another one.
fn shown(c: char) -> String {
    let number = u32::from(c);
    if c.is_ascii() || !(characters::shows_nothing_alone(c) || c.is_control()) {
        format!("{c:?} (U+{number:04X})")
    } else {
        format!("U+{number:04X}, which shows nothing by itself")
    }
}

/// The normal form of a text: composed (NFC), and without blanks at its ends. Two texts that look the same are the same in this form,
/// as far as Unicode says so.
#[must_use]
pub fn normal(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim_matches(characters::is_blank);
    if trimmed.is_ascii() || is_nfc(trimmed) { Cow::Borrowed(trimmed) } else { Cow::Owned(trimmed.nfc().collect()) }
}

/// Brings a text that enters into its normal form, and checks it. In [`Alphabet::Prose`], every end of a line becomes `\n`.
///
/// # Errors
/// [`TextError`] names the bound that was broken.
pub fn entered(text: &str, min: usize, max: usize, alphabet: Alphabet) -> Result<Cow<'_, str>, TextError> {
    let too_long = TextError::Length { min, max };
    let trimmed = text.trim_matches(characters::is_blank);
    // Long input is refused without a look at all of it.
    if trimmed.len() > max * MAX_BYTES {
        return Err(too_long);
    }
    let mut entered = normal(trimmed);
    if alphabet == Alphabet::Prose && entered.contains('\r') {
        entered = Cow::Owned(entered.replace("\r\n", "\n").replace('\r', "\n"));
    }
    if let Some(refused) = alphabet.refused_in(&entered) {
        return Err(TextError::Character(refused));
    }
    if !text.is_empty() && entered.chars().all(characters::shows_nothing_alone) {
        return Err(TextError::Unseen);
    }
    let length = if entered.is_ascii() { entered.len() } else { entered.chars().count() };
    if (min..=max).contains(&length) { Ok(entered) } else { Err(too_long) }
}

thread_local! {
    /// Whether this thread is reading what is stored.
    static STORED: Cell<bool> = const { Cell::new(false) };
}

/// Reads what the book, a snapshot or a read table holds: its texts and currencies are taken as they stand. They were checked when they
/// entered, by the rules of that day, and reading the past never fails. Whoever reads what a client sends does without.
pub fn stored<T>(read: impl FnOnce() -> T) -> T {
    /// Sets the mark back, also when `read` panics.
    struct Before(bool);

    impl Drop for Before {
        fn drop(&mut self) {
            STORED.set(self.0);
        }
    }

    let _before = Before(STORED.replace(true));
    read()
}

/// Whether this thread is reading what is [stored].
pub(crate) fn is_stored() -> bool {
    STORED.get()
}

/// Reads what is written as a string, from where it stands: a `String` or `Cow` would be a copy that is thrown away.
#[doc(hidden)]
pub fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    visited(deserializer, str::parse)
}

/// Reads a text that enters, or one that is stored.
#[doc(hidden)]
pub fn deserialized<'de, D: Deserializer<'de>>(
    deserializer: D,
    min: usize,
    max: usize,
    alphabet: Alphabet,
) -> Result<Arc<str>, D::Error> {
    visited(deserializer, |text| {
        if is_stored() { Ok(text.into()) } else { entered(text, min, max, alphabet).map(|text| Arc::from(&*text)) }
    })
}

fn visited<'de, D, T, E>(deserializer: D, read: impl FnOnce(&str) -> Result<T, E>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    E: fmt::Display,
{
    struct Text<F, T>(F, PhantomData<T>);

    impl<F: FnOnce(&str) -> Result<T, E>, T, E: fmt::Display> Visitor<'_> for Text<F, T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<R: de::Error>(self, text: &str) -> Result<T, R> {
            (self.0)(text).map_err(R::custom)
        }
    }

    deserializer.deserialize_str(Text(read, PhantomData))
}

/// Declares a text type: a string in its normal form that has been checked once, at the edge, and is cheap to clone.
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
            /// The most characters.
            pub const MAX: usize = $max;

            /// Accepts a text within the bounds of this type, in its normal form.
            ///
            /// # Errors
            /// `TextError` names the bound that was broken.
            pub fn new(text: impl AsRef<str>) -> Result<Self, $crate::text::TextError> {
                let entered = $crate::text::entered(text.as_ref(), $min, $max, $crate::text::Alphabet::$alphabet)?;
                Ok(Self((&*entered).into()))
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
                $crate::text::deserialized(deserializer, $min, $max, $crate::text::Alphabet::$alphabet).map(Self)
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
    use crate::ids::CustomerRef as Foreign;

    #[test]
    fn bounds_are_held_and_named() {
        assert_eq!(Slug::new(""), Err(TextError::Length { min: 1, max: 200 }));
        assert_eq!(Slug::new("Oat"), Err(TextError::Character('O')));
        assert_eq!(Name::new("two\nlines"), Err(TextError::Character('\n')));
        assert_eq!(Name::new("x".repeat(1_000_000)), Err(TextError::Length { min: 1, max: 300 }));
        assert_eq!(Name::new("x".repeat(301)), Err(TextError::Length { min: 1, max: 300 }));
        assert!(Name::new("ü".repeat(300)).is_ok());
        assert!(Prose::new("two\nlines").is_ok());
    }

    #[test]
    fn a_text_enters_in_its_normal_form() {
        let name = |text: &str| Name::new(text).map(|name| name.as_str().to_owned());
        assert_eq!(name(" \t\u{a0}\u{3000}Oat milk\u{200b}\u{feff} \n").as_deref(), Ok("Oat milk"));
        assert_eq!(name("cafe\u{301}").as_deref(), Ok("café"));
        assert_eq!(
            name(&"u\u{308}\u{304}".repeat(300)).map(|name| name.chars().count()),
            Ok(300),
            "counted when composed"
        );
        assert_eq!(Prose::new("\r\none\r\ntwo\rthree\n").as_ref().map(Prose::as_str), Ok("one\ntwo\nthree"));
        assert_eq!(Foreign::new(" AB 12 ").as_ref().map(Foreign::as_str), Ok("AB 12"));
    }

    #[test]
    fn what_cannot_be_seen_or_reads_as_another_text_is_refused() {
        for unseen in
            [" ", "\u{a0}", "\u{200b}", "\u{3164}", "\u{2800}", "\u{ad}", "\u{200e}", "\u{fe0f}", "\u{3000}\u{2003}"]
        {
            assert_eq!(Name::new(unseen), Err(TextError::Unseen), "{unseen:?}");
            assert_eq!(Prose::new(format!("\n{unseen}\n")), Err(TextError::Unseen), "{unseen:?}");
        }
        for unseen in ["\u{16fe4}", "\u{1d159}", "\u{301}", "\u{200d}\u{20e3}", "\u{5b7} \u{93f}"] {
            assert_eq!(Name::new(unseen), Err(TextError::Unseen), "{unseen:?}");
            assert!(Foreign::new(unseen).is_err(), "{unseen:?}");
        }
        let flag = "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}";
        for seen in [flag, "\u{2764}\u{fe0f}", "می\u{200c}خواهم", "हिन्दी"] {
            assert!(Name::new(seen).is_ok(), "{seen:?}");
        }
        for c in [
            '\u{202e}',
            '\u{2066}',
            '\u{2069}',
            '\u{fdd0}',
            '\u{1ffff}',
            '\u{7f}',
            '\u{85}',
            '\0',
            '\u{feff}',
            '\u{2028}',
        ] {
            assert_eq!(Name::new(format!("a{c}b")), Err(TextError::Character(c)), "{c:?}");
        }
        for kept in ["می\u{200c}خواهم", "क्\u{200d}ष", "👩\u{200d}👩\u{200d}👧", "C++\u{200e} שלום", "❤\u{fe0f}"]
        {
            assert_eq!(Name::new(kept).as_ref().map(Name::as_str), Ok(kept));
        }
    }

    #[test]
    fn letters_that_cannot_be_seen_make_no_slugs_and_no_tokens() {
        for filler in ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}', '\u{17b4}'] {
            assert_eq!(Slug::new(format!("te{filler}a")), Err(TextError::Character(filler)), "{filler:?}");
            let token = format!("ma{filler}in");
            assert_eq!(entered(&token, 1, 64, Alphabet::Token), Err(TextError::Character(filler)), "{filler:?}");
        }
        for seen in ["한국", "हिन्दी", "ខ្មែរ"] {
            assert!(Slug::new(seen).is_ok(), "{seen}");
        }
    }

    #[test]
    fn a_message_names_a_character_that_cannot_be_seen() {
        for (text, expected) in [
            ("te\u{3164}a", "must not contain U+3164, which shows nothing by itself"),
            ("te\u{202e}a", "must not contain U+202E, which shows nothing by itself"),
            ("teA", "must not contain 'A' (U+0041)"),
            ("te\u{2013}a", "must not contain '–' (U+2013)"),
            ("te a", "must not contain ' ' (U+0020)"),
            ("te\na", r"must not contain '\n' (U+000A)"),
        ] {
            assert_eq!(Slug::new(text).map_err(|error| error.to_string()), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_code_is_what_other_systems_call_a_thing() {
        for code in ["AB 12", "AB#12", "A&B", "#1001", "ann@example.com", "½ kg", "a,b;c", "سكر", "हिन्दी", "(1)"]
        {
            assert_eq!(Foreign::new(code).as_ref().map(Foreign::as_str), Ok(code));
        }
        for (code, refused) in [("a\tb", '\t'), ("a  b", ' '), ("a\u{200d}b", '\u{200d}'), ("a\u{a0}b", '\u{a0}')] {
            assert_eq!(Foreign::new(code), Err(TextError::Character(refused)), "{code:?}");
        }
    }

    #[test]
    fn what_is_stored_is_read_as_it_stands() {
        for old in ["\u{200b}", " a ", "cafe\u{301}", "a\u{202e}b", ""] {
            let json = serde_json::to_string(old).expect("a string");
            let read: Name = stored(|| serde_json::from_str(&json)).expect("it was accepted once");
            assert_eq!(read.as_str(), old);
        }
        assert!(serde_json::from_str::<Name>(r#""\u200b""#).is_err(), "what enters is checked");
        let entered: Name = serde_json::from_str(r#"" cafe\u0301 ""#).expect("it is accepted");
        assert_eq!(entered.as_str(), "café");
    }
}
