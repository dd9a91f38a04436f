//! Orders whose rows do not stand together, as in a file that is sorted by SKU. An import reads such a file twice: an order of the first
//! part of its rows would be history, which nothing corrects.

use std::{collections::HashMap, io};

use uuid::Uuid;

use super::super::{
    Rejection,
    file::{Columns, Opened, Records, Row},
};

/// The orders whose rows stand apart, with the line of the first row and the line of the first one that does not follow.
#[derive(Debug, Default)]
pub(super) struct Apart(HashMap<String, (u64, u64)>);

impl Apart {
    /// The reason why an order is rejected, where its rows stand apart.
    pub(super) fn reason(&self, reference: &str) -> Option<String> {
        let (first, other) = self.0.get(reference)?;
        Some(format!(
            "rows of this order stand apart, in lines {first} and {other}. Sort the file by external_ref; where the file has the order \
             twice, leave one out"
        ))
    }
}

/// The rows of a file, and the orders whose rows stand apart in it. What can be read once only, as a pipe, is kept in memory.
///
/// # Errors
/// When the file cannot be opened again, or its header is wrong.
pub(super) fn rows(opened: Opened, columns: Columns) -> anyhow::Result<(Records<Row>, Apart)> {
    let mut met = Met::default();
    if let Some(before) = opened.again()? {
        before.rows(columns)?.for_each(|row| met.row(&row));
        return Ok((opened.rows(columns)?, met.apart));
    }
    let rows = opened.rows(columns)?;
    let bar = rows.bar();
    let kept: Vec<_> = rows.inspect(|row| met.row(row)).collect();
    Ok((Records::over(bar, kept.into_iter()), met.apart))
}

/// What was met while a file is read.
#[derive(Default)]
struct Met {
    /// Of each order the line of its first row. A derived id needs less memory than a reference.
    first: HashMap<Uuid, u64>,
    /// The order of the row before.
    last: Option<String>,
    apart: Apart,
}

impl Met {
    fn row(&mut self, row: &io::Result<Result<Row, Rejection>>) {
        let (reference, line) = match row {
            Ok(Ok(row)) => (row.text("external_ref"), row.line),
            Ok(Err(rejection)) => (named(rejection), rejection.line),
            // The file ends here.
            Err(_) => return,
        };
        // A row without a reference belongs to the order before it.
        if reference.is_empty() || self.last.as_deref() == Some(reference) {
            return;
        }
        let first = *self.first.entry(Uuid::new_v5(&Uuid::nil(), reference.as_bytes())).or_insert(line);
        if first != line {
            self.apart.0.entry(reference.to_owned()).or_insert((first, line));
        }
        self.last = Some(reference.to_owned());
    }
}

/// The order that a rejected row names; empty where it names none.
pub(super) fn named(rejection: &Rejection) -> &str {
    rejection.record["external_ref"].as_str().map(str::trim).unwrap_or_default()
}
