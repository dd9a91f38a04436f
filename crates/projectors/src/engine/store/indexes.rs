//! Indexes of tables that are being built: taken away before the rows come in, and made when they are in, which is a sort instead
//! of a search per row.

use tokio_postgres::Client;

use crate::ViewError;

/// Indexes that are missing: the table of each, and the SQL that makes it; those of keys first.
#[derive(Debug, Default)]
pub(crate) struct Indexes(pub(crate) Vec<(String, String)>);

impl Indexes {
    /// Takes all indexes of the tables of a schema away.
    pub(crate) async fn take_away(client: &Client, schema: &str) -> Result<Self, ViewError> {
        let rows = client
            .query(
                "SELECT t.relname::text,
                        coalesce(
                            'ALTER TABLE ' || t.oid::regclass || ' ADD CONSTRAINT ' || quote_ident(c.conname) || ' '
                                || pg_get_constraintdef(c.oid),
                            pg_get_indexdef(i.indexrelid)),
                        coalesce(
                            'ALTER TABLE ' || t.oid::regclass || ' DROP CONSTRAINT ' || quote_ident(c.conname),
                            'DROP INDEX ' || i.indexrelid::regclass)
                 FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
                 LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.conrelid = t.oid
                 WHERE t.relnamespace = $1::text::regnamespace
                 ORDER BY c.oid IS NULL, t.relname, i.indexrelid",
                &[&schema],
            )
            .await?;
        let mut missing = Vec::new();
        for row in rows {
            missing.push((row.try_get(0)?, row.try_get(1)?));
            client.batch_execute(row.try_get(2)?).await?;
        }
        Ok(Self(missing))
    }

    /// The SQL that makes a table's key, if it is missing; it counts as made then.
    pub(crate) fn take_key(&mut self, table: &str) -> Option<String> {
        let at = self.0.iter().position(|(of, sql)| of == table && sql.starts_with("ALTER TABLE"))?;
        Some(self.0.remove(at).1)
    }
}
