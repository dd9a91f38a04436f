//! A network that can be disturbed: a proxy on a loopback port, whose connections are passed on, delayed, silent, or cut.

pub mod kafka;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::AbortHandle,
};

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// They are as fast as the machine.
    Whole,
    /// Everything is late by so much, in both directions.
    Slow(Duration),
    /// Nothing arrives, and nobody is told; what was sent arrives when the network is whole again.
    Silent,
    /// Those that are there end, and new ones are refused.
    Cut,
}

/// Where connections lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Nowhere yet.
    Nowhere,
    /// A port.
    Port(SocketAddr),
    /// A Unix socket.
    Socket(PathBuf),
}

/// Whether what passes has to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// It has not.
    Any,
    /// The server is a Kafka broker, which names its own address.
    Kafka,
}

/// A proxy. It ends when it is dropped, and its connections with it.
pub struct Proxy {
    address: SocketAddr,
    network: watch::Sender<Network>,
    target: Arc<watch::Sender<Target>>,
    listening: AbortHandle,
}

impl Proxy {
    /// Opens a port in front of a target.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn open(target: Target, speech: Speech) -> io::Result<Self> {
        let listener = TcpListener::bind((kafka::HOST, 0)).await?;
        let address = listener.local_addr()?;
        let (network, state) = watch::channel(Network::Whole);
        let target = Arc::new(watch::Sender::new(target));
        let own = (speech == Speech::Kafka).then(|| address.port());
        let listening = tokio::spawn(listen(listener, state, Arc::clone(&target), own)).abort_handle();
        Ok(Self { address, network, target, listening })
    }

    /// Its port.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads new connections somewhere else.
    pub fn lead_to(&self, target: Target) {
        self.target.send_replace(target);
    }

    /// Disturbs the network, or lets it be.
    pub fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// What is passed on: bytes as they come, or answers of a broker at a port, with another port in its place.
#[derive(Debug, Clone, Copy)]
enum Passed {
    Bytes,
    Answers { from: u16, to: u16 },
}

async fn listen(
    listener: TcpListener,
    network: watch::Receiver<Network>,
    target: Arc<watch::Sender<Target>>,
    own: Option<u16>,
) {
    while let Ok((client, _)) = listener.accept().await {
        if *network.borrow() == Network::Cut {
            continue;
        }
        let (network, target) = (network.clone(), target.borrow().clone());
        tokio::spawn(async move {
            client.set_nodelay(true)?;
            match target {
                Target::Nowhere => Ok(()),
                Target::Port(address) => {
                    let server = TcpStream::connect(address).await?;
                    server.set_nodelay(true)?;
                    let answers = own.map(|own| Passed::Answers { from: address.port(), to: own });
                    pass(client, server, answers.unwrap_or(Passed::Bytes), network).await
                }
                Target::Socket(path) => pass(client, UnixStream::connect(path).await?, Passed::Bytes, network).await,
            }
        });
    }
}

/// Passes on, both ways, until one side ends or the connection is cut.
async fn pass(
    client: TcpStream,
    server: impl AsyncRead + AsyncWrite + Send,
    answers: Passed,
    network: watch::Receiver<Network>,
) -> io::Result<()> {
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = tokio::io::split(server);
    let mut state = network.clone();
    tokio::select! {
        ended = pump(from_client, to_server, Passed::Bytes, network.clone()) => ended,
        ended = pump(from_server, to_client, answers, network) => ended,
        // The nemesis ending cuts as well.
        _ = state.wait_for(|state| *state == Network::Cut) => Ok(()),
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    what: Passed,
    mut network: watch::Receiver<Network>,
) -> io::Result<()> {
    while let Some(bytes) = taken(&mut from, what).await? {
        let state = *network.borrow();
        match state {
            Network::Slow(delay) => tokio::time::sleep(delay).await,
            // That nobody disturbs it any more is as good as whole.
            Network::Silent => drop(network.wait_for(|state| *state != Network::Silent).await),
            Network::Whole | Network::Cut => {}
        }
        to.write_all(&bytes).await?;
    }
    Ok(())
}

/// What comes next; none at the end.
async fn taken(from: &mut (impl AsyncRead + Unpin), what: Passed) -> io::Result<Option<Vec<u8>>> {
    match what {
        Passed::Bytes => {
            let mut bytes = Vec::with_capacity(16 << 10);
            let count = from.read_buf(&mut bytes).await?;
            Ok((count > 0).then_some(bytes))
        }
        Passed::Answers { from: own, to } => {
            let mut answer = kafka::answer(from).await?;
            if let Some(answer) = &mut answer {
                kafka::redirect(answer, own, to);
            }
            Ok(answer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("it has one");
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = connection.split();
                    tokio::io::copy(&mut from, &mut to).await.ok();
                });
            }
        });
        address
    }

    async fn asked(connection: &mut TcpStream) -> io::Result<[u8; 4]> {
        connection.write_all(b"ping").await?;
        let mut answer = [0; 4];
        connection.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn a_cut_ends_connections_and_refuses_new_ones_until_it_is_healed() {
        let proxy = Proxy::open(Target::Port(echo().await), Speech::Any).await.expect("a proxy");
        let mut connection = TcpStream::connect(proxy.address()).await.expect("it listens");
        assert_eq!(&asked(&mut connection).await.expect("an answer"), b"ping");
        proxy.set(Network::Slow(Duration::from_millis(1)));
        assert_eq!(&asked(&mut connection).await.expect("a late answer"), b"ping");
        proxy.set(Network::Cut);
        asked(&mut connection).await.expect_err("it has ended");
        let mut refused = TcpStream::connect(proxy.address()).await.expect("the port is there");
        asked(&mut refused).await.expect_err("nobody answers");
        proxy.set(Network::Whole);
        let mut healed = TcpStream::connect(proxy.address()).await.expect("it listens");
        assert_eq!(&asked(&mut healed).await.expect("an answer"), b"ping");
    }

    #[tokio::test]
    async fn what_was_sent_into_silence_arrives_when_it_is_over() {
        let proxy = Proxy::open(Target::Port(echo().await), Speech::Any).await.expect("a proxy");
        let mut connection = TcpStream::connect(proxy.address()).await.expect("it listens");
        assert_eq!(&asked(&mut connection).await.expect("an answer"), b"ping");
        proxy.set(Network::Silent);
        let mut answer = std::pin::pin!(asked(&mut connection));
        let early = tokio::time::timeout(Duration::from_millis(50), &mut answer).await;
        early.expect_err("nothing arrives");
        proxy.set(Network::Whole);
        assert_eq!(&answer.await.expect("a late answer"), b"ping");
    }
}
