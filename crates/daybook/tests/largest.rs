//! The largest command of each contract goes through PostgreSQL and the broker into every view, and the audit finds nothing.
//!
//! Every text is as long as it may be, in random letters of four bytes, which no compression makes smaller.
#![allow(missing_docs, reason = "tests")]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use daybook_bus::{Bus, BusSettings, Clock, CommandError, Receipt, Submission};
use daybook_domain::{
    Actor, Command, Quantity, Storefront,
    amount::MAX_TOTAL,
    cart::policy::{MAX_LINES, MAX_NEW_LINES},
    catalog::policy::{MAX_ATTRIBUTES, MAX_CATEGORIES, MAX_CATEGORY_DEPTH, MAX_OPTIONS, MAX_PRICE, MAX_VARIANTS},
    order::policy::MAX_IMPORTED_LINES,
};
use daybook_event_store::{Daybook, StoreSettings};
use daybook_event_stream::{
    KafkaSecurity, KafkaSettings, Relay, RelaySettings,
    broker::{Broker, FETCH_WAIT, Topic},
    relay,
};
use daybook_operations::verify;
use daybook_projectors::{registry, runner, views};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The largest body of a request, in bytes; see docs/limits.md.
const MAX_BODY: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(300);

/// Random letters, the same in every run.
struct Letters(u64);

impl Letters {
    fn next(&mut self) -> char {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Ideographs of the supplementary plane: letters of four bytes.
        let letter = 0x2_0000 + u32::try_from((self.0 >> 33) % 0xa000).expect("it is small");
        char::from_u32(letter).expect("a letter")
    }

    fn text(&mut self, length: usize) -> String {
        (0..length).map(|_| self.next()).collect()
    }
}

/// A shop that takes the largest commands.
struct Shop {
    bus: Bus,
    letters: Letters,
    sent: BTreeSet<&'static str>,
    number: u64,
}

fn id(number: u128) -> String {
    uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid().to_string()
}

