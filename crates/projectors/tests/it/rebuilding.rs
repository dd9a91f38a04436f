//! Rebuilding a view beside its old version, while others read and write.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use daybook_event_store::Daybook;
use daybook_projectors::{
    audit, rebuild,
    registry::{self, shown_version},
    views,
};
use daybook_test_postgres::TestDatabase;
use serde_json::json;
use tokio::{
    sync::Notify,
    task::{JoinSet, block_in_place},
};

use crate::{
    facts::{claim, customer, day, imported, order, received},
    world::{PARTITIONS, PATIENCE, Running, Writer, assert_views_equal, book, has_passed, topology, until, world},
};

/// The most events of one batch of a rebuild.
const BATCH: i64 = 5_000;

pub(crate) async fn version(book: &Daybook, view: &str) -> Option<i32> {
    let view = views::named(view).expect("the view exists");
    shown_version(book, view).await.expect("the database answers")
}

async fn rebuild_view(book: &Daybook, view: &str) -> i32 {
    rebuild_view_while(book, view, || {}).await
}

/// Rebuilds a view, and calls a function whenever the rebuild reports its progress.
async fn rebuild_view_while(book: &Daybook, view: &str, meanwhile: impl Fn() + Send + Sync) -> i32 {
    let view = views::named(view).expect("the view exists");
    let done = Mutex::new(0);
    let bounded = move |now: i64, of: i64| {
        let mut last = done.lock().expect("no panic");
        assert!(now - *last <= BATCH || of == 1, "one batch from {last} to {now}", last = *last);
        *last = now;
        meanwhile();
    };
    rebuild::rebuild(book, &topology(), view, &bounded).await.expect("the view can be rebuilt")
}

/// A book that is longer than two batches of a rebuild.
async fn long_book() -> (TestDatabase, Daybook, Writer) {
    let (database, book) = book().await;
    let mut writer = Writer::of(&book).await;
    writer.write(&day(0, 1_700)).await;
    assert!(book.head().await.expect("the database answers").position > 2 * BATCH);
    (database, book, writer)
}

pub(crate) async fn build_all(book: &Daybook) {
    for view in views::ALL {
        rebuild::build_if_missing(book, &topology(), view).await.expect("the view can be built");
    }
}

