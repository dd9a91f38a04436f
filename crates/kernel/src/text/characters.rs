//! Which characters a text may hold, and which of them nobody can see.

use unicode_normalization::char::is_combining_mark;

/// What a text may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// Letters, digits and `. _ - : / +`: texts of this engine that name things in streams, URLs and files.
    Token,
    /// What other systems call a thing: all that can be seen, and single blanks between: `AB 12`, `#1001`, `A&B`.
    Code,
    /// Letters in lower case and digits of any script, and `-`.
    Slug,
    /// One line: no control characters, and none that change the direction of the text.
    Line,
    /// The same in several lines, with tabs.
    Prose,
}

/// The characters that no text may hold, as part of a character class: the controls of direction, noncharacters, annotations.
macro_rules! refused {
    () => {
        r"\u202a-\u202e\u2066-\u206f\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff"
    };
}

/// The characters that cannot be seen and that a text may hold, as part of a character class.
macro_rules! unseen {
    () => {
        r"\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    };
}

impl Alphabet {
    /// The same as a regular expression of JSON Schema, for a text in its normal form. It names no characters above U+FFFF, since not
    /// every reader of JSON Schema has a form for them. It leaves no letters and marks out of a class, since not every reader can do
    /// that, so those of tokens and slugs match a few that cannot be seen, which are refused all the same.
    #[must_use]
    pub const fn pattern(self) -> &'static str {
        match self {
            Self::Token => r"^[\p{L}\p{N}._:/+-]+$",
            Self::Code => concat!(
                r"^[^\u0000-\u001f\u007f-\u009f",
                unseen!(),
                refused!(),
                r"]+( [^\u0000-\u001f\u007f-\u009f",
                unseen!(),
                refused!(),
                "]+)*$"
            ),
            Self::Slug => r"^[\p{Ll}\p{Lm}\p{Lo}\p{M}\p{N}-]+$",
            Self::Line => concat!(
                r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029",
                refused!(),
                r"]*[^\u0000-\u001f\u007f-\u009f",
                unseen!(),
                refused!(),
                r"][^\u0000-\u001f\u007f-\u009f\u2028\u2029",
                refused!(),
                "]*$"
            ),
            Self::Prose => concat!(
                r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f",
                refused!(),
                r"]*[^\u0000-\u001f\u007f-\u009f",
                unseen!(),
                refused!(),
                r"][^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f",
                refused!(),
                "]*$"
            ),
        }
    }

    /// The first character of a text in its normal form that this alphabet does not have.
    pub(super) fn refused_in(self, text: &str) -> Option<char> {
        let mut before = '\0';
        text.chars().find(|c| {
            let doubled = self == Self::Code && *c == ' ' && before == ' ';
            before = *c;
            doubled || !self.allows(*c)
        })
    }

    fn allows(self, c: char) -> bool {
        match self {
            Self::Token => is_letter(c) || matches!(c, '.' | '_' | '-' | ':' | '/' | '+'),
            Self::Code => c == ' ' || !(is_unseen(c) || is_refused(c)),
            Self::Slug => c == '-' || is_of_a_word(c) && c.to_lowercase().eq([c]),
            Self::Line => !(c.is_control() || is_refused(c) || matches!(c, '\u{2028}' | '\u{2029}')),
            Self::Prose => matches!(c, '\n' | '\t') || !(c.is_control() || is_refused(c)),
        }
    }
}

/// Whether a character belongs to a word: a letter, a digit, or a mark on them.
pub(super) fn is_of_a_word(c: char) -> bool {
    is_letter(c) || !c.is_ascii() && is_combining_mark(c) && !is_unseen(c)
}

/// Whether a character is a letter or a digit that can be seen: Unicode counts the fillers of Hangul as letters.
pub(super) fn is_letter(c: char) -> bool {
    c.is_alphanumeric() && (c.is_ascii() || !is_unseen(c))
}

/// Whether a character shows nothing by itself: it cannot be seen, or it is a mark, which needs a letter before it.
pub(super) fn shows_nothing_alone(c: char) -> bool {
    is_unseen(c) || is_combining_mark(c)
}

/// Whether a character is cut off at the ends of a text: white space, and what takes no room.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{180e}' | '\u{200b}' | '\u{2060}' | '\u{feff}')
}

/// Whether a character may not be in any text. The embeddings and overrides of direction let a text read as another one. U+200C to
/// U+200F stay, since Persian, Hindi, emoji and texts of mixed direction need them.
fn is_refused(c: char) -> bool {
    matches!(
        c,
        '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{206f}'
            | '\u{fdd0}'..='\u{fdef}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0001}'
    ) || u32::from(c) & 0xfffe == 0xfffe
}

/// Whether a character cannot be seen: white space, controls, the default ignorable code points of Unicode, and four blanks that Unicode
/// counts as letters, marks and symbols (U+3164, U+2800, U+16FE4, U+1D159).
pub(super) fn is_unseen(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{16fe4}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d159}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}
