//! The limits of a query.

use axum::http::{Method, StatusCode};
use daybook_edge::rates::RateLimits;
use serde_json::{Value, json};

use crate::shop::{Caller, Shop, ShopSettings};

/// What a statement costs.
const STATEMENT: u64 = 250_000;

#[tokio::test]
async fn every_answer_has_its_cost_and_the_limits() {
    let shop = Shop::open().await;
    let answer = shop.storefront(Caller::Guest, "{ products(first: 10) { edges { node { id } } } }").await;
    let cost = json!({"complexity": STATEMENT + 30, "maxComplexity": 10_000_000, "depth": 4, "maxDepth": 15});
    assert_eq!(answer.json()["extensions"], json!({ "cost": cost }));
}

#[tokio::test]
async fn a_query_that_nests_too_deep_is_refused_before_it_runs() {
    let shop = Shop::open().await;
    let before = shop.proxy.executed();
    let mut inner = "{ name }".to_owned();
    for _ in 0..15 {
        inner = format!("{{ ofType {inner} }}");
    }
    let answer = shop.storefront(Caller::Guest, &format!("{{ __type(name: \"Cart\") {inner} }}")).await;
    assert_eq!(answer.code(), "QUERY_TOO_DEEP");
    assert!(answer.json().get("data").is_none());
    assert_eq!(shop.proxy.executed(), before);
}

#[tokio::test]
async fn a_query_that_is_too_complex_is_refused_before_it_runs() {
    let shop = Shop::open().await;
    let before = shop.proxy.executed();
    let fields: String = (0..60).map(|at| format!("p{at}: products(first: 100) {{ edges {{ cursor }} }} ")).collect();
    let answer = shop.storefront(Caller::Guest, &format!("{{ {fields} }}")).await;
    assert_eq!(answer.code(), "QUERY_TOO_COMPLEX");
    assert_eq!(shop.proxy.executed(), before);
}

#[tokio::test]
async fn a_page_costs_as_much_as_it_has_rows() {
    let shop = Shop::open().await;
    let cost = async |first: i32| {
        let query = format!("{{ products(first: {first}) {{ edges {{ cursor }} }} }}");
        shop.storefront(Caller::Guest, &query).await.json()["extensions"]["cost"]["complexity"].as_u64()
    };
    assert_eq!(cost(1).await, Some(STATEMENT + 2));
    assert_eq!(cost(100).await, Some(STATEMENT + 200));
}

/// Selections with a page of `first` rows, at every depth. Some are cheap, and some are too complex even for a page of 100.
fn pages(first: &str) -> Vec<String> {
    let cheap = "cursor".to_owned();
    let expensive: String = (0..60).map(|at| format!("n{at}: node {{ id name }} ")).collect();
    let of = |edges: String| {
        [
            format!("products(first: {first}) {{ edges {{ {edges} }} }}"),
            format!("search(query: \"tea\", first: {first}) {{ products {{ edges {{ {edges} }} }} }}"),
            format!("...Page }} fragment Page on Query {{ products(first: {first}) {{ edges {{ {edges} }} }}"),
        ]
    };
    let orders =
        ["me", "customer(id: \"ann\")"].map(|of| format!("{of} {{ orders(first: {first}) {{ edges {{ cursor }} }} }}"));
    let full: String = (0..60).map(|at| format!("p{at}: products(first: 100) {{ edges {{ cursor }} }} ")).collect();
    let full = format!("{full} products(first: {first}) {{ edges {{ cursor }} }}");
    [cheap, expensive].into_iter().flat_map(of).chain(orders).chain([full]).collect()
}

