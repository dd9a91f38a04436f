//! GraphQL for the storefront and the back-office, and the book as a stream over HTTP.
//!
//! Queries select from the read tables, by SQL only. Mutations are sent to the command API as requests with the caller's own token:
//! over HTTP, or without a connection where it runs in this process. What belongs here: schemas, resolvers, loaders, pagination, limits and
//! subscriptions. What does not belong here: rules, and writes.

mod book;
mod cart;
mod catalog;
mod graphql;
mod http;
mod inventory;
mod loaders;
mod order;
mod reader;

use std::{sync::Arc, time::Duration};

use axum::Router;
use chrono::{DateTime, Utc};
use daybook_domain::Storefront;
use daybook_edge::{drain::Drain, rates::RateLimits, tokens::Keys};
use daybook_event_store::Daybook;

/// A time zone of the IANA time zone database, such as `Europe/Berlin`.
pub use chrono_tz::Tz as TimeZone;
pub use graphql::{
    commands::CommandTarget,
    schema::{admin_sdl, storefront_sdl},
    stream_limits::StreamLimits,
};
pub use http::SocketLimits;
pub use reader::{PATIENCE, share::QueryLimits};

/// The settings of the query API.
#[derive(Clone)]
pub struct QuerySettings {
    /// The book, and the database that holds the read tables.
    pub book: Daybook,
    /// The keys that check tokens.
    pub keys: Keys,
    /// Where mutations are sent.
    pub commands: CommandTarget,
    /// Whether introspection shows the schemas to guests and customers. Staff always sees them.
    pub introspection: bool,
    /// How much of the process queries may take.
    pub limits: QueryLimits,
    /// How long a query waits for the read models to reach the position that it must see; [`PATIENCE`] by default.
    pub patience: Duration,
    /// How many subscriptions and other streams may be open at once.
    pub streams: StreamLimits,
    /// How long WebSockets may stay silent.
    pub sockets: SocketLimits,
    /// How many requests a caller may send. Each operation on a WebSocket counts.
    pub rates: RateLimits,
    /// What the storefront serves: guests and customers see the prices of its channels, and the stock of its locations.
    pub storefront: Storefront,
    /// The time zone of the shop: sales figures have its days.
    pub time_zone: TimeZone,
    /// The drain of the process, which ends WebSockets and streams of server-sent events.
    pub drain: Drain,
    /// The clock of this process, which tokens are checked by.
    pub now: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    /// The clock of the database, as far as this process knows it. Carts, reservations and prices are shown as of its time.
    pub database_now: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

/// The routes: `/graphql` and `/admin/graphql`, with the files of GraphiQL, and `/events`.
pub fn router(settings: &QuerySettings) -> Router {
    http::router(settings)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{cart, catalog, inventory, order};

    #[test]
    fn the_views_that_queries_read_are_those_of_the_projectors_with_their_tables() {
        let read = [
            catalog::PRODUCT,
            catalog::CATEGORY,
            inventory::STOCK,
            cart::CART,
            order::ORDER,
            order::SALES_BY_DAY,
            order::TOP_PRODUCTS,
        ];
        let read: BTreeMap<&str, BTreeSet<&str>> =
            read.into_iter().map(|view| (view.name, view.tables.iter().copied().collect())).collect();
        let made: BTreeMap<&str, BTreeSet<&str>> = daybook_projectors::views::ALL
            .iter()
            .map(|view| (view.name, view.tables.iter().map(|table| table.name).collect()))
            .collect();
        assert_eq!(read, made);
    }
}
