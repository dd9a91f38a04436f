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
    graphql::{environment::Now, error::coded, scalars::Long},
    reader::{Reader, reader},
};

/// How many SKUs may be watched at once.
const MAX_WATCHED: usize = 100;

#[derive(Default)]
pub(crate) struct StockSubscription;

#[Subscription]
impl StockSubscription {
    /// How many units of these SKUs are available, now and after each change.
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
        let watch = Watch { reader, now, skus, sent: HashMap::new() };
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
    skus: Vec<Sku>,
    sent: HashMap<String, Long>,
}

impl Watch {
    /// The levels that have changed since they were sent, as soon as one has.
    async fn changed(&mut self) -> async_graphql::Result<Vec<StockLevel>> {
        const CHECK_EVERY: Duration = Duration::from_millis(100);
        let skus: Vec<&str> = self.skus.iter().map(Sku::as_str).collect();
        loop {
            let mut levels = levels(&self.reader, &skus, self.now.time()).await?;
            levels.retain(|level| self.sent.insert(level.sku.clone(), level.available) != Some(level.available));
            if !levels.is_empty() {
                return Ok(levels);
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }
}
