//! A shop in one process: the book, the command API, the query API, and views that are folded as the book grows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use chrono::{DateTime, TimeDelta, Utc};
use daybook_bus::{Bus, BusSettings, Clock};
use daybook_command_api::http::CommandApi;
use daybook_domain::{
    Actor, Slice, Storefront,
    ids::{CustomerId, CustomerRef},
};
use daybook_edge::{
    drain::Drain,
    rates::{ClientAddress, RateLimits},
    tokens::Keys,
};
use daybook_event_store::{Daybook, Filter, RecordedEvent, StoreSettings};
use daybook_event_stream::{Effect, SharedEvent};
use daybook_projectors::{projection::Projection, rebuild, topology, views};
use daybook_query_api::{CommandTarget, QueryLimits, QuerySettings, SocketLimits, StreamLimits};
use daybook_test_postgres::TestDatabase;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Mutex, task::JoinSet};
use tower::ServiceExt;

use crate::database::StatementProxy;

/// For how long a test waits for an expected result.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// The caller of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Caller {
    Guest,
    Customer(&'static str),
    Support,
    Admin,
    /// An admin with an expired token.
    Expired,
}

/// The settings of a shop that differ from test to test.
pub(crate) struct ShopSettings {
    pub(crate) introspection: bool,
    pub(crate) patience: Duration,
    pub(crate) streams: StreamLimits,
    pub(crate) sockets: SocketLimits,
    pub(crate) rates: RateLimits,
    /// The URL of the command API. By default the shop has its own.
    pub(crate) command_url: Option<String>,
    pub(crate) limits: QueryLimits,
    /// The rate limits of the command API.
    pub(crate) command_rates: RateLimits,
    /// Whether mutations are handed over in the process.
    pub(crate) in_process: bool,
    /// How far the clock of the query API is ahead of the command API's.
    pub(crate) ahead: TimeDelta,
    /// What the storefront serves.
    pub(crate) storefront: Storefront,
}

impl Default for ShopSettings {
    fn default() -> Self {
        Self {
            introspection: true,
            // This is longer than any machine takes. A test of the timeout sets a shorter one.
            patience: PATIENCE,
            streams: StreamLimits::default(),
            sockets: SocketLimits::default(),
            rates: RateLimits::default(),
            command_url: None,
            limits: QueryLimits::default(),
            command_rates: RateLimits::OFF,
            in_process: false,
            ahead: TimeDelta::zero(),
            storefront: Storefront::default(),
        }
    }
}

