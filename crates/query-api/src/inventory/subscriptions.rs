//! Subscriptions to stock.

use std::{collections::HashMap, time::Duration};

use async_graphql::{Context, Subscription};
use daybook_domain::ids::Sku;
use futures::{Stream, TryStreamExt};

use super::{
    queries::{levels, sku},
    types::StockLevel,
};
use crate::{
    graphql::error::coded,
    reader::{Reader, reader},
};

/// How many SKUs may be watched at once.
const MAX_WATCHED: usize = 100;

#[derive(Default)]
pub(crate) struct StockSubscription;

#[Subscription]
impl StockSubscription {
    /// How many of SKUs can be had, now and whenever that has changed.
    async fn stock_changed(
        &self,
        context: &Context<'_>,
        skus: Vec<String>,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<StockLevel>>> {
        if skus.is_empty() || skus.len() > MAX_WATCHED {
            return Err(coded("BAD_INPUT", format!("1 to {MAX_WATCHED} SKUs can be watched")));
        }
        let skus = skus.iter().map(|sku| self::sku(sku)).collect::<Result<Vec<_>, _>>()?;
        let watch = Watch { reader: reader(context)?.clone(), skus, seen: HashMap::new() };
        // An error is the last that is told: whoever wants to go on subscribes again.
        let levels = futures::stream::try_unfold(watch, |mut watch| async move {
            let changed = watch.changed().await?;
            Ok::<_, async_graphql::Error>(Some((futures::stream::iter(changed.into_iter().map(Ok)), watch)))
        });
        Ok(levels.try_flatten())
    }
}

/// What a subscriber knows of the stock that they watch.
struct Watch {
    reader: Reader,
    skus: Vec<Sku>,
    seen: HashMap<String, i64>,
}

impl Watch {
    /// The levels that are not as they were seen last, as soon as there are any.
    async fn changed(&mut self) -> async_graphql::Result<Vec<StockLevel>> {
        const LOOK_EVERY: Duration = Duration::from_millis(100);
        loop {
            let mut levels = levels(&self.reader, &self.skus).await?;
            levels.retain(|level| self.seen.insert(level.sku.clone(), level.available) != Some(level.available));
            if !levels.is_empty() {
                return Ok(levels);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
