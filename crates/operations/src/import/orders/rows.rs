//! Orders in CSV: a row is a line of an order. The rows of an order stand together, and name the same order, customer, channel, time and
//! currency; a row that leaves one of the last four empty takes that of the first.

use std::collections::HashSet;

use daybook_domain::{
    Currency,
    order::{HistoricalLine, ImportOrder, policy::MAX_IMPORTED_LINES},
};
use serde_json::{Value, json};

use super::super::{
    Rejection,
    file::{Columns, Records, Row},
    money::{self, DecimalSeparator},
};
use super::apart::{Apart, named};

/// The columns of orders.
pub(super) const COLUMNS: Columns = Columns {
    required: &["external_ref", "placed_at", "currency", "sku", "quantity"],
    optional: &["line_total", "line_total_minor", "discount", "discount_minor", "customer_ref", "channel"],
    either: &[&["line_total", "line_total_minor"], &["discount", "discount_minor"]],
};

/// The columns that are those of the order, and not of its line.
const OF_ORDER: [&str; 4] = ["customer_ref", "channel", "placed_at", "currency"];

/// The rows of an order.
#[derive(Debug)]
pub(super) struct Order {
    rows: Vec<Row>,
}

/// The orders of rows. A row that is rejected rejects its order as well, and so do rows that stand apart.
pub(super) fn orders(mut rows: Records<Row>, apart: Apart) -> Records<Order> {
    let bar = rows.bar();
    let mut pending: Option<Order> = None;
    let mut rejected: HashSet<String> = HashSet::new();
    let mut next = None;
    let items = std::iter::from_fn(move || {
        loop {
            match next.take().or_else(|| rows.next()) {
                Some(Ok(Ok(row))) => {
                    let reference = row.text("external_ref");
                    match &mut pending {
                        Some(order) if order.reference() == reference => order.add(row),
                        Some(_) => {
                            next = Some(Ok(Ok(row)));
                            return pending.take().map(|order| Ok(order.checked(&rejected, &apart)));
                        }
                        none => *none = Some(Order { rows: vec![row] }),
                    }
                }
                Some(Ok(Err(rejection))) => {
                    let named = named(&rejection);
                    // A row without a reference belongs to the order before it.
                    let own = if named.is_empty() { pending.as_ref().map_or("", Order::reference) } else { named };
                    rejected.insert(own.to_owned());
                    return Some(Ok(Err(rejection)));
                }
                Some(Err(error)) => {
                    // The order before the damage may lack its last rows.
                    pending = None;
                    return Some(Err(error));
                }
                None => return pending.take().map(|order| Ok(order.checked(&rejected, &apart))),
            }
        }
    });
    Records::over(bar, items)
}

impl Order {
    fn reference(&self) -> &str {
        self.rows.first().map_or("", |row| row.text("external_ref"))
    }

    /// Adds a row. Rows beyond the limit are not kept, since the order is refused.
    fn add(&mut self, row: Row) {
        if self.rows.len() <= MAX_IMPORTED_LINES {
            self.rows.push(row);
        }
    }

    /// The order, unless a row of it was rejected or stands elsewhere.
    fn checked(self, rejected: &HashSet<String>, apart: &Apart) -> Result<Self, Rejection> {
        if let Some(reason) = apart.reason(self.reference()) {
            Err(self.rejected("rows_apart", reason))
        } else if rejected.contains(self.reference()) {
            Err(self.rejected("incomplete_order", "a row of this order was rejected".to_owned()))
        } else {
            Ok(self)
        }
    }

    /// The rejection of the order.
    pub(super) fn rejected(&self, code: &str, reason: String) -> Rejection {
        let rows: Vec<Value> = self.rows.iter().map(Row::record).collect();
        let record = json!({ "external_ref": self.reference(), "rows": rows });
        let line = self.rows.first().map_or(0, |row| row.line);
        Rejection { line, record, code: code.to_owned(), reason }
    }

    /// The command that imports the order.
    ///
    /// # Errors
    /// A sentence that names the column, and the line where it is not the first one.
    pub(super) fn command(&self, separator: Option<DecimalSeparator>) -> Result<ImportOrder, String> {
        let Some(first) = self.rows.first() else { return Err("it has no rows".to_owned()) };
        for row in &self.rows {
            for column in OF_ORDER {
                if row.stated(column).is_some_and(|text| text != first.text(column)) {
                    return Err(format!(
                        "line {}: {column} is another one than in the first row of the order",
                        row.line
                    ));
                }
            }
        }
        let named = |column: &str, error: &dyn std::fmt::Display| format!("{column}: {error}");
        let currency = money::currency(first.text("currency")).map_err(|why| named("currency", &why))?;
        let lines = self
            .rows
            .iter()
            .map(|row| line(row, currency, separator).map_err(|why| format!("line {}: {why}", row.line)));
        let channel = first.stated("channel").map(str::parse).transpose().map_err(|error| named("channel", &error))?;
        let customer = first.stated("customer_ref").map(str::parse).transpose();
        Ok(ImportOrder {
            external_ref: first.text("external_ref").parse().map_err(|error| named("external_ref", &error))?,
            customer_ref: customer.map_err(|error| named("customer_ref", &error))?,
            channel: channel.unwrap_or_default(),
            placed_at: serde_json::from_value(first.text("placed_at").into())
                .map_err(|error| named("placed_at", &error))?,
            currency,
            lines: lines.collect::<Result<_, String>>()?,
        })
    }
}

fn line(row: &Row, currency: Currency, separator: Option<DecimalSeparator>) -> Result<HistoricalLine, String> {
    let quantity = row.text("quantity");
    let amount = |column: &str, minor: &str| {
        let of = |column: &str, why: String| format!("{column}: {why}");
        match (row.stated(column), row.stated(minor)) {
            (Some(text), _) => money::amount(text, Some(currency), separator)
                .map(|money| Some(money.minor_units))
                .map_err(|why| of(column, why)),
            (None, Some(text)) => money::minor_units(text).map(Some).map_err(|why| of(minor, why)),
            (None, None) => Ok(None),
        }
    };
    Ok(HistoricalLine {
        sku: row.text("sku").parse().map_err(|error| format!("sku: {error}"))?,
        quantity: quantity.parse().map_err(|_| format!("quantity: `{quantity}` is not a whole number"))?,
        line_total: amount("line_total", "line_total_minor")?.ok_or("line_total: a line needs one")?,
        discount: amount("discount", "discount_minor")?.unwrap_or_default(),
    })
}
