//! How texts are found: the words of a text, folded, for what is stored and for what is asked alike.

use std::{collections::BTreeSet, fmt::Write};

use unicode_normalization::UnicodeNormalization;

use super::characters::{is_of_a_word, is_unseen};

/// The most characters of a word that count. PostgreSQL keeps words of at most 2 kB.
const MAX_WORD: usize = 64;

/// A text without what a search does not distinguish: case, accents, width, ligatures, and what cannot be seen. A letter that Unicode
/// does not take apart, such as `ł`, becomes its plain one.
///
/// ```
/// use daybook_kernel::text::fold;
///
/// assert_eq!(fold("Łopata łódzka"), "lopata lodzka");
/// assert_eq!(fold("cafe\u{301}"), fold("CAFÉ"));
/// assert_eq!(fold("ｶﾌｪ"), "カフェ");
/// ```
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    let kept = text.nfkd().filter(|c| !is_accent(*c) && (c.is_whitespace() || !is_unseen(*c)));
    for c in kept.flat_map(char::to_lowercase) {
        match plain(c) {
            Some(letters) => folded.push_str(letters),
            None => folded.push(c),
        }
    }
    folded.nfc().collect()
}

/// The words by which a text is found. Scripts without blanks between words, such as Han, give each pair of neighbours, and the last
/// character.
///
/// ```
/// use daybook_kernel::text::words;
///
/// let found_by: Vec<_> = words(["Oat Milk", "燕麦奶", "OAT-1L"]).into_iter().collect();
/// assert_eq!(found_by, ["1l", "milk", "oat", "奶", "燕麦", "麦奶"]);
/// ```
#[must_use]
pub fn words<'t>(texts: impl IntoIterator<Item = &'t str>) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for text in texts {
        for part in parts(&fold(text)) {
            match part {
                Part::Word(word) => drop(words.insert(word.to_owned())),
                Part::Unspaced(run) => {
                    words.extend(pairs(run).map(str::to_owned));
                    words.extend(run.chars().next_back().map(String::from));
                }
            }
        }
    }
    words
}

/// What is asked, as a query of PostgreSQL's text search over [`words`]: all words, each as the beginning of one. A single letter stands for
/// itself, since half of all products have a word that begins with it. Empty where a text has no word. No word holds a character that
/// such a query would have to escape.
///
/// ```
/// use daybook_kernel::text::query;
///
/// assert_eq!(query("Crème brû"), "'creme':* & 'bru':*");
/// assert_eq!(query("a tea"), "'a' & 'tea':*");
/// assert_eq!(query("燕麦奶"), "'燕麦' & '麦奶'");
/// assert_eq!(query("麦"), "'麦':*");
/// assert_eq!(query("' | !"), "");
/// ```
#[must_use]
pub fn query(asked: &str) -> String {
    let mut query = String::new();
    let mut add = |word: &str, ending: &str| {
        let and = if query.is_empty() { "" } else { " & " };
        // A String takes all that is written.
        _ = write!(query, "{and}'{word}'{ending}");
    };
    for part in parts(&fold(asked)) {
        match part {
            Part::Word(word) => add(word, if word.chars().nth(1).is_none() { "" } else { ":*" }),
            Part::Unspaced(run) if run.chars().nth(1).is_none() => add(run, ":*"),
            Part::Unspaced(run) => pairs(run).for_each(|pair| add(pair, "")),
        }
    }
    query
}

/// A part of a folded text.
enum Part<'t> {
    /// A word, cut at [`MAX_WORD`].
    Word(&'t str),
    /// A run of characters of a script that puts no blanks between words.
    Unspaced(&'t str),
}

fn parts(folded: &str) -> impl Iterator<Item = Part<'_>> {
    let words = folded.split(|c| !is_of_a_word(c)).filter(|word| !word.is_empty());
    words.flat_map(|word| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let unspaced = is_unspaced(rest.chars().next()?);
            let end = rest.find(|c| is_unspaced(c) != unspaced).unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            rest = after;
            Some(if unspaced { Part::Unspaced(part) } else { Part::Word(cut(part)) })
        })
    })
}

fn cut(word: &str) -> &str {
    word.char_indices().nth(MAX_WORD).map_or(word, |(end, _)| &word[..end])
}

/// Each two characters that stand beside each other.
fn pairs(run: &str) -> impl Iterator<Item = &str> {
    let ends = run.char_indices().skip(2).map(|(at, _)| at).chain([run.len()]);
    run.char_indices().zip(ends).map(|((begin, _), end)| &run[begin..end]).filter(|pair| pair.chars().nth(1).is_some())
}

