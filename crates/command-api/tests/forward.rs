//! Two processes on one book: the one that holds the seat decides, and the other one forwards.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use chrono::TimeDelta;
use daybook_bus::{Bus, BusSettings, CLOCK_LIMIT, Clock, CommandError, Submission, Tokio, clock::new_id};
use daybook_command_api::{
    forward::{Forwarder, Receiver},
    http::CommandApi,
};
use daybook_domain::{Actor, Command};
use daybook_edge::{
    server::{self, ConnectionLimits, Ending},
    tokens::Keys,
};
use daybook_event_store::{Candidate, Daybook, Holder, Seat, StoreSettings};
use daybook_test_postgres::{TestDatabase, database};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

fn open(database: &TestDatabase) -> Daybook {
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 4 };
    Daybook::open(&settings).expect("the URL is right")
}

async fn world() -> TestDatabase {
    let database = database().await;
    open(&database).migrate().await.expect("the schema can be made");
    database
}

/// A process that takes commands.
struct Process {
    seat: Seat,
    bus: Bus,
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

fn keys() -> Keys {
    Keys::new(b"the secret of a test of thirty-two bytes").expect("the secret is long enough")
}

impl Process {
    async fn start(database: &TestDatabase) -> Self {
        Self::by(database, &Clock::system()).await
    }

    /// A process with a clock of its own.
    async fn by(database: &TestDatabase, clock: &Clock) -> Self {
        let (bus, _) = Bus::start(open(database), clock.clone(), &BusSettings::default());
        Self::with(database, bus, clock).await
    }

    /// A process whose own bus decides nothing. So what it answers was decided elsewhere.
    async fn idle(database: &TestDatabase) -> Self {
        let (bus, work) = Bus::on(Tokio, open(database), Clock::system(), &BusSettings::default());
        drop(work);
        Self::with(database, bus, &Clock::system()).await
    }

    async fn with(database: &TestDatabase, bus: Bus, clock: &Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (secret, stop): (Arc<str>, _) = (new_id().to_string().into(), CancellationToken::new());
        let may_decide = clock.is_right();
        let candidate = Candidate { listens: address, advertised: None, secret: Arc::clone(&secret), may_decide };
        let seat = Seat::start(open(database), Some(candidate)).await;
        let bus = bus.with_elsewhere(Forwarder::new(seat.holder()));
        let receiver = Receiver::new(secret, stop.clone());
        let router = CommandApi::new(bus.clone(), keys()).receiving(receiver).router();
        let ending = Ending { close: stop.clone(), ..Ending::default() };
        let server = tokio::spawn(server::serve(listener, router, ConnectionLimits::default(), ending));
        Self { seat, bus, address, stop, server }
    }

    async fn send(&self, name: &str, body: Value) -> Result<daybook_bus::Receipt, CommandError> {
        self.bus.execute(submission(name, body)).await
    }

