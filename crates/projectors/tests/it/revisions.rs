//! Programs with different revisions of a view run side by side, as during an upgrade.

use daybook_event_store::Daybook;
use daybook_projectors::{audit, registry, views};
use daybook_test_postgres::TestDatabase;

use crate::{
    facts::day,
    rebuilding::{build_all, version},
    world::{has_passed, topology, until, world},
};

/// Makes `stock` look as if a program with another revision had built it. Its table has a column that this program does not know.
async fn as_built_by_another_program(database: &TestDatabase, revision: &str) {
    let sql = format!(
        "ALTER TABLE stock_v1.stock ADD COLUMN shelf text;
         UPDATE views SET revision = {revision} WHERE name = 'stock'"
    );
    database.connect().await.batch_execute(&sql).await.expect("an answer");
}

async fn first_finding_in_stock(book: &Daybook) -> Option<String> {
    let stock = views::named("stock").expect("the view exists");
    audit::verify(book, &topology(), stock).await.expect("an answer").first
}

/// The finding of an audit on a revision that is `ahead` of this program's.
fn other_revision_is_shown(ahead: i32) -> String {
    let known = views::named("stock").expect("the view exists").revision;
    format!("revision {} is shown, and this program knows revision {known}", known + ahead)
}

#[tokio::test]
async fn a_view_of_an_earlier_revision_is_rebuilt_beside_the_shown_one() {
    let mut world = world().await;
    world.writer.write(&day(0, 30)).await;
    build_all(&world.book).await;
    let client = world.database.connect().await;
    client.batch_execute("TRUNCATE stock_v1.stock").await.expect("an answer");
    as_built_by_another_program(&world.database, "revision - 1").await;
    assert_eq!(first_finding_in_stock(&world.book).await, Some(other_revision_is_shown(-1)));
    let (relay, one, two) = (world.relay(), world.projectors("one"), world.projectors("two"));
    world.writer.write(&day(30, 30)).await;
    world.views_are_up_to_date().await;
    until("the view is rebuilt", async || version(&world.book, "stock").await == Some(2)).await;
    assert_eq!((version(&world.book, "stock").await, version(&world.book, "order").await), (Some(2), Some(1)));
    world.writer.write(&day(60, 30)).await;
    world.views_are_up_to_date().await;
    world.assert_views_equal_the_book().await;
    one.stop().await;
    two.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_view_of_a_later_revision_is_not_changed_by_an_earlier_program() {
    let mut world = world().await;
    world.writer.write(&day(0, 30)).await;
    build_all(&world.book).await;
    let (relay, projectors) = (world.relay(), world.projectors("one"));
    world.views_are_up_to_date().await;
    as_built_by_another_program(&world.database, "revision + 1").await;
    assert_eq!(first_finding_in_stock(&world.book).await, Some(other_revision_is_shown(1)));
    let before = world.book.head().await.expect("an answer").position;
    world.writer.write(&day(30, 30)).await;
    let head = world.book.head().await.expect("an answer").position;
    until("the other views continue", async || has_passed(&world.book, "order", head).await).await;
    let status = registry::status(&world.book, &views::ALL).await.expect("an answer");
    let stock = status.iter().find(|view| view.name == "stock").expect("the view is listed");
    assert_eq!((stock.version, stock.position <= before), (1, true), "the view has processed no event");
    let back =
        "ALTER TABLE stock_v1.stock DROP COLUMN shelf; UPDATE views SET revision = revision - 1 WHERE name = 'stock'";
    world.database.connect().await.batch_execute(back).await.expect("an answer");
    world.views_are_up_to_date().await;
    world.assert_views_equal_the_book().await;
    projectors.stop().await;
    relay.stop().await;
}