/// Whether a script puts no blanks between words: Thai, Lao, Tibetan, Burmese, Khmer, kana, Han.
fn is_unspaced(c: char) -> bool {
    matches!(
        c,
        '\u{e00}'..='\u{fff}'
            | '\u{1000}'..='\u{109f}'
            | '\u{1780}'..='\u{17ff}'
            | '\u{3005}'..='\u{3007}'
            | '\u{3040}'..='\u{312f}'
            | '\u{31a0}'..='\u{31bf}'
            | '\u{31f0}'..='\u{31ff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}'
    )
}

/// Whether a mark is one that a search does not distinguish: accents, the vowel points of Arabic and Hebrew, and Arabic's stretching. The
/// marks of other scripts are parts of their letters.
fn is_accent(c: char) -> bool {
    matches!(
        c,
        '\u{300}'..='\u{36f}'
            | '\u{591}'..='\u{5bd}'
            | '\u{5bf}'
            | '\u{5c1}'..='\u{5c2}'
            | '\u{5c4}'..='\u{5c5}'
            | '\u{5c7}'
            | '\u{640}'
            | '\u{64b}'..='\u{65f}'
            | '\u{670}'
            | '\u{1ab0}'..='\u{1aff}'
            | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}'
            | '\u{fe20}'..='\u{fe2f}'
    )
}

/// The plain letters of a letter in lower case that Unicode does not take apart.
pub(super) const fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' | 'ɵ' => "o",
        'ł' | 'ƚ' | 'ɫ' => "l",
        'đ' | 'ð' | 'ɖ' | 'ɗ' => "d",
        'þ' => "th",
        'ħ' => "h",
        'ı' | 'ɨ' => "i",
        'ŋ' | 'ɲ' => "n",
        'ŧ' => "t",
        'ĸ' | 'ƙ' => "k",
        'ƀ' | 'ɓ' => "b",
        'ə' | 'ǝ' | 'ɛ' => "e",
        'ɔ' => "o",
        'ƶ' => "z",
        'ς' => "σ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether what is asked finds a text, as PostgreSQL would match it.
    fn finds(asked: &str, text: &str) -> bool {
        let words = words([text]);
        let query = query(asked);
        !query.is_empty()
            && query.split(" & ").all(|part| match part.strip_suffix(":*") {
                Some(word) => words.iter().any(|found| found.starts_with(word.trim_matches('\''))),
                None => words.contains(part.trim_matches('\'')),
            })
    }

    #[test]
    fn what_is_typed_finds_what_is_stored_in_every_script() {
        for (asked, text) in [
            ("creme brulee", "Crème brûlée"),
            ("Café", "cafe\u{301} au lait"),
            ("CAFE", "Café"),
            ("lopata", "Łopata łódzka"),
            ("lodzka lopata", "Łopata łódzka"),
            ("smorrebrod", "Smørrebrød"),
            ("strasse", "Straße"),
            ("STRASSE", "straße"),
            ("lopa", "Łopata"),
            ("燕麦", "有机燕麦奶"),
            ("奶", "有机燕麦奶"),
            ("ミルク", "オーツミルク"),
            ("ﾐﾙｸ", "オーツミルク"),
            ("น้ำนม", "น้ำนมข้าวโอ๊ต"),
            ("كتاب", "كِتَاب"),
            ("ΚΑΦΕΣ", "καφές"),
            ("ёлка", "елка"),
            ("oat-1l", "OAT-1L"),
            ("OAT 1", "OAT-1"),
            ("хлеб", "Хлеб чёрный"),
        ] {
            assert!(finds(asked, text), "{asked} does not find {text}: {:?} in {:?}", query(asked), words([text]));
        }
        for (asked, text) in
            [("燕奶", "燕麦奶"), ("milk", "oat"), ("oat tea", "oat"), ("o", "oat"), ("", "oat"), ("!", "oat!")]
        {
            assert!(!finds(asked, text), "{asked} finds {text}");
        }
    }

    #[test]
    fn a_word_of_any_length_can_be_indexed_and_is_found_by_itself() {
        let long = "ü".repeat(10_000);
        assert_eq!(words([&*long]).into_iter().collect::<Vec<_>>(), ["u".repeat(MAX_WORD)]);
        assert!(finds(&long, &long));
    }

    #[test]
    fn no_word_holds_what_a_query_would_have_to_escape() {
        for text in ["it's", "a\\b", "a:*b", "a & !b | (c)", "<->", "\u{200b}a\u{202e}b"] {
            for word in words([text]) {
                assert!(word.chars().all(|c| c.is_alphanumeric()), "{word}");
            }
        }
    }
}
