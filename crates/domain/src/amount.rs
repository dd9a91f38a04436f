//! How large an amount may be. Bounds are such that the amounts of many orders still add up in 64 bits.

use crate::{Currency, Money, Quantity, money::MoneyError};

/// The largest amount that a line or an order may come to, in minor units: a hundred of the dearest things. Hundreds of thousands of
/// such orders a day still add up in 64 bits.
pub const MAX_TOTAL: i64 = 10_000_000_000_000;

/// What a line comes to.
///
/// # Errors
/// [`MoneyError::AmountOverflow`] above [`MAX_TOTAL`].
pub fn line_total(unit_price: Money, quantity: Quantity) -> Result<Money, MoneyError> {
    unit_price.times(quantity.units()).and_then(countable)
}

/// What lines come to.
///
/// # Errors
/// [`MoneyError`] above [`MAX_TOTAL`], or when a line is in another currency.
pub fn total(currency: Currency, lines: impl IntoIterator<Item = Money>) -> Result<Money, MoneyError> {
    Money::sum(currency, lines).and_then(countable)
}

/// An amount, if it is small enough for many of its kind to be added up.
pub(crate) fn countable(amount: Money) -> Result<Money, MoneyError> {
    if amount.minor_units.unsigned_abs() <= MAX_TOTAL.unsigned_abs() {
        Ok(amount)
    } else {
        Err(MoneyError::AmountOverflow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cart::policy::MAX_LINES, catalog::policy::MAX_PRICE};

    #[test]
    fn lines_that_can_be_counted_add_up() {
        let euro: Currency = "EUR".parse().expect("a currency");
        let quantity = |units| Quantity::new(units).expect("a quantity");
        let dearest = Money::new(MAX_PRICE, euro);
        assert_eq!(line_total(dearest, quantity(100)), Ok(Money::new(MAX_TOTAL, euro)));
        for units in [101, Quantity::MAX.into()] {
            assert_eq!(line_total(dearest, quantity(units)), Err(MoneyError::AmountOverflow));
        }
        let largest = [Money::new(MAX_TOTAL, euro); MAX_LINES];
        assert!(Money::sum(euro, largest).is_ok(), "what a cart shows has a sum");
        assert_eq!(total(euro, largest), Err(MoneyError::AmountOverflow));
        assert_eq!(total(euro, [Money::new(MAX_TOTAL, euro)]), Ok(Money::new(MAX_TOTAL, euro)));
    }
}