    async fn until(&self, what: &str, is: impl Fn(&Holder) -> bool) {
        let mut holder = self.seat.holder();
        let waited = tokio::time::timeout(Duration::from_secs(180), holder.wait_for(|holder| is(holder))).await;
        waited.unwrap_or_else(|_| panic!("{what} does not happen")).expect("the seat runs");
    }
}

fn submission(name: &str, body: Value) -> Submission {
    let command = Command::deserialize(name, body).expect("there is such a command").expect("the body is right");
    Submission::new(command, new_id(), Actor::Admin("test".into()))
}

fn product(sku: &str) -> Value {
    json!({ "product_id": new_id(), "name": "Oat", "variants": [{ "sku": sku }], "publish": true })
}

fn reservation(quantity: u32) -> Value {
    let id = new_id();
    json!({ "sku": "oat", "reservation_id": id, "owner": format!("buyer:{id}"), "quantity": quantity })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_decided_by_the_holder_of_the_seat_with_the_same_answer() {
    let database = world().await;
    let holder = Process::start(&database).await;
    assert_eq!(*holder.seat.holder().borrow(), Holder::This);
    let other = Process::idle(&database).await;
    assert!(
        matches!(&*other.seat.holder().borrow(), Holder::Other(place) if place.address == holder.address.to_string())
    );

    other.send("CreateProduct", product("oat")).await.expect("it is accepted");
    other.send("ReceiveStock", json!({ "sku": "oat", "quantity": 5 })).await.expect("it is accepted");
    let sent = submission("ReserveStock", reservation(2));
    let receipt = other.bus.execute(sent.clone()).await.expect("it is accepted");
    assert_eq!(receipt.streams[0].id.as_ref(), "stock-oat@main");
    let again = holder.bus.execute(sent.clone()).await.expect("it is repeated");
    assert_eq!((receipt.replayed, again.replayed), (false, true));
    assert_eq!(receipt.events, again.events, "byte for byte");

    let refused = other.send("ReserveStock", reservation(4)).await.expect_err("only 3 are available");
    let CommandError::Refused { refusal, pointer } = &refused else { panic!("{refused}") };
    assert_eq!(
        (refusal.code(), &refusal.data()["available"], pointer.as_deref()),
        ("insufficient_stock", &json!(3), Some("/quantity"))
    );
    let command = submission("ReserveStock", reservation(1)).command;
    let reused = other.bus.execute(Submission { command, ..sent }).await;
    assert!(matches!(reused, Err(CommandError::KeyReused(_))), "{reused:?}");

    // Many at once share the connection.
    let many = (0..200).map(|_| other.send("ReceiveStock", json!({ "sku": "oat", "quantity": 1 })));
    assert!(futures::future::join_all(many).await.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_a_forwarded_command_looks_like_any_other() {
    let database = world().await;
    let holder = Process::start(&database).await;
    let other = Process::idle(&database).await;
    let api = CommandApi::new(other.bus.clone(), keys()).router();
    let key = new_id().to_string();
    let post = |name: &str, body: Value, actor: Actor| {
        let token = keys().sign(&actor, Clock::system().now(), TimeDelta::hours(1)).expect("a token");
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let request = Request::post(format!("/commands/{name}"))
            .header("authorization", format!("Bearer {token}"))
            .header("idempotency-key", &key)
            .header("traceparent", trace)
            .body(Body::from(body.to_string()))
            .expect("a request");
        let api = api.clone();
        async move {
            let response = api.oneshot(request).await.expect("a router always answers");
            let (status, body) = (response.status(), response.into_body().collect().await.expect("a body").to_bytes());
            (status, serde_json::from_slice::<Value>(&body).expect("JSON"))
        }
    };
    let cart = new_id();
    let (status, receipt) = post("OpenCart", json!({ "cart_id": cart, "currency": "EUR" }), Actor::Guest).await;
    assert_eq!((status, &receipt["events"][0]["data"]["cart_id"]), (StatusCode::OK, &json!(cart)));
    let (status, problem) = post("OpenCart", json!({ "cart_id": cart, "currency": "USD" }), Actor::Guest).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("idempotency_key_reused")));
    let written = open(&database).read_stream(&format!("cart-{cart}"), 0, daybook_event_store::AsOf::Now).await;
    let written = &written.expect("it reads")[0];
    assert_eq!((written.actor.as_str(), written.trace.as_deref().map(str::len)), ("guest", Some(55)));
    drop(holder);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_shows_the_secret_may_forward() {
    let database = world().await;
    let holder = Process::start(&database).await;
    let api =
        CommandApi::new(holder.bus.clone(), keys()).receiving(Receiver::new("secret".into(), CancellationToken::new()));
    for shown in ["", "Bearer", "Bearer wrong", "Bearer secres", "Bearer secret "] {
        let request = Request::post("/seat").header("upgrade", "daybook-commands").header("authorization", shown);
        let request = request.body(Body::empty()).expect("a request");
        let response = api.clone().router().oneshot(request).await.expect("a router always answers");
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seat_moves_when_it_is_given_up_and_no_command_is_lost() {
    let database = world().await;
    let (first, second) = (Process::start(&database).await, Process::start(&database).await);
    first.send("CreateProduct", product("oat")).await.expect("it is accepted");
    let traders = (0..8).map(|number| {
        let bus = if number % 2 == 0 { first.bus.clone() } else { second.bus.clone() };
        tokio::spawn(async move {
            for _ in 0..100 {
                let goods = submission("ReceiveStock", json!({ "sku": "oat", "quantity": 1 }));
                bus.execute(goods).await.expect("no command fails while the seat moves");
            }
        })
    });
    let traders: Vec<_> = traders.collect();
    first.seat.give_up().await;
    second.until("the second process takes the seat", |holder| *holder == Holder::This).await;
    first.until("the first process follows", |holder| matches!(holder, Holder::Other(_))).await;
    for trader in traders {
        trader.await.expect("every command was accepted");
    }
    let stock = first.send("AdjustStock", json!({ "sku": "oat", "delta": 1, "reason": "count" })).await;
    assert_eq!(stock.expect("it is accepted").streams[0].version, 801, "each command was written once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_decides_itself_when_the_holder_is_gone_or_silent() {
    let database = world().await;
    let holder = Process::start(&database).await;
    let other = Process::start(&database).await;
    other.send("CreateProduct", product("oat")).await.expect("it is accepted");
    // The server of the holder stops, while its part in the seat goes on.
    holder.stop.cancel();
    holder.server.await.expect("the server ends");
    other.send("ReceiveStock", json!({ "sku": "oat", "quantity": 1 })).await.expect("it is accepted");

    // An address at which nobody answers.
    let deaf = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = deaf.local_addr().expect("an address").to_string();
    let client = database.connect().await;
    client.execute("UPDATE seat SET address = $1, epoch = epoch + 1", &[&address]).await.expect("the row is changed");
    other
        .until(
            "the other address is known",
            |holder| matches!(holder, Holder::Other(place) if place.address == address),
        )
        .await;
    other.send("ReceiveStock", json!({ "sku": "oat", "quantity": 1 })).await.expect("it is accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_does_not_renew_the_seat_loses_it() {
    let database = world().await;
    // Like a process that is suspended, this connection keeps its lock and answers nothing.
    let suspended = database.connect().await;
    suspended.batch_execute("SELECT pg_advisory_lock(1684109666, 1936023924)").await.expect("the lock is taken");
    let row = "INSERT INTO seat VALUES ('command', 7, gen_random_uuid(), '127.0.0.1:1', 'secret', now(), now() - interval '1 minute')";
    suspended.batch_execute(row).await.expect("the row is written");
    let process = Process::start(&database).await;
    process.until("the seat is taken", |holder| *holder == Holder::This).await;
    assert!(suspended.batch_execute("SELECT 1").await.is_err(), "its connection was ended");
    let client = database.connect().await;
    let row = client.query_one("SELECT epoch, address FROM seat", &[]).await.expect("it answers");
    assert_eq!((row.get::<_, i64>(0), row.get::<_, String>(1)), (8, process.address.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_without_a_seat_table_row_or_holder_decides_itself() {
    let database = world().await;
    // It takes no commands, so it never holds the seat.
    let seat = Seat::start(open(&database), None).await;
    let (bus, _) = Bus::start(open(&database), Clock::system(), &BusSettings::default());
    let bus = bus.with_elsewhere(Forwarder::new(seat.holder()));
    bus.execute(submission("CreateProduct", product("oat"))).await.expect("it is accepted");
    assert!(matches!(&*seat.holder().borrow(), Holder::Nobody { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_whose_clock_is_wrong_decides_nothing_and_gives_the_seat_up() {
    let database = world().await;
    let seconds = Arc::new(AtomicI64::new(0));
    let (read, right) = (Arc::clone(&seconds), Clock::system());
    let clock = Clock::from_fn(move || right.now() + TimeDelta::seconds(read.load(Ordering::Relaxed)));
    let clock = clock.within(CLOCK_LIMIT);
    clock.compare(&open(&database)).await.expect("the database has a clock");
    let holder = Process::by(&database, &clock).await;
    let other = Process::start(&database).await;
    other.until("the other one forwards", |holder| matches!(holder, Holder::Other(_))).await;
    seconds.store(3_600, Ordering::Relaxed);
    let wrong = holder.send("CreateProduct", product("oat")).await;
    assert!(matches!(wrong, Err(CommandError::WrongClock(_))), "{wrong:?}");
    other.send("CreateProduct", product("oat")).await.expect("it decides itself what the holder does not decide");

    clock.compare(&open(&database)).await.expect("the database has a clock");
    other.until("the other one gets the seat", |holder| *holder == Holder::This).await;
    holder.until("it forwards", |holder| matches!(holder, Holder::Other(_))).await;
    holder.send("ReceiveStock", json!({ "sku": "oat", "quantity": 5 })).await.expect("it is decided by the other one");

    seconds.store(0, Ordering::Relaxed);
    clock.compare(&open(&database)).await.expect("the database has a clock");
    other.seat.give_up().await;
    holder.until("it gets the seat back", |holder| *holder == Holder::This).await;
    holder.send("ReceiveStock", json!({ "sku": "oat", "quantity": 5 })).await.expect("its clock is right again");
}
