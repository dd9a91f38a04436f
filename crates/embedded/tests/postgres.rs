//! The private PostgreSQL, with real servers: it starts, keeps its data, recovers from kill -9, and leaves no process behind.
//!
//! Some tests kill a whole process. That process is this test binary, which then runs only the test [`the_process_that_is_killed`].
//! Other runs ignore that test.
#![allow(clippy::print_stdout, reason = "tests")]

use std::{
    env,
    fs::{self, Permissions},
    future::Future,
    io::{BufRead, BufReader},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use daybook_embedded::postgres::{Postgres, PostgresError, PostgresSettings};
use daybook_test_needs::{Need, skipped};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};
use tokio_postgres::{Client, NoTls};

/// How long a test waits for any event. No test asserts a duration.
const PATIENCE: Duration = Duration::from_secs(180);

const HELD_DIRECTORY: &str = "DAYBOOK_TEST_HELD_DIRECTORY";

#[tokio::test]
async fn a_cold_start_answers_and_a_warm_start_finds_the_data() {
    let home = Home::reachable();
    let settings = PostgresSettings { durable: true, ..home.settings() };

    let postgres = Postgres::start(&settings).await.expect("a cold start");
    let client = connect(postgres.database_url()).await;
    client.batch_execute("CREATE TABLE book (line text); INSERT INTO book VALUES ('first')").await.expect("a write");
    for (setting, wanted) in [("fsync", "on"), ("synchronous_commit", "on"), ("full_page_writes", "on")] {
        assert_eq!(text(&client, &format!("SHOW {setting}")).await, wanted, "{setting}");
    }
    assert_eq!(text(&client, "SELECT lower('ÄÖÜ')").await, "äöü", "lower case follows Unicode");
    let server = home.postmaster();
    postgres.stop().await.expect("a clean stop");
    assert!(!lives(server), "the server is gone when stop returns");

    let postgres = Postgres::start(&settings).await.expect("a warm start");
    let client = connect(postgres.database_url()).await;
    assert_eq!(text(&client, "SELECT line FROM book").await, "first");
    let server = home.postmaster();
    drop(postgres);
    assert!(!lives(server), "the server is gone when the handle is dropped");
}

