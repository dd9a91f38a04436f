//! The book itself: its events, from the past to live, and how far the views are.

mod queries;
mod subscriptions;
mod types;

pub(crate) use queries::BookQuery;
pub(crate) use subscriptions::BookSubscription;
