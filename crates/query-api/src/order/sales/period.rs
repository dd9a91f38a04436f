//! Periods of days in a time zone, as the quarter-hours of which sales are kept.

use async_graphql::{Context, Error};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::graphql::{
    environment::{Now, ShopTimeZone},
    error::coded,
    scalars::Date,
};

/// The seconds of a quarter-hour.
const SECONDS: i64 = 15 * 60;
/// The most days of a period that are listed, each with an entry.
const MAX_DAYS: usize = 10_000;
/// The cost of each field of a list of days, however many they are: the cost must not depend on an argument that may be wrong.
pub(super) const DAYS_COST: usize = 100;

/// A period of days in a time zone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Period {
    zone: Tz,
    from: NaiveDate,
    to: NaiveDate,
}

/// Days with the quarter-hours in which they begin and end; the last one belongs to the next day.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Days {
    pub(super) dates: Vec<NaiveDate>,
    pub(super) begins: Vec<i64>,
    pub(super) ends: Vec<i64>,
}

impl Period {
    /// The period that a query names, in its time zone or in the shop's.
    pub(super) fn of(context: &Context<'_>, from: Date, to: Date, time_zone: Option<&str>) -> Result<Self, Error> {
        let (from, to) = (from.0, to.0);
        if to < from {
            return Err(coded("BAD_INPUT", format!("the period ends on {to}, before it begins on {from}")));
        }
        let zone = match time_zone {
            None => context.data::<ShopTimeZone>()?.0,
            Some(name) => name.parse().map_err(|_| {
                coded(
                    "BAD_INPUT",
                    format!("timeZone `{name}` is not in the IANA time zone database, as Europe/Berlin is"),
                )
            })?,
        };
        Ok(Self { zone, from, to })
    }

    /// The quarter-hour in which the period begins, and the one in which it has ended.
    pub(super) fn bounds(self) -> (i64, i64) {
        (begin(self.zone, self.from), end(self.zone, self.to))
    }

    /// The days of the period on which the shop can have sold something: from its first sale on, and up to today or the last entry of
    /// its sales. These are given as quarter-hours.
    pub(super) fn days(self, context: &Context<'_>, first: i64, last: i64) -> Result<Days, Error> {
        let today = context.data::<Now>()?.time().timestamp().div_euclid(SECONDS);
        let from = self.from.max(self.date_of(first));
        let to = self.to.min(self.date_of(last.max(today)));
        let dates: Vec<NaiveDate> = from.iter_days().take_while(|date| *date <= to).take(MAX_DAYS + 1).collect();
        if dates.len() > MAX_DAYS {
            return Err(coded("BAD_INPUT", format!("a period from {from} to {to} has more than {MAX_DAYS} days")));
        }
        let begins: Vec<i64> = dates.iter().map(|date| begin(self.zone, *date)).collect();
        let ends = begins.iter().skip(1).copied().chain(dates.last().map(|date| end(self.zone, *date))).collect();
        Ok(Days { dates, begins, ends })
    }

    /// The day of the zone on which a quarter-hour begins.
    fn date_of(self, quarter_hour: i64) -> NaiveDate {
        let time =
            DateTime::from_timestamp(quarter_hour.saturating_mul(SECONDS), 0).unwrap_or(DateTime::<Utc>::UNIX_EPOCH);
        time.with_timezone(&self.zone).date_naive()
    }
}

/// The quarter-hour in which a day begins. Where clocks are set forward at midnight, the day begins later; where they are set back to
/// midnight, with the first one. A day that a zone left out begins and ends with the next one. Zones were at odds with quarter-hours
/// until 1972 (`Africa/Monrovia`); there the quarter-hour counts in which the day begins.
fn begin(zone: Tz, date: NaiveDate) -> i64 {
    let midnight = date.and_time(NaiveTime::MIN);
    let times = (0..=2 * 24 * 4).map(|quarters| midnight + TimeDelta::minutes(15 * quarters));
    let begins = times.filter_map(|local| zone.from_local_datetime(&local).earliest()).next();
    begins.map_or(midnight.and_utc().timestamp(), |time| time.timestamp()).div_euclid(SECONDS)
}

/// The quarter-hour in which a day has ended.
fn end(zone: Tz, date: NaiveDate) -> i64 {
    begin(zone, date.succ_opt().unwrap_or(date))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(zone: &str, date: &str) -> f64 {
        let (zone, date) = (zone.parse().expect("a zone"), date.parse().expect("a date"));
        let quarters = i32::try_from(end(zone, date) - begin(zone, date)).expect("a day is short");
        f64::from(quarters) / 4.0
    }

    fn begins(zone: &str, date: &str) -> String {
        let begin = begin(zone.parse().expect("a zone"), date.parse().expect("a date"));
        DateTime::from_timestamp(begin * SECONDS, 0).expect("a time").format("%FT%R").to_string()
    }

    #[test]
    fn a_day_begins_at_midnight_of_its_zone() {
        for (zone, expected) in [
            ("UTC", "2026-01-01T00:00"),
            ("America/Chicago", "2026-01-01T06:00"),
            ("Asia/Kathmandu", "2025-12-31T18:15"),
            ("Asia/Kolkata", "2025-12-31T18:30"),
            ("Pacific/Chatham", "2025-12-31T10:15"),
            ("Pacific/Kiritimati", "2025-12-31T10:00"),
        ] {
            assert_eq!(begins(zone, "2026-01-01"), expected, "{zone}");
        }
    }

    #[test]
    fn days_on_which_clocks_are_set_have_their_own_length() {
        for (zone, date, expected) in [
            ("Europe/Berlin", "2026-03-29", 23.0),
            ("Europe/Berlin", "2026-10-25", 25.0),
            ("Australia/Lord_Howe", "2026-04-05", 24.5),
            ("America/Sao_Paulo", "2018-11-04", 23.0),
            ("America/Sao_Paulo", "2018-02-17", 25.0),
            ("America/Havana", "2026-11-01", 25.0),
            ("Pacific/Apia", "2011-12-29", 24.0),
            ("Pacific/Apia", "2011-12-30", 0.0),
            ("Pacific/Apia", "2011-12-31", 24.0),
        ] {
            assert!((hours(zone, date) - expected).abs() < f64::EPSILON, "{zone} {date}: {}", hours(zone, date));
        }
    }
}
