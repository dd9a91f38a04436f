//! The book as a list: backwards, by actor and by causal chain.

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::shop::{Answer, Caller, PATIENCE, Shop, id, skus};

async fn get(shop: &Shop, query: &str) -> Answer {
    let request = shop.request(Method::GET, &format!("/events{query}"), Caller::Admin);
    shop.send(request.body(Body::empty()).expect("the request is valid")).await
}

/// The positions of the events of an answer.
async fn positions(shop: &Shop, query: &str) -> Vec<i64> {
    let answer = get(shop, query).await;
    assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text);
    assert!(answer.headers.contains_key("x-daybook-history"));
    let lines = answer.text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    lines.filter_map(|event| event["position"].as_i64()).collect()
}

async fn of_graphql(shop: &Shop, arguments: &str) -> Vec<i64> {
    let data = shop.office(Caller::Support, &format!("{{ events({arguments}) {{ position }} }}")).await.data();
    data["events"].as_array().into_iter().flatten().filter_map(|event| event["position"].as_i64()).collect()
}

/// Opens a cart as a guest, in a causal chain.
async fn open_cart(shop: &Shop, name: &str, chain: uuid::Uuid) -> Answer {
    let request =
        shop.request(Method::POST, "/commands/OpenCart", Caller::Guest).header("correlation-id", chain.to_string());
    let body = json!({"cart_id": id(name), "currency": "EUR"}).to_string();
    shop.send(request.body(body.into()).expect("the request is valid")).await
}

#[tokio::test]
async fn the_last_events_come_in_order_and_page_backwards() {
    let shop = Shop::open().await;
    let head = shop.sell("Soap", "Suds", &skus("S", 3)).await;
    assert_eq!(positions(&shop, "?last=2").await, [head - 1, head]);
    assert_eq!(positions(&shop, &format!("?last=2&before={}", head - 1)).await, [head - 3, head - 2]);
    assert_eq!(positions(&shop, "?last=5&before=3").await, [1, 2]);
    assert_eq!(of_graphql(&shop, "last: 2").await, [head - 1, head]);
    assert_eq!(of_graphql(&shop, &format!("last: 2, before: {}", head - 1)).await, [head - 3, head - 2]);
    let prices = positions(&shop, "?last=1&type=catalog.PriceSet").await;
    assert_eq!(of_graphql(&shop, "last: 1, types: [\"PriceSet\"]").await, prices);
    for arguments in ["last: 0", "last: 1001"] {
        let refused = shop.office(Caller::Admin, &format!("{{ events({arguments}) {{ position }} }}")).await;
        assert_eq!(refused.code(), "BAD_PAGE");
    }
    for arguments in ["last: 1, after: 1", "before: 3"] {
        let refused = shop.office(Caller::Admin, &format!("{{ events({arguments}) {{ position }} }}")).await;
        assert_eq!(refused.code(), "BAD_INPUT");
    }
}

#[tokio::test]
async fn events_are_found_by_actor_and_by_causal_chain() {
    let shop = Shop::open().await;
    let head = shop.sell("Soap", "Suds", &skus("S", 1)).await;
    let chain = id("chain");
    for name in ["one", "two"] {
        assert_eq!(open_cart(&shop, name, chain).await.status, StatusCode::OK);
    }
    let of_guest = [head + 1, head + 2];
    assert_eq!(positions(&shop, "?actor=guest").await, of_guest);
    assert_eq!(positions(&shop, &format!("?correlation={chain}")).await, of_guest);
    assert_eq!(positions(&shop, &format!("?actor=admin:ada&correlation={chain}")).await, [0_i64; 0]);
    assert_eq!(of_graphql(&shop, "actor: \"guest\", last: 1").await, [head + 2]);
    assert_eq!(of_graphql(&shop, &format!("correlationId: \"{chain}\"")).await, of_guest);
    assert_eq!(of_graphql(&shop, "actor: \"admin:ada\", first: 1000").await, (1..=head).collect::<Vec<_>>());
    // A chain that a command has begun itself has the id of the command.
    let first = get(&shop, "?last=1&before=2").await;
    let first: Value = serde_json::from_str(first.text.trim()).expect("the line is JSON");
    let begun = first["correlation_id"].as_str().expect("an event has a chain");
    let of_command = positions(&shop, &format!("?correlation={begun}")).await;
    assert_eq!(of_command.first(), Some(&1));
    assert!(of_command.len() > 1, "the first command has written several events");
    let malformed = shop.request(Method::POST, "/commands/OpenCart", Caller::Guest).header("correlation-id", "story");
    let malformed = shop.send(malformed.body("{}".into()).expect("the request is valid")).await;
    assert_eq!(malformed.code(), "malformed_correlation_id");
    assert_eq!(open_cart(&shop, "three", uuid::Uuid::nil()).await.code(), "malformed_correlation_id");
}

