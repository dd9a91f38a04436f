//! query-api on a hot standby: it reads its writes, and follows the book.

use std::time::Instant;

use daybook_test_postgres::{ServerSettings, TestServer};
use daybook_tests::{
    directory,
    engine::{Engine, PATIENCE, broker, done, product},
};

use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;
use tokio_postgres::NoTls;

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_answered_by_a_hot_standby() {
    let directory = directory();
    let primary = TestServer::start(ServerSettings::on_a_port().0).await;
    let (admin, connection) =
        tokio_postgres::connect(&primary.url("postgres", "postgres"), NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    admin.batch_execute("CREATE DATABASE shop").await.expect("a database");
    let url = primary.url("postgres", "shop");
    done(&["migrate"], &[("DATABASE_URL", &url)]);
    let (mut settings, _) = ServerSettings::on_a_port();
    settings.primary = Some(primary.url("postgres", "postgres"));
    let standby = TestServer::start(settings).await;
    let read_url = standby.url("postgres", "shop");

    let broker = broker().await;
    let brokers = broker.bootstrap_servers();
    let writing = [("DATABASE_URL", url.as_str()), ("KAFKA_BROKERS", brokers)];
    let writer = Engine::start(directory.path(), "command-api,relay,projectors", &writing);
    // One process only reads and knows nothing but the standby. The other one has a writer, too.
    let reading =
        [("DAYBOOK_READ_URL", read_url.as_str()), ("KAFKA_BROKERS", brokers), ("DAYBOOK_COMMAND_URL", &writer.url)];
    let reader = Engine::start(directory.path(), "query-api", &reading);
    let both = [("DATABASE_URL", url.as_str()), ("DAYBOOK_READ_URL", &read_url), ("KAFKA_BROKERS", brokers)];
    let both = Engine::start(directory.path(), "command-api,query-api", &both);

    let mut events = follow(&reader.url).await;
    writer.accepted("CreateProduct", &product(1)).await;
    let position = both.accepted("ReceiveStock", &json!({ "sku": "sku-1", "quantity": 5 })).await;
    for engine in [&reader, &both] {
        let shown = engine.query("{ stock(sku: \"sku-1\", minPosition: POSITION) { onHand } }", position).await;
        assert_eq!(shown["stock"][0]["onHand"], 5, "{shown}");
    }
    let (begun, mut said) = (Instant::now(), String::new());
    while !said.contains("inventory.StockReceived") {
        assert!(begun.elapsed() < PATIENCE, "the event does not come: {said}");
        let frame = events.frame().await.expect("the stream goes on").expect("a frame");
        said += &String::from_utf8_lossy(frame.data_ref().map_or(&[][..], |data| data));
    }
    let on_standby = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'daybook/%query-api/%'";
    let (client, connection) = tokio_postgres::connect(&read_url, NoTls).await.expect("the standby answers");
    tokio::spawn(connection);
    let connections: i64 = client.query_one(on_standby, &[]).await.expect("an answer").get(0);
    assert!(connections >= 2, "both query-apis read the standby: {connections}");
}

/// Follows the events of the book.
async fn follow(url: &str) -> hyper::body::Incoming {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let request = hyper::Request::builder()
        .uri(format!("{url}/events?after=0"))
        .header("accept", "text/event-stream")
        .header("authorization", format!("Bearer {}", daybook_tests::engine::admin()))
        .body(Empty::new())
        .expect("the request is well formed");
    client.request(request).await.expect("an answer").into_body()
}
