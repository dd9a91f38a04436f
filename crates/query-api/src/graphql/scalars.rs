//! Scalars and money.

use std::collections::BTreeMap;

use async_graphql::{InputValueError, InputValueResult, Number, Scalar, ScalarType, SimpleObject, Value};
use chrono::{Datelike, NaiveDate};
use daybook_domain::{Currency, Money};
use serde::{Deserialize, Serialize};

/// An integer of 64 bits. It is written as a string where a JavaScript number cannot hold it exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Long(pub(crate) i64);

/// The largest integer that every JSON reader holds exactly: 2^53 - 1.
const SAFE: i64 = (1 << 53) - 1;

/// An integer of 64 bits: a count, a sum, a position or a version. It is a JSON number from -(2^53 - 1) to 2^53 - 1, and a string of decimal
/// digits beyond that, since a number of JavaScript does not hold it. Both forms are accepted as input.
#[Scalar]
impl ScalarType for Long {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(number) => number.as_i64().map(Self).ok_or_else(|| InputValueError::expected_type(value)),
            Value::String(text) => Ok(Self(text.parse()?)),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        if (-SAFE..=SAFE).contains(&self.0) {
            Value::Number(Number::from(self.0))
        } else {
            Value::String(self.0.to_string())
        }
    }
}

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Date(pub(crate) NaiveDate);

/// A day of the calendar, as `2026-02-28` (ISO 8601), from 1900-01-01 to 9998-12-31.
#[Scalar]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
        // The form has to be exact: the parser would take signs, blanks and fewer digits.
        let date = date.filter(|date| (1900..=9998).contains(&date.year()) && date.to_string() == *text);
        date.map(Self)
            .ok_or_else(|| InputValueError::custom(format!("`{text}` is not a day from 1900-01-01 to 9998-12-31")))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// An amount of money.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(name = "Money")]
pub(crate) struct MoneyObject {
    /// The amount in minor units of the currency.
    minor_units: Long,
    /// The ISO 4217 code of the currency.
    currency: String,
    /// The amount in plain decimal notation with its currency.
    formatted: String,
}

impl From<Money> for MoneyObject {
    fn from(money: Money) -> Self {
        Self {
            minor_units: Long(money.minor_units),
            currency: money.currency.to_string(),
            formatted: money.to_string(),
        }
    }
}

impl MoneyObject {
    /// The fields by name, for objects that select by themselves.
    pub(crate) fn into_fields(self) -> [(&'static str, Value); 3] {
        let Self { minor_units, currency, formatted } = self;
        [
            ("minorUnits", minor_units.to_value()),
            ("currency", Value::String(currency)),
            ("formatted", Value::String(formatted)),
        ]
    }
}

/// Money of the columns of its amount and its currency.
pub(crate) fn money(minor_units: i64, currency: Currency) -> MoneyObject {
    Money::new(minor_units, currency).into()
}

/// A name and a text.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Attribute {
    /// The name.
    pub(crate) name: String,
    /// The text.
    pub(crate) value: String,
}

/// Names and texts of a map.
pub(crate) fn attributes(all: &BTreeMap<String, String>) -> Vec<Attribute> {
    all.iter().map(|(name, value)| Attribute { name: name.clone(), value: value.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_one_form() {
        assert_eq!(Date::parse("2024-02-29".into()).ok().map(|date| date.to_value()), Some("2024-02-29".into()));
        for text in [
            "2023-02-29",
            "2024-2-9",
            "+2024-02-09",
            "2024-02-09T00:00:00Z",
            "",
            "1899-12-31",
            "9999-01-01",
            "+12000-01-01",
        ] {
            assert!(Date::parse(text.into()).is_err(), "{text} was accepted");
        }
        assert!(Date::parse(20_240_229.into()).is_err());
    }

    #[test]
    fn an_integer_that_a_number_of_javascript_does_not_hold_is_a_string() {
        for number in [0, SAFE, -SAFE] {
            assert_eq!(Long(number).to_value(), Value::from(number));
        }
        for number in [SAFE + 1, -SAFE - 1, i64::MAX, i64::MIN] {
            assert_eq!(Long(number).to_value(), Value::from(number.to_string()));
            assert_eq!(Long::parse(Long(number).to_value()).ok(), Some(Long(number)));
        }
    }
}
