//! The price list of a SKU, and the price that a reduction is compared with.
//!
//! Directive 98/6/EC, article 6a: an announcement of a reduction shows the prior price, which is the lowest price of the 30 days before
//! the reduction. A reduction that grows in steps without interruption keeps the price from before its first step (article 6a (5), and
//! the Commission's guidance 2021/C 526/02, section 3.4). Each channel and each currency has its own prior price.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::policy::{LOWEST_PRICE_PERIOD, MAX_PRICE_CHANGES, MAX_SALE_CHANGES};
use crate::{Currency, Money, ids::Channel};

/// A price that a channel asked for from a time on, in minor units; none from a time on when the price was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceChange {
    /// Since when.
    pub since: DateTime<Utc>,
    /// The price in minor units.
    pub minor_units: Option<i64>,
}

/// Whether a thing was on sale from a time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleChange {
    /// Since when.
    pub since: DateTime<Utc>,
    /// Whether it was on sale.
    pub on_sale: bool,
}

impl SaleChange {
    /// Adds a change to a history, which is sorted by time. The oldest interruption is forgotten when there are too many: prices of that
    /// time count then, so the lowest price is never stated too high.
    pub fn add(history: &mut Vec<Self>, since: DateTime<Utc>, on_sale: bool) {
        if history.last().is_some_and(|last| last.on_sale) == on_sale {
            return;
        }
        history.push(Self { since, on_sale });
        if history.len() > MAX_SALE_CHANGES {
            history.drain(1..3);
        }
    }

    fn at(history: &[Self], time: DateTime<Utc>) -> bool {
        history.iter().rfind(|change| change.since <= time).is_some_and(|change| change.on_sale)
    }
}

/// What one channel asks for a SKU in one currency, now and before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceList {
    /// The channel.
    pub channel: Channel,
    /// The currency.
    pub currency: Currency,
    /// The changes, the oldest first; the last one is in force. Older ones than the prior price needs are left out.
    pub changes: Vec<PriceChange>,
}

impl PriceList {
    /// A list without a price.
    #[must_use]
    pub const fn new(channel: Channel, currency: Currency) -> Self {
        Self { channel, currency, changes: Vec::new() }
    }

    /// The price now.
    #[must_use]
    pub fn current(&self) -> Option<Money> {
        let minor_units = self.changes.last()?.minor_units?;
        Some(Money::new(minor_units, self.currency))
    }

    /// The lowest price of the 30 days before the reduction that is in force at `now`. Where none is in force, it is the lowest of the 30
    /// days up to `now`: what a reduction would be compared with that begins now. A price counts while the product and the variant
    /// were on sale, as `sales` say: nobody could pay it at other times. None where nothing could be paid.
    #[must_use]
    pub fn prior_price(&self, sales: [&[SaleChange]; 2], now: DateTime<Utc>) -> Option<Money> {
        let payable = self.payable(sales, now);
        let (before, end) = match reduction(&payable) {
            Some(first) => (&payable[..first], payable[first].since),
            None => (&*payable, now),
        };
        let asked = before.iter().skip(in_force_from(before, begin_of_period(end)));
        let lowest = asked.filter_map(|change| change.minor_units).min();
        lowest.map(|minor_units| Money::new(minor_units, self.currency))
    }

    /// Sets or removes the price.
    pub(super) fn change(&mut self, since: DateTime<Utc>, price: Option<Money>) {
        self.changes.push(PriceChange { since, minor_units: price.map(|price| price.minor_units) });
        let begin = reduction(&self.changes).map_or(since, |first| self.changes[first].since);
        self.changes.drain(..in_force_from(&self.changes, begin_of_period(begin)));
        while self.changes.len() > MAX_PRICE_CHANGES {
            // The two oldest become one at the lower price, so the lowest price is never stated too high.
            let oldest = self.changes.remove(0);
            let next = &mut self.changes[0];
            next.since = oldest.since;
            next.minor_units = [oldest.minor_units, next.minor_units].into_iter().flatten().min();
        }
    }

    /// What could be paid since when, up to `now`; neighbours differ.
    fn payable(&self, sales: [&[SaleChange]; 2], now: DateTime<Utc>) -> Vec<PriceChange> {
        let of_prices = self.changes.iter().map(|change| change.since);
        let of_sales = sales.into_iter().flatten().map(|change| change.since);
        let mut times: Vec<_> = of_prices.chain(of_sales).filter(|time| *time <= now).collect();
        times.sort_unstable();
        let mut payable: Vec<PriceChange> = Vec::with_capacity(times.len());
        for since in times {
            let asked = self.changes.iter().rfind(|change| change.since <= since).and_then(|change| change.minor_units);
            let minor_units = asked.filter(|_| sales.into_iter().all(|history| SaleChange::at(history, since)));
            if payable.last().is_none_or(|last| last.minor_units != minor_units) {
                payable.push(PriceChange { since, minor_units });
            }
        }
        payable
    }
}

/// The index of the first step of the reduction that is in force at the end of these changes; none where the last change is no
/// reduction. A step continues a reduction when the price before it was in force for less than the period. Otherwise that price is the
/// lowest of its own period, and a new reduction begins.
fn reduction(changes: &[PriceChange]) -> Option<usize> {
    let is_step = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| changes[before].minor_units);
        before.zip(changes[at].minor_units).is_some_and(|(before, after)| after < before)
    };
    let mut first = changes.len().checked_sub(1).filter(|last| is_step(*last))?;
    while is_step(first - 1) && changes[first].since - changes[first - 1].since < LOWEST_PRICE_PERIOD {
        first -= 1;
    }
    Some(first)
}

