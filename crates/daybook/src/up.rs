//! `daybook up`: everything on this machine, with one command.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use chrono::TimeDelta;
use clap::ValueEnum;
use daybook_backup::{self as backup, Archive, Source};
use daybook_bus::Clock;
use daybook_domain::Actor;
use daybook_edge::tokens::Keys;
use daybook_embedded::{
    data_directory::{self, READY_FILE, RESTORING, Ready},
    postgres::{Postgres, PostgresSettings},
};
use daybook_event_store::{Connector, Daybook, PoolSettings, Secret, error_chain};
use daybook_event_stream::{
    KafkaSettings,
    broker::{Broker, RETAINED_BYTES_PER_PARTITION},
};
use daybook_operations::{DatabaseUrl, KafkaFlags, Topics, migrate, print_line, print_note};
use indicatif::ProgressBar;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    config::{self, limits},
    connections::Database,
    demo,
    drain::Signals,
    role::Role,
    serve::{self, Running},
    settings::Settings,
};

/// The name of the connection that migrates.
const MIGRATING: &str = "daybook/migrate";
/// The lifetime of the printed token.
const TOKEN_LIFETIME: TimeDelta = TimeDelta::days(30);

/// The flags of `daybook up`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The directory of all data.
    #[arg(long, default_value = "./.daybook")]
    data: PathBuf,
    /// The address of the HTTP server. Port 0 takes a free port.
    #[arg(long, env = "DAYBOOK_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[command(flatten)]
    operations: config::Operations,
    #[command(flatten)]
    database: DatabaseUrl,
    /// Kafka brokers to use instead of the embedded one.
    #[arg(long, env = "KAFKA_BROKERS")]
    kafka_brokers: Option<String>,
    /// A directory of back-ups to archive the write-ahead log into, so that the book can be restored as of any moment. A missing base
    /// back-up is made at once.
    #[arg(long, value_name = "DIR", env = "DAYBOOK_ARCHIVE")]
    archive: Option<PathBuf>,
    /// Load a small shop to try. An existing demo shop is left unchanged.
    #[arg(long)]
    demo: bool,
    #[command(flatten)]
    storefront: config::Storefront,
    #[command(flatten)]
    shop: config::Shop,
    #[command(flatten)]
    topics: Topics,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    connections: config::ConnectionFlags,
    #[command(flatten)]
    limits: limits::Flags,
}

/// The servers that this process uses, and those of them that it has started.
struct Servers {
    postgres: Option<Postgres>,
    archive: Option<Archive>,
    broker: Option<Broker>,
    database: Secret,
    kafka_brokers: String,
}

/// Runs until the process is asked to stop.
///
/// # Errors
/// When something cannot start, or fails for good.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    fs::create_dir_all(&args.data).with_context(|| format!("{} cannot be made", args.data.display()))?;
    args.limits.check()?;
    let ready_file = args.data.join(READY_FILE);
    let _lock = data_directory::lock(&args.data)?;
    if ready_file.exists() {
        // A killed process has left this file.
        fs::remove_file(&ready_file)?;
    }
    anyhow::ensure!(
        !args.data.join(RESTORING).exists(),
        "{} holds a restore that was not finished; run `daybook restore` again",
        args.data.display()
    );
    let servers = Servers::start(&args).await?;
    let mut signals = Signals::handle()?;
    let keys = Keys::new(secret(&args.data)?.as_bytes())?;
    let settings = settings(&args, &servers, &keys)?;
    let to_migrate = Connector::new(settings.database.url.clone(), MIGRATING)?;
    migrate(&Daybook::over(to_migrate, &PoolSettings::of(1))?).await?;
    let mut running = serve::start(settings).await?;
    let ended = operate(&args, &servers, &keys, &mut running, &mut signals).await;
    print_note!("daybook stops …");
    // A failure does not keep the other parts from being stopped.
    let unready = match fs::remove_file(&ready_file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("{} cannot be removed", ready_file.display())),
    };
    let stopped = running.stop_unless(&mut signals).await;
    servers.stop().await?;
    stopped?;
    unready?;
    ended.map(|()| ExitCode::SUCCESS)
}

