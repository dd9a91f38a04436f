//! A temporary PostgreSQL for tests: one server per test binary, one database per test.
//!
//! The server listens on a Unix socket in a temporary directory and does not wait for the disk. It watches a pipe from the test
//! binary, and ends when the pipe closes, even after `kill -9`. If root runs the tests, the server runs as user `postgres`, since
//! PostgreSQL refuses root.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_postgres::{Client, NoTls};

/// How long the server may take to start.
const START: Duration = Duration::from_secs(180);

/// The settings of every server. It does not wait for the disk.
const SETTINGS: [&str; 4] = ["fsync=off", "full_page_writes=off", "shared_buffers=64MB", "max_connections=500"];
/// The settings of the server that the tests of a binary share.
const ALONE: [&str; 3] = ["listen_addresses=''", "wal_level=minimal", "max_wal_senders=0"];

static SERVER: OnceLock<Server> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// An empty database for one test.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    url: String,
}

impl TestDatabase {
    /// Its connection URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection to it.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn connect(&self) -> Client {
        connect(&self.url).await.expect("the test's database answers")
    }
}

/// A new database, on the server of this test binary.
///
/// # Panics
/// When PostgreSQL is not installed, or does not start.
pub async fn database() -> TestDatabase {
    let start = || SERVER.get_or_init(|| Server::start(&ServerSettings::default()));
    let server = tokio::task::spawn_blocking(start).await.expect("PostgreSQL starts");
    let admin = server.answer().await;
    let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    admin.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database can be made");
    TestDatabase { url: server.url(&name) }
}

/// How a server of a test's own is set up.
#[derive(Debug, Clone, Default)]
pub struct ServerSettings {
    /// Its settings, as `name=value`. Without any it listens on its socket only, and keeps no log for standbys.
    pub settings: Vec<String>,
    /// Lines for the beginning of `pg_hba.conf`. Everybody may connect otherwise.
    pub hba: Option<String>,
    /// Its certificate and key (PEM), with which it offers TLS.
    pub tls: Option<(String, String)>,
    /// The connection string of the server that it is a hot standby of.
    pub primary: Option<String>,
}

impl ServerSettings {
    /// A server that listens on a free port of the loopback interface too, and can have standbys. Returns the port.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn on_a_port() -> (Self, u16) {
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let port = port.expect("a port is free").port();
        let settings = [
            "listen_addresses='127.0.0.1'".to_owned(),
            format!("port={port}"),
            "wal_level=replica".to_owned(),
            "max_wal_senders=8".to_owned(),
        ];
        (Self { settings: settings.into(), ..Self::default() }, port)
    }
}

/// A server of a test's own. It ends when this is dropped.
pub struct TestServer(Server);

impl TestServer {
    /// Starts a server, and waits until it answers.
    ///
    /// # Panics
    /// When PostgreSQL is not installed, or does not start.
    pub async fn start(settings: ServerSettings) -> Self {
        let started = tokio::task::spawn_blocking(move || Server::start(&settings)).await;
        let server = started.expect("PostgreSQL starts");
        server.answer().await;
        Self(server)
    }

    /// The URL of a database, over the socket of the server, for a user.
    #[must_use]
    pub fn url(&self, user: &str, database: &str) -> String {
        self.0.url_of(user, database)
    }
}

struct Server {
    directory: String,
    /// The number in the name of its socket.
    port: u16,
    /// The process that runs the server, with the pipe that keeps it running.
    _keeper: Child,
}

impl Server {
    fn start(settings: &ServerSettings) -> Self {
        let mut own: Vec<String> = SETTINGS.map(str::to_owned).into();
        if settings.settings.is_empty() {
            own.extend(ALONE.map(str::to_owned));
        }
        own.extend(settings.settings.iter().cloned());
        let port = own.iter().rev().find_map(|setting| setting.strip_prefix("port=")?.parse().ok()).unwrap_or(5432);
        let mut shell = as_unprivileged();
        if let Some((certificate, key)) = &settings.tls {
            own.push("ssl=on".to_owned());
            shell.env("TLS_CERT", certificate).env("TLS_KEY", key);
        }
        shell.envs(settings.hba.as_ref().map(|lines| ("HBA", lines)));
        shell.envs(settings.primary.as_ref().map(|address| ("PRIMARY", address)));
        let mut keeper = shell
            .arg("-c")
            .arg(include_str!("serve.sh"))
            .arg("serve")
            .arg(programs())
            .args(own)
            // So Ctrl-C does not reach the server. It ends with the tests.
            .process_group(0)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell runs");
        let mut directory = String::new();
        let output = keeper.stdout.take().expect("the output is piped");
        BufReader::new(output).read_line(&mut directory).expect("the shell prints the directory of the server");
        if directory.is_empty() {
            let mut why = String::new();
            let read = keeper.stderr.take().map(|mut errors| errors.read_to_string(&mut why));
            panic!("PostgreSQL did not start: {why} {read:?}");
        }
        Self { directory: directory.trim_end().to_owned(), port, _keeper: keeper }
    }

    fn url(&self, database: &str) -> String {
        self.url_of("postgres", database)
    }

    fn url_of(&self, user: &str, database: &str) -> String {
        let port = if self.port == 5432 { String::new() } else { format!(":{}", self.port) };
        format!("postgres://{user}@{}{port}/{database}", self.directory.replace('/', "%2F"))
    }

    async fn answer(&self) -> Client {
        let began = Instant::now();
        loop {
            match connect(&self.url("postgres")).await {
                Ok(client) => return client,
                Err(error) if began.elapsed() > START => panic!("PostgreSQL does not answer: {error:?}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A shell that runs as a user whom PostgreSQL accepts.
fn as_unprivileged() -> Command {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !is_root {
        return Command::new("sh");
    }
    let mut command = if found("setpriv").is_some() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]);
        command
    } else {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]);
        command
    };
    command.arg("sh");
    command
}

/// The directory of PostgreSQL's programs.
fn programs() -> PathBuf {
    let beside = |file: PathBuf| file.parent().map(Path::to_owned);
    let configured = || {
        let output = Command::new("pg_config").arg("--bindir").output().ok()?;
        Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim_end()))
    };
    let newest = || {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
        Some(versions.flatten().map(|entry| entry.path()).max_by_key(version)?.join("bin"))
    };
    let complete = |directory: &PathBuf| directory.join("initdb").exists() && directory.join("postgres").exists();
    let on_path = found("initdb").and_then(|file| file.canonicalize().ok()).and_then(beside).filter(complete);
    on_path
        .or_else(|| configured().filter(complete))
        .or_else(|| newest().filter(complete))
        .expect("PostgreSQL's server is installed (Debian: apt-get install postgresql)")
}

/// A program on the PATH.
fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.exists())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn every_test_has_a_database_of_its_own() {
        let (one, other) = (super::database().await, super::database().await);
        one.connect().await.batch_execute("CREATE TABLE t ()").await.expect("the database is empty");
        other.connect().await.batch_execute("CREATE TABLE t ()").await.expect("the other database is empty as well");
    }
}
