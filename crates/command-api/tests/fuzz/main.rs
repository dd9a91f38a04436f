//! Bad input at `POST /commands/<Name>`: every request gets a receipt or a typed problem, and a problem has written nothing.
//! `PROPTEST_CASES` is the number of requests, `PROPTEST_RNG_SEED` the seed that they are drawn from.
#![allow(clippy::print_stdout, reason = "tests")]

mod damage;
mod schema;

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header},
};
use chrono::{DateTime, TimeDelta, Utc};
use daybook_bus::{Bus, BusSettings, Clock, Submission, clock::new_id};
use daybook_command_api::http::CommandApi;
use daybook_domain::{
    Actor, Command,
    ids::{CustomerId, CustomerRef},
};
use daybook_edge::tokens::Keys;
use daybook_event_store::{Daybook, StoreSettings};
use http_body_util::BodyExt;
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower::ServiceExt;

use crate::{
    damage::{damage, damaged},
    schema::allowed,
};

/// How many requests are sent without `PROPTEST_CASES`.
const CASES: u32 = 1_500;
/// The statuses that an answer may have.
const ANSWERS: [u16; 9] = [200, 400, 401, 403, 404, 409, 413, 415, 422];

/// A request to the command API.
#[derive(Clone)]
struct Sent {
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "POST {} {:?} {}", self.path, self.headers, self.body.escape_ascii())
    }
}

/// The command API on a book of its own.
struct World {
    runtime: Runtime,
    router: Router,
    book: Daybook,
}

impl World {
    fn new() -> Self {
        let runtime = Runtime::new().expect("the runtime starts");
        let (router, book) = runtime.block_on(async {
            let database = daybook_test_postgres::database().await;
            let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 4 };
            let book = Daybook::open(&settings).expect("the URL is right");
            book.migrate().await.expect("the schema can be made");
            let (bus, _) = Bus::start(book.clone(), Clock::system(), &BusSettings::default());
            for (name, body) in shop() {
                let command = Command::deserialize(name, body).expect("the command exists").expect("the body is right");
                let submission = Submission::new(command, new_id(), Actor::Admin("ada".into()));
                bus.execute(submission).await.expect("the command is accepted");
            }
            (CommandApi::new(bus, keys(7)).router(), book)
        });
        Self { runtime, router, book }
    }

    /// Sends a request, and checks what holds for every answer.
    fn check(&self, sent: Sent) -> Result<StatusCode, TestCaseError> {
        self.runtime.block_on(async {
            let before = self.book.head().await.expect("the book answers").position;
            let mut request = Request::post(sent.path).body(Body::from(sent.body)).expect("a request");
            *request.headers_mut() = sent.headers;
            let response = self.router.clone().oneshot(request).await.expect("a router always answers");
            let (parts, body) = response.into_parts();
            let body = body.collect().await.expect("the answer is whole").to_bytes();
            let after = self.book.head().await.expect("the book answers").position;
            prop_assert!(ANSWERS.contains(&parts.status.as_u16()), "{} {body:?}", parts.status);
            if parts.status == StatusCode::OK {
                is_receipt(&body, before, after)?;
            } else {
                is_problem(parts.status, &parts.headers, &body)?;
                prop_assert_eq!(before, after, "a refused request has written an event");
            }
            Ok(parts.status)
        })
    }
}

/// The shop that the commands meet: goods on sale, a cart and an order. Commands are drawn from the same names.
fn shop() -> Vec<(&'static str, Value)> {
    let id = schema::id;
    let variants = json!([{ "sku": "oat" }, { "sku": "tea" }]);
    let mut commands = vec![
        ("CreateProduct", json!({ "product_id": id(1), "name": "Oat", "variants": variants, "publish": true })),
        ("CreateCategory", json!({ "category_id": id(1), "name": "Drinks" })),
    ];
    for sku in ["oat", "tea"] {
        let price = json!({ "minor_units": 199, "currency": "EUR" });
        commands.push(("SetPrice", json!({ "sku": sku, "price": price })));
        commands.push(("ReceiveStock", json!({ "sku": sku, "quantity": 1_000 })));
    }
    for cart in 1..4 {
        commands.push(("OpenCart", json!({ "cart_id": id(cart), "currency": "EUR" })));
        commands.push(("AddLine", json!({ "cart_id": id(cart), "sku": "oat", "quantity": 2 })));
    }
    commands.push(("PlaceOrder", json!({ "cart_id": id(1), "order_id": id(1) })));
    commands.push(("PlaceOrder", json!({ "cart_id": id(2), "order_id": id(2) })));
    commands
}

fn is_receipt(body: &Bytes, before: i64, after: i64) -> Result<(), TestCaseError> {
    let receipt: Value = serde_json::from_slice(body).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let events = receipt["events"].as_array().map_or(0, Vec::len);
    let written = if receipt["replayed"] == true { 0 } else { i64::try_from(events).expect("it fits") };
    prop_assert_eq!(after - before, written, "{}", receipt);
    Ok(())
}