pub(crate) struct Shop {
    book: Daybook,
    router: Router,
    /// The URL of the server.
    pub(crate) url: String,
    keys: Keys,
    database: TestDatabase,
    /// The proxy between the query API and the database.
    pub(crate) proxy: StatementProxy,
    /// By how many seconds the clock of the shop is ahead of the machine's.
    passed: Arc<AtomicI64>,
    /// The drain of the process.
    pub(crate) drain: Drain,
    /// The projection waits while a test holds this lock.
    pub(crate) projection: Arc<Mutex<()>>,
    _tasks: JoinSet<()>,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{} {}", self.status, self.text))
    }

    /// The data of an answer without errors.
    pub(crate) fn data(&self) -> Value {
        let mut answer = self.json();
        assert!(answer.get("errors").is_none() && self.status == StatusCode::OK, "{} {answer:#}", self.status);
        answer["data"].take()
    }

    /// The code of the first error, or of the problem.
    pub(crate) fn code(&self) -> String {
        let answer = self.json();
        let code = answer.pointer("/errors/0/extensions/code").or_else(|| answer.get("code")).and_then(Value::as_str);
        code.unwrap_or_else(|| panic!("the answer has no error: {answer:#}")).to_owned()
    }
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::with(ShopSettings::default()).await
    }

    pub(crate) async fn with(settings: ShopSettings) -> Self {
        let database = daybook_test_postgres::database().await;
        let book = open(database.url());
        migrate(&book).await;
        let proxy = StatementProxy::to(&database);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("the port is bound"));
        let keys = Keys::new(b"a secret of thirty-two or more bytes").expect("the secret is good");
        let passed = Arc::new(AtomicI64::new(0));
        let clock = clock(Arc::clone(&passed));
        let (bus, _stopped) = Bus::start(
            book.clone(),
            clock.clone(),
            &BusSettings { storefront: settings.storefront.clone(), ..BusSettings::default() },
        );
        let commands = CommandApi::new(bus, keys.clone()).limited(&settings.command_rates).router();
        let drain = Drain::default();
        let now: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync> = Arc::new(move || clock.now() + settings.ahead);
        let query = daybook_query_api::router(&QuerySettings {
            book: open(&proxy.url()),
            keys: keys.clone(),
            commands: match settings.in_process {
                true => CommandTarget::InProcess(commands.clone()),
                false => CommandTarget::At(settings.command_url.unwrap_or_else(|| url.clone())),
            },
            limits: settings.limits,
            introspection: settings.introspection,
            patience: settings.patience,
            streams: settings.streams,
            sockets: settings.sockets,
            rates: settings.rates,
            storefront: settings.storefront,
            time_zone: daybook_query_api::TimeZone::UTC,
            drain: drain.clone(),
            now: Arc::clone(&now),
            database_now: now,
        });
        let router = query.merge(commands);
        let projection = Arc::new(Mutex::new(()));
        let mut tasks = JoinSet::new();
        let served = router.clone();
        tasks.spawn(async move { axum::serve(listener, served).await.expect("the server runs") });
        tasks.spawn(project(book.clone(), Arc::clone(&projection)));
        Self { book, router, url, keys, database, proxy, passed, drain, projection, _tasks: tasks }
    }

    /// The value of `Authorization`.
    pub(crate) fn authorization(&self, caller: Caller) -> Option<String> {
        let now = Clock::system().now();
        let (actor, from) = match caller {
            Caller::Guest => return None,
            Caller::Customer(id) => (Actor::Customer(customer_id(id)), now),
            Caller::Support => (Actor::Support("sam".into()), now),
            Caller::Admin => (Actor::Admin("ada".into()), now),
            Caller::Expired => (Actor::Admin("ada".into()), DateTime::UNIX_EPOCH),
        };
        let token = self.keys.sign(&actor, from, TimeDelta::hours(1)).expect("the token can be signed");
        Some(format!("Bearer {token}"))
    }

    pub(crate) fn request(&self, method: Method, path: &str, caller: Caller) -> axum::http::request::Builder {
        let request = Request::builder().method(method).uri(path);
        match self.authorization(caller) {
            Some(value) => request.header(header::AUTHORIZATION, value),
            None => request,
        }
    }

    /// The routes, for answers that are streams.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("a router always answers");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("the body ends").to_bytes();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    /// Posts a GraphQL request.
    pub(crate) async fn post(&self, path: &str, caller: Caller, body: &Value) -> Answer {
        let request = self.request(Method::POST, path, caller).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(body.to_string().into()).expect("the request is valid")).await
    }

    /// A guest's request from an address.
    pub(crate) fn request_from(&self, address: &str, body: &Value) -> Request<Body> {
        let request =
            self.request(Method::POST, "/graphql", Caller::Guest).header(header::CONTENT_TYPE, "application/json");
        let mut request = request.body(Body::from(body.to_string())).expect("the request is valid");
        request.extensions_mut().insert(ClientAddress(address.parse().expect("the address is valid")));
        request
    }

    /// Sends a guest's operation from an address.
    pub(crate) async fn guest_from(&self, address: &str, query: &str) -> Answer {
        self.send(self.request_from(address, &json!({"query": query}))).await
    }

    /// A token of an admin that ends after so many seconds.
    pub(crate) fn short_token(&self, seconds: i64) -> String {
        let now = Clock::system().now();
        let token = self.keys.sign(&Actor::Admin("ada".into()), now, TimeDelta::seconds(seconds));
        format!("Bearer {}", token.expect("the token can be signed"))
    }

    /// Sends a query to the storefront.
    pub(crate) async fn storefront(&self, caller: Caller, query: &str) -> Answer {
        self.post("/graphql", caller, &json!({"query": query})).await
    }

    /// Sends a query to the back-office.
    pub(crate) async fn office(&self, caller: Caller, query: &str) -> Answer {
        self.post("/admin/graphql", caller, &json!({"query": query})).await
    }

    /// The position of the last event of the book.
    pub(crate) async fn head(&self) -> i64 {
        self.book.head().await.expect("the book answers").position
    }

    /// Sends a command as an admin, and returns its position.
    pub(crate) async fn command(&self, name: &str, body: Value) -> i64 {
        let answer = self.post(&format!("/commands/{name}"), Caller::Admin, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{name} {body}: {}", answer.text);
        answer.json()["position"].as_i64().expect("a receipt has a position")
    }

    /// Lets time pass, for the command API and the query API.
    pub(crate) fn pass(&self, time: TimeDelta) {
        self.passed.fetch_add(time.num_seconds(), Ordering::SeqCst);
    }

    /// Waits until the views show everything up to a position.
    pub(crate) async fn shown(&self, position: i64) {
        self.shown_except(position, "").await;
    }

    /// Waits until all views but one show everything up to a position.
    pub(crate) async fn shown_except(&self, position: i64, view: &str) {
        let client = self.book.pool().get().await.expect("the database answers");
        let behind = "SELECT count(*) FROM read.view_status WHERE position < $1 AND name <> $2";
        let waiting = async {
            while client.query_one(behind, &[&position, &view]).await.expect("the views have a status").get::<_, i64>(0)
                > 0
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the views reach the position");
    }

    /// A connection to the database, beside the query API's.
    pub(crate) async fn connect(&self) -> tokio_postgres::Client {
        self.database.connect().await
    }

    /// Makes the views of a slice look stalled: the relay claims to have published later positions than they have processed.
    pub(crate) async fn stall_views(&self, slice: Slice) {
        let topic = topology("test", 1).topic(slice.name());
        let client = self.database.connect().await;
        let claim = "INSERT INTO relay_partitions (topic, partition, last_position, last_offset, log_position)
                    VALUES ($1, 0, 9223372036854775807, 0, 0)
                    ON CONFLICT (topic, partition) DO UPDATE SET last_position = excluded.last_position";
        client.execute(claim, &[&topic]).await.expect("the position is recorded");
    }

    /// Creates a published product with a variant for each SKU. Each variant costs 2.50 EUR, and its stock is 1,000 units.
    pub(crate) async fn sell(&self, name: &str, brand: &str, skus: &[String]) -> i64 {
        let variants: Vec<_> = skus.iter().map(|sku| json!({"sku": sku})).collect();
        let product =
            json!({"product_id": id(name), "name": name, "brand": brand, "variants": variants, "publish": true});
        let mut position = self.command("CreateProduct", product).await;
        for sku in skus {
            let price = json!({"minor_units": 250, "currency": "EUR"});
            self.command("SetPrice", json!({"sku": sku, "price": price})).await;
            position = self.command("ReceiveStock", json!({"sku": sku, "quantity": 1_000})).await;
        }
        position
    }

    /// Opens a cart of a customer or of a guest, with one unit of each SKU.
    pub(crate) async fn cart(&self, id: uuid::Uuid, customer: Option<&str>, skus: &[String]) -> i64 {
        self.command("OpenCart", json!({"cart_id": id, "customer_id": customer.map(customer_id), "currency": "EUR"}))
            .await;
        let lines: Vec<_> = skus.iter().map(|sku| json!({"sku": sku, "quantity": 1})).collect();
        self.command("AddLines", json!({"cart_id": id, "lines": lines})).await
    }
}

/// The id of the customer with this name.
pub(crate) fn customer_id(name: &str) -> CustomerId {
    CustomerId::imported(&CustomerRef::new(name).expect("a valid name"))
}

/// The id with this name. It is the same in every run.
pub(crate) fn id(of: &str) -> uuid::Uuid {
    let digest = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, of.as_bytes());
    uuid::Builder::from_random_bytes(digest.into_bytes()).into_uuid()
}

