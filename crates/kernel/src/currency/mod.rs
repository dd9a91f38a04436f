//! Currencies: ISO 4217 codes, their minor units, and the days on which each was a currency.

mod table;

use std::{borrow::Cow, fmt, str::FromStr};

use chrono::NaiveDate;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::table::{ALWAYS, CURRENCIES, Entry, STILL};
use crate::{Scalar, text};

/// An ISO 4217 currency code, such as `EUR`: one of today, or one that was given up, such as `DEM`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The code, three upper-case letters.
    #[must_use]
    pub fn code(&self) -> &str {
        // The bytes come from a validated ASCII string, so the fallback is never seen.
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// How many decimals one major unit has: 2 for `EUR`, 0 for `JPY`, 3 for `KWD`. A code that only a later program knows has 2.
    #[must_use]
    pub fn decimals(&self) -> u32 {
        entry(self.0).map_or(2, |entry| u32::from(entry.decimals))
    }

    /// The first day on which it was a currency; `None` where that is before 1900.
    #[must_use]
    pub fn first_day(&self) -> Option<NaiveDate> {
        entry(self.0).filter(|entry| entry.from != ALWAYS).and_then(|entry| day(entry.from))
    }

    /// The last day on which it was a currency; `None` where it still is one.
    #[must_use]
    pub fn last_day(&self) -> Option<NaiveDate> {
        entry(self.0).filter(|entry| entry.until != STILL).and_then(|entry| day(entry.until))
    }

    /// Whether it was a currency on a day of UTC. One day more is allowed at both ends: the day of the shop may be another one.
    #[must_use]
    pub fn is_valid_on(&self, date: NaiveDate) -> bool {
        let begun = self.first_day().is_none_or(|first| first.pred_opt().is_none_or(|before| before <= date));
        let ended = self.last_day().is_some_and(|last| last.succ_opt().is_some_and(|after| after < date));
        begun && !ended
    }
}

fn entry(code: [u8; 3]) -> Option<&'static Entry> {
    CURRENCIES.binary_search_by(|entry| entry.code.cmp(&code)).ok().map(|index| &CURRENCIES[index])
}

/// The day of a number such as `2022_12_31`.
fn day(number: u32) -> Option<NaiveDate> {
    let year = i32::try_from(number / 10_000).ok()?;
    NaiveDate::from_ymd_opt(year, number / 100 % 100, number % 100)
}

/// The text is not the code of a currency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an ISO 4217 currency code, of today or of before")]
pub struct UnknownCurrency(String);

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The book of a later program may have a currency that this one does not know.
        let is_known = |code: &[u8; 3]| {
            if text::is_stored() { code.iter().all(u8::is_ascii_uppercase) } else { entry(*code).is_some() }
        };
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if is_known(&code) => Ok(Self(code)),
            _ => Err(UnknownCurrency(text.to_owned())),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::parsed(deserializer)
    }
}

impl Scalar for Currency {
    type Value = str;

    fn value(&self) -> &str {
        self.code()
    }
}

impl JsonSchema for Currency {
    fn schema_name() -> Cow<'static, str> {
        "Currency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let codes: Vec<_> = CURRENCIES.iter().map(|entry| Self(entry.code).code().to_owned()).collect();
        json_schema!({
            "type": "string",
            "pattern": format!("^({})$", codes.join("|")),
            "description": "An ISO 4217 currency code. A currency that was given up is one for orders of its time.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().expect("a code")
    }

    fn date(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    #[test]
    fn the_table_is_sorted_and_its_days_are_days() {
        assert!(CURRENCIES.is_sorted_by(|a, b| a.code < b.code));
        for entry in &CURRENCIES {
            let currency = Currency(entry.code);
            assert!(entry.code.iter().all(u8::is_ascii_uppercase), "{currency}");
            assert_eq!(currency.first_day().is_some(), entry.from != ALWAYS, "{currency}");
            assert_eq!(currency.last_day().is_some(), entry.until != STILL, "{currency}");
            assert!(entry.from < entry.until && matches!(entry.decimals, 0 | 2 | 3), "{currency}");
        }
    }

    #[test]
    fn codes_of_today_and_of_before_are_currencies_and_nothing_else() {
        for (code, decimals) in
            [("EUR", 2), ("JPY", 0), ("KWD", 3), ("XCG", 2), ("DEM", 2), ("ITL", 0), ("TRL", 0), ("VEF", 2), ("MRO", 2)]
        {
            assert_eq!((currency(code).code(), currency(code).decimals()), (code, decimals));
        }
        for text in ["eur", "EU", "EURO", "XXX", "XAU", "XTS", "ABC", "", "R E"] {
            assert!(text.parse::<Currency>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn a_currency_is_valid_in_its_time() {
        for (code, day, valid) in [
            ("EUR", "2026-11-28", true),
            ("EUR", "1998-06-01", false),
            ("HRK", "2022-06-01", true),
            ("HRK", "2023-02-01", false),
            ("DEM", "1995-01-01", true),
            ("DEM", "2002-06-01", false),
            ("LTL", "2014-12-31", true),
            ("VEF", "2018-01-01", true),
            ("VES", "2018-01-01", false),
            ("SLL", "2023-06-01", true),
            ("SLL", "2025-01-01", false),
            ("MRO", "2017-01-01", true),
            ("XCG", "2025-03-30", true),
            ("XCG", "2025-03-29", false),
            ("BGN", "2025-12-31", true),
            ("BGN", "2026-02-01", true),
            ("BGN", "2026-02-02", false),
            ("USD", "1900-01-01", true),
        ] {
            assert_eq!(currency(code).is_valid_on(date(day)), valid, "{code} on {day}");
        }
    }

    #[test]
    fn a_stored_currency_is_readable_whether_this_program_knows_it_or_not() {
        let read = |json: &str| text::stored(|| serde_json::from_str::<Currency>(json)).map(|c| c.decimals());
        assert_eq!(read("\"DEM\"").ok(), Some(2));
        assert_eq!(read("\"QQQ\"").ok(), Some(2));
        assert!(read("\"qqq\"").is_err());
    }
}
