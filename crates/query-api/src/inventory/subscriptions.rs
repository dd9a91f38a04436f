//! Subscriptions to stock.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_graphql::{Context, Subscription};
use daybook_domain::{
    Actor, Quantity, Storefront,
    ids::{Channel, LocationId, Sku},
    inventory::{Availability, Demand, Line, Supply, availability},
};
use futures::{Stream, TryStreamExt};

use super::{
    queries::{Watched, sku, watched},
    types::StockLevel,
};
use crate::{
    graphql::{
        environment::{Now, Served},
        error::coded,
        viewer::viewer,
    },
    reader::{Reader, failed, reader},
};

/// How many SKUs may be watched at once.
const MAX_WATCHED: usize = 100;

#[derive(Default)]
pub(crate) struct StockSubscription;

#[Subscription]
impl StockSubscription {
    /// How many units of these SKUs are available, now and after each change. A reservation that lapses is a change.
    async fn stock_changed(
        &self,
        context: &Context<'_>,
        skus: Vec<String>,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<StockLevel>>> {
        if skus.is_empty() || skus.len() > MAX_WATCHED {
            return Err(coded("BAD_INPUT", format!("a subscription watches 1 to {MAX_WATCHED} SKUs")));
        }
        let skus = skus.iter().map(|sku| self::sku(sku)).collect::<Result<Vec<_>, _>>()?;
        let (reader, now) = (reader(context)?.clone(), context.data::<Now>()?.clone());
        let (actor, storefront) = (viewer(context)?.actor.clone(), Arc::clone(&context.data::<Served>()?.0));
        let locations = storefront.locations_for(1);
        let watch = Watch { reader, now, actor, storefront, skus, locations, sent: HashMap::new() };
        watch.check_known().await?;
        // An error ends the subscription. The client may subscribe again.
        let levels = futures::stream::try_unfold(watch, |mut watch| async move {
            let changed = watch.changed().await?;
            Ok::<_, async_graphql::Error>(Some((futures::stream::iter(changed.into_iter().map(Ok)), watch)))
        });
        Ok(levels.try_flatten())
    }
}

/// The stock that a subscription watches, and the levels that it has sent.
struct Watch {
    reader: Reader,
    now: Now,
    actor: Actor,
    storefront: Arc<Storefront>,
    skus: Vec<Sku>,
    /// Where an order has its goods from that names no location.
    locations: Vec<LocationId>,
    sent: HashMap<Sku, (i64, bool)>,
}

impl Watch {
    /// Refuses SKUs that the viewer does not know of: nothing would ever be sent for them. One that was just created is known once the
    /// views have reached the end of the book.
    async fn check_known(&self) -> async_graphql::Result<()> {
        if self.unknown().await?.is_none() {
            return Ok(());
        }
        let head = self.reader.book.head().await.map_err(|error| failed(&error))?;
        self.reader.require(head.position);
        match self.unknown().await? {
            Some(sku) => Err(coded("NOT_FOUND", format!("there is no SKU {sku}"))),
            None => Ok(()),
        }
    }

    /// A SKU that the viewer does not know of, if there is one.
    async fn unknown(&self) -> async_graphql::Result<Option<&Sku>> {
        let known = self.rows().await?;
        let knows = |row: &Watched| !self.actor.is_buyer() || row.sale().is_public();
        let is_unknown = |sku: &&Sku| !known.iter().any(|row| row.sku == **sku && knows(row));
        Ok(self.skus.iter().find(is_unknown))
    }

    /// The levels that have changed since they were sent, as soon as one has. A reservation that lapses changes them without an event.
    async fn changed(&mut self) -> async_graphql::Result<Vec<StockLevel>> {
        const CHECK_EVERY: Duration = Duration::from_millis(100);
        loop {
            let mut changed = Vec::new();
            for row in self.rows().await? {
                let sku = row.sku.clone();
                let Availability { available, backorder, .. } = self.ask(row);
                if self.sent.insert(sku.clone(), (available, backorder)) != Some((available, backorder)) {
                    let orderable = available > 0 || backorder;
                    changed.push(StockLevel { sku: sku.to_string(), available, backorder, orderable });
                }
            }
            if !changed.is_empty() {
                return Ok(changed);
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }

    async fn rows(&self) -> async_graphql::Result<Vec<Watched>> {
        let skus: Vec<&str> = self.skus.iter().map(Sku::as_str).collect();
        watched(&self.reader, &skus, self.now.time()).await
    }

    /// What a checkout would say of one unit. Prices are not asked for.
    fn ask(&self, row: Watched) -> Availability {
        let (sku, sale) = (row.sku.clone(), row.sale());
        let channel = Channel::default();
        let demand = Demand {
            sku: &sku,
            quantity: Quantity::ONE,
            channel: &channel,
            currency: None,
            locations: &self.locations,
            actor: &self.actor,
            storefront: &self.storefront,
            line: Line::None,
        };
        availability(&demand, &Supply { sale, price: None, stocks: Some(&row.stocks()) })
    }
}
