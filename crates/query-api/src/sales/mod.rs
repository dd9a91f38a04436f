//! Sales figures. An order counts on the day (UTC) on which it was placed; a cancelled order does not count.

mod queries;
mod types;

pub(crate) use queries::SalesQuery;