/// The PostgreSQL schemas of a view, one for each version.
async fn schemas(database: &TestDatabase, view: &str) -> Vec<String> {
    let client = database.connect().await;
    let sql = "SELECT nspname::text FROM pg_namespace WHERE nspname ~ ('^' || $1 || '_v[0-9]+$') ORDER BY 1";
    let rows = client.query(sql, &[&view]).await.expect("the database answers");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Queries tables repeatedly. No query may fail, and none may show fewer rows than an earlier one.
fn read_repeatedly(database: &TestDatabase, queries: &Arc<AtomicUsize>) -> Running {
    let (database, queries) = (database.clone(), Arc::clone(queries));
    Running::start(|stop| async move {
        let client = database.connect().await;
        let tables = ["orders", "order_timeline", "stock", "sales_by_quarter_hour", "products"];
        let mut prepared = Vec::new();
        for table in tables {
            let sql = format!("SELECT count(*) FROM read.{table}");
            prepared.push((sql.clone(), client.prepare(&sql).await.expect("the view is shown"), 0));
        }
        while !stop.is_cancelled() {
            for (sql, statement, seen) in &mut prepared {
                // One statement is prepared once, and the other one each time.
                let rows: i64 = client.query_one(statement, &[]).await.expect("no query fails").get(0);
                assert!(rows >= *seen, "{sql}: {rows} after {seen}");
                let again: i64 = client.query_one(sql.as_str(), &[]).await.expect("no query fails").get(0);
                assert!(again >= rows, "{sql}: {again} after {rows}");
                *seen = again;
                queries.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
}

/// Reads its writes repeatedly. A view that has passed a position must show all orders up to there, in every version of the view.
fn read_with_tokens(database: &TestDatabase, book: &Daybook, queries: &Arc<AtomicUsize>) -> Running {
    let (database, book, queries) = (database.clone(), book.clone(), Arc::clone(queries));
    Running::start(|stop| async move {
        let client = database.connect().await;
        let written = "SELECT position, (SELECT count(*) FROM events e WHERE e.type = 'order.OrderPlaced' AND e.position <= head.position)
                       FROM head";
        while !stop.is_cancelled() {
            let row = client.query_one(written, &[]).await.expect("an answer");
            let (position, orders): (i64, i64) = (row.get(0), row.get(1));
            for (view, table) in [("order", "orders"), ("sales_by_day", "sales_orders")] {
                let began = Instant::now();
                while !has_passed(&book, view, position).await {
                    assert!(began.elapsed() < PATIENCE, "{view} has not passed {position}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                let sql = format!("SELECT count(*) FROM read.{table}");
                let shown: i64 = client.query_one(&sql, &[]).await.expect("no query fails").get(0);
                assert!(shown >= orders, "{view} shows {shown} of {orders} orders up to position {position}");
                queries.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
}

fn write_repeatedly(mut writer: Writer, first: usize, writes: &Arc<AtomicUsize>) -> Running<Writer> {
    let writes = Arc::clone(writes);
    Running::start(|stop| async move {
        let mut next = first;
        while !stop.is_cancelled() {
            writer.write(&day(next, 5)).await;
            next += 5;
            writes.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
        writer
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_rebuilt_while_they_are_written_and_read() {
    let mut world = world().await;
    world.writer.write(&day(0, 1_700)).await;
    let (relay, projectors) = (world.relay(), world.projectors("one"));
    world.views_are_up_to_date().await;
    let (queries, writes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let readers =
        [read_repeatedly(&world.database, &queries), read_with_tokens(&world.database, &world.book, &queries)];
    let writer = write_repeatedly(Writer::of(&world.book).await, 1_000_000, &writes);
    for view in ["order", "stock", "sales_by_day", "product"] {
        // The rebuild waits until other tasks have read and written, on every machine.
        let count = || [queries.load(Ordering::SeqCst), writes.load(Ordering::SeqCst)];
        let before = count();
        let wait_for_others = || {
            let began = Instant::now();
            while count().iter().zip(before).any(|(now, before)| *now == before) {
                assert!(began.elapsed() < PATIENCE, "{view}: no query or no write ends meanwhile");
                block_in_place(|| std::thread::sleep(Duration::from_millis(1)));
            }
        };
        assert_eq!(rebuild_view_while(&world.book, view, wait_for_others).await, 2);
        assert_eq!(version(&world.book, view).await, Some(2));
        assert_eq!(schemas(&world.database, view).await, [format!("{view}_v2")]);
    }
    let mut rebuilding = JoinSet::new();
    for view in views::ALL {
        let book = world.book.clone();
        rebuilding.spawn(async move { rebuild_view(&book, view.name).await });
    }
    while let Some(version) = rebuilding.join_next().await {
        assert!([2, 3].contains(&version.expect("no panic")), "the views are rebuilt at the same time");
    }
    writer.stop().await;
    for reader in readers {
        reader.stop().await;
    }
    world.views_are_up_to_date().await;
    world.assert_views_equal_the_book().await;
    let old = world.database.connect().await;
    let sql = "SELECT count(*) FROM consumer_checkpoints WHERE consumer IN ('order_v1', 'stock_v1')";
    let dropped = async || old.query_one(sql, &[]).await.expect("an answer").get::<_, i64>(0) == 0;
    until("the old checkpoints are dropped", dropped).await;
    projectors.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_killed_rebuild_leaves_the_view_unchanged_and_the_next_rebuild_completes() {
    let (database, book, mut writer) = long_book().await;
    build_all(&book).await;
    for round in 0..3 {
        // The kills come inside a transaction, and between two.
        let begun = Arc::new(Notify::new());
        let (notify, own) = (Arc::clone(&begun), book.clone());
        let task = tokio::spawn(async move {
            let view = views::named("order").expect("the view exists");
            rebuild::rebuild(&own, &topology(), view, &move |_, _| notify.notify_one()).await
        });
        begun.notified().await;
        for _ in 0..round * 3 {
            tokio::task::yield_now().await;
        }
        task.abort();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(version(&book, "order").await, Some(1));
        assert_views_equal(&book).await;
    }
    writer.write(&day(9_000, 10)).await;
    assert_eq!(rebuild_view(&book, "order").await, 2);
    assert_eq!(schemas(&database, "order").await, ["order_v2"]);
    assert_views_equal(&book).await;
    assert_eq!(rebuild_view(&book, "order").await, 3);
    assert_eq!(schemas(&database, "order").await, ["order_v3"]);
}

#[tokio::test]
async fn a_rebuild_waits_for_the_unfinished_swap_of_a_killed_one() {
    let (database, book) = book().await;
    build_all(&book).await;
    // The state after the kill: the guard is released, and PostgreSQL is about to commit the swap.
    let mut killed = database.connect().await;
    let swap = killed.transaction().await.expect("a transaction");
    let sql = "SELECT pg_advisory_xact_lock(x'76696577'::int, hashtext('stock'));
               CREATE SCHEMA stock_v2; UPDATE views SET version = 2 WHERE name = 'stock'";
    swap.batch_execute(sql).await.expect("the versions are swapped");
    let own = book.clone();
    let next = tokio::spawn(async move { rebuild_view(&own, "stock").await });
    let watching = database.connect().await;
    until("the next rebuild waits", async || {
        let sql = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                   WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted";
        watching.query_one(sql, &[]).await.expect("an answer").get::<_, i64>(0) == 1
    })
    .await;
    swap.commit().await.expect("the swap is committed");
    assert_eq!(next.await.expect("no panic"), 3, "the next rebuild makes a version of its own");
    assert_eq!(schemas(&database, "stock").await, ["stock_v3"]);
}

#[tokio::test]
async fn two_processes_that_start_together_build_each_view_once_and_set_its_checkpoints() {
    let (_database, book, _writer) = long_book().await;
    tokio::join!(build_all(&book), build_all(&book));
    let head = book.head().await.expect("an answer").position;
    for status in registry::status(&book, &views::ALL).await.expect("an answer") {
        assert_eq!(status.version, 1, "{}", status.name);
    }
    // The events of the build are not processed again.
    let client = book.pool().get().await.expect("a connection");
    let sql = "SELECT name, (SELECT count(*) FROM consumer_checkpoints c
                             WHERE c.consumer = v.name || '_v1' AND c.position = $1) FROM views v";
    for row in client.query(sql, &[&head]).await.expect("an answer") {
        assert_eq!(row.get::<_, i64>(1), i64::from(PARTITIONS), "view {}", row.get::<_, String>(0));
    }
    assert_views_equal(&book).await;
}

#[tokio::test]
async fn a_view_that_is_ahead_of_the_book_is_rebuilt_at_the_start() {
    let (database, book, _writer) = long_book().await;
    build_all(&book).await;
    // The state after a restore of the book without the tables of this view.
    let client = database.connect().await;
    client
        .batch_execute(
            "UPDATE consumer_checkpoints SET position = position + 7 WHERE consumer = 'stock_v1' AND partition = 0;
             UPDATE stock_v1.stock SET on_hand = on_hand + 1",
        )
        .await
        .expect("an answer");
    build_all(&book).await;
    assert_eq!((version(&book, "stock").await, version(&book, "order").await), (Some(2), Some(1)));
    assert_views_equal(&book).await;
}

#[tokio::test]
async fn a_built_view_rounds_times_as_a_view_that_processes_events() {
    let (_database, book) = book().await;
    // These times are finer than a column stores, and one is half-way between two stored times.
    let times = ["2026-03-02T00:30:00.1234567Z", "2026-03-02T00:30:00.1234565Z", "2026-03-02T23:59:59.9999999Z"];
    let mut facts = vec![received("oat", 100)];
    for (nr, at) in (1..).zip(times) {
        facts.push(imported(nr, &json!({ "customer_id": customer("ann"), "placed_at": at })));
        facts.push(claim("inventory.StockReserved", "oat", nr, 1, &json!({ "expires_at": at })));
    }
    Writer::of(&book).await.write(&facts).await;
    build_all(&book).await;
    for view in ["order", "stock", "sales_by_day"] {
        let view = views::named(view).expect("the view exists");
        let audit = audit::verify(&book, &topology(), view).await.expect("the view can be compared");
        assert_eq!((audit.first, audit.checked > 0), (None, true), "{}", view.name);
    }
}

#[tokio::test]
async fn two_rebuilds_of_one_view_run_one_after_the_other() {
    let (database, book, _writer) = long_book().await;
    build_all(&book).await;
    let (one, other) = tokio::join!(rebuild_view(&book, "stock"), rebuild_view(&book, "stock"));
    assert_eq!((one.min(other), one.max(other)), (2, 3));
    assert_eq!(schemas(&database, "stock").await, ["stock_v3"]);
    assert_views_equal(&book).await;
}

#[tokio::test]
async fn a_slow_reader_delays_the_swap_but_no_other_reader() {
    let (database, book, _writer) = long_book().await;
    build_all(&book).await;
    let mut slow = database.connect().await;
    let reading = slow.transaction().await.expect("an answer");
    reading.query_one("SELECT count(*) FROM read.stock", &[]).await.expect("an answer");
    let queries = Arc::new(AtomicUsize::new(0));
    let reader = read_repeatedly(&database, &queries);
    let own = book.clone();
    let rebuilding = tokio::spawn(async move { rebuild_view(&own, "stock").await });
    let waits = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let observer = database.connect().await;
    until("the swap waits", async || observer.query_one(waits, &[]).await.expect("an answer").get(0)).await;
    let seen = queries.load(Ordering::SeqCst);
    until("other queries are answered", async || queries.load(Ordering::SeqCst) > seen + 50).await;
    assert!(!rebuilding.is_finished());
    reading.commit().await.expect("an answer");
    assert_eq!(rebuilding.await.expect("no panic"), 2);
    reader.stop().await;
    assert_views_equal(&book).await;
}

#[tokio::test]
async fn rows_that_do_not_fit_in_memory_are_written_and_read_again() {
    let (database, book, mut writer) = long_book().await;
    // Later events change earlier rows: orders change, sums grow and reservations end.
    let later = (0..1_700).filter(|nr| nr % 3 != 0).flat_map(|nr| {
        let sku = format!("sku{}", nr % 11);
        [
            order("order.OrderConfirmed", nr, &json!({})),
            claim("inventory.ReservationCommitted", &sku, nr, 1, &json!({})),
        ]
    });
    writer.write(&later.collect::<Vec<_>>()).await;
    build_all(&book).await;
    for view in views::ALL {
        let version = rebuild::rebuild_within(&book, &topology(), view, 1, &|_, _| {}).await;
        assert_eq!(version.expect("the view can be rebuilt"), 2, "{}", view.name);
    }
    assert_views_equal(&book).await;
    let client = database.connect().await;
    for view in views::ALL {
        let sql = "SELECT array_agg(regexp_replace(indexdef, '_v[0-9]+\\.', '.') ORDER BY indexname)
                   FROM pg_indexes WHERE schemaname = $1";
        let rebuilt: Vec<String> = client.query_one(sql, &[&view.versioned(2)]).await.expect("an answer").get(0);
        let create = format!("CREATE SCHEMA fresh; SET search_path = fresh; {} SET search_path = public", view.ddl());
        client.batch_execute(&create).await.expect("the tables can be created");
        let fresh: Vec<String> = client.query_one(sql, &[&"fresh"]).await.expect("an answer").get(0);
        let of_view = |index: &String| index.replace("fresh.", &format!("{}.", view.name));
        assert_eq!(rebuilt, fresh.iter().map(of_view).collect::<Vec<_>>(), "every index of {} exists", view.name);
        client.batch_execute("DROP SCHEMA fresh CASCADE").await.expect("the schema can be dropped");
    }
}
