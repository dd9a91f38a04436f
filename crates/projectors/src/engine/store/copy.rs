//! Rows in the binary format of PostgreSQL's COPY, which spares the database the reading of text.
//!
//! The format: <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format".

use bytes::{Bytes, BytesMut};
use tokio_postgres::types::Type;

use super::{
    Row,
    wire::{Unwritable, Wire},
};

/// How many bytes of rows go to the database at once.
const FULL: usize = 1 << 20;
/// What the rows come after: a signature, no flags, and no extension of the header.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What they come before, where a row would say how many fields it has.
const END: i16 = -1;

/// The columns of a table that are written, in the order of the row's fields.
#[derive(Debug)]
pub(super) struct Columns(Vec<(&'static str, Type)>);

impl Columns {
    /// The columns of a row, which are of these types.
    pub(super) fn of<R: Row>(types: impl Iterator<Item = Type>) -> Self {
        Self(R::KEY.iter().chain(R::COLUMNS).copied().zip(types).collect())
    }
}

/// Rows for one COPY.
#[derive(Debug, Default)]
pub(super) struct Tuples(BytesMut);

impl Tuples {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is time to send them.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= FULL
    }

    /// Adds a row.
    pub(super) fn push<R: Row>(&mut self, columns: &Columns, row: &R) -> Result<(), Unwritable> {
        if self.0.is_empty() {
            self.0.reserve(FULL + FULL / 4);
            self.0.extend_from_slice(HEAD);
        }
        row.serialize(Wire::row(&columns.0, &mut self.0))
    }

    /// All of them, as COPY takes them, if there are any; none are left.
    pub(super) fn take(&mut self) -> Bytes {
        self.0.extend_from_slice(&END.to_be_bytes());
        self.0.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, NaiveDate, Utc};
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Sample {
        id: i64,
        small: i32,
        tiny: i16,
        yes: bool,
        name: Option<String>,
        way: Way,
        who: Uuid,
        friends: Vec<Uuid>,
        at: DateTime<Utc>,
        on: NaiveDate,
        state: Value,
        text: Value,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Way {
        ThereAndBack,
    }

    impl Row for Sample {
        type Key = i64;
        const TABLE: &'static str = "samples";
        const KEY: &'static [&'static str] = &["id"];
        const COLUMNS: &'static [&'static str] =
            &["small", "tiny", "yes", "name", "way", "who", "friends", "at", "on", "state", "text"];
    }

    const TYPES: [Type; 12] = [
        Type::INT8,
        Type::INT4,
        Type::INT2,
        Type::BOOL,
        Type::TEXT,
        Type::TEXT,
        Type::UUID,
        Type::UUID_ARRAY,
        Type::TIMESTAMPTZ,
        Type::DATE,
        Type::JSONB,
        Type::JSON,
    ];

    fn sample() -> Sample {
        Sample {
            id: 1 << 40,
            small: -2,
            tiny: 3,
            yes: true,
            name: Some("a\tb\nc\\d\"e\rf".to_owned()),
            way: Way::ThereAndBack,
            who: Uuid::from_u128(7),
            friends: vec![Uuid::from_u128(8), Uuid::from_u128(9)],
            at: "1999-12-31T23:59:59.000001Z".parse().expect("a time"),
            on: "2026-11-21".parse().expect("a day"),
            state: json!({ "x": [1, null], "y": "z\u{1F375}" }),
            text: json!("a\\b"),
        }
    }

    #[tokio::test]
    async fn a_row_comes_back_from_the_database_as_it_was() {
        let database = daybook_test_postgres::database().await;
        let (client, connection) =
            tokio_postgres::connect(database.url(), tokio_postgres::NoTls).await.expect("PostgreSQL runs");
        tokio::spawn(connection);
        let table =
            "CREATE TEMP TABLE samples (id int8, small int4, tiny int2, yes bool, name text, way text, who uuid,
                         friends uuid[], at timestamptz, \"on\" date, state jsonb, text json)";
        client.batch_execute(table).await.expect("the table");
        let bare = Sample { id: 2, name: None, friends: Vec::new(), text: Value::Null, ..sample() };
        let mut tuples = Tuples::default();
        for row in [sample(), bare.clone()] {
            tuples.push(&Columns::of::<Sample>(TYPES.into_iter()), &row).expect("it can be written");
        }
        let sink = client.copy_in("COPY samples FROM STDIN (FORMAT binary)").await.expect("COPY");
        futures::pin_mut!(sink);
        futures::SinkExt::send(&mut sink, tuples.take()).await.expect("the rows are sent");
        assert_eq!(sink.finish().await.expect("the rows are taken"), 2);
        assert!(tuples.is_empty());

        let rows =
            client.query("SELECT to_json(s), text IS NULL FROM samples s ORDER BY id DESC", &[]).await.expect("rows");
        let read = |row: &tokio_postgres::Row| -> (Sample, bool) {
            let tokio_postgres::types::Json(sample) = row.get(0);
            (sample, row.get(1))
        };
        assert_eq!(rows.iter().map(read).collect::<Vec<_>>(), [(sample(), false), (bare, true)]);
    }

    #[test]
    fn fields_that_do_not_stand_as_their_columns_do_are_refused() {
        let mut swapped = Columns::of::<Sample>(TYPES.into_iter());
        swapped.0.swap(0, 1);
        let refused = Tuples::default().push(&swapped, &sample()).expect_err("id stands where small does");
        assert_eq!(refused.to_string(), "the field `id` does not stand where its column does");
        let few = Columns::of::<Sample>(TYPES.into_iter().take(3));
        let refused = Tuples::default().push(&few, &sample()).expect_err("columns are missing");
        assert_eq!(refused.to_string(), "a row of 12 fields and 3 columns");
    }

    #[test]
    fn what_a_column_cannot_take_is_refused() {
        for (at, of, why) in [
            (0, Type::INT4, "out of range integral type conversion attempted"),
            (3, Type::TEXT, "cannot convert between the Rust type `bool` and the Postgres type `text`"),
            (6, Type::INT8, "bytes do not go into a column of type int8"),
            (4, Type::DATE, "input contains invalid characters"),
        ] {
            let mut columns = Columns::of::<Sample>(TYPES.into_iter());
            columns.0[at].1 = of;
            let refused = Tuples::default().push(&columns, &sample()).expect_err("another type");
            assert_eq!(refused.to_string(), why);
        }
    }
}
