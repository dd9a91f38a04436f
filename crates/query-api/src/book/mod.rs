//! The book itself: its events from the past to live, and the progress of the views.

pub(crate) mod names;
mod queries;
mod subscriptions;
mod types;

pub(crate) use queries::BookQuery;
pub(crate) use subscriptions::BookSubscription;
