//! Subscriptions to stock.

use std::{collections::BTreeSet, sync::Arc};

use async_graphql::{Context, Subscription};
use futures::{Stream, StreamExt, stream};

use super::{
    queries::{Watched, sku, watched},
    stock_watch::StockWatch,
    types::StockLevel,
};
use crate::{
    graphql::{environment::Now, error::coded, viewer::viewer},
    reader::{failed, reader},
};

/// How many SKUs may be watched at once.
const MAX_WATCHED: usize = 100;

#[derive(Default)]
pub(crate) struct StockSubscription;

#[Subscription]
impl StockSubscription {
    /// How many units of these SKUs are available, now and after each change. A reservation that lapses is a change. A SKU that the viewer
    /// does not know of is `NOT_FOUND`.
    async fn stock_changed(
        &self,
        context: &Context<'_>,
        skus: Vec<String>,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<StockLevel>>> {
        if skus.is_empty() || skus.len() > MAX_WATCHED {
            return Err(coded("BAD_INPUT", format!("a subscription watches 1 to {MAX_WATCHED} SKUs")));
        }
        let skus = skus.iter().map(|text| Ok(Arc::from(sku(text)?.as_str())));
        let skus = skus.collect::<async_graphql::Result<BTreeSet<Arc<str>>>>()?;
        find_all(context, &skus).await?;
        let watcher = context.data::<StockWatch>()?.watch(reader(context)?, &skus).await?;
        let levels = stream::unfold(watcher, |watcher| async move {
            let changed = watcher.changed().await;
            Some((stream::iter(changed.into_iter().map(Ok)), watcher))
        });
        Ok(levels.flatten())
    }
}

/// Refuses SKUs that the viewer does not know of. They would be watched in vain. One that was just created is known once the views have
/// reached the end of the book.
async fn find_all(context: &Context<'_>, skus: &BTreeSet<Arc<str>>) -> async_graphql::Result<()> {
    if unknown(context, skus).await?.is_empty() {
        return Ok(());
    }
    let reader = reader(context)?;
    reader.require(reader.book.head().await.map_err(|error| failed(&error))?.position);
    let unknown = unknown(context, skus).await?;
    if unknown.is_empty() {
        return Ok(());
    }
    Err(coded("NOT_FOUND", format!("there is no SKU {}", unknown.join(", "))))
}

/// Those of the SKUs that the viewer does not know of.
async fn unknown<'s>(context: &Context<'_>, skus: &'s BTreeSet<Arc<str>>) -> async_graphql::Result<Vec<&'s str>> {
    let is_staff = viewer(context)?.is_staff();
    let names: Vec<&str> = skus.iter().map(AsRef::as_ref).collect();
    let rows = watched(reader(context)?, &names, context.data::<Now>()?.time()).await?;
    let knows = |row: &Watched| is_staff || row.sale().is_public();
    Ok(names.into_iter().filter(|name| !rows.iter().any(|row| row.sku.as_str() == *name && knows(row))).collect())
}
