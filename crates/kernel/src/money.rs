//! Money: checked integer minor units with a runtime currency. Never a float; overflow is an error, not a wrap.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Currency;

/// An amount in the minor units of its currency: `{"minor_units": 1999, "currency": "EUR"}` is € 19.99.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// The amount in minor units (cents), signed.
    pub minor_units: i64,
    /// The currency.
    pub currency: Currency,
}

/// Why a sum of money could not be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum MoneyError {
    /// The result does not fit 64 bits of minor units.
    #[error("the amount is larger than this engine counts")]
    AmountOverflow,
    /// The two amounts are in different currencies.
    #[error("{left} and {right} cannot be added")]
    CurrencyMismatch {
        /// The currency of the left amount.
        left: Currency,
        /// The currency of the right amount.
        right: Currency,
    },
}

impl Money {
    /// An amount of `minor_units` in `currency`.
    #[must_use]
    pub const fn new(minor_units: i64, currency: Currency) -> Self {
        Self { minor_units, currency }
    }

    /// Nothing, in `currency`.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// The sum of two amounts of one currency.
    ///
    /// # Errors
    /// [`MoneyError`] when the currencies differ or the sum overflows.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let sum = self.minor_units.checked_add(other.minor_units);
        sum.map(|minor| Self::new(minor, self.currency)).ok_or(MoneyError::AmountOverflow)
    }

    /// The difference of two amounts of one currency.
    ///
    /// # Errors
    /// [`MoneyError`] when the currencies differ or the difference overflows.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let difference = self.minor_units.checked_sub(other.minor_units);
        difference.map(|minor| Self::new(minor, self.currency)).ok_or(MoneyError::AmountOverflow)
    }

    /// The amount, `count` times.
    ///
    /// # Errors
    /// [`MoneyError::AmountOverflow`].
    pub fn times(self, count: u32) -> Result<Self, MoneyError> {
        let product = self.minor_units.checked_mul(i64::from(count));
        product.map(|minor| Self::new(minor, self.currency)).ok_or(MoneyError::AmountOverflow)
    }

    /// The sum of many amounts; zero in `currency` when there are none.
    ///
    /// # Errors
    /// [`MoneyError`] when one is in another currency or the sum overflows.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::zero(currency), Self::plus)
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::CurrencyMismatch { left: self.currency, right: other.currency })
        }
    }
}

impl fmt::Display for Money {
    /// Plain decimal notation with the code behind it, such as `19.99 EUR`; no locale is assumed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = self.currency.decimals();
        let unit = 10_u64.pow(decimals);
        let sign = if self.minor_units < 0 { "-" } else { "" };
        let minor = self.minor_units.unsigned_abs();
        write!(f, "{sign}{}", minor / unit)?;
        if decimals > 0 {
            write!(f, ".{:0width$}", minor % unit, width = decimals as usize)?;
        }
        write!(f, " {}", self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur(minor: i64) -> Money {
        Money::new(minor, "EUR".parse().expect("EUR is a currency"))
    }

    #[test]
    fn amounts_are_written_with_the_decimals_of_their_currency() {
        let jpy = Money::new(-1999, "JPY".parse().expect("JPY is a currency"));
        let kwd = Money::new(1999, "KWD".parse().expect("KWD is a currency"));
        assert_eq!(eur(1999).to_string(), "19.99 EUR");
        assert_eq!(eur(-5).to_string(), "-0.05 EUR");
        assert_eq!(jpy.to_string(), "-1999 JPY");
        assert_eq!(kwd.to_string(), "1.999 KWD");
    }

    #[test]
    fn overflow_and_mixed_currencies_are_errors() {
        let usd = Money::zero("USD".parse().expect("USD is a currency"));
        assert_eq!(eur(i64::MAX).plus(eur(1)), Err(MoneyError::AmountOverflow));
        assert_eq!(eur(i64::MIN).minus(eur(1)), Err(MoneyError::AmountOverflow));
        assert_eq!(eur(i64::MAX / 2).times(3), Err(MoneyError::AmountOverflow));
        assert!(matches!(eur(1).plus(usd), Err(MoneyError::CurrencyMismatch { .. })));
    }
}
