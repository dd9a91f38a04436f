//! Scalars and money.

use std::collections::BTreeMap;

use async_graphql::{InputValueError, InputValueResult, Number, Scalar, ScalarType, SimpleObject, Value};
use daybook_domain::{Currency, Money};
use serde::{Deserialize, Serialize};

/// An integer of 64 bits. It is written as a string where a JavaScript number cannot hold it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Long(pub(crate) i64);

/// The largest integer that every JSON reader holds exactly: 2^53 - 1.
const SAFE: i64 = (1 << 53) - 1;

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
