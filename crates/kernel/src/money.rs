//! Money: checked integer minor units with a runtime currency. Never a float; overflow is an error, not a wrap.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Scalar;

/// The active ISO 4217 codes, by the number of decimals of their minor unit
/// (source: ISO 4217:2015 list one; funds and precious-metal codes left out).
const WITH_0_DECIMALS: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";
const WITH_2_DECIMALS: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG";
const WITH_3_DECIMALS: &str = "BHD IQD JOD KWD LYD OMR TND";

static OF_0_DECIMALS: [Code; count(WITH_0_DECIMALS)] = codes(WITH_0_DECIMALS);
static OF_2_DECIMALS: [Code; count(WITH_2_DECIMALS)] = codes(WITH_2_DECIMALS);
static OF_3_DECIMALS: [Code; count(WITH_3_DECIMALS)] = codes(WITH_3_DECIMALS);

/// Three upper-case letters.
type Code = [u8; 3];

/// How many codes a list has, which stand between blanks.
const fn count(list: &str) -> usize {
    (list.len() + 1) / 4
}

/// The codes of a list as a sorted table, since every amount that is read asks for one.
const fn codes<const N: usize>(list: &str) -> [Code; N] {
    let (list, mut codes, mut at) = (list.as_bytes(), [[0; 3]; N], 0);
    while at < N {
        codes[at] = [list[4 * at], list[4 * at + 1], list[4 * at + 2]];
        at += 1;
    }
    codes
}

/// An ISO 4217 currency code, such as `EUR`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency(Code);

impl Currency {
    /// The code, three upper-case letters.
    #[must_use]
    pub fn code(&self) -> &str {
        // The bytes come from a validated ASCII string, so the fallback is never seen.
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// How many decimals one major unit has: 2 for `EUR`, 0 for `JPY`, 3 for `KWD`.
    #[must_use]
    pub fn decimals(&self) -> u32 {
        if OF_0_DECIMALS.binary_search(&self.0).is_ok() {
            0
        } else if OF_3_DECIMALS.binary_search(&self.0).is_ok() {
            3
        } else {
            2
        }
    }
}

/// The text is not an active ISO 4217 code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an active ISO 4217 currency code")]
pub struct UnknownCurrency(String);

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = |code: &Code| {
            [&OF_2_DECIMALS[..], &OF_0_DECIMALS, &OF_3_DECIMALS].iter().any(|table| table.binary_search(code).is_ok())
        };
        match Code::try_from(text.as_bytes()) {
            Ok(code) if known(&code) => Ok(Self(code)),
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
        crate::text::parsed(deserializer)
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
        let codes = [WITH_0_DECIMALS, WITH_2_DECIMALS, WITH_3_DECIMALS].join(" ").replace(' ', "|");
        json_schema!({
            "type": "string",
            "pattern": format!("^({codes})$"),
            "description": "An active ISO 4217 currency code.",
        })
    }
}

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

    #[test]
    fn only_active_codes_are_currencies() {
        for (list, decimals) in [(WITH_0_DECIMALS, 0), (WITH_2_DECIMALS, 2), (WITH_3_DECIMALS, 3)] {
            for code in list.split(' ') {
                let currency: Currency = code.parse().expect("an active code");
                assert_eq!((currency.code(), currency.decimals()), (code, decimals));
            }
        }
        for text in ["eur", "EU", "EURO", "XXX", "DEM", "", "R E"] {
            assert!(text.parse::<Currency>().is_err(), "{text} was accepted");
        }
    }
}
