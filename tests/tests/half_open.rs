//! Half-open connections: the network loses all packets of one direction, TCP's acknowledgements too, and ends no connection. The
//! engine has to notice that itself, on either end. These tests wait for it, about twelve seconds. The nemesis does the same to a whole
//! cluster.
#![cfg(target_os = "linux")]

use std::{
    future::Future,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    time::Duration,
};

use daybook_embedded::postgres::{Postgres, PostgresSettings};
use daybook_event_store::{Daybook, StoreSettings};
use daybook_tests::{
    directory,
    nemesis::proxy::{Network, Proxy, Speech, Target, Way},
};
use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::{Config, NoTls, config::Host};

/// How long a test waits for the engine to notice. Linux by itself takes a quarter of an hour at least.
const PATIENCE: Duration = Duration::from_secs(300);

async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{what} does not happen"))
}

fn open(database_url: String) -> Daybook {
    Daybook::open(&StoreSettings { database_url, max_connections: 1 }).expect("the URL is right")
}

/// Runs a query on the one connection of the pool, which is a new one if the last one broke.
async fn asked(book: &Daybook) -> Result<i32, String> {
    let client = book.pool().get().await.map_err(|error| error.to_string())?;
    let row = client.query_one("SELECT 1", &[]).await.map_err(|error| error.to_string())?;
    Ok(row.get(0))
}

async fn notices(way: Way) {
    let database = daybook_test_postgres::database().await;
    let config: Config = database.url().parse().expect("a URL");
    let Some(Host::Unix(socket)) = config.get_hosts().first() else { panic!("PostgreSQL listens on a socket") };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let target = Target::Socket(socket.join(format!(".s.PGSQL.{port}")));
    let proxy = Proxy::open(target, Speech::Any).await.expect("a proxy");
    let user = config.get_user().expect("the URL has a user");
    let book = open(format!(
        "postgresql://{user}@{}/{}",
        proxy.address(),
        config.get_dbname().expect("the URL has a database")
    ));
    assert_eq!(asked(&book).await, Ok(1));
    proxy.set(Network::HalfOpen(way)).expect("the network can be half-open");
    in_time("a failure", asked(&book)).await.expect_err("no answer arrives");
    in_time("a failure", asked(&book)).await.expect_err("no connection can be made either");
    proxy.set(Network::Whole).expect("the network can be half-open");
    assert_eq!(in_time("an answer", asked(&book)).await, Ok(1));
}

#[tokio::test]
async fn a_query_that_is_lost_fails_and_the_next_one_uses_a_new_connection() {
    notices(Way::ToServer).await;
}

#[tokio::test]
async fn a_query_whose_answer_is_lost_fails_and_the_next_one_uses_a_new_connection() {
    notices(Way::ToClient).await;
}

/// A port that forwards one connection to a server, and the socket to that server once a client has connected.
async fn forward_one(server: SocketAddr) -> (SocketAddr, impl Future<Output = OwnedFd>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("the listener has an address");
    let connected = async move {
        let (mut client, _) = listener.accept().await.expect("a client connects");
        let mut server = TcpStream::connect(server).await.expect("the server listens");
        let ear = server.as_fd().try_clone_to_owned().expect("the socket can be duplicated");
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        ear
    };
    (address, connected)
}

#[tokio::test]
async fn postgresql_frees_the_locks_of_a_client_that_is_silent() {
    const LEAD: &str = "SELECT pg_advisory_lock(1)";
    let directory = directory();
    let settings = PostgresSettings {
        // This path is too long for a socket, so the server listens on a TCP port.
        data_dir: directory.path().join("long".repeat(30)),
        durable: false,
        supervisor: Some(PathBuf::from(env!("CARGO_BIN_EXE_nemesis"))),
    };
    let server = Postgres::start(&settings).await.expect("the server starts");
    let url = server.database_url();
    let config: Config = url.parse().expect("a URL");
    let port = config.get_ports().first().copied().expect("the URL has a port");
    let (address, connected) = forward_one(SocketAddr::from(([127, 0, 0, 1], port))).await;
    let connected = tokio::spawn(connected);
    let book = open(url.replacen(&format!(":{port}/"), &format!(":{}/", address.port()), 1));
    let leader = book.connect().await.expect("the connection is made");
    let ear = connected.await.expect("the leader has connected");
    leader.batch_execute(LEAD).await.expect("the lock is taken");
    // All that the server sends from now on is lost and never acknowledged.
    SockRef::from(&ear).attach_filter(&[SockFilter::new(0x06, 0, 0, 0)]).expect("a filter");
    let (standby, connection) = tokio_postgres::connect(url, NoTls).await.expect("the connection is made");
    tokio::spawn(connection);
    in_time("a new leader", standby.batch_execute(LEAD)).await.expect("the lock is taken");
    server.stop().await.expect("the server stops");
}
