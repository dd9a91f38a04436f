//! Rebuilding: beside the old version, and nobody who reads or writes meanwhile notices.

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

/// The most events that a rebuild may fold at once.
const BATCH: i64 = 5_000;

pub(crate) async fn version(book: &Daybook, view: &str) -> Option<i32> {
    let view = views::named(view).expect("there is such a view");
    shown_version(book, view).await.expect("the database answers")
}

async fn rebuild_view(book: &Daybook, view: &str) -> i32 {
    rebuild_view_while(book, view, || {}).await
}

/// Rebuilds a view, and calls a function whenever the rebuild says how far it is.
async fn rebuild_view_while(book: &Daybook, view: &str, meanwhile: impl Fn() + Send + Sync) -> i32 {
    let view = views::named(view).expect("there is such a view");
    let done = Mutex::new(0);
    let bounded = move |now: i64, of: i64| {
        let mut last = done.lock().expect("no panic");
        assert!(now - *last <= BATCH || of == 1, "from {last} to {now} at once", last = *last);
        *last = now;
        meanwhile();
    };
    rebuild::rebuild(book, &topology(), view, &bounded).await.expect("it can be rebuilt")
}

/// A book that is longer than two batches of a rebuild, and all its views.
async fn long_book() -> (TestDatabase, Daybook, Writer) {
    let (database, book) = book().await;
    let mut writer = Writer::of(&book).await;
    writer.write(&day(0, 1_700)).await;
    assert!(book.head().await.expect("the database answers").position > 2 * BATCH);
    (database, book, writer)
}

pub(crate) async fn build_all(book: &Daybook) {
    for view in views::ALL {
        rebuild::build_if_missing(book, &topology(), view).await.expect("it can be built");
    }
}

