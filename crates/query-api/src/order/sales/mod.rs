//! Sales figures. An order counts on the day (UTC) on which it was placed; a cancelled order does not count.

mod queries;
mod types;

pub(crate) use queries::SalesQuery;

use crate::reader::View;

/// The sales of each day.
pub(crate) const SALES_BY_DAY: View = View { name: "sales_by_day", tables: &["sales_by_day", "sales_orders"] };
/// The sales of each product.
pub(crate) const TOP_PRODUCTS: View = View { name: "top_products", tables: &["product_sales", "product_sales_orders"] };
