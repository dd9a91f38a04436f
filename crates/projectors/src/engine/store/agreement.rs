//! The declaration of a row, PostgreSQL and serde agree: tests of tables, with a real PostgreSQL.

use std::collections::BTreeSet;

use futures::SinkExt;
use serde_json::Value;
use tokio_postgres::{Client, types::Json};

use super::{Row, copy::Tuples};

/// Makes the table of a row and fills it with rows, which are sorted by key, in both ways: by COPY and as JSON. Asserts that both
/// ways store the same, and that the rows come back as they were.
pub(crate) async fn assert_agreement<R: Row>(client: &Client, rows: &[R]) {
    let (table, columns) = (R::TABLE.name, R::TABLE.column_list());
    client.batch_execute(&R::TABLE.ddl()).await.expect("the table can be made");

    let mut tuples = Tuples::default();
    for row in rows {
        tuples.push(row).expect("it can be written");
    }
    let copy = format!("COPY {table} ({columns}) FROM STDIN (FORMAT binary)");
    let sink = client.copy_in(&copy).await.expect("COPY begins");
    futures::pin_mut!(sink);
    sink.send(tuples.take()).await.expect("the rows are sent");
    assert_eq!(usize::try_from(sink.finish().await.expect("the rows fit the table")), Ok(rows.len()), "{table}");
    assert!(tuples.is_empty());
    let copied = stored::<R>(client).await;

    client.batch_execute(&format!("TRUNCATE {table}")).await.expect("it is emptied");
    let insert =
        format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::{table}, $1)");
    client.execute(&insert, &[&Json(rows)]).await.expect("the rows fit the table");
    assert_eq!(copied, stored::<R>(client).await, "{table}: COPY and JSON");

    assert_eq!(copied.iter().map(|(row, _)| row).collect::<Vec<_>>(), rows.iter().collect::<Vec<_>>(), "{table}");
    assert_columns::<R>(client, rows).await;
}

/// The rows of a table, by key, each also as text.
async fn stored<R: Row>(client: &Client) -> Vec<(R, String)> {
    let (table, key) = (R::TABLE.name, R::TABLE.key_list());
    let sql = format!("SELECT to_json(t), t::text FROM {table} AS t ORDER BY {key}");
    let rows = client.query(&sql, &[]).await.expect("the rows can be read");
    let read = |row: &tokio_postgres::Row| {
        let Json(stored) = row.get(0);
        (stored, row.get(1))
    };
    rows.iter().map(read).collect()
}

/// The table has the columns that are declared, and serde writes a member for each that is written.
async fn assert_columns<R: Row>(client: &Client, rows: &[R]) {
    let table = R::TABLE.name;
    let sql = format!("SELECT to_json(t) FROM {table} AS t LIMIT 1");
    let stored: Value = client.query_one(&sql, &[]).await.expect("there are rows").get(0);
    let generated: BTreeSet<_> = R::TABLE.generated.iter().map(|column| column.name).collect();
    let made: BTreeSet<_> = members(&stored).difference(&generated).copied().collect();
    let declared: BTreeSet<_> = R::TABLE.written().map(|column| column.name).collect();
    assert_eq!((declared.len(), &declared), (R::TABLE.width(), &made), "{table}: SQL");
    for row in rows {
        let written = serde_json::to_value(row).expect("JSON");
        assert_eq!(declared, members(&written), "{table}: serde");
        let key = serde_json::to_value(row.key()).expect("JSON");
        assert_eq!(
            R::TABLE.key.iter().map(|column| column.name).collect::<BTreeSet<_>>(),
            members(&key),
            "{table}: key"
        );
    }
}

fn members(object: &Value) -> BTreeSet<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

mod tests {
    use chrono::{DateTime, NaiveDate, Utc};
    use daybook_domain::{
        Currency,
        ids::{CartId, CategoryId, CustomerId, OrderId, ProductId, ReservationId, Sku},
        order::Phase,
    };
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::assert_agreement;
    use crate::engine::store::Row;

