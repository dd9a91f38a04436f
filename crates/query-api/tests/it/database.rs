//! Counting statements: a wire between the query API and PostgreSQL that counts what is executed over it.

use std::{
    path::PathBuf,
    sync::{
        Arc,
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
    executed: Arc<AtomicUsize>,
}

impl Wire {
    pub(crate) fn to(database: &TestDatabase) -> Self {
        let (_, place) = database.url().split_once('@').expect("the url names a socket");
        let (server, name) = place.split_once('/').expect("the url names a database");
        let server = PathBuf::from(server.replace("%2F", "/")).join(SOCKET);
        let directory = tempfile::tempdir().expect("a directory can be made");
        let listener = UnixListener::bind(directory.path().join(SOCKET)).expect("a socket can be made");
        let executed = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&executed);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&server).await.expect("PostgreSQL listens");
                tokio::spawn(pass_on(client, server, Arc::clone(&counted)));
            }
        });
        Self { directory, database: name.to_owned(), executed }
    }

    pub(crate) fn url(&self) -> String {
        let directory = self.directory.path().to_str().expect("it is a text").replace('/', "%2F");
        format!("postgres://postgres@{directory}/{}", self.database)
    }

    /// How many statements were executed so far.
    pub(crate) fn executed(&self) -> usize {
        self.executed.load(Ordering::SeqCst)
    }
}

async fn pass_on(client: UnixStream, server: UnixStream, executed: Arc<AtomicUsize>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::select! {
        // Either side may go at any time.
        _ = messages(&mut from_client, &mut to_server, &executed) => {}
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
    }
}

/// Passes the messages of a client on. The first has no type; `E` executes a prepared statement, `Q` a plain text.
async fn messages(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    executed: &AtomicUsize,
) -> std::io::Result<()> {
    let mut kind = None;
    loop {
        let length = from.read_u32().await?;
        let mut message = vec![0; usize::try_from(length - 4).expect("a message fits")];
        from.read_exact(&mut message).await?;
        if matches!(kind, Some(b'E' | b'Q')) {
            executed.fetch_add(1, Ordering::SeqCst);
        }
        if let Some(kind) = kind {
            to.write_u8(kind).await?;
        }
        to.write_u32(length).await?;
        to.write_all(&message).await?;
        kind = Some(from.read_u8().await?);
    }
}
