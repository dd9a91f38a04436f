//! Bad input at the GraphQL endpoints and on their sockets. Every request is answered with data or with typed errors, and a refused
//! request has written nothing. `PROPTEST_CASES` is the number of requests, and `PROPTEST_RNG_SEED` is their seed.

mod document;
mod protocol;

use std::time::Duration;

use axum::http::{Method, StatusCode, header};
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use self::document::{Choices, Kind, Schema};
use crate::shop::{Answer, Caller, Shop, id, skus};

/// How long a test waits for a single answer.
const PATIENCE: Duration = Duration::from_secs(180);
/// The default number of requests.
const CASES: u32 = 250;

fn runner(default_cases: u32) -> TestRunner {
    let requested = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = Config { failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    TestRunner::new(Config { cases: requested.unwrap_or(default_cases), ..config })
}

/// A shop with goods, a cart and an order, for tests without the tokio macro.
fn shop() -> (Runtime, Shop) {
    let runtime = Runtime::new().expect("the runtime has threads");
    let shop = runtime.block_on(async {
        let shop = Shop::open().await;
        let skus = skus("S", 3);
        shop.sell("Soap", "Suds", &skus).await;
        shop.cart(id("c"), Some("ann"), &skus).await;
        shop.command("PlaceOrder", json!({"cart_id": id("c"), "order_id": id("o")})).await;
        let position = shop.cart(id("Soap"), None, &skus).await;
        shop.shown(position).await;
        shop
    });
    (runtime, shop)
}

/// Checks that an answer has data, typed errors or a problem. Returns its body.
fn typed(answer: &Answer) -> Result<Value, TestCaseError> {
    let fail = |why: &str| Err(TestCaseError::fail(format!("{why}: {} {}", answer.status, answer.text)));
    if answer.status.is_server_error() {
        return fail("the server has failed");
    }
    let Ok(body) = serde_json::from_str::<Value>(&answer.text) else { return fail("the answer is not JSON") };
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    for error in &errors {
        let code = error["extensions"]["code"].as_str();
        if code.is_none_or(|code| code.is_empty() || code == "INTERNAL") || !error["message"].is_string() {
            return fail("an error has no code");
        }
    }
    let kind = answer.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let problem = kind == "application/problem+json" && body["code"].is_string() && body["detail"].is_string();
    if body.get("data").is_none() && errors.is_empty() && !problem {
        return fail("the answer has no data, no errors and no problem");
    }
    Ok(body)
}

/// Whether an answer says that something was written.
fn has_written(body: &Value) -> bool {
    body["data"].as_object().is_some_and(|data| data.values().any(|payload| !payload["consistencyToken"].is_null()))
}

/// A request of a test.
#[derive(Debug, Clone)]
struct TestRequest {
    path: &'static str,
    caller: Caller,
    body: Value,
    /// Whether the operation must not write.
    read_only: bool,
}

/// A mutation that every caller may send.
const ACCEPTED_MUTATION: &str =
    r#"mutation { cartOpen(input: {currency: "EUR"}) { cart { id } userErrors { code } consistencyToken } }"#;

/// Documents of the schemas, valid or with a damaged text.
fn documents() -> impl Strategy<Value = TestRequest> {
    let schemas = [daybook_query_api::storefront_sdl(), daybook_query_api::admin_sdl()];
    let schemas = schemas.map(|sdl| std::sync::Arc::new(Schema::parse(&sdl)));
    let endpoints = select(vec![("/graphql", 0), ("/admin/graphql", 1)]);
    let caller = select(vec![
        Caller::Admin,
        Caller::Admin,
        Caller::Guest,
        Caller::Customer("ann"),
        Caller::Customer("bob"),
        Caller::Support,
        Caller::Expired,
    ]);
    let bytes = prop::collection::vec(any::<u8>(), 0..150);
    let damage = prop::option::weighted(0.3, (any::<Index>(), prop::option::of(any::<Index>()), ".{0,6}"));
    // Random mutations are hardly ever accepted, so some requests send a fixed one.
    let kind = prop_oneof![8 => Just(Some(Kind::Query)), 4 => Just(Some(Kind::Mutation)), 2 => Just(None)];
    (endpoints, caller, kind, bytes, damage).prop_map(move |((path, at), caller, kind, bytes, damage)| {
        let mut query =
            kind.map_or(ACCEPTED_MUTATION.to_owned(), |kind| schemas[at].document(kind, &mut Choices::of(&bytes)));
        if let Some((from, until, other)) = damage {
            let boundary = |index: Index| query.floor_char_boundary(index.index(query.len() + 1));
            let from = boundary(from);
            let until = until.map_or(query.len().min(from), boundary).max(from);
            query.replace_range(from..until, &other);
        }
        TestRequest { path, caller, body: json!({ "query": query }), read_only: kind == Some(Kind::Query) }
    })
}

#[test]
fn documents_of_all_kinds_are_answered_and_refused_ones_write_nothing() {
    let (runtime, shop) = shop();
    let seen = std::cell::RefCell::new([0_u32; 3]);
    let outcome = runner(CASES).run(&documents(), |request| {
        runtime.block_on(async {
            let before = shop.head().await;
            let answer = shop.post(request.path, request.caller, &request.body).await;
            let body = typed(&answer)?;
            let wrote = shop.head().await != before;
            prop_assert!(!wrote || !request.read_only, "a query has written");
            prop_assert!(!wrote || has_written(&body), "a refused request has written: {}", body);
            let at = if wrote { 0 } else { 1 + usize::from(body.get("data").is_none_or(Value::is_null)) };
            seen.borrow_mut()[at] += 1;
            Ok(())
        })
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let [wrote, answered, refused] = seen.into_inner();
    println!("wrote {wrote}, answered {answered}, refused {refused}");
    assert!(wrote > 0 && answered > 0 && refused > 0, "one kind of outcome is missing");
}

/// Malformed requests: any JSON or bytes, with any headers.
fn requests() -> impl Strategy<Value = (Vec<(&'static str, Vec<u8>)>, Vec<u8>)> {
    let odd = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({"persistedQuery": {"version": 1, "sha256Hash": "00"}})),
        Just(json!({"persistedQuery": {"version": -1, "sha256Hash": "é".repeat(32)}})),
        Just(json!({"x": {"x": [null, {"x": 1.5e300}]}})),
    ];
    let member = select(vec!["query", "variables", "operationName", "extensions", "id", "__proto__"]);
    let members = prop::collection::vec((member, odd), 0..4).prop_map(|members| {
        let mut request = json!({ "query": "query Q($x: ID!) { order(id: $x) { phase } }" });
        members.into_iter().for_each(|(name, value)| request[name] = value);
        request
    });
    let nested =
        (1_usize..3_000, select(vec!["[", "{\"a\":"])).prop_map(|(depth, open)| open.repeat(depth).into_bytes());
    let body = prop_oneof![
        4 => members.prop_map(|request| request.to_string().into_bytes()),
        1 => nested,
        1 => prop::collection::vec(any::<u8>(), 0..80),
    ];
    let name =
        select(vec!["accept", "content-type", "x-min-position", "authorization", "content-encoding", "last-event-id"]);
    let value = prop_oneof![
        3 => select(vec!["text/plain", "application/graphql-response+json", "*/*", "-1", "1", "9223372036854775807", "1e3", "Bearer x", "gzip"])
            .prop_map(|value| value.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    (prop::collection::vec((name, value), 0..3), body)
}

#[test]
fn a_malformed_request_gets_a_typed_refusal() {
    let (runtime, shop) = shop();
    let outcome = runner(CASES).run(&requests(), |(headers, body)| {
        runtime.block_on(async {
            let before = shop.head().await;
            for (path, caller) in [("/graphql", Caller::Guest), ("/admin/graphql", Caller::Admin)] {
                let mut request =
                    shop.request(Method::POST, path, caller).body(body.clone().into()).expect("a request");
                request
                    .headers_mut()
                    .entry(header::CONTENT_TYPE)
                    .or_insert(header::HeaderValue::from_static("application/json"));
                for (name, value) in &headers {
                    if let Ok(value) = header::HeaderValue::from_bytes(value) {
                        request.headers_mut().insert(*name, value);
                    }
                }
                typed(&shop.send(request).await)?;
            }
            prop_assert_eq!(shop.head().await, before);
            Ok(())
        })
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Parameters of `/events` and of a query in a URL.
fn urls() -> impl Strategy<Value = String> {
    let name = select(vec![
        "after",
        "limit",
        "type",
        "stream",
        "query",
        "variables",
        "extensions",
        "operationName",
        "%FF",
        "",
    ]);
    let value = prop_oneof![
        select(vec![
            "1",
            "-1",
            "9223372036854775808",
            "%00",
            "%FF",
            "a%00b",
            "%7B__typename%7D",
            "%7B%7D",
            "[",
            "OrderPlaced,,"
        ])
        .prop_map(str::to_owned),
        "[!-~&&[^#%+&=?/\\\\\"<>^`{|}]]{0,12}",
    ];
    let parameters = prop::collection::vec((name, value), 0..4);
    (select(vec!["/events", "/graphql", "/admin/graphql"]), parameters).prop_map(|(path, parameters)| {
        let parameters: Vec<_> = parameters.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{path}?{}", parameters.join("&"))
    })
}

#[test]
fn any_url_is_answered_or_refused_with_a_code() {
    let (runtime, shop) = shop();
    let outcome = runner(CASES).run(&urls(), |url| {
        runtime.block_on(async {
            let request =
                shop.request(Method::GET, &url, Caller::Admin).body(axum::body::Body::empty()).expect("a request");
            let answer = shop.send(request).await;
            if answer.status == StatusCode::OK && url.starts_with("/events") {
                return Ok(());
            }
            typed(&answer).map(|_| ())
        })
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_changed_cursor_is_refused_or_is_another_position() {
    let (runtime, shop) = shop();
    let page = |after: Option<&str>| {
        let query = format!(
            "{{ products(first: 1{}) {{ edges {{ cursor node {{ name }} }} }} }}",
            after.map(|after| format!(", after: {}", json!(after))).unwrap_or_default()
        );
        runtime.block_on(shop.storefront(Caller::Guest, &query))
    };
    let real = page(None).data()["products"]["edges"][0]["cursor"].as_str().expect("the page has a product").to_owned();
    let outcome = runner(CASES / 2).run(&(any::<Index>(), "[0-9a-fA-Fg\u{e9}]{0,3}"), |(at, other)| {
        let mut cursor = real.clone();
        let at = at.index(cursor.len());
        cursor.replace_range(at..(at + other.chars().count()).min(real.len()), &other);
        typed(&page(Some(&cursor))).map(|_| ())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// The code of the refusal of a query, which must come in time.
async fn refused(shop: &Shop, what: &str, query: &str) -> String {
    let answered = tokio::time::timeout(PATIENCE, shop.storefront(Caller::Guest, query)).await;
    let answer = answered.unwrap_or_else(|_| panic!("{what}: the server has not answered in time"));
    assert!(answer.status.is_success() || answer.status.is_client_error(), "{what}: {}", answer.text);
    answer.code()
}

#[tokio::test(flavor = "multi_thread")]
async fn fragments_that_double_at_every_level_or_are_cyclic_are_refused_at_once() {
    let shop = Shop::open().await;
    for (levels, code) in [(15, "QUERY_TOO_COMPLEX"), (28, "QUERY_TOO_COMPLEX"), (1_400, "QUERY_TOO_DEEP")] {
        let chain: String = (0..levels)
            .map(|level| format!(" fragment F{level} on Query {{ ...F{next} ...F{next} }}", next = level + 1))
            .chain([format!(" fragment F{levels} on Query {{ __typename }}")])
            .collect();
        assert_eq!(refused(&shop, "doubling fragments", &format!("{{ ...F0 }} {chain}")).await, code, "{levels}");
        let unused = refused(&shop, "unused fragments", &format!("{{ __typename }} {chain}")).await;
        assert_eq!(unused, code, "{levels}");
    }
    let cyclic = "{ ...A } fragment A on Query { ...B ...B } fragment B on Query { ...A ...A }";
    assert_eq!(refused(&shop, "cyclic fragments", cyclic).await, "GRAPHQL_VALIDATION_FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_very_deep_or_very_long_text_is_refused_in_time() {
    let shop = Shop::open().await;
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(20_000), close.repeat(20_000));
    for (what, query) in [
        ("nested fields", format!("{{ {} }}", deep("a{", "}"))),
        ("nested fragments", deep("{...", "}")),
        ("nested lists", format!("{{ product(id: {}) {{ name }} }}", deep("[", "]"))),
        ("nested objects", format!("{{ product(id: {}) {{ name }} }}", deep("{a:", "}"))),
        ("open lists", format!("{{ product(id: {}", "[".repeat(50_000))),
        ("nested types", format!("query($a: {}) {{ __typename }}", deep("[", "]").replace("[]", "[Int]"))),
        ("directives", format!("{{ __typename {} }}", "@a".repeat(20_000))),
        ("fields", format!("{{ {} }}", "__typename ".repeat(21_000))),
        ("operations", (0..3_000).map(|nr| format!("query Q{nr} {{ __typename }} ")).collect()),
        ("digits", format!("{{ products(first: {}) {{ edges {{ cursor }} }} }}", "9".repeat(500_000))),
        ("quotes", "\"".repeat(500_000)),
        ("blanks", format!("{}{{", ", ".repeat(250_000))),
    ] {
        println!("{what}: {}", refused(&shop, what, &query).await);
    }
}
