//! Loaders of stock. Each loads what many rows need in one statement.

use std::collections::HashMap;

use async_graphql::{Error, dataloader};
use daybook_domain::{ids::LocationId, inventory::StockLevel};

use super::{
    STOCK,
    queries::levels,
    types::{Reservation, ReservationsAt, StockOf},
};
use crate::{
    loaders::{Loader, grouped},
    reader::Statement,
};

impl dataloader::Loader<StockOf> for Loader {
    type Value = Vec<(LocationId, StockLevel)>;
    type Error = Error;

    async fn load(&self, keys: &[StockOf]) -> Result<HashMap<StockOf, Self::Value>, Error> {
        let skus: Vec<&str> = keys.iter().map(|key| key.0.as_str()).collect();
        let levels = levels(&self.reader, &skus, self.now.time()).await?;
        let mut by_sku: HashMap<StockOf, Self::Value> = HashMap::new();
        for (sku, location, level) in levels {
            by_sku.entry(StockOf(sku)).or_default().push((location, level));
        }
        Ok(by_sku)
    }
}

impl dataloader::Loader<ReservationsAt> for Loader {
    type Value = Vec<Reservation>;
    type Error = Error;

    async fn load(&self, keys: &[ReservationsAt]) -> Result<HashMap<ReservationsAt, Vec<Reservation>>, Error> {
        const AT_LOCATIONS: Statement = Statement::new(
            &[STOCK],
            "SELECT to_json(r) FROM read.reservations r
             WHERE (sku, location) IN (SELECT * FROM unnest($1::text[], $2::text[])) ORDER BY reservation_id",
        );
        let (skus, locations): (Vec<&str>, Vec<&str>) =
            keys.iter().map(|ReservationsAt { sku, location }| (sku.as_str(), location.as_str())).unzip();
        let rows: Vec<Reservation> = self.reader.rows(&AT_LOCATIONS, &[&skus, &locations]).await?;
        Ok(grouped(rows, |row| ReservationsAt { sku: row.sku.clone(), location: row.location.clone() }))
    }
}