/// The schemas of versions of a view.
async fn schemas(database: &TestDatabase, view: &str) -> Vec<String> {
    let client = database.connect().await;
    let sql = "SELECT nspname::text FROM pg_namespace WHERE nspname ~ ('^' || $1 || '_v[0-9]+$') ORDER BY 1";
    let rows = client.query(sql, &[&view]).await.expect("the database answers");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Queries tables again and again: none may fail, and none may ever show fewer rows than before.
fn read_all_the_time(database: &TestDatabase, queries: &Arc<AtomicUsize>) -> Running {
    let (database, queries) = (database.clone(), Arc::clone(queries));
    Running::start(|stop| async move {
        let client = database.connect().await;
        let tables = ["orders", "order_timeline", "stock", "sales_by_day", "products"];
        let mut prepared = Vec::new();
        for table in tables {
            let sql = format!("SELECT count(*) FROM read.{table}");
            prepared.push((sql.clone(), client.prepare(&sql).await.expect("it is shown"), 0));
        }
        while !stop.is_cancelled() {
            for (sql, statement, seen) in &mut prepared {
                // Those who prepare a statement once, and those who do so every time.
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

/// Reads what it has seen written, by its position, again and again: once a view says that it has passed a position, it shows all
/// orders up to there, whichever version it is.
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

fn write_all_the_time(mut writer: Writer, first: usize, writes: &Arc<AtomicUsize>) -> Running<Writer> {
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
        [read_all_the_time(&world.database, &queries), read_with_tokens(&world.database, &world.book, &queries)];
    let writer = write_all_the_time(Writer::of(&world.book).await, 1_000_000, &writes);
    for view in ["order", "stock", "sales_by_day", "product"] {
        // However fast the rebuild is, others read and write while it is under way.
        let count = || [queries.load(Ordering::SeqCst), writes.load(Ordering::SeqCst)];
        let before = count();
        let others_go_on = || {
            let began = Instant::now();
            while count().iter().zip(before).any(|(now, before)| *now == before) {
                assert!(began.elapsed() < PATIENCE, "{view}: no query or no write ends meanwhile");
                block_in_place(|| std::thread::sleep(Duration::from_millis(1)));
            }
        };
        assert_eq!(rebuild_view_while(&world.book, view, others_go_on).await, 2);
        assert_eq!(version(&world.book, view).await, Some(2));
        assert_eq!(schemas(&world.database, view).await, [format!("{view}_v2")]);
    }
    let mut rebuilding = JoinSet::new();
    for view in views::ALL {
        let book = world.book.clone();
        rebuilding.spawn(async move { rebuild_view(&book, view.name).await });
    }
    while let Some(version) = rebuilding.join_next().await {
        assert!([2, 3].contains(&version.expect("no panic")), "all at once, beside each other");
    }
    writer.stop().await;
    for reader in readers {
        reader.stop().await;
    }
    world.views_are_up_to_date().await;
    world.assert_views_equal_the_book().await;
    let old = world.database.connect().await;
    let sql = "SELECT count(*) FROM consumer_checkpoints WHERE consumer IN ('order_v1', 'stock_v1')";
    let given_up = async || old.query_one(sql, &[]).await.expect("an answer").get::<_, i64>(0) == 0;
    until("the old places are given up", given_up).await;
    projectors.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_rebuild_that_is_killed_leaves_the_view_as_it_was_and_the_next_one_completes() {
    let (database, book, mut writer) = long_book().await;
    build_all(&book).await;
    for round in 0..3 {
        // In the middle of a transaction, and between two.
        let begun = Arc::new(Notify::new());
        let (told, own) = (Arc::clone(&begun), book.clone());
        let task = tokio::spawn(async move {
            let view = views::named("order").expect("there is such a view");
            rebuild::rebuild(&own, &topology(), view, &move |_, _| told.notify_one()).await
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
async fn the_swap_of_a_killed_rebuild_that_is_still_on_its_way_to_the_disk_is_waited_for() {
    let (database, book) = book().await;
    build_all(&book).await;
    // As far as the killed one has come: its guard is gone, and PostgreSQL is about to commit what it has sent last.
    let mut left = database.connect().await;
    let swap = left.transaction().await.expect("a transaction");
    let sql = "SELECT pg_advisory_xact_lock(x'76696577'::int, hashtext('stock'));
               CREATE SCHEMA stock_v2; UPDATE views SET version = 2 WHERE name = 'stock'";
    swap.batch_execute(sql).await.expect("it swaps");
    let own = book.clone();
    let next = tokio::spawn(async move { rebuild_view(&own, "stock").await });
    let watching = database.connect().await;
    until("the next one waits", async || {
        let sql = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                   WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted";
        watching.query_one(sql, &[]).await.expect("an answer").get::<_, i64>(0) == 1
    })
    .await;
    swap.commit().await.expect("it is on the disk");
    assert_eq!(next.await.expect("no panic"), 3, "what is shown now is not built upon");
    assert_eq!(schemas(&database, "stock").await, ["stock_v3"]);
}

#[tokio::test]
async fn two_processes_that_start_at_once_build_each_view_once_and_take_its_place_in_the_stream() {
    let (_database, book, _writer) = long_book().await;
    tokio::join!(build_all(&book), build_all(&book));
    let head = book.head().await.expect("an answer").position;
    for status in registry::status(&book, &views::ALL).await.expect("an answer") {
        assert_eq!(status.version, 1, "{}", status.name);
    }
    // What was built is not taken in once more.
    let client = book.pool().get().await.expect("a connection");
    let sql = "SELECT name, (SELECT count(*) FROM consumer_checkpoints c
                             WHERE c.consumer = v.name || '_v1' AND c.position = $1) FROM views v";
    for row in client.query(sql, &[&head]).await.expect("an answer") {
        assert_eq!(row.get::<_, i64>(1), i64::from(PARTITIONS), "view {}", row.get::<_, String>(0));
    }
    assert_views_equal(&book).await;
}

#[tokio::test]
async fn a_view_that_shows_more_than_the_book_has_is_built_anew_at_the_start() {
    let (database, book, _writer) = long_book().await;
    build_all(&book).await;
    // As when the book was set back, and the tables of this view were not.
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
async fn a_view_that_is_built_keeps_times_as_one_that_takes_events_in() {
    let (_database, book) = book().await;
    // Finer than a column keeps, and half-way between two of its times.
    let times = ["2026-03-02T00:30:00.1234567Z", "2026-03-02T00:30:00.1234565Z", "2026-03-02T23:59:59.9999999Z"];
    let mut facts = vec![received("oat", 100)];
    for (nr, at) in (1..).zip(times) {
        facts.push(imported(nr, &json!({ "customer_id": customer("ann"), "placed_at": at })));
        facts.push(claim("inventory.StockReserved", "oat", nr, 1, &json!({ "expires_at": at })));
    }
    Writer::of(&book).await.write(&facts).await;
    build_all(&book).await;
    for view in ["order", "stock", "sales_by_day"] {
        let view = views::named(view).expect("there is such a view");
        let audit = audit::verify(&book, &topology(), view).await.expect("it can be compared");
        assert_eq!((audit.first, audit.checked > 0), (None, true), "{}", view.name);
    }
}

#[tokio::test]
async fn two_rebuilds_of_one_view_take_turns() {
    let (database, book, _writer) = long_book().await;
    build_all(&book).await;
    let (one, other) = tokio::join!(rebuild_view(&book, "stock"), rebuild_view(&book, "stock"));
    assert_eq!((one.min(other), one.max(other)), (2, 3));
    assert_eq!(schemas(&database, "stock").await, ["stock_v3"]);
    assert_views_equal(&book).await;
}

#[tokio::test]
async fn a_reader_who_takes_long_holds_up_the_swap_but_no_other_reader() {
    let (database, book, _writer) = long_book().await;
    build_all(&book).await;
    let mut slow = database.connect().await;
    let reading = slow.transaction().await.expect("an answer");
    reading.query_one("SELECT count(*) FROM read.stock", &[]).await.expect("an answer");
    let queries = Arc::new(AtomicUsize::new(0));
    let reader = read_all_the_time(&database, &queries);
    let own = book.clone();
    let rebuilding = tokio::spawn(async move { rebuild_view(&own, "stock").await });
    let waits = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let observer = database.connect().await;
    until("the swap waits", async || observer.query_one(waits, &[]).await.expect("an answer").get(0)).await;
    let seen = queries.load(Ordering::SeqCst);
    until("others go on reading", async || queries.load(Ordering::SeqCst) > seen + 50).await;
    assert!(!rebuilding.is_finished());
    reading.commit().await.expect("an answer");
    assert_eq!(rebuilding.await.expect("no panic"), 2);
    reader.stop().await;
    assert_views_equal(&book).await;
}

#[tokio::test]
async fn rows_that_do_not_fit_in_memory_are_written_and_found_again() {
    let (database, book, mut writer) = long_book().await;
    // What they knew of earlier is touched again: rows change, sums grow, claims end.
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
        assert_eq!(version.expect("it can be rebuilt"), 2, "{}", view.name);
    }
    assert_views_equal(&book).await;
    let client = database.connect().await;
    for view in views::ALL {
        let sql = "SELECT array_agg(regexp_replace(indexdef, '_v[0-9]+\\.', '.') ORDER BY indexname)
                   FROM pg_indexes WHERE schemaname = $1";
        let rebuilt: Vec<String> = client.query_one(sql, &[&view.versioned(2)]).await.expect("an answer").get(0);
        let make = format!("CREATE SCHEMA fresh; SET search_path = fresh; {} SET search_path = public", view.ddl());
        client.batch_execute(&make).await.expect("tables can be made");
        let fresh: Vec<String> = client.query_one(sql, &[&"fresh"]).await.expect("an answer").get(0);
        let of_view = |index: &String| index.replace("fresh.", &format!("{}.", view.name));
        assert_eq!(rebuilt, fresh.iter().map(of_view).collect::<Vec<_>>(), "every index of {} is there", view.name);
        client.batch_execute("DROP SCHEMA fresh CASCADE").await.expect("they can be dropped");
    }
}
