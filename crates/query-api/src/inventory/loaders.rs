//! Loaders of stock. Each loads what many rows need in one statement.

use std::collections::HashMap;

use async_graphql::{Error, dataloader};
use serde::Deserialize;

use super::types::{AvailableOf, Reservation, ReservationsAt};
use crate::{
    loaders::{Loader, grouped},
    reader::{Statement, View},
};

impl dataloader::Loader<AvailableOf> for Loader {
    type Value = i64;
    type Error = Error;

    async fn load(&self, keys: &[AvailableOf]) -> Result<HashMap<AvailableOf, i64>, Error> {
        const OF_SKUS: Statement = Statement::new(
            &[View::Stock],
            "SELECT json_build_object('sku', sku, 'available', sum(on_hand - reserved)::bigint)
             FROM read.stock WHERE sku = ANY ($1) GROUP BY sku",
        );
        #[derive(Deserialize)]
        struct Available {
            sku: String,
            available: i64,
        }
        let skus: Vec<&str> = keys.iter().map(|key| key.0.as_str()).collect();
        let rows: Vec<Available> = self.0.rows(&OF_SKUS, &[&skus]).await?;
        Ok(rows.into_iter().map(|row| (AvailableOf(row.sku), row.available)).collect())
    }
}

impl dataloader::Loader<ReservationsAt> for Loader {
    type Value = Vec<Reservation>;
    type Error = Error;

    async fn load(&self, keys: &[ReservationsAt]) -> Result<HashMap<ReservationsAt, Vec<Reservation>>, Error> {
        const AT_LOCATIONS: Statement = Statement::new(
            &[View::Stock],
            "SELECT to_json(r) FROM read.reservations r
             WHERE (sku, location) IN (SELECT * FROM unnest($1::text[], $2::text[])) ORDER BY reservation_id",
        );
        let (skus, locations): (Vec<&str>, Vec<&str>) =
            keys.iter().map(|ReservationsAt((sku, location))| (sku.as_str(), location.as_str())).unzip();
        let rows: Vec<Reservation> = self.0.rows(&AT_LOCATIONS, &[&skus, &locations]).await?;
        Ok(grouped(rows, |row| ReservationsAt((row.sku.clone(), row.location.clone()))))
    }
}