/// SKUs with a prefix.
pub(crate) fn skus(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|at| format!("{prefix}-{at:03}")).collect()
}

/// The clock of the machine, and the time that a test has let pass.
fn clock(passed: Arc<AtomicI64>) -> Clock {
    let system = Clock::system();
    Clock::from_fn(move || system.now() + TimeDelta::seconds(passed.load(Ordering::SeqCst)))
}

fn open(url: &str) -> Daybook {
    Daybook::open(&StoreSettings { database_url: url.to_owned(), max_connections: 8 }).expect("the URL is valid")
}

async fn migrate(book: &Daybook) {
    book.migrate().await.expect("the book can be migrated");
    daybook_event_stream::migrate(book).await.expect("the stream can be migrated");
    daybook_projectors::migrate(book).await.expect("the views can be migrated");
    for view in views::ALL {
        rebuild::build_if_missing(book, &topology("test", 1), view).await.expect("the view can be built");
    }
}

/// Folds the views as the book grows. It replaces the stream between the book and the views.
async fn project(book: Daybook, projection: Arc<Mutex<()>>) {
    let mut follower = book.follow();
    let mut done = 0;
    loop {
        follower.past(done).await;
        let _held = projection.lock().await;
        let events = book.read_after(done, 1_000, &Filter::default()).await.expect("the book can be read");
        let Some(last) = events.last() else { continue };
        done = last.position;
        let mut client = book.pool().get().await.expect("the database answers");
        for view in views::ALL {
            let own = |event: &&RecordedEvent| {
                Slice::of_stream(&event.stream_id).is_some_and(|slice| view.slices.contains(&slice))
            };
            let own: Vec<_> = events.iter().filter(own).cloned().map(SharedEvent::from).collect();
            let transaction = client.transaction().await.expect("a transaction begins");
            Projection::new(view, 1).apply(&transaction, &own).await.expect("the events can be folded");
            transaction.commit().await.expect("the transaction is committed");
        }
        client.execute("UPDATE relay SET position = $1", &[&done]).await.expect("the position is moved");
    }
}