/// The settings of the one process. It drains without a delay, since no balancer is in front of it.
fn settings(args: &Args, servers: &Servers, keys: &Keys) -> anyhow::Result<Settings> {
    let database = Database { url: servers.database.clone(), read_url: None, budgets: args.connections.budgets()? };
    Ok(Settings {
        roles: Role::value_variants().iter().copied().collect(),
        listen: args.listen,
        advertise: None,
        ops_listen: args.operations.ops_listen,
        drain_delay: Duration::ZERO,
        database,
        kafka: servers.kafka(args)?,
        keys: keys.clone(),
        // A hang-up ends `up`, as it ends every program of a terminal.
        secrets: None,
        command_url: None,
        introspection: true,
        time_zone: args.shop.time_zone,
        storefront: args.storefront.clone().into(),
        limits: (&args.limits).into(),
        refill_bytes: args.kafka_brokers.is_none().then(|| embedded_capacity(&args.topics)),
        clock: Clock::system(),
    })
}

/// Announces the process when it is ready, and waits until it is asked to stop.
async fn operate(
    args: &Args,
    servers: &Servers,
    keys: &Keys,
    running: &mut Running,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    if !running.until_ready(signals.next()).await? {
        return Ok(());
    }
    if args.demo {
        let new = demo::load(running.book.clone()).await?;
        print_line!("demo shop     {}", if new == 0 { "was loaded before" } else { "loaded" });
    }
    let ready = Ready {
        url: format!("http://{}", running.address),
        ops_url: format!("http://{}", running.operations),
        admin_token: keys.sign(&Actor::Admin("up".to_owned()), Clock::system().now(), TOKEN_LIFETIME)?,
        database_url: servers.database.expose(),
        kafka_brokers: servers.kafka_brokers.clone(),
    };
    let ready_file = args.data.join(READY_FILE);
    write_private(&ready_file, &serde_json::to_string_pretty(&ready)?)?;
    announce(&ready, &ready_file);
    let _base = servers.first_base(args);
    running.until_asked(signals).await
}

impl Servers {
    async fn start(args: &Args) -> anyhow::Result<Self> {
        let (postgres, database) = match args.database.given()? {
            Some(url) => (None, url),
            None => {
                let settings = PostgresSettings::durable(args.data.join("postgres"));
                let postgres = Postgres::start(&settings).await.context("the private PostgreSQL did not start")?;
                let url = postgres.engine_url().await.context("the engine's user cannot be made")?.into();
                (Some(postgres), url)
            }
        };
        let (broker, kafka_brokers) = match &args.kafka_brokers {
            Some(brokers) => {
                let kafka = KafkaSettings { security: args.kafka.security()?, ..args.topics.at(brokers) };
                let checked = kafka.check().await;
                checked.with_context(|| format!("the Kafka at {brokers} cannot be used"))?;
                (None, brokers.clone())
            }
            None => {
                let topics = args.topics.embedded();
                let broker = Broker::start(topics).await.context("the embedded broker did not start")?;
                let brokers = broker.bootstrap_servers().to_owned();
                (Some(broker), brokers)
            }
        };
        let mut servers = Self { postgres, archive: None, broker, database, kafka_brokers };
        servers.archive = servers.archive(args).await?;
        Ok(servers)
    }

    /// Archives the log if requested. Otherwise the private server need not keep it.
    async fn archive(&self, args: &Args) -> anyhow::Result<Option<Archive>> {
        let source = self.source(args)?;
        if let Some(to) = &args.archive {
            let archive = Archive::start(&source, to).await;
            return Ok(Some(archive.with_context(|| format!("nothing can be archived in {}", to.display()))?));
        }
        if self.postgres.is_some() && backup::forget(&source).await? {
            tracing::warn!("the write-ahead log is no longer archived; --archive would continue it");
        }
        Ok(None)
    }

