//! A wire between the query API and PostgreSQL that counts what is executed over it, and keeps what is prepared.

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

/// Where PostgreSQL's clients look for its socket in a directory.
const SOCKET: &str = ".s.PGSQL.5432";

/// A wire to a database.
pub(crate) struct Wire {
    directory: TempDir,
    database: String,
    seen: Arc<Seen>,
}

/// What has gone over a wire.
#[derive(Default)]
struct Seen {
    /// How many statements were executed.
    executed: AtomicUsize,
    /// The texts of the statements that were prepared.
    prepared: Mutex<Vec<String>>,
}

impl Wire {
    pub(crate) fn to(database: &TestDatabase) -> Self {
        let (_, place) = database.url().split_once('@').expect("the url names a socket");
        let (server, name) = place.split_once('/').expect("the url names a database");
        let server = PathBuf::from(server.replace("%2F", "/")).join(SOCKET);
        let directory = tempfile::tempdir().expect("a directory can be made");
        let listener = UnixListener::bind(directory.path().join(SOCKET)).expect("a socket can be made");
        let seen = Arc::new(Seen::default());
        let noted = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&server).await.expect("PostgreSQL listens");
                tokio::spawn(pass_on(client, server, Arc::clone(&noted)));
            }
        });
        Self { directory, database: name.to_owned(), seen }
    }

    pub(crate) fn url(&self) -> String {
        let directory = self.directory.path().to_str().expect("it is a text").replace('/', "%2F");
        format!("postgres://postgres@{directory}/{}", self.database)
    }

    /// How many statements were executed so far.
    pub(crate) fn executed(&self) -> usize {
        self.seen.executed.load(Ordering::SeqCst)
    }

    /// The statements that were prepared since this was asked last.
    pub(crate) fn prepared(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.prepared.lock().expect("no thread has panicked with it"))
    }
}

async fn pass_on(client: UnixStream, server: UnixStream, seen: Arc<Seen>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::select! {
        // Either side may go at any time.
        _ = messages(&mut from_client, &mut to_server, &seen) => {}
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
    }
}

/// Passes the messages of a client on. The first has no type; `P` prepares a statement, `E` executes one, `Q` a plain text.
async fn messages(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    seen: &Seen,
) -> std::io::Result<()> {
    let mut kind = None;
    loop {
        let length = from.read_u32().await?;
        let mut message = vec![0; usize::try_from(length - 4).expect("a message fits")];
        from.read_exact(&mut message).await?;
        if matches!(kind, Some(b'E' | b'Q')) {
            seen.executed.fetch_add(1, Ordering::SeqCst);
        }
        if kind == Some(b'P') {
            // Its name, its text, and the types of its parameters.
            let text = message.split(|byte| *byte == 0).nth(1).unwrap_or_default();
            let text = String::from_utf8_lossy(text).into_owned();
            seen.prepared.lock().expect("no thread has panicked with it").push(text);
        }
        if let Some(kind) = kind {
            to.write_u8(kind).await?;
        }
        to.write_u32(length).await?;
        to.write_all(&message).await?;
        kind = Some(from.read_u8().await?);
    }
}