#[tokio::test]
async fn a_page_that_is_too_large_is_refused_as_such_before_its_cost_is_counted() {
    let shop = Shop::open().await;
    let before = shop.proxy.executed();
    for first in [101, 1_251, i32::MAX] {
        let literal = pages(&first.to_string()).into_iter().map(|page| (format!("{{ {page} }}"), Value::Null));
        let by_variable = pages("$first").into_iter().flat_map(|page| {
            [
                (format!("query($first: Int) {{ {page} }}"), json!({ "first": first })),
                (format!("query($first: Int = {first}) {{ {page} }}"), json!({})),
                (format!("query($first: Int! = 1) {{ {page} }}"), json!({ "first": first })),
            ]
        });
        for (query, variables) in literal.chain(by_variable) {
            let body = json!({"query": query, "variables": variables});
            let answer = shop.post("/admin/graphql", Caller::Admin, &body).await;
            assert_eq!(answer.code(), "BAD_PAGE", "{query} {variables}");
            assert!(answer.json().get("data").is_none(), "{query} must not run");
        }
    }
    assert_eq!(shop.proxy.executed(), before);
}

#[tokio::test]
async fn pages_without_cursors_have_limits_of_their_own() {
    let shop = Shop::open().await;
    let events = |first: i32| format!("{{ events(first: {first}) {{ position stream type recordedAt }} }}");
    let top =
        |first: i32| format!("{{ topProducts(from: \"2026-01-01\", to: \"2026-01-02\", first: {first}) {{ sku }} }}");
    for query in [events(0), events(1_001), events(1_251), events(i32::MAX), top(0), top(101), top(i32::MAX)] {
        assert_eq!(shop.office(Caller::Admin, &query).await.code(), "BAD_PAGE", "{query}");
    }
    for query in [events(1), events(1_000), top(1), top(100)] {
        shop.office(Caller::Admin, &query).await.data();
    }
}

