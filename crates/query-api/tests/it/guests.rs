//! What one guest may cost: one who asks for too much is refused with typed errors, and another one is answered.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};
use daybook_edge::rates::RateLimits;
use daybook_query_api::{QueryLimits, StreamLimits};
use futures::future::join_all;
use http_body_util::BodyExt;
use serde_json::json;
use tower::ServiceExt;

use crate::{
    live::{next, receive, subscribe},
    shop::{Answer, Caller, PATIENCE, Shop, ShopSettings, id, skus},
};

/// Those who attack, and those who do not.
const ATTACKER: &str = "192.0.2.66";
const HONEST: &str = "192.0.2.1";

/// What an honest client asks for.
const PAGE: &str =
    "{ products(first: 10) { edges { node { name variants { sku available prices { price { formatted } } } } } } }";

async fn shop_of(limits: QueryLimits) -> Shop {
    let shop = Shop::with(ShopSettings { limits, ..ShopSettings::default() }).await;
    shop.shown(shop.sell("Soap", "Suds", &skus("S", 20)).await).await;
    shop
}

/// An honest client gets its page.
async fn assert_served(shop: &Shop) {
    let data = shop.guest_from(HONEST, PAGE).await.data();
    assert_eq!(data["products"]["edges"][0]["node"]["variants"].as_array().map(Vec::len), Some(20));
}

/// An answer that clients and balancers understand without its body.
fn assert_refused(answer: &Answer, status: StatusCode, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.text);
    assert_eq!(answer.headers[header::RETRY_AFTER], "1");
}

#[tokio::test]
async fn a_text_of_many_lists_is_refused_before_it_runs() {
    let shop = shop_of(QueryLimits::default()).await;
    let before = shop.proxy.executed();
    let many = |count: usize, of: &dyn Fn(usize) -> String| (0..count).map(of).collect::<String>();
    let variants = many(2_000, &|at| format!("v{at}: variants {{ sku name }} "));
    let nested = format!("{{ products(first: 100) {{ edges {{ node {{ {variants} }} }} }} }}");
    let prices = many(40, &|at| format!("p{at}: prices {{ channel price {{ minorUnits currency formatted }} }} "));
    let deep = format!("{{ products(first: 100) {{ edges {{ node {{ variants {{ {prices} }} }} }} }} }}");
    let roots = format!("{{ {} }}", many(41, &|at| format!("a{at}: product(sku: \"S-000\") {{ name }} ")));
    let trees =
        format!("{{ {} }}", many(36, &|at| format!("c{at}: categories {{ a: id b: id c: name d: name e: id }} ")));
    for query in [nested, deep, roots, trees] {
        let answer = shop.guest_from(ATTACKER, &query).await;
        assert_eq!(answer.code(), "QUERY_TOO_COMPLEX");
    }
    assert_eq!(shop.proxy.executed(), before);
    assert_served(&shop).await;
}

