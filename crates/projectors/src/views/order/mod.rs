//! Views of orders.

mod header;
#[expect(clippy::module_inception, reason = "the view has the name of its slice")]
pub(super) mod order;
mod sales;
pub(super) mod sales_by_day;
pub(super) mod top_products;