#[tokio::test]
async fn introspection_shows_the_schemas_to_staff_and_to_others_unless_it_is_off() {
    let query = "{ __schema { queryType { name } } __typename }";
    let open = Shop::open().await;
    assert_eq!(open.storefront(Caller::Guest, query).await.data()["__schema"]["queryType"]["name"], "Query");
    let closed = Shop::with(ShopSettings { introspection: false, ..ShopSettings::default() }).await;
    for caller in [Caller::Guest, Caller::Customer("ann")] {
        let answer = closed.storefront(caller, query).await;
        assert!(!answer.text.contains("queryType\":{\"name"), "{}", answer.text);
    }
    assert_eq!(closed.office(Caller::Admin, query).await.data()["__schema"]["queryType"]["name"], "Query");
    assert_eq!(closed.storefront(Caller::Guest, "{ __typename }").await.data()["__typename"], "Query");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let shop = Shop::open().await;
    let body = json!({"query": "{ __typename }", "variables": {"x": "x".repeat(2 << 20)}});
    assert_eq!(shop.post("/graphql", Caller::Guest, &body).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_mutation_is_not_run_by_get_and_the_operation_name_selects_the_operation() {
    let shop = Shop::open().await;
    let get = async |query: &str| {
        let request = shop.request(Method::GET, &format!("/graphql?{query}"), Caller::Guest);
        shop.send(request.body(axum::body::Body::empty()).expect("the request is valid")).await
    };
    let both = "query=query%20Q%7B__typename%7D%20mutation%20M%7BcartAbandon(input:%7BcartId:1%7D)%7B__typename%7D%7D";
    assert_eq!(get(&format!("{both}&operationName=Q")).await.data()["__typename"], "Query");
    let refused = get(&format!("{both}&operationName=M")).await;
    assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(refused.headers["allow"], "POST");
}

#[tokio::test]
async fn fields_with_statements_of_their_own_cost_more() {
    let shop = Shop::open().await;
    let cost = async |query: &str| {
        let answer = shop.storefront(Caller::Guest, query).await;
        answer.json()["extensions"]["cost"]["complexity"].as_u64().expect("the answer has its cost")
    };
    assert_eq!(cost("{ categories { id name } }").await, STATEMENT + 1 + 2 * 10_000);
    let product = "product(sku: \"S-1\", minPosition: 0) { name }";
    assert_eq!(cost(&format!("{{ {product} }}")).await, 2 * STATEMENT + 2);
    assert_eq!(cost(&format!("{{ ...F }} fragment F on Query {{ {product} }}")).await, 2 * STATEMENT + 2);
    let search = |fields: &str| format!("{{ search(query: \"tea\", first: 1) {{ {fields} }} }}");
    assert_eq!(cost(&search("products { edges { cursor } }")).await, STATEMENT + 3);
    assert_eq!(cost(&search("facets { brands { value } }")).await, 2 * STATEMENT + 22);
    let many: String = (0..3_000).map(|at| format!("a{at}: {product} ")).collect();
    let before = shop.proxy.executed();
    assert_eq!(shop.storefront(Caller::Guest, &format!("{{ {many} }}")).await.code(), "QUERY_TOO_COMPLEX");
    assert_eq!(shop.proxy.executed(), before);
}

#[tokio::test]
async fn the_errors_of_a_document_are_not_much_larger_than_the_document() {
    let shop = Shop::open().await;
    let unused: String = (0..3_000).map(|at| format!("$a{at}:Int ")).collect();
    let broken = "€".repeat(100_000);
    for (query, errors) in [(format!("query({unused}) {{ __typename }}"), 51), (format!("{{ {broken} }}"), 1)] {
        let answer = shop.storefront(Caller::Guest, &query).await;
        let named = answer.json()["errors"].as_array().map(Vec::len);
        assert_eq!(named, Some(errors), "{}", &answer.text[answer.text.len().saturating_sub(500)..]);
        assert!(answer.text.len() < 30_000, "{} bytes", answer.text.len());
    }
}

#[tokio::test]
async fn the_headers_of_a_body_are_read_as_those_of_a_command() {
    let shop = Shop::open().await;
    let status = async |headers: &[(&str, &str)], body: &'static str| {
        let request = shop.request(Method::POST, "/graphql", Caller::Guest);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = shop.send(request.body(body.into()).expect("the request is valid")).await;
        (answer.status.as_u16(), answer.text)
    };
    let query = r#"{"query":"{ __typename }"}"#;
    let json = ("content-type", "Application/JSON; charset=UTF-8");
    assert_eq!(status(&[json], query).await.0, 200);
    for refused in [&[][..], &[("content-type", "text/plain")], &[json, ("content-encoding", "gzip")]] {
        assert_eq!(status(refused, query).await.0, 415, "{refused:?}");
    }
    for (body, what) in [(" [{}]", "one operation"), (r#"{"query":1}"#, "invalid type: integer `1`, expected a string")]
    {
        let (status, text) = status(&[json], body).await;
        assert!(status == 400 && text.contains(what), "{body}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_long_is_refused_before_it_is_parsed_and_counts_as_several_requests() {
    let rates = RateLimits { address: "5/40".parse().expect("a rate"), ..RateLimits::OFF };
    let shop = Shop::with(ShopSettings { rates, ..ShopSettings::default() }).await;
    let long = format!("{{ {} }}", "__typename ".repeat(20_000));
    let answer = shop.guest_from("198.51.100.1", &long).await;
    assert!(answer.code() == "QUERY_TOO_COMPLEX" && answer.text.contains("20002 tokens"), "{}", answer.text);
    // 28 requests more than one, each.
    let allowed = format!("{{ {} }}", "__typename ".repeat(14_000));
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(shop.guest_from("198.51.100.1", &allowed).await.status.as_u16());
    }
    assert!(answers[0] == 200 && answers.contains(&429), "{answers:?}");
    assert_eq!(shop.guest_from("198.51.100.2", "{ __typename }").await.status, StatusCode::OK);

    let socket = async |query: &str| {
        let mut socket = crate::live::subscribe(&shop, "/graphql", Caller::Guest, query).await;
        crate::live::receive(&mut socket).await.expect("an answer").to_string()
    };
    assert!(socket(&long).await.contains("QUERY_TOO_COMPLEX"));
}