#[tokio::test]
async fn a_list_that_is_cut_short_costs_less() {
    let shop = shop_of(QueryLimits::default()).await;
    let cost = async |query: &str| {
        let answer = shop.guest_from(HONEST, query).await;
        answer.json()["extensions"]["cost"]["complexity"].as_u64().expect("the answer has its cost")
    };
    let whole = cost(r#"{ product(sku: "S-000") { variants { sku } } }"#).await;
    let first = cost(r#"{ product(sku: "S-000") { variants(first: 3) { sku } } }"#).await;
    assert_eq!(whole - first, 247);
    let query = r#"{ product(sku: "S-000") { variants(first: 3) { sku } } }"#;
    let data = shop.guest_from(HONEST, query).await.data();
    assert_eq!(data["product"]["variants"], json!([{"sku": "S-000"}, {"sku": "S-001"}, {"sku": "S-002"}]));
    let refused = shop.guest_from(HONEST, r#"{ product(sku: "S-000") { variants(first: 0) { sku } } }"#).await;
    assert_eq!(refused.code(), "BAD_PAGE");
}

#[tokio::test]
async fn an_answer_that_grows_too_large_ends_while_it_is_made() {
    let limits = QueryLimits { small: 100_000, largest: 200_000, ..QueryLimits::default() };
    let shop = shop_of(limits).await;
    let many: String = (0..30).map(|at| format!("v{at}: variants {{ sku name prices {{ channel }} }} ")).collect();
    let answer = shop.guest_from(ATTACKER, &format!("{{ products {{ edges {{ node {{ {many} }} }} }} }}")).await;
    assert_eq!(answer.code(), "ANSWER_TOO_LARGE");
    assert!(answer.json().get("data").is_none() && answer.text.len() < 1_000, "{}", answer.text);
    assert_served(&shop).await;
}

#[tokio::test]
async fn rows_that_are_too_large_end_their_statement() {
    let limits = QueryLimits { small: 1_000, largest: 2_000, ..QueryLimits::default() };
    let shop = shop_of(limits).await;
    let query = r#"{ product(sku: "S-000") { variants { sku } } }"#;
    assert_eq!(shop.guest_from(ATTACKER, query).await.code(), "ANSWER_TOO_LARGE");
    let small = shop.guest_from(HONEST, r#"{ product(sku: "S-000") { name } }"#).await;
    assert_eq!(small.data()["product"]["name"], "Soap");
}

#[tokio::test]
async fn one_caller_has_few_large_answers_at_once_until_they_are_sent() {
    let limits = QueryLimits {
        small: 10_000,
        large: 2,
        large_per_caller: 1,
        operations_per_caller: 32,
        ..QueryLimits::default()
    };
    let shop = shop_of(limits).await;
    let many: String = (0..60).map(|at| format!("v{at}: variants {{ sku name prices {{ channel }} }} ")).collect();
    let large = format!("{{ products {{ edges {{ node {{ {many} }} }} }} }}");
    // The attacker does not read the answer.
    let request = shop.request_from(ATTACKER, &json!({ "query": large }));
    let unread = shop.router().oneshot(request).await.expect("a router always answers");
    assert_eq!(unread.status(), StatusCode::OK);
    let attacks = join_all((0..20).map(|_| shop.guest_from(ATTACKER, &large)));
    let honest = async {
        for _ in 0..10 {
            assert_served(&shop).await;
        }
    };
    let (attacks, ()) = tokio::join!(attacks, honest);
    for answer in attacks {
        assert_refused(&answer, StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED");
    }
    let body = unread.into_body().collect().await.expect("the body can be read").to_bytes();
    assert!(body.len() > 64 << 10, "{} bytes are not large", body.len());
    let again = shop.guest_from(ATTACKER, &large).await;
    assert_eq!(again.status, StatusCode::OK, "the first answer has been read: {}", again.code());
}

#[tokio::test]
async fn one_caller_has_few_operations_at_once() {
    let limits = QueryLimits { operations_per_caller: 2, statements: 4, patience: PATIENCE, ..QueryLimits::default() };
    let shop = shop_of(limits).await;
    // Each operation of the attacker waits in the database.
    let mut locking = shop.connect().await;
    let lock = locking.transaction().await.expect("a transaction begins");
    lock.batch_execute("LOCK TABLE read.categories").await.expect("the table can be locked");
    let stuck = "{ categories { id } }";
    let attacks = async {
        let attacks = join_all((0..20).map(|_| shop.guest_from(ATTACKER, stuck)));
        let honest = async {
            for _ in 0..10 {
                assert_served(&shop).await;
            }
            lock.rollback().await.expect("the lock can be given up");
        };
        tokio::join!(attacks, honest).0
    };
    let answers = attacks.await;
    let refused = answers.iter().filter(|answer| answer.status != StatusCode::OK);
    assert!(refused.clone().count() >= 18 - 2, "the answers begin only when the lock is given up");
    for answer in refused {
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
        assert_eq!(answer.headers[header::RETRY_AFTER], "1");
    }
}

#[tokio::test]
async fn the_statements_of_one_caller_leave_places_to_others() {
    let limits = QueryLimits { statements: 4, statements_per_caller: 2, patience: PATIENCE, ..QueryLimits::default() };
    let shop = shop_of(limits).await;
    let mut locking = shop.connect().await;
    let lock = locking.transaction().await.expect("a transaction begins");
    lock.batch_execute("LOCK TABLE read.categories").await.expect("the table can be locked");
    // More operations than the process has places, and fewer than the caller may run.
    let attacks = join_all((0..10).map(|_| shop.guest_from(ATTACKER, "{ categories { id } }")));
    let honest = async {
        for _ in 0..5 {
            assert_served(&shop).await;
        }
        lock.rollback().await.expect("the lock can be given up");
    };
    let (answers, ()) = tokio::join!(attacks, honest);
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK), "they wait for each other");
}

#[tokio::test]
async fn a_query_that_gets_no_statement_in_time_is_unavailable_with_a_status() {
    let limits = QueryLimits { statements: 1, patience: Duration::from_millis(50), ..QueryLimits::default() };
    let shop = shop_of(limits).await;
    let mut locking = shop.connect().await;
    let lock = locking.transaction().await.expect("a transaction begins");
    lock.batch_execute("LOCK TABLE read.categories").await.expect("the table can be locked");
    let refused = async {
        // Sooner or later the first query has the only permit.
        loop {
            let answer = shop.guest_from(HONEST, r#"{ product(sku: "S-000") { name } }"#).await;
            if answer.status != StatusCode::OK {
                break answer;
            }
        }
    };
    let stuck = shop.guest_from(ATTACKER, "{ categories { id } }");
    let answers = async {
        let refused = refused.await;
        lock.rollback().await.expect("the lock can be given up");
        refused
    };
    let (stuck, refused) = tokio::join!(stuck, answers);
    assert_refused(&refused, StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE");
    stuck.data();
    shop.guest_from(HONEST, r#"{ product(sku: "S-000") { name } }"#).await.data();
}

/// A request for a subscription as server-sent events.
fn live(shop: &Shop, address: &str) -> axum::http::Request<Body> {
    let query = json!({"query": r#"subscription { stockChanged(skus: ["S-000"]) { sku } }"#});
    let mut request = shop.request_from(address, &query);
    request.headers_mut().insert(header::ACCEPT, header::HeaderValue::from_static("text/event-stream"));
    request
}

#[tokio::test]
async fn streams_are_limited_by_address_with_a_reserve_for_staff() {
    let streams = StreamLimits { per_caller: 2, per_process: 3, reserve_for_staff: 1, ..StreamLimits::default() };
    let shop = Shop::with(ShopSettings { streams, ..ShopSettings::default() }).await;
    shop.shown(shop.sell("Soap", "Suds", &skus("S", 1)).await).await;
    let open = async |request| shop.router().oneshot(request).await.expect("a router always answers");
    let attacks = [open(live(&shop, "2001:db8::1")).await, open(live(&shop, "2001:db8::2")).await];
    assert!(attacks.iter().all(|answer| answer.status() == StatusCode::OK));
    let refused = shop.send(live(&shop, "2001:db8::3")).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "too_many_subscriptions"));
    let honest = open(live(&shop, HONEST)).await;
    assert_eq!(honest.status(), StatusCode::OK);
    let full = shop.send(live(&shop, "192.0.2.2")).await;
    assert_eq!((full.status, full.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "too_many_subscriptions"));
    let of_staff = || {
        let request = shop.request(Method::GET, "/events", Caller::Admin).header(header::ACCEPT, "text/event-stream");
        request.body(Body::empty()).expect("the request is valid")
    };
    let staff = open(of_staff()).await;
    assert_eq!(staff.status(), StatusCode::OK);
    assert_eq!(shop.send(of_staff()).await.code(), "too_many_subscriptions");
    drop((attacks, honest, staff));
    assert_eq!(open(live(&shop, "2001:db8::3")).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_subscriptions_to_stock_read_nothing() {
    let shop = Shop::open().await;
    shop.shown(shop.sell("Soap", "Suds", &skus("S", 2)).await).await;
    let query = r#"subscription { stockChanged(skus: ["S-000"]) { available } }"#;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let mut socket = subscribe(&shop, "/graphql", Caller::Guest, query).await;
        assert_eq!(next(&mut socket).await["stockChanged"]["available"], 1_000);
        sockets.push(socket);
    }
    // The levels of all were read once more, so nothing is pending when this change has come.
    shop.command("ReceiveStock", json!({"sku": "S-000", "quantity": 1})).await;
    for socket in &mut sockets {
        assert_eq!(next(socket).await["stockChanged"]["available"], 1_001);
    }
    let before = shop.proxy.executed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let statements = shop.proxy.executed() - before;
    // The process looks for the end of the book once a second.
    assert!(statements < 20, "{statements} statements for 20 idle subscriptions");
    shop.command("ReceiveStock", json!({"sku": "S-001", "quantity": 1})).await;
    shop.command("ReceiveStock", json!({"sku": "S-000", "quantity": 1})).await;
    for socket in &mut sockets {
        assert_eq!(next(socket).await["stockChanged"]["available"], 1_002);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_of_an_unknown_sku_is_not_watched_in_vain() {
    let shop = Shop::open().await;
    shop.shown(shop.sell("Soap", "Suds", &skus("S", 1)).await).await;
    let draft = json!({"product_id": id("draft"), "name": "Draft", "variants": [{"sku": "D-1"}]});
    shop.shown(shop.command("CreateProduct", draft).await).await;
    for (path, caller, sku, code) in [
        ("/graphql", Caller::Guest, "S-00", "NOT_FOUND"),
        ("/graphql", Caller::Guest, "D-1", "NOT_FOUND"),
        ("/admin/graphql", Caller::Admin, "S-00", "NOT_FOUND"),
    ] {
        let query = format!("subscription {{ stockChanged(skus: [\"S-000\", \"{sku}\"]) {{ sku }} }}");
        let mut socket = subscribe(&shop, path, caller, &query).await;
        let refused = receive(&mut socket).await.expect("the subscription is answered");
        assert_eq!(refused["payload"]["errors"][0]["extensions"]["code"], code, "{refused}");
        assert!(refused["payload"]["errors"][0]["message"].to_string().contains(sku), "{refused}");
        assert_eq!(receive(&mut socket).await.expect("the subscription ends")["type"], "complete");
    }
    let query = "subscription { stockChanged(skus: [\"D-1\"]) { sku available } }";
    let mut staff = subscribe(&shop, "/admin/graphql", Caller::Admin, query).await;
    assert_eq!(next(&mut staff).await["stockChanged"], json!({"sku": "D-1", "available": 0}));
}

#[tokio::test]
async fn a_mutation_counts_for_the_guest_who_sent_it_and_not_for_the_query_api() {
    let limit = |text: &str| text.parse().expect("the limit is valid");
    for in_process in [true, false] {
        let command_rates = RateLimits { address: limit("1/3"), ..RateLimits::OFF };
        let shop = Shop::with(ShopSettings { command_rates, in_process, ..ShopSettings::default() }).await;
        let open = "mutation { cartOpen(input: {currency: \"EUR\"}) { consistencyToken userErrors { code } } }";
        let mut refused = None;
        // One command a second is admitted, so a slow machine needs more of them to reach the limit.
        for _ in 0..1_000 {
            let answer = shop.guest_from(ATTACKER, open).await;
            if answer.status != StatusCode::OK {
                refused = Some(answer);
                break;
            }
        }
        assert_refused(
            &refused.expect("the attacker reaches the limit"),
            StatusCode::TOO_MANY_REQUESTS,
            "RATE_LIMITED",
        );
        for nr in 1..20 {
            let answer = shop.guest_from(&format!("198.51.100.{nr}"), open).await.data();
            assert_eq!(answer["cartOpen"]["userErrors"], json!([]), "in the process: {in_process}");
        }
    }
}
