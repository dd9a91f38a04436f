//! Given events, a view that has processed them must show these rows. It uses the real store, in a transaction that is rolled back.

use chrono::{DateTime, TimeDelta, Utc};
use daybook_event_store::{Daybook, RecordedEvent};
use daybook_event_stream::{Effect, SharedEvent};
use daybook_projectors::{projection::Projection, rebuild, view::ViewSpec, views};
use daybook_test_postgres::TestDatabase;
use deadpool_postgres::Transaction;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    facts::Fact,
    world::{book, topology},
};

/// The first version of every view, empty.
pub(crate) struct Stage {
    pub(crate) book: Daybook,
    pub(crate) database: TestDatabase,
}

pub(crate) async fn stage() -> Stage {
    let (database, book) = book().await;
    for view in views::ALL {
        rebuild::build_if_missing(&book, &topology(), view).await.expect("the view can be built");
    }
    Stage { book, database }
}

/// The events as a book has them: the first one at noon of 1 March 2026, and then one a minute.
pub(crate) fn recorded(facts: &[Fact]) -> Vec<RecordedEvent> {
    let noon: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().expect("a time");
    let mut versions = std::collections::HashMap::new();
    let record = |(position, fact): (i64, &Fact)| {
        let version = versions.entry(fact.stream.clone()).or_insert(0);
        *version += 1;
        let (id, at) = (Uuid::from_u64_pair(1, position.unsigned_abs()), noon + TimeDelta::minutes(position - 1));
        RecordedEvent {
            position,
            stream_id: fact.stream.clone(),
            version: *version,
            event_type: fact.event.type_name().to_owned(),
            schema_version: fact.event.schema_version(),
            event_id: id,
            recorded_at: at,
            effective_at: at,
            correlation_id: id,
            causation_id: id,
            actor: "support:sam".to_owned(),
            trace: None,
            key_id: None,
            data: daybook_codec::encode(&fact.event).expect("an object").data,
        }
    };
    (1..).zip(facts).map(record).collect()
}

pub(crate) async fn apply(transaction: &Transaction<'_>, view: &'static ViewSpec, events: &[RecordedEvent]) {
    let events: Vec<SharedEvent> = events.iter().cloned().map(Into::into).collect();
    Projection::new(view, 1).apply(transaction, &events).await.expect("the events can be processed");
}

impl Stage {
    /// The answers of queries on a view's tables after it has processed these batches. The transaction is rolled back.
    async fn answers(&self, view: &'static ViewSpec, batches: &[&[RecordedEvent]], queries: &[String]) -> Vec<Value> {
        let mut client = self.book.pool().get().await.expect("a connection");
        let transaction = client.transaction().await.expect("the database answers");
        for batch in batches {
            apply(&transaction, view, batch).await;
        }
        let schema = view.versioned(1);
        transaction.batch_execute(&format!("SET LOCAL search_path = {schema}")).await.expect("the schema exists");
        let mut answers = Vec::new();
        for query in queries {
            let sql = format!("SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM ({query}) AS q");
            answers.push(transaction.query_one(&sql, &[]).await.expect("the query is valid").get(0));
        }
        transaction.rollback().await.expect("the transaction is rolled back");
        answers
    }

    /// Asserts the answer of a query after these facts, and that the tables do not depend on the batches.
    pub(crate) async fn shows(&self, name: &str, facts: &[Fact], query: &str, expected: Value) {
        let (view, events) = (views::named(name).expect("the view exists"), recorded(facts));
        let answer = self.answers(view, &[&events], &[query.to_owned()]).await.remove(0);
        assert_eq!(answer, expected, "{name}: {query}");
        self.assert_batches_do_not_matter(name, facts).await;
    }

    /// Asserts that one batch, batches of every size, and any two batches give the same rows.
    pub(crate) async fn assert_batches_do_not_matter(&self, name: &str, facts: &[Fact]) {
        let (view, events) = (views::named(name).expect("the view exists"), recorded(facts));
        let tables: Vec<_> =
            view.tables.iter().map(|table| format!("SELECT t::text FROM {} t ORDER BY 1", table.name)).collect();
        let whole = self.answers(view, &[&events], &tables).await;
        for size in 1..events.len() {
            let batches: Vec<_> = events.chunks(size).collect();
            assert_eq!(self.answers(view, &batches, &tables).await, whole, "{name} in batches of {size}");
            let (first, second) = events.split_at(size);
            assert_eq!(self.answers(view, &[first, second], &tables).await, whole, "{name} cut at {size}");
        }
    }
}
