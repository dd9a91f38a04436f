//! Subscriptions to stock.

use std::{collections::BTreeSet, sync::Arc};

use async_graphql::{Context, Subscription};
use futures::{Stream, StreamExt, stream};

use super::{queries::sku, stock_watch::StockWatch, types::StockLevel};
use crate::{
    catalog::PRODUCT,
    graphql::{error::coded, viewer::viewer},
    reader::{Statement, failed, reader},
};

/// How many SKUs may be watched at once.
const MAX_WATCHED: usize = 100;

#[derive(Default)]
pub(crate) struct StockSubscription;

#[Subscription]
impl StockSubscription {
    /// How many units of these SKUs are available, now and after each change. A SKU that the viewer cannot see is `NOT_FOUND`.
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

/// Refuses SKUs that no product has, or only a product that the viewer cannot see. They would be watched in vain.
async fn find_all(context: &Context<'_>, skus: &BTreeSet<Arc<str>>) -> async_graphql::Result<()> {
    const UNKNOWN: Statement = Statement::new(
        &[PRODUCT],
        "SELECT to_json(s.sku) FROM unnest($2::text[]) AS s (sku)
         WHERE NOT EXISTS (SELECT FROM read.product_variants v JOIN read.products p USING (product_id)
                           WHERE v.sku = s.sku AND ($1 OR p.status = 'published')) ORDER BY s.sku",
    );
    let (reader, staff) = (reader(context)?, viewer(context)?.is_staff());
    let names: Vec<&str> = skus.iter().map(AsRef::as_ref).collect();
    if reader.rows::<String>(&UNKNOWN, &[&staff, &names]).await?.is_empty() {
        return Ok(());
    }
    // The view may not show a new product yet.
    reader.require(reader.book.head().await.map_err(|error| failed(&error))?.position);
    let unknown: Vec<String> = reader.rows(&UNKNOWN, &[&staff, &names]).await?;
    if unknown.is_empty() {
        return Ok(());
    }
    Err(coded("NOT_FOUND", format!("there is no SKU {}", unknown.join(", "))))
}
