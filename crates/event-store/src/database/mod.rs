//! Connections to the database. [`Connector`] is the one place that makes them.

mod address;
mod error;
pub(crate) mod pool;
mod tls;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use postgres_openssl::{MakeTlsConnector, TlsStream};
use tokio_postgres::{Client, Config, Connection, Socket};

use self::address::{Address, quoted};
pub use self::{address::redacted, error::AddressError};
use crate::{Secret, StoreError};

/// The name that a connection has on the server unless another is given.
pub(crate) const APPLICATION: &str = "daybook";

/// How long a transaction may be idle before PostgreSQL ends it. A process that is suspended in the middle of one keeps its locks.
/// Without this limit, the process that takes over would wait until the first one resumes.
const ABANDONED: Duration = Duration::from_secs(10);

/// After how much silence either end of a connection probes the other. A silent network does not end a connection: by default,
/// Linux probes after two hours, and gives up unacknowledged data after a quarter of an hour.
const SILENCE: Duration = Duration::from_secs(3);
/// How many probes may stay unanswered, one a second, before the connection ends.
const PROBES: u32 = 3;
/// For how long sent data may stay unacknowledged before the connection ends. The locks of the other end, such as the relay's
/// lead, are free then.
const UNACKNOWLEDGED: Duration = Duration::from_secs(6);
/// How long connecting to the database may take.
const CONNECTING: Duration = Duration::from_secs(5);

/// The limits of the statements of a session. None by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionLimits {
    /// How long a statement may run (`statement_timeout`).
    pub statement: Option<Duration>,
    /// How long a statement may wait for a lock (`lock_timeout`).
    pub lock: Option<Duration>,
}

/// A connection that was made, with its TLS.
pub(crate) type Connected = (Client, Connection<Socket, TlsStream<Socket>>);

/// Makes connections to one database. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    url: Secret,
    application: Arc<str>,
    /// The address of the URL as it was last used, with that URL.
    current: Arc<RwLock<(String, Arc<Target>)>>,
}

/// What connections are made with.
struct Target {
    address: Address,
    tls: MakeTlsConnector,
}

impl Target {
    fn of(url: &str, application: &str) -> Result<Self, AddressError> {
        let mut address = Address::parse(url)?;
        if address.config.get_application_name().is_none() {
            address.config.application_name(application);
        }
        let tls = address.tls.connector()?;
        Ok(Self { address, tls })
    }
}

impl Connector {
    /// A connector for an address. `application` is the name of its connections on the server, at most 63 bytes.
    ///
    /// # Errors
    /// [`AddressError`] when the address or a file that it names cannot be used.
    pub fn new(url: impl Into<Secret>, application: &str) -> Result<Self, AddressError> {
        let url = url.into();
        let text = url.expose();
        let target = Arc::new(Target::of(&text, application)?);
        Ok(Self { url, application: application.into(), current: Arc::new(RwLock::new((text, target))) })
    }

    /// The same database under another name of the application.
    ///
    /// # Errors
    /// [`AddressError`] when the address cannot be used any more.
    pub fn named(&self, application: &str) -> Result<Self, AddressError> {
        Self::new(self.url.clone(), application)
    }

    /// A connection without limits. A task drives it, until the client is dropped.
    ///
    /// # Errors
    /// [`StoreError`] when the database is out of reach or refuses.
    pub async fn connect(&self) -> Result<Client, StoreError> {
        let (client, connection) = self.connect_driven(SessionLimits::default()).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!(%error, "a database connection broke");
            }
        });
        Ok(client)
    }

    /// A connection that its caller drives. After a failed login, a URL that comes from a file is read again, and tried once more.
    pub(crate) async fn connect_driven(&self, limits: SessionLimits) -> Result<Connected, tokio_postgres::Error> {
        let target = self.target();
        match connect(&target, limits).await {
            Err(error) if is_failed_login(&error) && self.has_new_login() => connect(&self.target(), limits).await,
            connected => connected,
        }
    }

    /// Asks the server to cancel what a client has sent to it.
    pub(crate) async fn cancel(&self, token: tokio_postgres::CancelToken) -> Result<(), tokio_postgres::Error> {
        token.cancel_query(self.target().tls.clone()).await
    }

    fn has_new_login(&self) -> bool {
        match self.url.read_again() {
            Ok(changed) => changed,
            Err(error) => {
                tracing::warn!(%error, "the login was refused, and there is no other");
                false
            }
        }
    }

    /// What connections are made with now. A URL that was read again is used if it is valid.
    fn target(&self) -> Arc<Target> {
        let url = self.url.expose();
        {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            if current.0 == url {
                return Arc::clone(&current.1);
            }
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        match Target::of(&url, &self.application) {
            Ok(target) => *current = (url, Arc::new(target)),
            Err(error) => tracing::error!(%error, "the new address of the database is ignored"),
        }
        Arc::clone(&current.1)
    }

    /// The driver's configuration of the address. It may hold a password.
    #[must_use]
    pub fn config(&self) -> Config {
        self.target().address.config.clone()
    }

    /// The parameters of TLS, as `key='value'`, for a program of PostgreSQL.
    #[must_use]
    pub fn tls_parameters(&self) -> String {
        let parameters = self.target().address.tls.parameters();
        parameters.iter().map(|(key, value)| format!(" {key}={}", quoted(value))).collect()
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({})", redacted(&self.url.expose()))
    }
}

async fn connect(target: &Target, limits: SessionLimits) -> Result<Connected, tokio_postgres::Error> {
    with_time_limits(target.address.config.clone(), limits).connect(target.tls.clone()).await
}

/// Whether the server has refused a login (class 28).
fn is_failed_login(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|state| state.code().starts_with("28"))
}

/// Adds the time limits that every connection has. A limit that the address sets is kept.
fn with_time_limits(mut config: Config, limits: SessionLimits) -> Config {
    let (silence, unacknowledged) = (SILENCE.as_secs(), UNACKNOWLEDGED.as_millis());
    let own = config.get_options().unwrap_or_default();
    let of = |name: &str, limit: Option<Duration>| {
        limit.map(|limit| format!(" -c {name}={}", limit.as_millis())).unwrap_or_default()
    };
    let options = format!(
        "-c idle_in_transaction_session_timeout={}s -c tcp_keepalives_idle={silence} -c tcp_keepalives_interval=1 \
         -c tcp_keepalives_count={PROBES} -c tcp_user_timeout={unacknowledged}{}{} {own}",
        ABANDONED.as_secs(),
        of("statement_timeout", limits.statement),
        of("lock_timeout", limits.lock),
    );
    config.options(options);
    let unset = Config::new();
    if config.get_keepalives_idle() == unset.get_keepalives_idle() {
        config.keepalives_idle(SILENCE);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(Duration::from_secs(1));
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(PROBES);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(UNACKNOWLEDGED);
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECTING);
    }
    config
}
