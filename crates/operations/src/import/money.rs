//! Amounts of money as people and spreadsheets write them: `19.99`, `19,99`, `€ 1.234,50`, `1 234,50 EUR`.
//!
//! The rules, which docs/imports.md states as well:
//! - Where both `.` and `,` occur, the last one separates the decimals, and the other one groups thousands.
//! - One that occurs more than once groups thousands.
//! - One that occurs once separates the decimals, unless exactly three digits follow. Then the currency settles it: without decimals it
//!   groups, with three decimals it separates them. With two decimals `1,234` is ambiguous, and is rejected.
//! - A decimal separator that the caller has named settles all of that.
//! - Blanks and apostrophes group thousands. A group has three digits, the first one up to three.

use daybook_domain::{Currency, Money};

/// The separator of decimals, where the caller has named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum DecimalSeparator {
    /// `19.99`; a comma groups thousands.
    Point,
    /// `19,99`; a point groups thousands.
    Comma,
}

impl DecimalSeparator {
    const fn char(self) -> char {
        match self {
            Self::Point => '.',
            Self::Comma => ',',
        }
    }
}

/// The signs of currencies, each with the currencies that it may mean.
const SIGNS: &[(&str, &[&str])] = &[
    ("€", &["EUR"]),
    ("£", &["GBP", "EGP", "GIP", "FKP", "SHP", "LBP", "SYP", "SSP", "SDG"]),
    ("¥", &["JPY", "CNY"]),
    ("₹", &["INR"]),
    ("₽", &["RUB"]),
    ("₩", &["KRW", "KPW"]),
    ("₺", &["TRY"]),
    ("₴", &["UAH"]),
    ("₫", &["VND"]),
    ("₪", &["ILS"]),
    ("฿", &["THB"]),
    ("₱", &["PHP"]),
    ("₦", &["NGN"]),
    ("zł", &["PLN"]),
    ("Kč", &["CZK"]),
    ("kr", &["SEK", "NOK", "DKK", "ISK"]),
    ("kr.", &["DKK", "NOK", "SEK", "ISK"]),
    ("Fr.", &["CHF"]),
    ("Ft", &["HUF"]),
    ("R$", &["BRL"]),
    ("US$", &["USD"]),
    ("C$", &["CAD"]),
    ("A$", &["AUD"]),
];

/// The currencies whose sign is `$`.
const DOLLARS: &[&str] = &[
    "USD", "CAD", "AUD", "NZD", "SGD", "HKD", "TWD", "MXN", "ARS", "CLP", "COP", "UYU", "BSD", "BBD", "BZD", "BMD",
    "BND", "XCD", "FJD", "GYD", "JMD", "KYD", "LRD", "NAD", "SBD", "SRD", "TTD", "DOP",
];

/// The currency of a code, in capitals or not.
///
/// # Errors
/// A sentence, for an unknown code.
pub(super) fn currency(code: &str) -> Result<Currency, String> {
    code.to_ascii_uppercase().parse().map_err(|_| format!("`{code}` is not an active ISO 4217 currency code"))
}

/// An amount in minor units, a whole number.
///
/// # Errors
/// A sentence.
pub(super) fn minor_units(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a whole number of minor units, such as 1999 for 19.99"))
}

/// An amount in units of its currency. The currency is the one that the row names, or the one that the text names.
///
/// # Errors
/// A sentence.
pub(super) fn amount(
    text: &str,
    named: Option<Currency>,
    separator: Option<DecimalSeparator>,
) -> Result<Money, String> {
    let (number, sign) = split(text);
    let currency = match (named, own_currency(sign, named)?) {
        (Some(named), Some(own)) if named != own => {
            return Err(format!("`{text}` is in {own}, and the row names {named}"));
        }
        (Some(currency), _) | (None, Some(currency)) => currency,
        (None, None) => return Err(format!("`{text}` names no currency, and neither does the row")),
    };
    let minor = in_minor_units(number, currency, separator).map_err(|why| format!("`{text}`: {why}"))?;
    Ok(Money::new(minor, currency))
}

