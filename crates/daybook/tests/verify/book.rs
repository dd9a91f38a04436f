//! Corruptions of the book.

use uuid::Uuid;

use crate::shop::{Shop, WIRE, failures, shop};

const COMMANDS: &str = "every event belongs to one acknowledged command";
const POSITIONS: &str = "positions are gapless and end at the head";
const MONEY: &str = "the money of every order adds up";

#[tokio::test(flavor = "multi_thread")]
async fn every_corruption_of_the_book_is_named() {
    let shop = shop().await;
    assert_a_lost_event_is_named(&shop).await;
    assert_a_wrong_head_is_named(&shop).await;
    assert_a_broken_order_is_named(&shop).await;
    assert_an_unreadable_event_is_named(&shop).await;
    assert_missing_stock_is_named(&shop).await;
    assert_wrong_money_is_named(&shop).await;
    assert_a_wrong_log_of_commands_is_named(&shop).await;
    assert_eq!(failures(&shop.verify().await), [], "every table is restored");
    let unchanged = "INSERT INTO commands SELECT gen_random_uuid(), ''::bytea, first_position, 0, scope FROM commands
                     UNION ALL SELECT gen_random_uuid(), ''::bytea, position + 1, 0, '' FROM head";
    shop.execute(unchanged).await;
    assert_eq!(failures(&shop.verify().await), [], "a command that changed nothing has an empty range");
}

fn view(name: &str) -> String {
    format!("view {name} equals a fold of the book")
}

async fn head(shop: &Shop) -> usize {
    shop.events().await.len()
}

async fn assert_a_lost_event_is_named(shop: &Shop) {
    let slug = shop.position("catalog.SlugClaimed").await;
    let follows = format!("position {} follows {}", slug + 1, slug - 1);
    let lost = format!("position {slug} is on Kafka and is not in the book");
    let of = format!("command {} has 5 events from position 2, of which the book has 4", Uuid::from_u64_pair(9, 2));
    let product = view("product");
    let expected =
        [(POSITIONS, &*follows), (COMMANDS, &*of), (&*product, "product_slugs: slug oat-milk"), (WIRE, &*lost)];
    shop.assert_named("public.events", "DELETE FROM events WHERE type = 'catalog.SlugClaimed'", &expected).await;
}

async fn assert_a_wrong_head_is_named(shop: &Shop) {
    let head = head(shop).await;
    let (ahead, behind) = (format!("the head says {}", head + 3), format!("the head says {}", head - 1));
    let up_to = format!("the commands have events up to position {head}");
    let expected = [(POSITIONS, &*ahead), (COMMANDS, &*up_to)];
    shop.assert_named("public.head", "UPDATE head SET position = position + 3", &expected).await;
    let expected = [(POSITIONS, &*behind), (COMMANDS, &*up_to)];
    shop.assert_named("public.head", "UPDATE head SET position = position - 1", &expected).await;
}

/// A hole in the versions of a stream, and a time that runs backwards.
async fn assert_a_broken_order_is_named(shop: &Shop) {
    let slug = shop.position("catalog.SlugClaimed").await;
    let hole = "UPDATE events SET version = version + 1 WHERE position = (
                    SELECT max(position) FROM events WHERE stream_id = 'stock-oat@main')";
    let expected = [("streams are unbroken", "version 5 of stock-oat@main, at position "), (WIRE, "position ")];
    shop.assert_named("public.events", hole, &expected).await;

    let back = "UPDATE events SET recorded_at = recorded_at - interval '1 day' WHERE type = 'catalog.SlugClaimed'";
    let backwards = format!("position {slug} was recorded before the one before it");
    let differs = format!("position {slug} has recorded_at ");
    let expected = [("recorded times never run backwards", &*backwards), (WIRE, &*differs)];
    shop.assert_named("public.events", back, &expected).await;
}

async fn assert_an_unreadable_event_is_named(shop: &Shop) {
    let slug = shop.position("catalog.SlugClaimed").await;
    let unreadable = "UPDATE events SET type = 'SlugTeleported' WHERE type = 'catalog.SlugClaimed'";
    let cause = format!("position {slug}: there is no event type `SlugTeleported`");
    let cannot = format!("position {slug} of slug-oat-milk cannot be folded: ");
    let differs = format!("position {slug} has type catalog.SlugClaimed on Kafka, the book says SlugTeleported");
    let (product, category) = (view("product"), view("category"));
    let expected =
        [("every event can be read", &*cause), (&*product, &*cannot), (&*category, &*cannot), (WIRE, &*differs)];
    shop.assert_named("public.events", unreadable, &expected).await;
}

async fn assert_missing_stock_is_named(shop: &Shop) {
    let reserved = shop.position("inventory.StockReserved").await;
    let less =
        "UPDATE events SET data = (data::jsonb || '{\"quantity\": 1}')::json WHERE type = 'inventory.StockReceived'";
    let below = format!("stock-oat@main has -1 left after inventory.StockReserved at position {reserved}");
    let shows = "stock: sku oat, location main shows on_hand 5, the book says 1";
    let expected = [("no stock is below zero", &*below), (&*view("stock"), shows), (WIRE, "position ")];
    shop.assert_named("public.events", less, &expected).await;
}

/// A wrong total of an order, and a wrong price of a line.
async fn assert_wrong_money_is_named(shop: &Shop) {
    let placed = shop.position("order.OrderPlaced").await;
    let order = uuid::Builder::from_random_bytes(11_u128.to_be_bytes()).into_uuid();
    let net = format!(
        "UPDATE events SET data = jsonb_set(data::jsonb, '{{totals,net,minor_units}}', '1')::json WHERE position = {placed}"
    );
    let says = format!(
        "order-{order} at position {placed} says 3.98 EUR less 0.00 EUR is 0.01 EUR, its lines come to \
         3.98 EUR less 0.00 EUR is 3.98 EUR"
    );
    let (orders, sales) = (view("order"), view("sales_by_day"));
    let expected = [
        (MONEY, &*says),
        (&*orders, "orders: order_id "),
        (&*sales, "sales_by_quarter_hour: quarter_hour "),
        (WIRE, "position "),
    ];
    shop.assert_named("public.events", &net, &expected).await;

    let price = format!(
        "UPDATE events SET data = jsonb_set(data::jsonb, '{{lines,0,unit_price,minor_units}}', '1')::json
         WHERE position = {placed}"
    );
    let says = format!("order-{order} at position {placed} says that 2 oat at 0.01 EUR come to 3.98 EUR");
    let expected = [(MONEY, &*says), (&*orders, "orders: order_id "), (WIRE, "position ")];
    shop.assert_named("public.events", &price, &expected).await;
}

/// A command that begins elsewhere, and a command that is missing.
async fn assert_a_wrong_log_of_commands_is_named(shop: &Shop) {
    let head = head(shop).await;
    let nowhere =
        "UPDATE commands SET first_position = 9999 WHERE first_position = (SELECT max(first_position) FROM commands)";
    let last = Uuid::from_u64_pair(9, 13);
    let begins = format!("command {last} begins at position 9999, the one before it ends at {}", head - 1);
    shop.assert_named("public.commands", nowhere, &[(COMMANDS, &*begins)]).await;
    let forgotten = "DELETE FROM commands WHERE first_position = 1";
    let begins = format!("command {} begins at position 2, the one before it ends at 0", Uuid::from_u64_pair(9, 2));
    shop.assert_named("public.commands", forgotten, &[(COMMANDS, &*begins)]).await;
}
