//! How a process starts: it listens before it connects, and waits for the database.

use std::path::PathBuf;

use daybook_tests::nemesis::proxy::{Proxy, Speech, Target};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio_postgres::{Config, config::Host};

use crate::served::{Served, World, cart_open, open_cart, post};

/// The URL of a database behind a proxy, and the socket that the proxy has to lead to.
fn behind(url: &str, proxy: &Proxy) -> (String, PathBuf) {
    let config: Config = url.parse().expect("the URL is valid");
    let Some(Host::Unix(directory)) = config.get_hosts().first() else { panic!("the server has a socket") };
    let name = config.get_dbname().expect("the URL names a database");
    let user = config.get_user().expect("the URL names a user");
    (format!("postgres://{user}@{}/{name}", proxy.address()), directory.join(".s.PGSQL.5432"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_database_is_away_listens_and_waits_for_it() {
    let world = World::new().await;
    let network = Proxy::open(Target::Nowhere, Speech::Any).await.expect("a port is free");
    let (url, socket) = behind(world.database.url(), &network);
    let roles = "command-api,query-api,relay,projectors,reactors";
    let served = Served::start(&url, &world.broker.address().to_string(), roles, &["--drain-delay", "0"]);
    let waits = async |served: &Served| {
        let (status, body) = served.operator("/startupz").await;
        status == 503 && body.contains("the database: ")
    };
    served.until("the start waits for the database", waits).await;
    assert_eq!(served.operator("/livez").await.0, 200, "it lives");
    assert_eq!(served.readiness().await, (503, vec![("start".to_owned(), false)]));

    network.lead_to(Target::Socket(socket));
    served.until("it has started", async |served| served.operator("/startupz").await.0 == 200).await;
    let url = served.url();
    let (status, body) = served.send(post(&url, "/graphql", &cart_open())).await;
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &answer["data"]["cartOpen"]["cart"]["status"]), (200, &json!("OPEN")), "{body}");
    served.signal(Signal::SIGTERM);
    assert!(served.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_waits_for_its_database_stops_when_it_is_asked_to() {
    let network = Proxy::open(Target::Nowhere, Speech::Any).await.expect("a port is free");
    let url = format!("postgres://nobody@{}/nothing", network.address());
    let served = Served::start(&url, "127.0.0.1:1", "command-api", &[]);
    served.until("it listens", async |served| served.operator("/startupz").await.0 == 503).await;
    served.signal(Signal::SIGTERM);
    assert!(served.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn views_that_were_never_built_are_built_beside_traffic() {
    let world = World::new().await;
    let commands = world.ready("command-api", &[]).await;
    let (status, body) = commands.send(post(&commands.url(), "/commands/OpenCart", &open_cart())).await;
    assert_eq!(status, 200, "{body}");
    let queries = world.ready("query-api", &[]).await;
    let url = queries.url();
    let products = json!({ "query": "{ products(first: 5) { edges { node { slug } } } }" });
    let (status, body) = queries.send(post(&url, "/graphql", &products)).await;
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &answer["errors"][0]["extensions"]["code"]), (200, &json!("VIEW_BUILDING")), "{body}");

    let _stream = world.ready("relay,projectors", &[]).await;
    let shown = async |queries: &Served| {
        let (_, body) = queries.send(post(&url, "/graphql", &products)).await;
        serde_json::from_str::<Value>(&body).is_ok_and(|answer| answer["data"]["products"]["edges"].is_array())
    };
    queries.until("the view is built", shown).await;
}
