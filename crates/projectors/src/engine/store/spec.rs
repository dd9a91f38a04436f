//! What a table is: its columns, key and indexes, and the SQL that makes it.

use super::column::Column;

/// A column whose values come from rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Its name.
    pub name: &'static str,
    /// Its type in SQL.
    pub sql: &'static str,
    /// Whether it may be NULL.
    pub nullable: bool,
}

impl ColumnSpec {
    /// The column of a field. The field may be a raw identifier, such as `r#type`.
    #[must_use]
    pub const fn of<T: Column<How>, How>(field: &'static str) -> Self {
        Self::json(field, T::SQL, T::NULLABLE)
    }

    /// The column of a field that is kept as JSON.
    #[must_use]
    pub const fn json(field: &'static str, sql: &'static str, nullable: bool) -> Self {
        let name = match field.as_bytes() {
            [b'r', b'#', ..] => field.split_at(2).1,
            _ => field,
        };
        Self { name, sql, nullable }
    }
}

/// A column that PostgreSQL computes from the others of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GeneratedColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type in SQL.
    pub sql: &'static str,
    /// The expression in SQL, which is never NULL.
    pub expression: &'static str,
}

/// The collation of columns that are sorted for people. A migration makes it.
const TEXT_ORDER: &str = "read.text_order";

/// A table of a view. [`row!`](crate::row!) declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSpec {
    /// Its name.
    pub name: &'static str,
    /// The columns of the primary key.
    pub key: &'static [ColumnSpec],
    /// The other columns that are written.
    pub columns: &'static [ColumnSpec],
    /// The names of the columns that are sorted for people.
    pub sorted: &'static [&'static str],
    /// The columns that are not written.
    pub generated: &'static [GeneratedColumn],
    /// Its indexes beside the primary key: what stands behind `CREATE INDEX ON` and the table.
    pub indexes: &'static [&'static str],
}

impl TableSpec {
    /// Every column that is written, those of the key first.
    pub fn written(&self) -> impl Iterator<Item = &'static ColumnSpec> + use<> {
        self.key.iter().chain(self.columns)
    }

    /// How many columns are written.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.key.len() + self.columns.len()
    }

    /// The names of the columns that are written, as a list in SQL.
    #[must_use]
    pub fn column_list(&self) -> String {
        names(self.written())
    }

    /// The names of the columns of the key, as a list in SQL.
    #[must_use]
    pub fn key_list(&self) -> String {
        names(self.key)
    }

    /// SQL that makes the table in the schema that is first on the search path.
    #[must_use]
    pub fn ddl(&self) -> String {
        let name = self.name;
        let written = self.written().map(|ColumnSpec { name, sql, nullable }| {
            let collation = if self.sorted.contains(name) { format!(" COLLATE {TEXT_ORDER}") } else { String::new() };
            let constraint = if *nullable { "" } else { " NOT NULL" };
            format!("{name} {sql}{collation}{constraint}")
        });
        let generated = self.generated.iter().map(|GeneratedColumn { name, sql, expression }| {
            format!("{name} {sql} NOT NULL GENERATED ALWAYS AS ({expression}) STORED")
        });
        let key = format!("PRIMARY KEY ({})", self.key_list());
        let lines: Vec<_> = written.chain(generated).chain([key]).collect();
        let indexes = self.indexes.iter().map(|index| format!("\nCREATE INDEX ON {name} {index};"));
        format!("CREATE TABLE {name} (\n    {}\n);{}", lines.join(",\n    "), indexes.collect::<String>())
    }
}

fn names(columns: impl IntoIterator<Item = &'static ColumnSpec>) -> String {
    columns.into_iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}
