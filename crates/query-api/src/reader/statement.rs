//! Statements on the read tables, each with the views that it reads.

/// A view that queries read. Each slice declares its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct View {
    /// The name that the projectors know it by.
    pub(crate) name: &'static str,
    /// Its tables, in the schema `read`.
    pub(crate) tables: &'static [&'static str],
}

/// The relation that shows how far the views are. It belongs to none of them.
const VIEW_STATUS: &str = "view_status";
/// How the name of a read table begins in a statement.
const SCHEMA: &str = "read.";

/// A statement that selects one JSON column, and the views whose tables it reads.
///
/// Statements are constants, so a statement that forgets a view, or names one that it does not read, does not compile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Statement {
    views: &'static [View],
    sql: &'static str,
}

impl Statement {
    pub(crate) const fn new(views: &'static [View], sql: &'static str) -> Self {
        assert!(reads_exactly(views, sql), "the statement reads other views than it names");
        Self { views, sql }
    }

    pub(super) const fn views(&self) -> &'static [View] {
        self.views
    }

    pub(super) const fn sql(&self) -> &'static str {
        self.sql
    }
}

/// Whether every read table of a statement belongs to one of these views, and every view has a table in it.
const fn reads_exactly(views: &[View], sql: &str) -> bool {
    let mut rest = sql.as_bytes();
    let mut read = [false; 8];
    while let Some(table) = next_table(&mut rest) {
        let mut at = 0;
        while at < views.len() && !contains(views[at].tables, table) {
            at += 1;
        }
        if at < views.len() {
            read[at] = true;
        } else if !equal(table, VIEW_STATUS.as_bytes()) {
            return false;
        }
    }
    let mut at = 0;
    while at < views.len() {
        if !read[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// The next read table in a text, which is moved on behind its name.
const fn next_table<'t>(text: &mut &'t [u8]) -> Option<&'t [u8]> {
    while !text.is_empty() {
        let Some((begin, name)) = text.split_at_checked(SCHEMA.len()) else { break };
        if equal(begin, SCHEMA.as_bytes()) {
            let mut length = 0;
            while length < name.len() && (name[length].is_ascii_alphanumeric() || name[length] == b'_') {
                length += 1;
            }
            let (table, rest) = name.split_at(length);
            *text = rest;
            return Some(table);
        }
        *text = text.split_at(1).1;
    }
    None
}

const fn contains(tables: &[&str], table: &[u8]) -> bool {
    let mut at = 0;
    while at < tables.len() {
        if equal(tables[at].as_bytes(), table) {
            return true;
        }
        at += 1;
    }
    false
}

const fn equal(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

#[cfg(test)]
mod tests {
    use super::{View, reads_exactly};

    const CARTS: View = View { name: "cart", tables: &["carts"] };
    const ORDERS: View = View { name: "order", tables: &["orders"] };
    const PRODUCTS: View = View { name: "product", tables: &["products", "product_variants"] };
    const STOCK: View = View { name: "stock", tables: &["stock"] };

    #[test]
    fn a_statement_names_the_views_of_its_tables_and_no_others() {
        let carts = "SELECT to_json(c) FROM read.carts c WHERE cart_id = $1";
        assert!(reads_exactly(&[CARTS], carts));
        assert!(!reads_exactly(&[], carts), "a view is forgotten");
        assert!(!reads_exactly(&[ORDERS], carts), "another view is named");
        assert!(!reads_exactly(&[CARTS, ORDERS], carts), "a view is named that is not read");
        let joined = "SELECT 1 FROM read.product_variants v LEFT JOIN read.products p USING (product_id), read.stock";
        assert!(reads_exactly(&[STOCK, PRODUCTS], joined));
        assert!(!reads_exactly(&[PRODUCTS], joined));
        assert!(!reads_exactly(&[PRODUCTS], "SELECT 1 FROM read.products, read.of_another_time"));
        assert!(reads_exactly(&[], "SELECT position FROM read.view_status"));
        assert!(reads_exactly(&[], "SELECT position FROM head"));
    }
}