/// The number of a text, and the sign or code before or behind it.
fn split(text: &str) -> (&str, &str) {
    let is_of_number = |c: char| c.is_ascii_digit() || c == '-' || c == '−';
    let mut first = text.find(is_of_number).unwrap_or(text.len());
    let before = text[..first].strip_suffix(['.', ',']);
    // `,5` begins with its decimals. The point of `kr.5` belongs to the sign.
    if first < text.len() && before.is_some_and(|before| !before.ends_with(char::is_alphabetic)) {
        first -= 1;
    }
    let last = text.rfind(|c: char| c.is_ascii_digit()).map_or(first, |at| at + 1).max(first);
    let (before, behind) = (text[..first].trim(), text[last..].trim());
    // A text with something on both sides is no amount: both are left to the sign, which nothing matches.
    if before.is_empty() {
        (&text[first..last], behind)
    } else if behind.is_empty() {
        (&text[first..last], before)
    } else {
        (&text[first..last], text)
    }
}

/// The currency that stands beside the number, if something stands there.
fn own_currency(sign: &str, named: Option<Currency>) -> Result<Option<Currency>, String> {
    if sign.is_empty() {
        return Ok(None);
    }
    if sign == "$" {
        return match named {
            Some(named) if DOLLARS.contains(&named.code()) => Ok(Some(named)),
            Some(named) => Err(format!("`$` is no sign of {named}")),
            None => Err("`$` is the sign of many currencies; the row has to name one".to_owned()),
        };
    }
    if let Some((_, codes)) = SIGNS.iter().find(|(known, _)| *known == sign) {
        return match (named, *codes) {
            (Some(named), codes) if codes.contains(&named.code()) => Ok(Some(named)),
            (Some(named), _) => Err(format!("`{sign}` is no sign of {named}")),
            (None, [only]) => currency(only).map(Some),
            (None, _) => Err(format!("`{sign}` is the sign of several currencies; the row has to name one")),
        };
    }
    currency(sign).map(Some)
}

fn in_minor_units(number: &str, currency: Currency, separator: Option<DecimalSeparator>) -> Result<i64, String> {
    let (is_negative, digits) = match number.strip_prefix(['-', '−']) {
        Some(rest) => (true, rest.trim_start()),
        None => (false, number),
    };
    let (whole, decimals) = parts(digits, currency, separator)?;
    let whole = ungrouped(whole)?;
    let places = currency.decimals() as usize;
    if decimals.trim_end_matches('0').len() > places {
        return Err(format!("{currency} has {places} decimals"));
    }
    let decimals: String = decimals.chars().chain(std::iter::repeat('0')).take(places).collect();
    let minor: i64 = format!("{whole}{decimals}").parse().map_err(|_| "it is too large".to_owned())?;
    Ok(if is_negative { -minor } else { minor })
}

/// The part before the decimals, with its groups, and the decimals.
fn parts(digits: &str, currency: Currency, separator: Option<DecimalSeparator>) -> Result<(&str, &str), String> {
    if !digits.contains(|c: char| c.is_ascii_digit()) {
        return Err("it is not a number".to_owned());
    }
    let wrong = |c: char| !c.is_ascii_digit() && !is_group_mark(c) && c != '.' && c != ',';
    if let Some(c) = digits.chars().find(|c| wrong(*c)) {
        return Err(format!("{c:?} does not belong into a number"));
    }
    let Some(at) = decimal_mark(digits, currency, separator)? else { return Ok((digits, "")) };
    let (whole, decimals) = (&digits[..at], &digits[at + 1..]);
    if decimals.is_empty() || !decimals.chars().all(|c| c.is_ascii_digit()) {
        return Err("it is not a number".to_owned());
    }
    Ok((whole, decimals))
}

/// Where the decimals begin, if there are any.
fn decimal_mark(
    digits: &str,
    currency: Currency,
    separator: Option<DecimalSeparator>,
) -> Result<Option<usize>, String> {
    if let Some(separator) = separator {
        return Ok(digits.rfind(separator.char()));
    }
    let last = |mark: char| digits.rfind(mark);
    let (mark, at) = match (last('.'), last(',')) {
        (None, None) => return Ok(None),
        (Some(point), Some(comma)) => return Ok(Some(point.max(comma))),
        (Some(at), None) => ('.', at),
        (None, Some(at)) => (',', at),
    };
    if digits.matches(mark).count() > 1 {
        return Ok(None);
    }
    let (before, after) = (&digits[..at], &digits[at + 1..]);
    let can_group = after.len() == 3 && (1..=3).contains(&before.len()) && !before.starts_with('0');
    match currency.decimals() {
        _ if !can_group => Ok(Some(at)),
        0 => Ok(None),
        3 => Ok(Some(at)),
        _ => {
            let (major, thousands) = (format!("{before}.{after}"), format!("{before}{after}"));
            Err(format!("it can mean {major} or {thousands}; write {thousands}.00, or name --decimal-separator"))
        }
    }
}

