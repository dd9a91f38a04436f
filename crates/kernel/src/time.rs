//! Times that clients send: one type, whose values every part of the engine and every reader of its data can hold.
//!
//! PostgreSQL keeps microseconds and no leap second. It writes the year 10000 in five digits, which RFC 3339 does not know. So a time is
//! normalised once, where it comes in. From then on it is the same value in events, in columns, in comparisons and in a rebuild.

use std::{borrow::Cow, fmt, str::FromStr};

use chrono::{DateTime, Datelike, SubsecRound, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// The first year of a time that a client sends, in UTC. The first days of business that a shop keeps records of are later.
pub const FIRST_YEAR: i32 = 1_900;
/// The last year of a time that a client sends, in UTC: the last one that RFC 3339 can write.
pub const LAST_YEAR: i32 = 9_999;
/// The digits of a second that are kept: those of PostgreSQL.
const SECOND_DIGITS: u16 = 6;
/// The nanoseconds of a second. More of them are a leap second.
const SECOND: u32 = 1_000_000_000;

/// A time that a client sends: in the years 1900 to 9999 in UTC, in whole microseconds. A leap second counts as the second after it.
///
/// ```
/// use daybook_kernel::Timestamp;
///
/// let leap: Timestamp = "2016-12-31T23:59:60.1234567Z".parse()?;
/// assert_eq!(leap.to_string(), "2017-01-01T00:00:00.123456Z");
/// assert!("9999-12-31T23:59:59-01:00".parse::<Timestamp>().is_err(), "it is another year in UTC");
/// # Ok::<(), daybook_kernel::time::TimeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Timestamp(DateTime<Utc>);

/// Why a time was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// It is not written as RFC 3339 has it.
    #[error("must be a time as RFC 3339 writes it, such as 2026-11-28T12:00:00Z")]
    Form,
    /// It is in another year, in UTC.
    #[error("must be in the years {FIRST_YEAR} to {LAST_YEAR} in UTC")]
    Year,
}

impl Timestamp {
    /// A time, normalised.
    ///
    /// # Errors
    /// [`TimeError::Year`] outside the years [`FIRST_YEAR`] to [`LAST_YEAR`] in UTC.
    pub fn new(time: DateTime<Utc>) -> Result<Self, TimeError> {
        let time = kept(time);
        if (FIRST_YEAR..=LAST_YEAR).contains(&time.year()) { Ok(Self(time)) } else { Err(TimeError::Year) }
    }

    /// The time itself.
    #[must_use]
    pub const fn utc(self) -> DateTime<Utc> {
        self.0
    }
}

/// A time as it is kept: a leap second is the second after it, and what is smaller than a microsecond is cut off.
fn kept(time: DateTime<Utc>) -> DateTime<Utc> {
    let nanos = time.timestamp_subsec_nanos();
    let whole =
        if nanos < SECOND { Some(time) } else { DateTime::from_timestamp(time.timestamp() + 1, nanos - SECOND) };
    whole.unwrap_or(time).trunc_subsecs(SECOND_DIGITS)
}

/// Reads a time of a stored event. Programs before this one kept times as clients had written them; the past always loads, so such a
/// time is normalised. A time beyond the years of a [`Timestamp`] becomes the nearest one within.
///
/// # Errors
/// Where it is no time.
pub fn stored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    DateTime::deserialize(deserializer).map(within_years)
}

/// Does the same for a time that may be absent.
///
/// # Errors
/// Where it is no time.
pub fn stored_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    Ok(Option::<DateTime<Utc>>::deserialize(deserializer)?.map(within_years))
}

fn within_years(time: DateTime<Utc>) -> DateTime<Utc> {
    let time = kept(time);
    // 1900-01-01T00:00:00Z, and the last microsecond of the year 9999.
    let (first, last) = (-2_208_988_800_000_000, 253_402_300_799_999_999);
    DateTime::from_timestamp_micros(time.timestamp_micros().clamp(first, last)).unwrap_or(time)
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        Self::new(text.parse().map_err(|_| TimeError::Form)?)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(time: Timestamp) -> Self {
        time.0
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "pattern": "^(19|[2-9][0-9])[0-9]{2}-",
            "description": "A time in the years 1900 to 9999 in UTC. Microseconds are kept. A leap second counts as the second after it.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<String, TimeError> {
        text.parse::<Timestamp>().map(|time| time.to_string())
    }

    #[test]
    fn a_leap_second_is_the_second_after_it() {
        for (sent, kept) in [
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
            ("2016-12-31T23:59:60.999999999Z", "2017-01-01T00:00:00.999999Z"),
            ("2017-01-01T01:29:60.5+01:30", "2017-01-01T00:00:00.500Z"),
            ("2026-02-28T23:59:60z", "2026-03-01T00:00:00Z"),
        ] {
            assert_eq!(written(sent).as_deref(), Ok(kept), "{sent}");
        }
    }

    #[test]
    fn the_years_are_bounded_in_utc_after_the_time_was_normalised() {
        for (sent, kept) in [
            ("1900-01-01T00:00:00Z", Ok("1900-01-01T00:00:00Z")),
            ("1899-12-31T23:00:00-01:00", Ok("1900-01-01T00:00:00Z")),
            ("1900-01-01T00:00:00+00:01", Err(TimeError::Year)),
            ("1899-12-31T23:59:60Z", Ok("1900-01-01T00:00:00Z")),
            ("9999-12-31T23:59:59.999999999Z", Ok("9999-12-31T23:59:59.999999Z")),
            ("9999-12-31T23:59:60Z", Err(TimeError::Year)),
            ("9999-12-31T23:59:59-00:01", Err(TimeError::Year)),
            ("+10000-01-01T00:00:00Z", Err(TimeError::Year)),
            ("-0044-03-15T00:00:00Z", Err(TimeError::Year)),
            ("0000-01-01T00:00:00Z", Err(TimeError::Year)),
        ] {
            assert_eq!(written(sent), kept.map(str::to_owned), "{sent}");
        }
        for sent in ["", "noon", "2026-13-01T00:00:00Z", "2026-01-01", "1767225600"] {
            assert_eq!(written(sent), Err(TimeError::Form), "{sent}");
        }
    }

    #[test]
    fn a_time_that_was_accepted_is_read_back_as_itself() {
        for sent in ["2016-12-31T23:59:60.123456789Z", "1969-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999Z"]
        {
            let time: Timestamp = sent.parse().expect("a time");
            let json = serde_json::to_string(&time).expect("JSON");
            assert_eq!(serde_json::from_str::<Timestamp>(&json).expect("a time"), time);
            assert_eq!(time.utc(), DateTime::from_timestamp_micros(time.utc().timestamp_micros()).expect("a time"));
        }
    }

    #[test]
    fn a_stored_time_is_normalised_whatever_it_is() {
        #[derive(Deserialize)]
        struct Stored {
            #[serde(deserialize_with = "stored")]
            at: DateTime<Utc>,
        }
        for (before, now) in [
            ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.5Z"),
            ("9999-12-31T23:59:60Z", "9999-12-31T23:59:59.999999Z"),
            ("+262142-12-31T23:59:60Z", "9999-12-31T23:59:59.999999Z"),
            ("-0044-03-15T00:00:00Z", "1900-01-01T00:00:00Z"),
            ("2026-11-28T12:00:00.123456789Z", "2026-11-28T12:00:00.123456Z"),
        ] {
            let stored: Stored = serde_json::from_value(serde_json::json!({ "at": before })).expect("the past loads");
            assert_eq!(stored.at, now.parse::<DateTime<Utc>>().expect("a time"), "{before}");
        }
    }
}