#[tokio::test]
async fn an_index_finds_the_events_of_staff_and_of_a_chain() {
    let shop = Shop::open().await;
    let client = shop.connect().await;
    // On a small table PostgreSQL prefers to read all of it.
    let fill = "INSERT INTO events SELECT g, 's-' || g, 1, 't', 1, gen_random_uuid(), now(), now(), gen_random_uuid(),
                       gen_random_uuid(), 'admin:' || g % 1000, NULL, NULL, '{}' FROM generate_series(100, 50000) g;
                ANALYZE events; SET plan_cache_mode = force_generic_plan";
    client.batch_execute(fill).await.expect("the events can be written");
    let chain = id("chain");
    for (query, argument, index) in [
        ("?actor=admin:eve", "'admin:eve'".to_owned(), "events_by_staff"),
        (&format!("?correlation={chain}"), format!("'{chain}'"), "events_by_chain"),
    ] {
        for page in ["&after=0", "&last=20"] {
            shop.proxy.prepared();
            positions(&shop, &format!("{query}{page}")).await;
            let statements = shop.proxy.prepared();
            let sql = statements.iter().find(|sql| sql.contains("FROM events WHERE position")).expect("it is prepared");
            client.batch_execute(&format!("PREPARE page AS {sql}")).await.expect("the statement can be prepared");
            let explain = format!("EXPLAIN EXECUTE page (99999, 20, {argument})");
            let lines = client.query(&explain, &[]).await.expect("the statement has a plan");
            let plan = lines.iter().map(|line| line.get(0)).collect::<Vec<String>>().join("\n");
            assert!(plan.contains(index) && !plan.contains("Seq Scan on events"), "{query}{page}:\n{plan}");
            client.batch_execute("DEALLOCATE page").await.expect("the statement is prepared");
        }
    }
}

#[tokio::test]
async fn a_parameter_is_given_once_and_types_add_up() {
    let shop = Shop::open().await;
    shop.sell("Soap", "Suds", &skus("S", 1)).await;
    let types = ["catalog.ProductCreated", "catalog.PriceSet"].map(|name| format!("type={name}"));
    let one_by_one =
        [positions(&shop, &format!("?{}", types[0])).await, positions(&shop, &format!("?{}", types[1])).await];
    let mut expected = one_by_one.concat();
    expected.sort_unstable();
    assert!(one_by_one.iter().all(|some| !some.is_empty()), "{one_by_one:?}");
    assert_eq!(positions(&shop, &format!("?{}", types.join("&"))).await, expected);
    for twice in ["after=0&after=1", "limit=1&limit=1", "stream=a&stream=b"] {
        let request = shop.request(Method::GET, &format!("/events?{twice}"), Caller::Admin);
        let answer = shop.send(request.body(Body::empty()).expect("the request is valid")).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "bad_parameter"), "{twice}");
    }
}

#[tokio::test]
async fn an_unknown_type_is_refused_with_the_nearest_names() {
    let shop = Shop::open().await;
    for accept in ["*/*", "text/event-stream"] {
        let request =
            shop.request(Method::GET, "/events?type=OrderPlacd", Caller::Admin).header(header::ACCEPT, accept);
        let answer = shop.send(request.body(Body::empty()).expect("the request is valid")).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "bad_parameter"));
        assert_eq!(answer.json()["nearest"][0], "order.OrderPlaced");
    }
    let answer = shop.office(Caller::Admin, "{ events(types: [\"OrderPlacd\"]) { position } }").await;
    assert_eq!(answer.code(), "BAD_INPUT");
    assert!(answer.text.contains("order.OrderPlaced"), "{}", answer.text);
    assert_eq!(positions(&shop, "?type=OrderPlaced,cart.CartOpened").await, [0_i64; 0]);
}

#[tokio::test]
async fn events_of_a_stream_have_no_name_so_that_every_client_gets_them() {
    let shop = Shop::open().await;
    shop.sell("Soap", "Suds", &skus("S", 1)).await;
    let request =
        shop.request(Method::GET, "/events?after=0", Caller::Admin).header(header::ACCEPT, "text/event-stream");
    let request = request.body(Body::empty()).expect("the request is valid");
    let response = shop.router().oneshot(request).await.expect("a router always answers");
    let mut body = response.into_body();
    let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("a message comes in time");
    let bytes = frame.expect("the stream continues").expect("the stream is not broken").into_data().unwrap_or_default();
    let text = String::from_utf8(bytes.to_vec()).expect("the event is a text");
    assert!(text.lines().any(|line| line == "id: 1") && !text.contains("event:"), "{text}");
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("the event has data");
    let event: Value = serde_json::from_str(data).expect("the data is JSON");
    assert_eq!(event["type"], "catalog.ProductCreated");
}