#[tokio::test]
async fn the_engine_owns_the_database_and_is_no_superuser() {
    let home = Home::reachable();
    let postgres = Postgres::start(&home.settings()).await.expect("a start");
    // An earlier version made everything as the superuser.
    let superuser = connect(postgres.database_url()).await;
    let made = "CREATE TABLE book (line text); CREATE SCHEMA read; CREATE VIEW read.book AS SELECT * FROM book;
                CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'";
    superuser.batch_execute(made).await.expect("it is made");
    for _ in 0..2 {
        let engine = connect(&postgres.engine_url().await.expect("a URL")).await;
        assert_eq!(text(&engine, "SELECT current_user").await, "daybook_engine");
        assert_eq!(text(&engine, "SHOW is_superuser").await, "off");
        engine
            .batch_execute("ALTER TABLE book ADD nr integer; INSERT INTO book VALUES ('first', 1)")
            .await
            .expect("its table");
        engine
            .batch_execute("ALTER TABLE book DROP nr; CREATE SCHEMA more; DROP SCHEMA more")
            .await
            .expect("its database");
        let function = "CREATE OR REPLACE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'";
        engine.batch_execute(function).await.expect("its function");
        for forbidden in
            ["COPY book TO PROGRAM 'cat'", "SELECT pg_read_file('/etc/passwd')", "ALTER SYSTEM SET fsync = off"]
        {
            let refused = engine.batch_execute(forbidden).await.expect_err("only a superuser may do this");
            assert_eq!(refused.code(), Some(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE), "{forbidden}");
        }
    }
    postgres.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn a_killed_server_is_restarted_at_the_same_address_with_every_commit() {
    let home = Home::reachable();
    let settings = PostgresSettings { durable: true, ..home.settings() };
    let postgres = Postgres::start(&settings).await.expect("a start");
    let client = connect(postgres.database_url()).await;
    client.batch_execute("CREATE TABLE book (line text)").await.expect("a table");

    for round in ["first", "second"] {
        let client = connect(postgres.database_url()).await;
        client.execute("INSERT INTO book VALUES ($1)", &[&round]).await.expect("a commit");
        let killed = home.postmaster();
        kill(Pid::from_raw(killed), Signal::SIGKILL).expect("the process can be killed");
        until("another server runs", || async { home.postmaster_if_any().is_some_and(|id| id != killed && lives(id)) })
            .await;
        until("the server answers", || async { tokio_postgres::connect(postgres.database_url(), NoTls).await.is_ok() })
            .await;
    }

    let client = connect(postgres.database_url()).await;
    assert_eq!(text(&client, "SELECT string_agg(line, ' ' ORDER BY line) FROM book").await, "first second");
    postgres.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn no_server_is_left_when_our_process_is_killed() {
    // Root is dropped in one of two ways, and each could lose the signal at the parent's death. An ordinary user drops nothing.
    for mode in [0o755, 0o700] {
        let home = Home::with_mode(mode);
        let mut process = home.hold(None);
        assert!(lives(home.postmaster()));

        process.kill().expect("the process can be killed");
        process.wait().expect("the process ends");
        until("the server ends as well", || async { home.processes().is_empty() }).await;

        let postgres = Postgres::start(&home.settings()).await.expect("the directory is free again");
        postgres.stop().await.expect("a clean stop");
    }
}

#[tokio::test]
async fn a_second_start_on_the_same_directory_is_refused_with_its_path() {
    let home = Home::reachable();
    let postgres = Postgres::start(&home.settings()).await.expect("a start");

    let second = Postgres::start(&home.settings()).await;
    assert!(
        matches!(&second, Err(PostgresError::InUse { process: Some(id), .. }) if *id == std::process::id()),
        "{second:?}"
    );

    connect(postgres.database_url()).await;
    postgres.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn a_reused_process_id_does_not_prevent_a_start() {
    let home = Home::reachable();
    Postgres::start(&home.settings()).await.expect("a start").stop().await.expect("a clean stop");
    // The process id of a live process that is not the server: this test.
    let cluster = home.data().join("cluster");
    let stale = format!("{}\n{}\n1700000000\n5432\n\n\n\n", std::process::id(), cluster.display());
    fs::write(cluster.join("postmaster.pid"), stale).expect("a stale file");

    let postgres = Postgres::start(&home.settings()).await.expect("a start in spite of the stale file");
    connect(postgres.database_url()).await;
    postgres.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn a_server_that_outlived_its_daybook_is_stopped_before_the_start() {
    let home = Home::reachable();
    let postgres = Postgres::start(&home.settings()).await.expect("a start");
    let client = connect(postgres.database_url()).await;
    client.batch_execute("CREATE TABLE book (line text); INSERT INTO book VALUES ('kept')").await.expect("a write");
    postgres.stop().await.expect("a clean stop");
    let mut orphan = home.orphan();
    let left_behind = home.postmaster();

    let postgres = Postgres::start(&home.settings()).await.expect("a start");
    orphan.wait().expect("the orphan ended");
    assert_ne!(home.postmaster(), left_behind);
    let client = connect(postgres.database_url()).await;
    assert_eq!(text(&client, "SELECT line FROM book").await, "kept");
    postgres.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn an_interrupted_initialisation_is_repeated() {
    let home = Home::reachable();
    let half_done = home.data().join("initialising");
    fs::create_dir_all(&half_done).expect("a directory");
    fs::write(half_done.join("PG_VERSION"), "15").expect("a file");

    let postgres = Postgres::start(&home.settings()).await.expect("a start");
    connect(postgres.database_url()).await;
    assert!(!half_done.exists());
    postgres.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_gets_a_port_that_asks_for_a_password() {
    let home = Home::reachable();
    let settings = PostgresSettings { data_dir: home.data().join("long".repeat(30)), ..home.settings() };
    let postgres = Postgres::start(&settings).await.expect("a start");
    connect(postgres.database_url()).await;

    let mut stranger: tokio_postgres::Config = postgres.database_url().parse().expect("a URL");
    stranger.password("guess");
    let refused = stranger.connect(NoTls).await.err().expect("a wrong password is refused");
    assert_eq!(refused.code(), Some(&tokio_postgres::error::SqlState::INVALID_PASSWORD));
    let mode = fs::metadata(settings.data_dir.join("password")).expect("the password's file").mode();
    assert_eq!(mode & 0o777, 0o600);
    postgres.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn the_socket_is_closed_to_other_users() {
    let home = Home::reachable();
    let postgres = Postgres::start(&home.settings()).await.expect("a start");
    let client = connect(postgres.database_url()).await;
    assert_eq!(text(&client, "SHOW listen_addresses").await, "");
    assert_eq!(fs::metadata(home.data().join("run")).expect("its directory").mode() & 0o777, 0o700);
    postgres.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn root_starts_it_as_another_user_if_that_user_can_reach_the_directory() {
    if !geteuid().is_root() {
        return skipped(Need::Root, "only root can run PostgreSQL as another user");
    }
    let home = Home::reachable();
    let postgres = Postgres::start(&home.settings()).await.expect("a start");
    assert_ne!(user_of(home.postmaster()), 0);
    postgres.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn root_starts_it_without_capabilities_if_only_root_can_enter_the_directory() {
    if !geteuid().is_root() {
        return skipped(Need::Root, "only root can run PostgreSQL as another user");
    }
    let home = Home::reachable();
    // The data is kept when the mode of the directory changes.
    for mode in [0o755, 0o700, 0o755] {
        fs::set_permissions(home.0.path(), Permissions::from_mode(mode)).expect("its mode");
        let postgres = Postgres::start(&home.settings()).await.expect("a start");
        connect(postgres.database_url()).await;
        let status = fs::read_to_string(format!("/proc/{}/status", home.postmaster())).expect("its status");
        assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
        postgres.stop().await.expect("a clean stop");
    }
}

#[tokio::test]
async fn an_ordinary_user_needs_nothing_special() {
    if !geteuid().is_root() {
        // The other tests run as an ordinary user already.
        return;
    }
    let user = nix::unistd::User::from_name("nobody").expect("the users can be read");
    let Some(user) = user.filter(|_| Command::new("setpriv").arg("--version").output().is_ok()) else {
        return skipped(Need::Setpriv, "root cannot run a program as an ordinary user");
    };
    let home = Home::reachable();
    fs::create_dir(home.data()).expect("a directory");
    std::os::unix::fs::chown(home.data(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("its owner");

    let mut process = home.hold(Some("nobody"));
    assert_eq!(user_of(home.postmaster()), user.uid.as_raw());
    process.kill().expect("the process can be killed");
    process.wait().expect("the process ends");
    until("the server ends as well", || async { home.processes().is_empty() }).await;
}

/// A helper process of other tests: it runs a server until it is killed.
#[tokio::test]
#[ignore = "run by other tests, as the process that they kill"]
async fn the_process_that_is_killed() {
    let Some(data_dir) = env::var_os(HELD_DIRECTORY) else { return };
    let settings = PostgresSettings { data_dir: data_dir.into(), ..Home::reachable().settings() };
    let postgres = Postgres::start(&settings).await.expect("a start");
    println!("\nready {}", postgres.database_url());
    std::future::pending::<()>().await;
}

/// A directory for one test. Its servers end when it is dropped.
struct Home(tempfile::TempDir);

impl Home {
    /// A directory that other users may enter.
    fn reachable() -> Self {
        Self::with_mode(0o755)
    }

    fn with_mode(mode: u32) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        fs::set_permissions(home.path(), Permissions::from_mode(mode)).expect("its mode");
        Self(home)
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("pg")
    }

    fn settings(&self) -> PostgresSettings {
        PostgresSettings {
            data_dir: self.data(),
            durable: false,
            supervisor: Some(PathBuf::from(env!("CARGO_BIN_EXE_postgres-supervisor"))),
        }
    }

    fn postmaster(&self) -> i32 {
        self.postmaster_if_any().expect("a running server has a pid file")
    }

    fn postmaster_if_any(&self) -> Option<i32> {
        let text = fs::read_to_string(self.data().join("cluster/postmaster.pid")).ok()?;
        text.lines().next()?.parse().ok()
    }

    /// The processes whose working directory is in this directory.
    fn processes(&self) -> Vec<PathBuf> {
        let home = fs::canonicalize(self.0.path()).expect("the directory exists");
        let all =
            fs::read_dir("/proc").expect("this test reads /proc").filter_map(Result::ok).map(|entry| entry.path());
        all.filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&home))).collect()
    }

    /// Starts a process that runs a server on this directory, and waits until the server is ready.
    fn hold(&self, user: Option<&str>) -> Child {
        let this_binary = env::current_exe().expect("this binary");
        let mut command = match user {
            None => Command::new(this_binary),
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args([&format!("--reuid={user}"), "--clear-groups", "--"]).arg(this_binary);
                command
            }
        };
        let mut process = command
            .args(["--exact", "the_process_that_is_killed", "--ignored", "--nocapture"])
            .env(HELD_DIRECTORY, self.data())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let output = BufReader::new(process.stdout.take().expect("the output is piped"));
        let ready = output.lines().map_while(Result::ok).any(|line| line.starts_with("ready "));
        assert!(ready, "the process ended without being ready");
        process
    }

    /// Starts a server on the cluster without a keeper, and waits until it is ready.
    fn orphan(&self) -> Child {
        let cluster = self.data().join("cluster");
        let owner = fs::metadata(&cluster).expect("the cluster");
        let binary = daybook_embedded::postgres::binaries::Search::here().find(None).expect("PostgreSQL");
        let mut command = if geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={}", owner.uid()), "--clear-groups", "--"]);
            command.arg(binary.directory.join("postgres"));
            command
        } else {
            Command::new(binary.directory.join("postgres"))
        };
        let orphan = command.arg("-D").arg(&cluster).stderr(Stdio::null()).spawn().expect("a server");
        let start = Instant::now();
        while !fs::read_to_string(cluster.join("postmaster.pid")).is_ok_and(|text| text.contains("ready")) {
            assert!(start.elapsed() < PATIENCE, "the orphan did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        orphan
    }
}

impl Drop for Home {
    /// Ends the servers, after a failed test too.
    fn drop(&mut self) {
        if let Some(server) = self.postmaster_if_any().filter(|id| lives(*id)) {
            let directory = fs::read_link(format!("/proc/{server}/cwd"));
            if directory.is_ok_and(|cwd| cwd.starts_with(self.0.path())) {
                kill(Pid::from_raw(server), Signal::SIGQUIT).ok();
            }
        }
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

async fn text(client: &Client, query: &str) -> String {
    client.query_one(query, &[]).await.expect("an answer").get(0)
}

async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < PATIENCE, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn lives(process: i32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

fn user_of(process: i32) -> u32 {
    fs::metadata(format!("/proc/{process}")).expect("the process is running").uid()
}
