//! What the probes say: readiness is about the process, and never about how far the views are.

use daybook_tests::nemesis::proxy::Network;
use hyper::Request;
use serde_json::{Value, json};

use crate::served::{Served, World, open_cart, post, token};

/// A storefront's query.
fn products() -> Value {
    json!({ "query": "{ products(first: 5) { edges { node { slug } } } }" })
}

async fn storefront_answers(served: &Served, url: &str) {
    let (status, body) = served.send(post(url, "/graphql", &products())).await;
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert!(status == 200 && answer["data"]["products"]["edges"].is_array(), "{status}: {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_storefront_answers_while_the_broker_is_silent_and_the_projectors_are_stopped() {
    let world = World::new().await;
    let everything = world.ready("command-api,query-api,relay,projectors,reactors", &[]).await;
    let queries = world.ready("query-api", &[]).await;
    let stream = world.ready("relay,projectors", &[]).await;
    let (shop, queries_url) = (everything.url(), queries.url());
    storefront_answers(&queries, &queries_url).await;

    world.broker.set(Network::Silent).expect("the network can be disturbed");
    let (status, body) = everything.send(post(&shop, "/commands/OpenCart", &open_cart())).await;
    assert_eq!(status, 200, "{body}");
    // The views have stood still for half a minute, and operators see it.
    let stale = async |served: &Served| served.detail("views").await == Some(false);
    for served in [&everything, &queries, &stream] {
        served.until("a view is behind and does not move", stale).await;
        let (_, metrics) = served.operator("/metrics").await;
        let lag = metrics.lines().find(|line| line.starts_with("daybook_view_lag_seconds{view=\"cart\"}"));
        let seconds = lag.and_then(|line| line.rsplit_once(' ')).and_then(|(_, value)| value.parse::<f64>().ok());
        assert!(seconds.is_some_and(|seconds| seconds > 0.0), "{lag:?}");
    }
    stream.until("the broker is silent", async |served| served.detail("broker").await == Some(false)).await;
    for served in [&everything, &queries, &stream] {
        let (status, checks) = served.readiness().await;
        assert!(status == 200 && checks.iter().all(|(_, ok)| *ok), "{checks:?}");
        assert_eq!(served.operator("/livez").await.0, 200);
    }
    storefront_answers(&everything, &shop).await;
    storefront_answers(&queries, &queries_url).await;
    world.broker.set(Network::Whole).expect("the network can be mended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_api_whose_store_is_full_is_not_ready_until_there_is_room() {
    let world = World::new().await;
    let served = world.ready("command-api", &[]).await;
    let url = served.url();
    let client = world.database.connect().await;
    // PostgreSQL says the same when it cannot extend a file.
    let full = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
                CREATE TRIGGER refuse BEFORE UPDATE ON head FOR EACH STATEMENT EXECUTE FUNCTION refuse()";
    client.batch_execute(full).await.expect("the disk is full");
    let (status, body) = served.send(post(&url, "/commands/OpenCart", &open_cart())).await;
    let problem: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &problem["code"]), (503, &json!("not_written")), "{body}");
    let is_full = async |served: &Served| {
        served.readiness().await == (503, checks(&[("commands", false), ("clock", true), ("schema", true)]))
    };
    served.until("it is not ready", is_full).await;
    assert_eq!(served.get(&format!("{url}/readyz")).await, (503, "not ready\n".to_owned()));
    assert_eq!(served.operator("/livez").await.0, 200, "a full disk is no reason to restart");
    client.batch_execute("DROP TRIGGER refuse ON head").await.expect("there is room");
    served.until("it is ready", async |served| served.readiness().await.0 == 200).await;
    assert_eq!(served.send(post(&url, "/commands/OpenCart", &open_cart())).await.0, 200);
}

fn checks(all: &[(&str, bool)]) -> Vec<(String, bool)> {
    all.iter().map(|(name, ok)| ((*name).to_owned(), *ok)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_port_tells_guests_no_more_than_a_word() {
    let world = World::new().await;
    let served = world.ready("command-api,query-api,relay,projectors", &[]).await;
    let url = served.url();
    let get = async |path: &str| served.get(&format!("{url}{path}")).await;
    assert_eq!(get("/livez").await, (200, "alive\n".to_owned()));
    assert_eq!(get("/readyz").await, (200, "ready\n".to_owned()));
    for path in ["/metrics", "/startupz", "/drain"] {
        assert_eq!(get(path).await.0, 404, "{path}");
    }
    assert_eq!(get("/health").await.0, 401);
    let staff =
        Request::get(format!("{url}/health")).header("authorization", token()).body(http_body_util::Full::default());
    let (status, body) = served.send(staff.expect("the request is valid")).await;
    assert!(status == 200 && body.contains(&world.broker.address().to_string()), "staff sees the details: {body}");
    for path in ["/openapi.json", "/asyncapi.json"] {
        let (status, body) = get(path).await;
        assert!(status == 200 && serde_json::from_str::<Value>(&body).is_ok(), "{path}: {status}");
    }
    let operators = async |method: &str, path: &str, (name, value): (&str, &str)| {
        let request = Request::builder().method(method).uri(format!("{}{path}", served.operators)).header(name, value);
        served.send(request.body(http_body_util::Full::default()).expect("the request is valid")).await.0
    };
    for header in [("origin", "http://shop.example"), ("sec-fetch-mode", "no-cors"), ("referer", "http://shop.example")]
    {
        assert_eq!(operators("POST", "/drain", header).await, 403, "no page of a browser stops a process");
    }
    for path in ["/health", "/metrics", "/readyz"] {
        assert_eq!(operators("GET", path, ("host", "evil.example:9000")).await, 421, "{path}");
        for host in ["localhost:9000", "[::1]", "127.0.0.1"] {
            assert_eq!(operators("GET", path, ("host", host)).await, 200, "{path} {host}");
        }
    }
}