impl Shop {
    async fn send(&mut self, name: &str, body: Value) -> Receipt {
        self.try_send(name, body).await.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    async fn try_send(&mut self, name: &str, body: Value) -> Result<Receipt, CommandError> {
        assert!(body.to_string().len() <= MAX_BODY, "{name} is too large for a request");
        let command = Command::deserialize(name, body).expect("the command exists");
        let command = command.unwrap_or_else(|error| panic!("{name}: {error}"));
        self.number += 1;
        self.sent.insert(command.name());
        let actor = Actor::Admin(self.letters.text(64));
        self.bus.execute(Submission::new(command, Uuid::from_u64_pair(9, self.number), actor)).await
    }

    /// A map of the largest entries.
    fn entries(&mut self, count: usize, length: usize) -> Value {
        let entries = (0..count).map(|_| (self.letters.text(length), json!(self.letters.text(length))));
        entries.collect::<Map<_, _>>().into()
    }
}

/// What all products of the shop have in common.
struct Shelf {
    channel: String,
    location: String,
    other: String,
    skus: Vec<String>,
    categories: Vec<String>,
}

/// Categories, products and prices: each command at its largest.
async fn fill(shop: &mut Shop) -> Shelf {
    let categories: Vec<String> = (0..MAX_CATEGORIES).map(|nr| id(1_000 + nr as u128)).collect();
    for (nr, category) in categories.iter().enumerate() {
        let parent = (nr > 0 && nr < MAX_CATEGORY_DEPTH - 1).then(|| categories[nr - 1].clone());
        let name = shop.letters.text(300);
        shop.send("CreateCategory", json!({ "category_id": category, "parent": parent, "name": name })).await;
    }
    let deepest = &categories[MAX_CATEGORY_DEPTH - 2];
    shop.send("MoveCategory", json!({ "category_id": categories[MAX_CATEGORIES - 1], "parent": deepest })).await;
    let (channel, location, other) = (shop.letters.text(64), shop.letters.text(64), shop.letters.text(64));
    let skus: Vec<String> = (0..MAX_LINES).map(|_| shop.letters.text(64)).collect();
    for (nr, some) in (0_u128..).zip(skus.chunks(MAX_VARIANTS - 1)) {
        let variants: Vec<Value> = some
            .iter()
            .map(|sku| json!({ "sku": sku, "name": shop.letters.text(30), "options": shop.entries(MAX_OPTIONS / 10, 25) }))
            .collect();
        let product = json!({
            "product_id": id(nr), "name": shop.letters.text(300), "slug": format!("{nr}{}", "x".repeat(199)),
            "description": shop.letters.text(10_000), "brand": shop.letters.text(300), "categories": categories,
            "attributes": shop.entries(MAX_ATTRIBUTES, 300), "variants": variants, "publish": false,
        });
        shop.send("CreateProduct", product).await;
        shop.send("PublishProduct", json!({ "product_id": id(nr) })).await;
    }
    let revised = json!({
        "product_id": id(0), "name": shop.letters.text(300), "slug": "y".repeat(200), "brand": shop.letters.text(300),
        "description": shop.letters.text(10_000), "categories": categories, "attributes": shop.entries(MAX_ATTRIBUTES, 300),
    });
    shop.send("ReviseProduct", revised).await;
    let variant = json!({ "product_id": id(0), "sku": shop.letters.text(64), "name": shop.letters.text(30),
                          "options": shop.entries(MAX_OPTIONS / 10, 25) });
    shop.send("AddVariant", variant).await;
    for sku in &skus {
        let price = json!({ "minor_units": MAX_PRICE / 1_000, "currency": "EUR" });
        shop.send("SetPrice", json!({ "sku": sku, "channel": channel, "price": price })).await;
        let received =
            json!({ "sku": sku, "location": location, "quantity": Quantity::MAX, "reference": shop.letters.text(500) });
        shop.send("ReceiveStock", received).await;
    }
    Shelf { channel, location, other, skus, categories }
}

/// What is larger than that is refused at the door, and nothing is written.
async fn refuse(shop: &mut Shop, book: &Daybook) {
    let head = book.head().await.expect("an answer");
    let many: Map<_, _> = (0..8_000).map(|nr| (format!("{nr}{}", "k".repeat(50)), json!("v".repeat(60)))).collect();
    let long = shop.entries(MAX_OPTIONS, 300);
    let cases = [(json!(many), "too_many_options"), (long, "variant_too_long")];
    for (options, code) in cases {
        let variant = json!({ "product_id": id(0), "sku": "too-large", "options": options });
        match shop.try_send("AddVariant", variant).await {
            Err(CommandError::Refused { refusal, .. }) => assert_eq!(refusal.code(), code),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(book.head().await.expect("an answer"), head);
}

async fn claim(shop: &mut Shop, shelf: &Shelf) {
    let (sku, location) = (&shelf.skus[0], &shelf.location);
    let reserve = |number: u128, owner: String| {
        json!({ "sku": sku, "location": location, "reservation_id": id(number), "owner": owner, "quantity": 9_000_000 / 3,
                "expires_at": "9999-12-31T23:59:59.999999999Z" })
    };
    for number in [1, 2] {
        let owner = shop.letters.text(128);
        shop.send("ReserveStock", reserve(number, owner)).await;
    }
    let of = |number: u128| json!({ "sku": sku, "location": location, "reservation_id": id(number) });
    shop.send("ReleaseStock", of(1)).await;
    shop.send("CommitReservation", of(2)).await;
    let adjust = json!({ "sku": sku, "location": location, "delta": -1, "reason": shop.letters.text(500) });
    shop.send("AdjustStock", adjust).await;
    shop.send("SetBackorders", json!({ "sku": sku, "location": location, "allowed": true })).await;
    let transfer = json!({ "sku": sku, "from": location, "to": shelf.other, "quantity": 1 });
    shop.send("TransferStock", transfer).await;
}

/// A full cart.
async fn fill_cart(shop: &mut Shop, shelf: &Shelf, number: u128) {
    let open = json!({ "cart_id": id(number), "currency": "EUR", "channel": shelf.channel, "customer_id": id(7) });
    shop.send("OpenCart", open).await;
    let line = |nr: usize| json!({ "sku": shelf.skus[nr % MAX_LINES], "quantity": 1 });
    let lines: Vec<Value> = (0..MAX_NEW_LINES).map(line).collect();
    shop.send("AddLines", json!({ "cart_id": id(number), "lines": lines })).await;
}

async fn order(shop: &mut Shop, shelf: &Shelf) {
    fill_cart(shop, shelf, 10).await;
    fill_cart(shop, shelf, 11).await;
    shop.send("MergeCarts", json!({ "from": id(10), "into": id(11) })).await;
    let sku = &shelf.skus[1];
    shop.send("ChangeQuantity", json!({ "cart_id": id(11), "sku": sku, "quantity": 9 })).await;
    shop.send("RemoveLine", json!({ "cart_id": id(11), "sku": sku })).await;
    shop.send("AddLine", json!({ "cart_id": id(11), "sku": sku, "quantity": 1 })).await;
    let place =
        |cart: u128, order: u128| json!({ "cart_id": id(cart), "order_id": id(order), "locations": [shelf.location] });
    shop.send("PlaceOrder", place(11, 11)).await;
    let plain = |number: u128| json!({ "order_id": id(number) });
    let reason = shop.letters.text(500);
    let reasoned = |number: u128| json!({ "order_id": id(number), "reason": reason });
    let note = json!({ "order_id": id(11), "note": shop.letters.text(10_000) });
    shop.send("AddNote", note).await;
    for (name, body) in [
        ("HoldOrder", reasoned(11)),
        ("ResumeOrder", plain(11)),
        ("ConfirmOrder", plain(11)),
        ("StartFulfilment", plain(11)),
        ("ShipOrder", plain(11)),
        ("DeliverOrder", plain(11)),
        ("ReturnOrder", reasoned(11)),
        ("RefundOrder", reasoned(11)),
    ] {
        shop.send(name, body).await;
    }
    fill_cart(shop, shelf, 12).await;
    shop.send("PlaceOrder", place(12, 12)).await;
    shop.send("CancelOrder", reasoned(12)).await;
    fill_cart(shop, shelf, 13).await;
    shop.send("AbandonCart", json!({ "cart_id": id(13) })).await;
    let line = |nr: usize| json!({ "sku": shelf.skus[nr % MAX_LINES], "quantity": Quantity::MAX, "line_total": MAX_TOTAL / 2_000, "discount": 1 });
    let lines: Vec<Value> = (0..MAX_IMPORTED_LINES).map(line).collect();
    let imported = json!({
        "external_ref": shop.letters.text(128), "customer_ref": shop.letters.text(64), "channel": shelf.channel,
        "placed_at": "1999-01-01T00:00:00Z", "currency": "EUR", "lines": lines,
    });
    shop.send("ImportOrder", imported).await;
    shop.send("ArchiveProduct", json!({ "product_id": id(0) })).await;
}

async fn correct(shop: &mut Shop, shelf: &Shelf) {
    let variant = json!({ "product_id": id(0), "sku": shelf.skus[0] });
    let mut revised = variant.clone();
    revised["name"] = json!(shop.letters.text(30));
    revised["options"] = shop.entries(MAX_OPTIONS / 10, 25);
    shop.send("ReviseVariant", revised).await;
    let price = json!({ "sku": shelf.skus[0], "channel": shelf.channel, "currency": "EUR" });
    shop.send("RemovePrice", price).await;
    shop.send("RemoveVariant", variant).await;
    let category = &shelf.categories[1];
    let renamed = json!({ "category_id": category, "name": shop.letters.text(300) });
    shop.send("RenameCategory", renamed).await;
    shop.send("RemoveCategory", json!({ "category_id": category })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_command_of_each_contract_goes_through_to_every_view() {
    let database = daybook_test_postgres::database().await;
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 32 };
    let book = Daybook::open(&settings).expect("the URL is valid");
    daybook_operations::migrate(&book).await.expect("the tables can be created");
    let topology = daybook_projectors::topology("daybook", 4);
    let topics = topology.topics().into_iter().map(|name| Topic { name, partitions: 4 });
    let broker = Broker::start(topics.collect()).await.expect("a broker starts");
    let brokers = broker.bootstrap_servers().to_owned();
    let kafka = KafkaSettings {
        brokers,
        topology,
        replication: 1,
        fetch_wait: FETCH_WAIT,
        security: KafkaSecurity::default(),
        group_suffix: None,
    };
    let stop = CancellationToken::new();
    let relay = Relay::new(book.clone(), RelaySettings { kafka: kafka.clone(), refill_bytes: None });
    let relay = tokio::spawn(relay.run(stop.clone()));
    let projectors = {
        let (book, kafka, stop) = (book.clone(), kafka.clone(), stop.clone());
        tokio::spawn(async move { runner::run(&book, &kafka, &views::ALL, &stop).await })
    };

    let settings = BusSettings { storefront: Storefront::default(), ..BusSettings::default() };
    let (bus, stopped) = Bus::start(book.clone(), Clock::system(), &settings);
    let mut shop = Shop { bus, letters: Letters(7), sent: BTreeSet::new(), number: 0 };
    let shelf = fill(&mut shop).await;
    assert_eq!(shelf.categories.len(), MAX_CATEGORIES);
    refuse(&mut shop, &book).await;
    claim(&mut shop, &shelf).await;
    order(&mut shop, &shelf).await;
    correct(&mut shop, &shelf).await;
    let public = Command::contracts().into_iter().filter(|contract| contract.access.is_public());
    let missing: Vec<_> = public.map(|contract| contract.name).filter(|name| !shop.sent.contains(name)).collect();
    assert!(missing.is_empty(), "how large can the bodies of {missing:?} be?");
    drop(shop);
    stopped.await.expect("the bus stops");

    let (head, began) = (book.head().await.expect("an answer").position, Instant::now());
    let shown = async || {
        let status = registry::status(&book, &views::ALL).await.expect("an answer");
        status.len() == views::ALL.len() && status.iter().all(|view| view.position == head)
    };
    while !shown().await {
        assert!(began.elapsed() < PATIENCE, "the views make no progress");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(relay::list_set_aside(&book).await.expect("an answer"), []);
    stop.cancel();
    relay.await.expect("no panic");
    projectors.await.expect("no panic").expect("the views are built");
    let verdict = verify::audit(&book, &kafka).await.expect("everything can be read");
    let failed: Vec<_> = verdict.checks.iter().filter(|check| check.violations > 0).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
