//! Slugs that are made from names.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::{
    Slug,
    characters::{is_letter, is_of_a_word},
    folding::plain,
};

/// The most characters of a slug that is made from a name. A suffix still fits behind it.
const MAX_CHARACTERS: usize = 100;

/// The stroke in `½`, when Unicode takes that apart.
const FRACTION: char = '\u{2044}';

impl Slug {
    /// The slug of a name: its words in lower case. Latin letters lose their accents; other scripts are kept as they are. `None` where
    /// the name has no letter and no digit.
    ///
    /// ```
    /// use daybook_kernel::text::Slug;
    ///
    /// let slug = |name: &str| Slug::of(name).map(|slug| slug.to_string());
    /// assert_eq!(slug("Łopata łódzka").as_deref(), Some("lopata-lodzka"));
    /// assert_eq!(slug("سكر").as_deref(), Some("سكر"));
    /// assert_eq!(slug("Crème brûlée, 2 × 90 g").as_deref(), Some("creme-brulee-2-90-g"));
    /// assert_eq!(slug("!!!"), None);
    /// ```
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let mut slug = String::new();
        let mut after_latin = false;
        for c in name.nfc() {
            let mut parts = c.nfkd().flat_map(char::to_lowercase).peekable();
            let latin = parts.peek().is_some_and(|first| first.is_ascii_alphanumeric() || is_plain_latin(*first));
            if latin {
                // The parts of `½` are the digits of a fraction, and none of a number before it.
                let is_fraction = c.nfkd().any(|part| part == FRACTION);
                if is_fraction && !slug.is_empty() && !slug.ends_with('-') {
                    slug.push('-');
                }
                for part in parts.filter(|part| part.is_alphanumeric() || *part == FRACTION) {
                    match plain(part) {
                        _ if part == FRACTION => slug.push('-'),
                        Some(letters) => slug.push_str(letters),
                        None => slug.push(part),
                    }
                }
            } else if is_letter(c) || is_of_a_word(c) && !after_latin && !slug.ends_with('-') && !slug.is_empty() {
                slug.extend(c.to_lowercase());
            } else if !is_of_a_word(c) && !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
            after_latin = latin || after_latin && !is_letter(c) && is_of_a_word(c);
        }
        Self::new(cut(&slug).trim_matches('-')).ok()
    }

    /// The slug with a suffix, for a name that another thing has already.
    ///
    /// ```
    /// use daybook_kernel::text::Slug;
    ///
    /// let tee: Slug = "tee".parse()?;
    /// assert_eq!(tee.with_suffix("2").as_str(), "tee-2");
    /// # Ok::<(), daybook_kernel::text::TextError>(())
    /// ```
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Self {
        Self::new(format!("{self}-{suffix}")).unwrap_or_else(|_| self.clone())
    }
}

/// The beginning of a text that is too long. A letter is not cut from its marks.
fn cut(slug: &str) -> &str {
    let Some((mut end, mut first_left_out)) = slug.char_indices().nth(MAX_CHARACTERS) else { return slug };
    while is_combining_mark(first_left_out)
        && let Some(before) = slug[..end].char_indices().next_back()
    {
        (end, first_left_out) = before;
    }
    &slug[..end]
}

/// Whether a letter in lower case is a Latin one that has a plain form.
fn is_plain_latin(c: char) -> bool {
    plain(c).is_some_and(|letters| letters.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_with_a_letter_has_a_slug_in_its_own_script() {
        for (name, expected) in [
            ("Tee", "tee"),
            ("Łopata łódzka", "lopata-lodzka"),
            ("ŁOPATA", "lopata"),
            ("سكر أبيض", "سكر-أبيض"),
            ("чай Чёрный", "чай-чёрный"),
            ("燕麦奶 1L", "燕麦奶-1l"),
            ("हिन्दी चाय", "हिन्दी-चाय"),
            ("ΚΑΦΈΣ", "καφέσ"),
            ("Straße & Söhne", "strasse-sohne"),
            ("cafe\u{301}", "cafe"),
            ("x\u{301}y", "xy"),
            ("ﬁne ＡＢＣ", "fine-abc"),
            ("  -- a -- b -- ", "a-b"),
            ("\u{301}a", "a"),
            ("İstanbul ısı", "istanbul-isi"),
            ("1½ inch, ¾ ⅟", "1-1-2-inch-3-4-1"),
            ("te\u{3164}a \u{ffa0}", "te-a"),
        ] {
            let slug = Slug::of(name).map(|slug| slug.to_string());
            // The last letter of a Greek word may be written in two ways; both are lower case.
            let same = slug.as_deref().map(|slug| slug.replace('ς', "σ"));
            assert_eq!(same.as_deref(), Some(expected), "{name}");
        }
        for name in ["!!!", "☕", "", "\u{301}"] {
            assert_eq!(Slug::of(name), None, "{name}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_letters_and_not_before_a_mark() {
        for (name, expected) in [
            (format!("a{}", "कि".repeat(100)), format!("a{}", "कि".repeat(49))),
            (format!("{}क्षि", "a".repeat(99)), "a".repeat(99)),
            (format!("{} é", "a".repeat(98)), format!("{}-e", "a".repeat(98))),
            (format!("{} कि", "a".repeat(98)), "a".repeat(98)),
        ] {
            assert_eq!(Slug::of(&name).map(|slug| slug.to_string()), Some(expected), "{name}");
        }
        assert_eq!(Slug::of(&format!("क{}", "\u{93f}".repeat(200))), None);
    }

    #[test]
    fn the_slug_of_the_longest_name_leaves_room_for_a_suffix() {
        let slug = Slug::of(&"ab ".repeat(100)).expect("it has letters");
        assert!(slug.as_str().chars().count() <= MAX_CHARACTERS);
        assert!(slug.with_suffix("123456789012").as_str().ends_with("-123456789012"));
    }
}