    /// The database as the source of back-ups.
    fn source(&self, args: &Args) -> anyhow::Result<Source> {
        Ok(Source::new(self.database.clone(), self.postgres.is_some().then(|| args.data.clone()))?)
    }

    /// Makes the base back-up that the archive needs, if it needs one, while the shop runs.
    fn first_base(&self, args: &Args) -> Option<AbortOnDropHandle<()>> {
        let to = args.archive.clone()?;
        self.archive.as_ref().filter(|archive| archive.needs_base())?;
        let source = self.source(args);
        Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let made = async { Ok::<_, anyhow::Error>(backup::take(&source?, &to, &ProgressBar::hidden()).await?) };
            match made.await {
                Ok(base) => tracing::info!(label = %base.label, "a base back-up was made in {}", to.display()),
                Err(error) => tracing::error!(
                    error = error_chain(error.as_ref()),
                    "there is no base back-up yet: make one with `daybook backup`"
                ),
            }
        })))
    }

    fn kafka(&self, args: &Args) -> anyhow::Result<KafkaSettings> {
        match self.broker {
            // This process is the only one that consumes from it.
            Some(_) => {
                Ok(KafkaSettings { group_suffix: Some(random()), ..args.topics.at_embedded(&self.kafka_brokers) })
            }
            None => Ok(KafkaSettings { security: args.kafka.security()?, ..args.topics.at(&self.kafka_brokers) }),
        }
    }

    async fn stop(self) -> anyhow::Result<()> {
        if let Some(postgres) = self.postgres {
            postgres.stop().await?;
        }
        // The archive stops after the server, which has sent all of its log by then.
        if let Some(archive) = self.archive {
            archive.stop().await;
        }
        Ok(())
    }
}

/// The bytes of events that the embedded broker can hold. It drops older ones, so a restart sends it no more than this.
fn embedded_capacity(topics: &Topics) -> i64 {
    let partitions = usize::try_from(topics.partitions).unwrap_or(1) * daybook_domain::Slice::ALL.len();
    i64::try_from(RETAINED_BYTES_PER_PARTITION * partitions / 4).unwrap_or(i64::MAX)
}

/// The secret of this data directory. The first start makes it.
fn secret(data: &Path) -> anyhow::Result<String> {
    let file = data.join("secret");
    if !file.exists() {
        write_private(&file, &random())?;
    }
    fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))
}

#[expect(clippy::disallowed_methods, reason = "a secret is random, and this is where it is made")]
fn random() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

/// Writes a file that only its owner can read. The write is atomic.
fn write_private(file: &Path, text: &str) -> anyhow::Result<()> {
    let part = file.with_extension("part");
    let mut open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    open.set_permissions(Permissions::from_mode(0o600))?;
    open.write_all(text.as_bytes())?;
    open.sync_all()?;
    fs::rename(&part, file).with_context(|| format!("{} cannot be written", file.display()))
}

/// Prints the addresses. The token goes to a terminal only: the output of a service is kept in a journal that others read.
fn announce(ready: &Ready, file: &Path) {
    let Ready { url, ops_url, admin_token, kafka_brokers, .. } = ready;
    print_line!("storefront    {url}/graphql");
    print_line!("back-office   {url}/admin/graphql");
    print_line!("commands      {url}/commands/<Name>   described by {url}/openapi.json");
    print_line!("events        {url}/events and Kafka at {kafka_brokers}");
    print_line!("operators     {ops_url}/health, /readyz and /metrics");
    if io::stdout().is_terminal() {
        print_line!("admin token   {admin_token}");
    } else {
        print_line!("admin token   is in {}", file.display());
    }
    print_line!("daybook is ready on {url}");
    serve::log_lost_lines();
}
