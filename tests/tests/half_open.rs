//! A network that goes silent in one direction, with TCP's own acknowledgements, ends no connection: the engine has to notice by
//! itself, on both of its ends. These tests wait for that, about twelve seconds. The nemesis does the same to a whole cluster.
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

/// Whoever has not noticed by then never does. Left to itself, Linux takes a quarter of an hour at least.
const PATIENCE: Duration = Duration::from_secs(300);

async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{what} does not happen"))
}

fn open(database_url: String) -> Daybook {
    Daybook::open(&StoreSettings { database_url, max_connections: 1 }).expect("the URL is right")
}

/// Asks on the one connection of the pool, which has to be a new one if the last one broke.
async fn asked(book: &Daybook) -> Result<i32, String> {
    let client = book.pool().get().await.map_err(|error| error.to_string())?;
    let row = client.query_one("SELECT 1", &[]).await.map_err(|error| error.to_string())?;
    Ok(row.get(0))
}

async fn notices(way: Way) {
    let database = daybook_test_postgres::database().await;
    let config: Config = database.url().parse().expect("a URL");
    let Some(Host::Unix(socket)) = config.get_hosts().first() else { panic!("it is behind a socket") };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let target = Target::Socket(socket.join(format!(".s.PGSQL.{port}")));
    let proxy = Proxy::open(target, Speech::Any).await.expect("a proxy");
    let user = config.get_user().expect("there is a user");
    let book =
        open(format!("postgresql://{user}@{}/{}", proxy.address(), config.get_dbname().expect("there is a database")));
    assert_eq!(asked(&book).await, Ok(1));
    proxy.set(Network::HalfOpen(way)).expect("it can");
    in_time("a failure", asked(&book)).await.expect_err("nobody answers");
    in_time("a failure", asked(&book)).await.expect_err("nobody can connect either");
    proxy.set(Network::Whole).expect("it can");
    assert_eq!(in_time("an answer", asked(&book)).await, Ok(1));
}

#[tokio::test]
async fn a_question_that_is_lost_fails_and_is_asked_again_on_a_new_connection() {
    notices(Way::ToServer).await;
}

#[tokio::test]
async fn a_question_whose_answer_is_lost_fails_and_is_asked_again_on_a_new_connection() {
    notices(Way::ToClient).await;
}

/// A port that leads to one connection with a server, and that connection, which is there once somebody has connected.
async fn passage(server: SocketAddr) -> (SocketAddr, impl Future<Output = OwnedFd>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("it has one");
    let connected = async move {
        let (mut client, _) = listener.accept().await.expect("somebody connects");
        let mut server = TcpStream::connect(server).await.expect("the server is there");
        let ear = server.as_fd().try_clone_to_owned().expect("it can be held twice");
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        ear
    };
    (address, connected)
}

#[tokio::test]
async fn postgresql_frees_what_somebody_held_who_is_not_heard_any_more() {
    const LEAD: &str = "SELECT pg_advisory_lock(1)";
    let directory = directory();
    let settings = PostgresSettings {
        // Too long for a socket: so the server listens on a port, and TCP is its own.
        data_dir: directory.path().join("long".repeat(30)),
        durable: false,
        supervisor: Some(PathBuf::from(env!("CARGO_BIN_EXE_nemesis"))),
    };
    let server = Postgres::start(&settings).await.expect("it starts");
    let url = server.database_url();
    let config: Config = url.parse().expect("a URL");
    let port = config.get_ports().first().copied().expect("it has a port");
    let (address, connected) = passage(SocketAddr::from(([127, 0, 0, 1], port))).await;
    let connected = tokio::spawn(connected);
    let book = open(url.replacen(&format!(":{port}/"), &format!(":{}/", address.port()), 1));
    let leader = book.connect().await.expect("it connects");
    let ear = connected.await.expect("it has connected");
    leader.batch_execute(LEAD).await.expect("it leads");
    // Whatever the server sends from now on is lost, and nobody acknowledges it.
    SockRef::from(&ear).attach_filter(&[SockFilter::new(0x06, 0, 0, 0)]).expect("a filter");
    let (standby, connection) = tokio_postgres::connect(url, NoTls).await.expect("it connects");
    tokio::spawn(connection);
    in_time("a new leader", standby.batch_execute(LEAD)).await.expect("it leads");
    server.stop().await.expect("it stops");
}
