//! The price list of a SKU: the price of now, and the lowest price of 30 days.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::policy::LOWEST_PRICE_PERIOD;
use crate::{Money, ids::Channel};

/// What one channel asks for a SKU in one currency, now and before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceList {
    /// The channel.
    pub channel: Channel,
    /// The price now.
    pub current: Money,
    /// Since when which price was asked, oldest first; the last one is the current one. Bounded to what the lowest price of
    /// the last 30 days needs.
    pub history: Vec<(DateTime<Utc>, Money)>,
}

impl PriceList {
    pub(super) fn new(channel: Channel, price: Money, at: DateTime<Utc>) -> Self {
        Self { channel, current: price, history: vec![(at, price)] }
    }

    /// The lowest price that was asked at any time in the 30 days up to `now`.
    #[must_use]
    pub fn lowest(&self, now: DateTime<Utc>) -> Money {
        let start = Self::in_force_from(&self.history, now);
        let asked = self.history.iter().skip(start).filter(|(since, _)| *since <= now);
        asked.map(|(_, price)| *price).min_by_key(|price| price.minor_units).unwrap_or(self.current)
    }

    pub(super) fn set(&mut self, price: Money, at: DateTime<Utc>) {
        self.current = price;
        self.history.push((at, price));
        self.history.drain(..Self::in_force_from(&self.history, at));
    }

    /// The index of the price that was in force when the period up to `now` begins.
    fn in_force_from(history: &[(DateTime<Utc>, Money)], now: DateTime<Utc>) -> usize {
        let begin = now.checked_sub_signed(LOWEST_PRICE_PERIOD).unwrap_or(DateTime::<Utc>::MIN_UTC);
        history.iter().rposition(|(since, _)| *since <= begin).unwrap_or(0)
    }
}