    crate::row! {
        /// A column of every kind of type.
        struct Sample in samples {
            key SampleKey { id: i64, tiny: i16 }
            small: i32,
            yes: bool,
            name: Option<String>,
            direction: Direction,
            who: Uuid,
            cart_id: CartId,
            customer_id: Option<CustomerId>,
            order_id: OrderId,
            product_id: ProductId,
            reservation_id: ReservationId,
            sku: Sku,
            currency: Currency,
            phase: Phase,
            friends: Vec<Uuid>,
            category_ids: Vec<CategoryId>,
            words: Vec<String>,
            at: DateTime<Utc>,
            day: NaiveDate,
            r#type: String,
            state: Value as jsonb,
            more_state: Option<Value> as jsonb,
            text: Value as json,
            more_text: Option<Value> as json,
        }
        generated { shout: "text" = "upper(type)" }
        indexes { "(small, tiny) INCLUDE (yes) WHERE name IS NOT NULL" }
    }

    crate::labels! {
        enum Direction {
            ThereAndBack = "there_and_back",
        }
    }

    fn sample(id: i64, phase: Phase) -> Sample {
        Sample {
            id,
            tiny: -3,
            small: -2,
            yes: true,
            name: Some("a\tb\nc\\d\"e\rf".to_owned()),
            direction: Direction::ThereAndBack,
            who: Uuid::from_u128(7),
            cart_id: CartId(Uuid::from_u128(10)),
            customer_id: Some(CustomerId(Uuid::from_u128(11))),
            order_id: OrderId(Uuid::from_u128(12)),
            product_id: ProductId(Uuid::from_u128(13)),
            reservation_id: ReservationId(Uuid::from_u128(14)),
            sku: "oat/ü".parse().expect("a SKU"),
            currency: "EUR".parse().expect("a currency"),
            phase,
            friends: vec![Uuid::from_u128(8), Uuid::from_u128(9)],
            category_ids: vec![CategoryId(Uuid::from_u128(15))],
            words: vec![String::new(), "a,b".to_owned(), "{\"".to_owned()],
            at: "1999-12-31T23:59:59.000001Z".parse().expect("a time"),
            day: "2026-11-21".parse().expect("a day"),
            r#type: "t\u{1F375}".to_owned(),
            state: json!({ "x": [1, null], "y": "z\u{1F375}" }),
            more_state: Some(json!([])),
            text: json!("a\\b"),
            more_text: Some(json!("null")),
        }
    }

    fn bare(id: i64) -> Sample {
        Sample {
            yes: false,
            name: None,
            customer_id: None,
            friends: Vec::new(),
            category_ids: Vec::new(),
            words: Vec::new(),
            more_state: None,
            more_text: None,
            ..sample(id, Phase::Placed)
        }
    }

    #[tokio::test]
    async fn a_row_of_every_type_comes_back_from_the_database_as_it_was() {
        let database = daybook_test_postgres::database().await;
        let client = database.connect().await;
        let mut rows: Vec<_> = (1 << 40..).zip(Phase::ALL).map(|(id, phase)| sample(id, phase)).collect();
        rows.insert(0, bare(i64::MIN));
        assert_agreement(&client, &rows).await;
        let nulls = "SELECT count(*) FROM samples WHERE num_nulls(name, customer_id, more_state, more_text) = 4";
        assert_eq!(client.query_one(nulls, &[]).await.expect("an answer").get::<_, i64>(0), 1, "null is NULL");
    }

    #[test]
    fn types_and_nullability_follow_from_the_fields() {
        let declared = Sample::TABLE
            .written()
            .map(|column| format!("{} {}{}", column.name, column.sql, if column.nullable { "?" } else { "" }));
        assert_eq!(
            declared.collect::<Vec<_>>(),
            [
                "id bigint",
                "tiny smallint",
                "small integer",
                "yes boolean",
                "name text?",
                "direction text",
                "who uuid",
                "cart_id uuid",
                "customer_id uuid?",
                "order_id uuid",
                "product_id uuid",
                "reservation_id uuid",
                "sku text",
                "currency text",
                "phase text",
                "friends uuid[]",
                "category_ids uuid[]",
                "words text[]",
                "at timestamptz",
                "day date",
                "type text",
                "state jsonb",
                "more_state jsonb?",
                "text json",
                "more_text json?",
            ]
        );
    }
}
