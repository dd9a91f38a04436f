//! Sales figures. Days are days in UTC of when orders were placed; a cancelled order does not count.

mod queries;
mod types;

pub(crate) use queries::SalesQuery;