fn is_problem(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Result<(), TestCaseError> {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    prop_assert_eq!(kind, Some(b"application/problem+json".as_slice()), "{}: {:?}", status, body);
    let problem: Value = serde_json::from_slice(body).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let code = problem["code"].as_str().unwrap_or_default();
    prop_assert!(!code.is_empty() && problem["title"].is_string() && problem["detail"].is_string(), "{}", problem);
    prop_assert_eq!(&problem["status"], status.as_u16());
    prop_assert_eq!(&problem["type"], &format!("/problems/{code}"));
    // A body of the wrong form has a pointer.
    let pointer = problem["pointer"].as_str();
    prop_assert!(code != "invalid_body" || pointer.is_some(), "{}", problem);
    prop_assert!(pointer.is_none_or(|pointer| pointer.is_empty() || pointer.starts_with('/')), "{}", problem);
    Ok(())
}

fn keys(byte: u8) -> Keys {
    Keys::new(format!("the secret with the number {byte} of the tests").as_bytes()).expect("the secret is good")
}

/// Tokens of every role, and texts that resemble tokens.
fn authorizations() -> Vec<(u32, Vec<u8>)> {
    let now = Clock::system().now();
    let signed = |keys: Keys, actor: &Actor, at: DateTime<Utc>| {
        let token = keys.sign(actor, at, TimeDelta::hours(1)).expect("the token is signed");
        format!("Bearer {token}").into_bytes()
    };
    let admin = Actor::Admin("ada".into());
    let customer = |id: &str| Actor::Customer(CustomerId::imported(&CustomerRef::new(id).expect("a valid reference")));
    vec![
        (40, signed(keys(7), &admin, now)),
        (3, signed(keys(7), &customer("oat"), now)),
        (2, signed(keys(7), &customer("x"), now)),
        (2, signed(keys(7), &Actor::Guest, now)),
        (2, signed(keys(7), &Actor::Support("sam".into()), now)),
        (1, signed(keys(7), &admin, DateTime::UNIX_EPOCH)),
        (1, signed(keys(8), &admin, now)),
        // A token without a signature, which some libraries accepted once.
        (
            1,
            b"Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJyb2xlIjoiYWRtaW4iLCJpYXQiOjAsImV4cCI6NDAwMDAwMDAwMH0."
                .to_vec(),
        ),
        (1, b"Bearer a.b.c".to_vec()),
        (1, b"Bearer ".to_vec()),
        (1, b"Basic YTpi".to_vec()),
        (1, [b"Bearer ".as_slice(), &[b'a'; 8_000]].concat()),
    ]
}

fn authorization() -> impl Strategy<Value = Option<HeaderValue>> {
    let of_bytes = |bytes: Vec<u8>| HeaderValue::from_bytes(&bytes).ok();
    let known = authorizations().into_iter().map(|(weight, bytes)| (weight, Just(bytes).boxed()));
    let any_bytes = prop::collection::vec(any::<u8>(), 0..60).boxed();
    proptest::strategy::Union::new_weighted(known.chain([(2, any_bytes)]).collect()).prop_map(of_bytes)
}

/// The other headers.
fn others() -> impl Strategy<Value = HeaderMap> {
    let name =
        select(vec!["idempotency-key", "content-type", "content-encoding", "traceparent", "x-min-position", "expect"]);
    let text = select(vec![
        "00000000-0000-0000-0000-000000000001",
        "\"00000000-0000-0000-0000-000000000002\"",
        "00000000-0000-0000-0000-000000000000",
        "1",
        "application/json; charset=utf-8",
        "application/json; charset=utf-16",
        "application/vnd.daybook+json",
        "text/plain",
        "gzip",
        "identity",
        "-1",
        "9223372036854775808",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "'; DROP TABLE events; -- it is as long as a traceparent",
    ]);
    let value = prop_oneof![
        4 => text.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..60),
    ];
    let headers = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec((name, value), 1..3)];
    headers.prop_map(|headers| {
        let header = |(name, bytes): (&'static str, Vec<u8>)| {
            Some((HeaderName::from_static(name), HeaderValue::from_bytes(&bytes).ok()?))
        };
        headers.into_iter().filter_map(header).collect()
    })
}

/// A path: mostly of a command, sometimes an unusual one.
fn path(name: &'static str) -> impl Strategy<Value = String> {
    let odd = select(vec!["%FF", "%00", "placeorder", "PlaceOrder%20", "..%2F..", "%F0%9F%A5%9B"]);
    let long = Just("a".repeat(10_000));
    prop_oneof![40 => Just(name.to_owned()), 1 => odd.prop_map(str::to_owned), 1 => long]
        .prop_map(|name| format!("/commands/{name}"))
}

fn request() -> impl Strategy<Value = Sent> {
    let contracts = Command::contracts().into_iter().map(|contract| {
        let body = allowed(&Value::from(contract.schema));
        (path(contract.name), body).boxed()
    });
    let command = proptest::strategy::Union::new(contracts.collect::<Vec<_>>());
    let damages = prop_oneof![1 => Just(Vec::new()), 1 => prop::collection::vec(damage(), 1..4)];
    (command, damages, authorization(), others()).prop_map(|((path, body), damages, authorization, mut headers)| {
        headers.extend(authorization.map(|value| (header::AUTHORIZATION, value)));
        Sent { path, headers, body: damaged(body, &damages) }
    })
}

#[test]
fn every_request_gets_a_receipt_or_a_typed_problem_that_has_written_nothing() {
    let world = World::new();
    let given = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config =
        Config { cases: given.unwrap_or(CASES), failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
    let seen = std::cell::RefCell::new(std::collections::BTreeMap::<u16, u32>::new());
    let outcome = TestRunner::new(config).run(&request(), |sent| {
        let status = world.check(sent)?;
        *seen.borrow_mut().entry(status.as_u16()).or_default() += 1;
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let seen = seen.into_inner();
    println!("answers: {seen:?}");
    // If early checks refused most requests, the code behind those checks would not be tested.
    for status in [200, 400, 401, 403, 404, 422] {
        assert!(seen.contains_key(&status), "no request was answered with {status}: {seen:?}");
    }
}
