//! What PostgreSQL is told: where it listens, who may come in, and how it keeps its promises.
//!
//! `postgresql.conf` and `pg_hba.conf` are written anew before every start. Whoever wants to tune uses ALTER SYSTEM,
//! which PostgreSQL keeps in a file of its own that has the last word.

use std::{
    fs::{self, File},
    io::{self, Read},
    net::TcpListener,
    path::Path,
};

use super::{
    binaries::Binaries,
    directory::{DataDirectory, private_directory, private_file},
    error::PostgresError,
};

/// The superuser of the private cluster, and the name of its database.
pub(super) const NAME: &str = "daybook";

/// The longest path of a Unix socket.
const LONGEST_SOCKET_PATH: usize = 107;

/// The number in the socket's file name; no port is opened.
const SOCKET_NUMBER: u16 = 5432;

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A socket in a directory that only its owner may enter: whoever reaches it may come in.
    Socket(String),
    /// A port of the loopback interface, which every user of the machine can reach: the password decides.
    Port(u16),
}

impl Address {
    /// The socket in the data directory when its path can be one, otherwise a free port.
    pub(super) fn choose(directory: &DataDirectory) -> Result<Self, PostgresError> {
        match socket_directory(&directory.run()) {
            Some(socket) => Ok(Self::Socket(socket)),
            None => Self::free_port(),
        }
    }

    pub(super) fn free_port() -> Result<Self, PostgresError> {
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        Ok(Self::Port(free.map_err(PostgresError::io("find a free loopback port"))?.port()))
    }

    /// The URL of a database of this server.
    pub(super) fn url(&self, password: &str) -> String {
        match self {
            Self::Socket(directory) => {
                format!("postgresql://{NAME}@/{NAME}?host={}&port={SOCKET_NUMBER}", percent_encoded(directory))
            }
            Self::Port(port) => format!("postgresql://{NAME}:{password}@127.0.0.1:{port}/{NAME}"),
        }
    }

    fn settings(&self) -> String {
        match self {
            Self::Socket(directory) => format!(
                "listen_addresses = ''\nport = {SOCKET_NUMBER}\nunix_socket_directories = '{directory}'\n\
                 unix_socket_permissions = 0700\n"
            ),
            Self::Port(port) => {
                format!("listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\n")
            }
        }
    }

    fn admission(&self) -> &'static str {
        match self {
            Self::Socket(_) => {
                "# The socket's directory is 0700: whoever reaches it is its owner, or root.\n\
                 local all all trust\nlocal replication all trust\n"
            }
            Self::Port(_) => {
                "host all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n"
            }
        }
    }
}

/// The directory as a text, if a socket in it has a path short enough and free of what PostgreSQL's lists and quotes
/// give a meaning to.
fn socket_directory(run: &Path) -> Option<String> {
    let text = run.to_str()?;
    let length = format!("{text}/.s.PGSQL.{SOCKET_NUMBER}").len();
    let plain = !text.contains(|c: char| matches!(c, '\'' | '"' | ',' | '\\') || c.is_control());
    (length <= LONGEST_SOCKET_PATH && plain).then(|| text.to_owned())
}

/// Writes both files of a cluster that is about to start, and makes the socket's directory.
pub(super) fn write(
    directory: &DataDirectory,
    address: &Address,
    binaries: &Binaries,
    durable: bool,
    owner: Option<(u32, u32)>,
) -> Result<(), PostgresError> {
    private_directory(&directory.run(), owner)?;
    let cluster = directory.cluster();
    let promises = if durable { DURABLE } else { FORGETFUL };
    let compression = if binaries.lz4 { "lz4" } else { "on" };
    let settings = format!(
        "# Written by daybook before every start. To tune, use ALTER SYSTEM.\n\n{}\n{promises}\n\
         wal_compression = {compression}\n{COMMON}",
        address.settings()
    );
    private_file(&cluster.join("postgresql.conf"), &settings, owner)?;
    private_file(&cluster.join("pg_hba.conf"), address.admission(), owner)
}

/// An acknowledged commit is on the disk. The buffers suit a machine with a few GiB to spare, and checkpoints are rare and
/// spread, so that they do not disturb the latency of commits.
const DURABLE: &str = "\
fsync = on
synchronous_commit = on
full_page_writes = on
shared_buffers = 512MB
min_wal_size = 512MB
max_wal_size = 4GB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9";

/// For tests: quick and small. A killed server still loses no commit; a power cut may take all.
const FORGETFUL: &str = "\
fsync = off
synchronous_commit = on
full_page_writes = off
shared_buffers = 64MB
max_wal_size = 1GB";

const COMMON: &str = "\
wal_level = replica
# An archive that nobody fills any more must not fill the disk.
max_slot_wal_keep_size = 16GB
max_connections = 200

effective_cache_size = 4GB
work_mem = 16MB
maintenance_work_mem = 256MB
random_page_cost = 1.1
# Statements are short; compiling them costs more than it saves.
jit = off

cluster_name = 'daybook'
timezone = 'UTC'
default_text_search_config = 'pg_catalog.simple'

# The log file is for what the server has to say. Failed statements are the answer to the client that sent them.
logging_collector = off
log_min_messages = log
log_checkpoints = off
log_line_prefix = '%m [%p] '
log_timezone = 'UTC'
lc_messages = 'C'
";

/// The superuser's password: the one of an earlier start, or a new one.
pub(super) fn password(path: &Path, owner: Option<(u32, u32)>) -> Result<String, PostgresError> {
    match fs::read_to_string(path) {
        Ok(password) if !password.trim().is_empty() => Ok(password.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(PostgresError::io(format!("read {}", path.display()))(error))
        }
        _ => {
            let mut random = [0_u8; 24];
            File::open("/dev/urandom")
                .and_then(|mut source| source.read_exact(&mut random))
                .map_err(PostgresError::io("read /dev/urandom"))?;
            let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
            private_file(path, &password, owner)?;
            Ok(password)
        }
    }
}

/// The text as part of a URL's query.
fn percent_encoded(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    });
    encoded.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_used_only_when_its_path_can_be_one() {
        let longest = format!("/{}", "d".repeat(LONGEST_SOCKET_PATH - 1 - "/.s.PGSQL.5432".len()));
        assert_eq!(socket_directory(Path::new(&longest)), Some(longest.clone()));
        assert_eq!(socket_directory(Path::new(&format!("{longest}d"))), None);
        for strange in ["/a,b", "/a'b", "/a\"b", "/a\nb", "/a\\b"] {
            assert_eq!(socket_directory(Path::new(strange)), None, "{strange:?}");
        }
    }

    #[test]
    fn a_client_reads_the_same_directory_from_the_url() {
        let address = Address::Socket("/my shop/ünder & 100%/run".to_owned());
        let config: tokio_postgres::Config = address.url("unused").parse().expect("a URL");
        assert_eq!(config.get_hosts(), [tokio_postgres::config::Host::Unix("/my shop/ünder & 100%/run".into())]);
        assert_eq!((config.get_user(), config.get_dbname()), (Some(NAME), Some(NAME)));
    }

    #[test]
    fn a_port_is_never_open_without_a_password() {
        let address = Address::Port(5433);
        assert!(!address.admission().contains("trust"));
        let config: tokio_postgres::Config = address.url("secret").parse().expect("a URL");
        assert_eq!(config.get_password(), Some(&b"secret"[..]));
    }
}
