//! The configuration of PostgreSQL: its address, its authentication, and its durability.
//!
//! `postgresql.conf` and `pg_hba.conf` are written before every start. An operator tunes with ALTER SYSTEM, which PostgreSQL keeps in
//! another file that overrides these.

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
/// The engine's own user, which is no superuser.
pub(super) const ENGINE: &str = "daybook_engine";

/// The longest path of a Unix socket.
const LONGEST_SOCKET_PATH: usize = 107;

/// The number in the socket's file name. No port is opened.
const SOCKET_NUMBER: u16 = 5432;

/// The address of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A socket in a directory that only its owner may enter, so no password is needed.
    Socket(String),
    /// A port of the loopback interface, which every user of the machine can reach, so a password is needed.
    Port(u16),
}

impl Address {
    /// The socket in the data directory if its path is valid for a socket, otherwise a free port.
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

    fn authentication(&self) -> &'static str {
        match self {
            Self::Socket(_) => {
                "# The socket's directory is 0700, so only its owner and root can connect.\n\
                 local all all trust\nlocal replication all trust\n"
            }
            Self::Port(_) => {
                "host all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n"
            }
        }
    }
}

/// The directory as text, if a socket in it has a valid path: short, and without characters that PostgreSQL's lists and quotes use.
fn socket_directory(run: &Path) -> Option<String> {
    let text = run.to_str()?;
    let length = format!("{text}/.s.PGSQL.{SOCKET_NUMBER}").len();
    let plain = !text.contains(|c: char| matches!(c, '\'' | '"' | ',' | '\\') || c.is_control());
    (length <= LONGEST_SOCKET_PATH && plain).then(|| text.to_owned())
}

/// Writes both configuration files of a cluster, and makes the socket's directory.
pub(super) fn write(
    directory: &DataDirectory,
    address: &Address,
    binaries: &Binaries,
    durable: bool,
    owner: Option<(u32, u32)>,
) -> Result<(), PostgresError> {
    private_directory(&directory.run(), owner)?;
    let cluster = directory.cluster();
    let durability = if durable { DURABLE } else { NOT_DURABLE };
    let compression = if binaries.lz4 { "lz4" } else { "on" };
    let settings = format!(
        "# Written by daybook before every start. To tune, use ALTER SYSTEM.\n\n{}\n{durability}\n\
         wal_compression = {compression}\n{COMMON}",
        address.settings()
    );
    private_file(&cluster.join("postgresql.conf"), &settings, owner)?;
    private_file(&cluster.join("pg_hba.conf"), address.authentication(), owner)
}

/// An acknowledged commit is on the disk. The buffers suit a machine with a few GiB of free memory. Checkpoints are rare and spread, so
/// that commits stay fast.
const DURABLE: &str = "\
fsync = on
synchronous_commit = on
full_page_writes = on
shared_buffers = 512MB
min_wal_size = 512MB
max_wal_size = 4GB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9";

/// For tests: fast and small. A killed server still loses no commit, but a power cut may lose all.
const NOT_DURABLE: &str = "\
fsync = off
synchronous_commit = on
full_page_writes = off
shared_buffers = 64MB
max_wal_size = 1GB";

const COMMON: &str = "\
wal_level = replica
# The slot of an archive that has stopped must not fill the disk.
max_slot_wal_keep_size = 16GB
# Views are committed without a wait for the disk. A standby gets them when this time is over.
wal_writer_delay = 10ms
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

# The log file is for messages of the server, statements that take long, waits for locks, and checkpoints. The error of a failed
# statement goes to its client. Parameters may hold data of customers, so they are left out.
logging_collector = off
log_min_messages = log
log_min_duration_statement = 500ms
log_parameter_max_length = 0
log_lock_waits = on
log_checkpoints = on
track_io_timing = on
log_line_prefix = '%m [%p] %a '
log_timezone = 'UTC'
lc_messages = 'C'
";

/// The superuser's password: that of an earlier start, or a new one.
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
        assert!(!address.authentication().contains("trust"));
        let config: tokio_postgres::Config = address.url("secret").parse().expect("a URL");
        assert_eq!(config.get_password(), Some(&b"secret"[..]));
    }
}