/// When the period begins that ends at a time.
fn begin_of_period(end: DateTime<Utc>) -> DateTime<Utc> {
    end.checked_sub_signed(LOWEST_PRICE_PERIOD).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// The index of the change that was in force at a time.
fn in_force_from(changes: &[PriceChange], time: DateTime<Utc>) -> usize {
    changes.iter().rposition(|change| change.since <= time).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn day(day: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(day)
    }

    /// A list of prices by the days on which they were set; a price of -1 removes the price.
    fn list(prices: &[(i64, i64)]) -> PriceList {
        let euro = "EUR".parse().expect("a currency");
        let mut list = PriceList::new(Channel::default(), euro);
        for (set_on, price) in prices {
            list.change(day(*set_on), (*price >= 0).then(|| Money::new(*price, euro)));
        }
        list
    }

    fn sales(changes: &[(i64, bool)]) -> Vec<SaleChange> {
        let mut history = Vec::new();
        for (since, on_sale) in changes {
            SaleChange::add(&mut history, day(*since), *on_sale);
        }
        history
    }

    /// The prior price on a day of something that is always on sale.
    fn prior(prices: &[(i64, i64)], now: i64) -> Option<i64> {
        let always = sales(&[(-1_000, true)]);
        list(prices).prior_price([&always, &always], day(now)).map(|price| price.minor_units)
    }

    #[test]
    fn a_reduction_is_compared_with_the_lowest_price_of_the_30_days_before_it() {
        assert_eq!(prior(&[(0, 100), (40, 80)], 41), Some(100));
        assert_eq!(prior(&[(0, 100), (40, 80)], 400), Some(100), "as long as it is in force");
        assert_eq!(prior(&[(0, 60), (20, 100), (40, 80)], 41), Some(60), "60 was in force 30 days before");
        assert_eq!(prior(&[(0, 60), (5, 100), (40, 80)], 41), Some(100), "60 was not");
        assert_eq!(prior(&[(0, 100), (40, 80)], 40), Some(100), "on the day itself");
    }

    #[test]
    fn a_reduction_in_steps_is_compared_with_the_price_before_its_first_step() {
        assert_eq!(prior(&[(0, 100), (40, 80), (50, 70), (60, 60)], 61), Some(100));
        assert_eq!(prior(&[(0, 100), (40, 80), (45, 90), (50, 70)], 51), Some(80), "an increase interrupts");
        assert_eq!(prior(&[(0, 100), (40, 80), (70, 70)], 71), Some(80), "80 was the price of 30 days");
    }

    #[test]
    fn without_a_reduction_it_is_the_lowest_price_of_the_last_30_days() {
        assert_eq!(prior(&[(0, 80), (40, 100)], 41), Some(80));
        assert_eq!(prior(&[(0, 80), (40, 100)], 69), Some(80));
        assert_eq!(prior(&[(0, 80), (40, 100)], 70), Some(100), "80 ended 30 days ago");
        assert_eq!(prior(&[(0, 100)], 0), Some(100));
        assert_eq!(prior(&[], 0), None);
    }

    #[test]
    fn a_price_that_nobody_could_pay_does_not_count() {
        let always = sales(&[(-1_000, true)]);
        let published = sales(&[(10, true)]);
        let draft = list(&[(0, 50), (5, 100), (20, 80)]);
        let price = |list: &PriceList, sales: &[SaleChange], now| {
            list.prior_price([sales, &always], day(now)).map(|price| price.minor_units)
        };
        assert_eq!(price(&draft, &published, 21), Some(100), "50 was the price of a draft");
        assert_eq!(price(&draft, &published, 9), None, "a draft has no price that can be paid");
        let archived = sales(&[(0, true), (10, false), (15, true)]);
        assert_eq!(price(&list(&[(0, 100), (11, 20), (12, 100), (20, 80)]), &archived, 21), Some(100));
        assert_eq!(price(&list(&[(0, 100), (11, 80)]), &archived, 16), Some(80), "taken out of sale: no reduction");
        let variant = sales(&[(0, true), (10, false), (15, true)]);
        let lowest = list(&[(0, 100), (11, 20), (12, 100), (20, 80)]).prior_price([&always, &variant], day(21));
        assert_eq!(lowest.map(|price| price.minor_units), Some(100), "a variant that was removed");
    }

    #[test]
    fn a_price_that_was_removed_does_not_count_and_interrupts_a_reduction() {
        assert_eq!(prior(&[(0, 100), (40, -1), (42, 80)], 43), Some(80));
        assert_eq!(list(&[(0, 100), (40, -1)]).current(), None);
    }

    #[test]
    fn the_history_is_bounded_and_never_states_the_lowest_price_too_high() {
        let falling: Vec<_> = (0..2_000).map(|nr| (nr, 10_000 - nr)).collect();
        assert!(list(&falling).changes.len() <= MAX_PRICE_CHANGES);
        let mut hourly = list(&[]);
        for nr in 0..700 {
            let price = Money::new(if nr == 3 { 1 } else { 100 + nr }, hourly.currency);
            hourly.change(day(0) + TimeDelta::hours(nr), Some(price));
        }
        let always = sales(&[(-1_000, true)]);
        let lowest = hourly.prior_price([&always, &always], day(29) + TimeDelta::hours(5));
        assert_eq!(lowest.map(|price| price.minor_units), Some(1));
        let rising: Vec<_> = (0..100).map(|nr| (nr, 100 + nr)).collect();
        assert!(list(&rising).changes.len() <= 32, "what 30 days need");
        let toggled: Vec<_> = (0..2_000).map(|nr| (nr, nr % 2 == 0)).collect();
        assert!(sales(&toggled).len() <= MAX_SALE_CHANGES);
    }
}
