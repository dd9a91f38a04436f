//! Sales figures. An order counts on the day on which it was placed, unless it was cancelled. Returns and refunds count on the day on which
//! they happen. The days are those of the shop's time zone, or of the one that a query names.

mod period;
mod queries;
mod types;

pub(crate) use queries::SalesQuery;

use crate::reader::View;

/// The sales of each quarter-hour.
pub(crate) const SALES_BY_DAY: View = View { name: "sales_by_day", tables: &["sales_by_quarter_hour", "sales_orders"] };
/// The sales of each product.
pub(crate) const TOP_PRODUCTS: View = View { name: "top_products", tables: &["product_sales", "product_sales_orders"] };
