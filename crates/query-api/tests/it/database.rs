//! A proxy between the query API and PostgreSQL. It counts the executed statements, and keeps the texts of the prepared ones.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use daybook_test_postgres::TestDatabase;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

/// The name of PostgreSQL's socket in its directory.
const SOCKET: &str = ".s.PGSQL.5432";

/// A proxy to a database.
pub(crate) struct StatementProxy {
    directory: TempDir,
    database: String,
    statements: Arc<Statements>,
}

/// The statements that have passed the proxy.
#[derive(Default)]
struct Statements {
    /// The number of executed statements.
    executed: AtomicUsize,
    /// The texts of the prepared statements.
    prepared: Mutex<Vec<String>>,
}

impl StatementProxy {
    pub(crate) fn to(database: &TestDatabase) -> Self {
        let (_, address) = database.url().split_once('@').expect("the URL names a socket");
        let (server, name) = address.split_once('/').expect("the URL names a database");
        let server = PathBuf::from(server.replace("%2F", "/")).join(SOCKET);
        let directory = tempfile::tempdir().expect("a directory can be created");
        let listener = UnixListener::bind(directory.path().join(SOCKET)).expect("a socket can be created");
        let statements = Arc::new(Statements::default());
        let recorded = Arc::clone(&statements);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&server).await.expect("PostgreSQL listens");
                tokio::spawn(forward(client, server, Arc::clone(&recorded)));
            }
        });
        Self { directory, database: name.to_owned(), statements }
    }

    pub(crate) fn url(&self) -> String {
        let directory = self.directory.path().to_str().expect("the path is a text").replace('/', "%2F");
        format!("postgres://postgres@{directory}/{}", self.database)
    }

    /// The number of statements executed so far.
    pub(crate) fn executed(&self) -> usize {
        self.statements.executed.load(Ordering::SeqCst)
    }

    /// Takes the statements that were prepared since the last call.
    pub(crate) fn prepared(&self) -> Vec<String> {
        std::mem::take(&mut *self.statements.prepared.lock().expect("no thread has panicked with it"))
    }
}

async fn forward(client: UnixStream, server: UnixStream, statements: Arc<Statements>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::select! {
        // Either side may close the connection at any time.
        _ = forward_messages(&mut from_client, &mut to_server, &statements) => {}
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
    }
}

/// Forwards the messages of a client. The first message has no type. `P` prepares a statement, `E` executes one, and `Q` executes a text.
async fn forward_messages(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    statements: &Statements,
) -> std::io::Result<()> {
    let mut kind = None;
    loop {
        let length = from.read_u32().await?;
        let mut message = vec![0; usize::try_from(length - 4).expect("a message fits")];
        from.read_exact(&mut message).await?;
        if matches!(kind, Some(b'E' | b'Q')) {
            statements.executed.fetch_add(1, Ordering::SeqCst);
        }
        if kind == Some(b'P') {
            // The message has a name, a text, and the types of the parameters.
            let text = message.split(|byte| *byte == 0).nth(1).unwrap_or_default();
            let text = String::from_utf8_lossy(text).into_owned();
            statements.prepared.lock().expect("no thread has panicked with it").push(text);
        }
        if let Some(kind) = kind {
            to.write_u8(kind).await?;
        }
        to.write_u32(length).await?;
        to.write_all(&message).await?;
        kind = Some(from.read_u8().await?);
    }
}
