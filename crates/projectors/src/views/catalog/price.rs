//! The table of prices, of the view `product`.

use chrono::{DateTime, Utc};
use daybook_domain::{
    Currency, Event, Fold,
    catalog::{self, PriceChange, PriceList, SkuRecord},
    ids::{Channel, ProductId, Sku},
};

use crate::{engine::recorded::Recorded, row};

row! {
    /// The price of a SKU in a channel and a currency.
    pub(in crate::views) struct Price in sku_prices {
        key PriceKey { sku: Sku, channel: Channel, currency: Currency }
        /// None after it was removed.
        minor_units: Option<i64>,
        since: DateTime<Utc>,
        changes: Vec<PriceChange> as jsonb,
        position: i64,
    }
}

/// The price that an event sets or removes, and the product of its SKU.
fn change(event: &Event) -> Option<(PriceKey, ProductId)> {
    let Event::Catalog(event) = event else { return None };
    let key =
        |sku: &Sku, channel: &Channel, currency| PriceKey { sku: sku.clone(), channel: channel.clone(), currency };
    match event {
        catalog::Event::PriceSet(e) => Some((key(&e.sku, &e.channel, e.price.currency), e.product_id)),
        catalog::Event::PriceRemoved(e) => Some((key(&e.sku, &e.channel, e.currency), e.product_id)),
        catalog::Event::ProductCreated(_)
        | catalog::Event::ProductRevised(_)
        | catalog::Event::VariantAdded(_)
        | catalog::Event::VariantRevised(_)
        | catalog::Event::VariantRemoved(_)
        | catalog::Event::ProductPublished(_)
        | catalog::Event::ProductArchived(_)
        | catalog::Event::SkuClaimed(_)
        | catalog::Event::SlugClaimed(_)
        | catalog::Event::SlugForwarded(_)
        | catalog::Event::SlugReleased(_)
        | catalog::Event::CategoryCreated(_)
        | catalog::Event::CategoryRenamed(_)
        | catalog::Event::CategoryMoved(_)
        | catalog::Event::CategoryRemoved(_)
        | catalog::Event::CategoryChildChanged(_) => None,
    }
}

impl Price {
    pub(super) fn key_of(recorded: &Recorded) -> Option<PriceKey> {
        change(&recorded.event).map(|(key, _)| key)
    }

    /// The changes are kept by the domain's own price list, so that both forget the same.
    pub(super) fn fold(row: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let (Some((key, product_id)), Event::Catalog(event)) = (change(&recorded.event), &recorded.event) else {
            return row;
        };
        let since = recorded.record.effective_at;
        let PriceKey { sku, channel, currency } = key;
        let changes = row.map(|row| row.changes).unwrap_or_default();
        let list = PriceList { changes, ..PriceList::new(channel.clone(), currency) };
        let mut record = SkuRecord::Claimed { product_id, prices: vec![list] };
        record.evolve(event, since);
        let list = record.price_list(&channel, currency)?;
        let (minor_units, changes) = (list.current().map(|price| price.minor_units), list.changes.clone());
        Some(Self { sku, channel, currency, minor_units, since, changes, position: recorded.record.position })
    }
}