const fn is_group_mark(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\'' | '’')
}

/// A whole number without the marks between its groups. Groups have three digits, and one mark.
fn ungrouped(whole: &str) -> Result<String, String> {
    if whole.is_empty() {
        return Ok("0".to_owned());
    }
    let is_mark = |c: char| !c.is_ascii_digit();
    let marks: Vec<char> = whole.chars().filter(|c| is_mark(*c)).collect();
    let mut groups = whole.split(is_mark);
    let first = groups.next().unwrap_or_default();
    let is_grouped = marks.windows(2).all(|pair| pair[0] == pair[1])
        && (marks.is_empty() || (1..=3).contains(&first.len()))
        && groups.all(|group| group.len() == 3);
    if is_grouped && !first.is_empty() {
        Ok(whole.chars().filter(|c| !is_mark(*c)).collect())
    } else {
        Err("its groups do not have three digits each".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, code: &str) -> Result<i64, String> {
        amount(text, Some(currency(code).expect("a currency")), None).map(|money| money.minor_units)
    }

    #[test]
    fn an_amount_is_read_as_people_write_it() {
        for (text, expected) in [
            ("19.99", 1_999),
            ("19,99", 1_999),
            ("20", 2_000),
            ("0.5", 50),
            (",5", 50),
            ("1.234,50", 123_450),
            ("1,234.50", 123_450),
            ("1 234,50", 123_450),
            ("1\u{a0}234,50", 123_450),
            ("1'234.50", 123_450),
            ("1,234,567", 123_456_700),
            ("€ 19.99", 1_999),
            ("19,99 €", 1_999),
            ("EUR 19.99", 1_999),
            ("19.99 eur", 1_999),
            ("-5", -500),
            ("€ -5", -500),
            ("19.9900", 1_999),
            ("0,10", 10),
        ] {
            assert_eq!(of(text, "EUR"), Ok(expected), "{text}");
        }
        assert_eq!(
            (of("1,234", "JPY"), of("1.234", "KWD"), of("1,234.5", "KWD")),
            (Ok(1_234), Ok(1_234), Ok(1_234_500))
        );
        assert_eq!((of("$5", "USD"), of("¥5", "JPY"), of("kr 5", "SEK")), (Ok(500), Ok(5), Ok(500)));
    }

    #[test]
    fn what_can_mean_two_amounts_or_none_is_rejected() {
        for text in [
            "1,234",
            "1.234",
            "0.123",
            "19.999",
            "12,34,56",
            "1.23.456",
            "abc",
            "",
            "-",
            "1-2",
            "5 GBP",
            "£5",
            "$5",
            "1e3",
            "٣",
            "5 or 6",
            "1.2,3,4",
            "9223372036854775807",
            "1 234 5",
            "€5€",
            "kr.5",
            ".",
            "5.",
        ] {
            assert!(of(text, "EUR").is_err(), "{text:?} is {:?}", of(text, "EUR"));
        }
        let message = of("1,234", "EUR").expect_err("it is ambiguous");
        assert_eq!(message, "`1,234`: it can mean 1.234 or 1234; write 1234.00, or name --decimal-separator");
        assert!(of("1.5", "JPY").is_err());
    }

    #[test]
    fn a_named_separator_settles_what_is_ambiguous() {
        let eur = Some(currency("eur").expect("a currency"));
        let of = |text, separator| amount(text, eur, Some(separator)).map(|money| money.minor_units);
        assert_eq!(of("1,234", DecimalSeparator::Point), Ok(123_400));
        assert_eq!(of("1.234", DecimalSeparator::Comma), Ok(123_400));
        assert!(of("19,99", DecimalSeparator::Point).is_err(), "a group has three digits");
    }

    #[test]
    fn an_amount_names_its_currency_where_the_row_does_not() {
        assert_eq!(amount("19.99 EUR", None, None).map(|money| money.currency.code().to_owned()), Ok("EUR".to_owned()));
        assert!(amount("$5", None, None).is_err() && amount("5", None, None).is_err());
    }
}
