//! A network that can be disturbed: a proxy on a loopback port. It forwards, delays, holds back, half-loses or cuts connections.

mod deaf;
pub mod kafka;

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::AbortHandle,
};

/// The state of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Traffic passes without delay.
    Whole,
    /// All traffic is delayed by this time, in both directions.
    Slow(Duration),
    /// No traffic passes, without an error. It arrives after the network is whole again.
    Silent,
    /// The traffic in one direction is lost, TCP's acknowledgements too, without an error. A connection that has lost data never
    /// continues, even after the network is whole again. New connections are not answered.
    HalfOpen(Way),
    /// Open connections end, and new ones are refused.
    Cut,
}

/// One of the two directions of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// How long a server keeps a connection whose client is silent: the limit that the engine sets for PostgreSQL. Here PostgreSQL is behind a
/// Unix socket, so the proxy has to apply the limit.
const KEPT: Duration = Duration::from_secs(6);

/// The target of connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// None yet.
    Nowhere,
    /// A port.
    Port(SocketAddr),
    /// A Unix socket.
    Socket(PathBuf),
}

/// The protocol that the proxy has to parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// None: bytes are forwarded unparsed.
    Any,
    /// Kafka, since a broker names its own address in its answers.
    Kafka,
}

/// Whether this system supports half-open networks.
#[must_use]
pub const fn can_be_half_open() -> bool {
    deaf::IS_POSSIBLE
}

/// A proxy. It ends with its connections when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    network: watch::Sender<Network>,
    target: Arc<watch::Sender<Target>>,
    listener: Arc<TcpListener>,
    listening: AbortHandle,
}

impl Proxy {
    /// Opens a port in front of a target.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn open(target: Target, speech: Speech) -> io::Result<Self> {
        let listener = Arc::new(TcpListener::bind((kafka::HOST, 0)).await?);
        let address = listener.local_addr()?;
        let (network, state) = watch::channel(Network::Whole);
        let target = Arc::new(watch::Sender::new(target));
        let own = (speech == Speech::Kafka).then(|| address.port());
        let listening = tokio::spawn(listen(Arc::clone(&listener), state, Arc::clone(&target), own)).abort_handle();
        Ok(Self { address, network, target, listener, listening })
    }

    /// Its port.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the target of new connections.
    pub fn lead_to(&self, target: Target) {
        self.target.send_replace(target);
    }

    /// Sets the state of the network.
    ///
    /// # Errors
    /// When the system does not support half-open networks.
    pub fn set(&self, network: Network) -> io::Result<()> {
        let is_deaf = |network| matches!(network, Network::HalfOpen(_));
        // New connections are stopped before open ones lose data, and admitted after the network is whole.
        if is_deaf(network) {
            deaf::make(&self.listener)?;
        }
        let before = self.network.send_replace(network);
        if is_deaf(before) && !is_deaf(network) {
            deaf::heal(&self.listener)?;
        }
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// What is forwarded: bytes as they arrive, or the answers of a broker, with the port of the proxy instead of its own.
#[derive(Debug, Clone, Copy)]
enum Passed {
    Bytes,
    Answers { from: u16, to: u16 },
}

async fn listen(
    listener: Arc<TcpListener>,
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

/// Forwards in both directions until one end closes or the connection is cut. If the connection has lost data, the client does not see its
/// end.
async fn pass(
    client: TcpStream,
    server: impl AsyncRead + AsyncWrite + Send,
    answers: Passed,
    network: watch::Receiver<Network>,
) -> io::Result<()> {
    // While this socket is open, the client sees no end.
    let ear = client.as_fd().try_clone_to_owned()?;
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = tokio::io::split(server);
    let (mut state, loss) = (network.clone(), watch::Sender::new(false));
    let there = Pump { way: Way::ToServer, what: Passed::Bytes, network: network.clone(), loss: &loss };
    let back = Pump { way: Way::ToClient, what: answers, network: network.clone(), loss: &loss };
    let ended = tokio::select! {
        ended = there.run(from_client, to_server) => ended,
        ended = back.run(from_server, to_client) => ended,
        ended = deafened(&ear, network, &loss) => ended,
        // The end of the nemesis also cuts the connection.
        _ = state.wait_for(|state| *state == Network::Cut) => return Ok(()),
    };
    if *loss.borrow() {
        drop(state.wait_for(|state| *state == Network::Cut).await);
    }
    ended
}

/// Waits until data is lost, and then ignores the client. Ends after the time limit of the server.
async fn deafened(ear: &OwnedFd, mut network: watch::Receiver<Network>, loss: &watch::Sender<bool>) -> io::Result<()> {
    let mut swallowed = loss.subscribe();
    tokio::select! {
        () = until(&mut network, |state| *state == Network::HalfOpen(Way::ToServer)) => {}
        () = until(&mut swallowed, |swallowed| *swallowed) => {}
    }
    loss.send_replace(true);
    deaf::make(ear)?;
    tokio::time::sleep(KEPT).await;
    Ok(())
}

/// Waits until a watched value satisfies a condition. It never ends after the sender is dropped.
async fn until<T>(watched: &mut watch::Receiver<T>, is_so: impl FnMut(&T) -> bool) {
    if watched.wait_for(is_so).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Forwards one direction of a connection.
struct Pump<'c> {
    way: Way,
    what: Passed,
    network: watch::Receiver<Network>,
    /// Whether the connection has lost data.
    loss: &'c watch::Sender<bool>,
}

impl Pump<'_> {
    async fn run(mut self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
        let mut is_lost = false;
        while let Some(bytes) = taken(&mut from, self.what).await? {
            let state = *self.network.borrow();
            match state {
                Network::Slow(delay) => tokio::time::sleep(delay).await,
                // An error means that the sender is dropped, which counts as a whole network.
                Network::Silent => drop(self.network.wait_for(|state| *state != Network::Silent).await),
                Network::HalfOpen(way) if way == self.way => {
                    is_lost = true;
                    self.loss.send_replace(true);
                }
                Network::Whole | Network::HalfOpen(_) | Network::Cut => {}
            }
            if !is_lost {
                to.write_all(&bytes).await?;
            }
        }
        Ok(())
    }
}

/// The next data, or none at the end.
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
        let address = listener.local_addr().expect("the listener has an address");
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
    async fn a_cut_ends_connections_and_refuses_new_ones_until_the_network_is_whole() {
        let proxy = Proxy::open(Target::Port(echo().await), Speech::Any).await.expect("a proxy");
        let mut connection = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
        assert_eq!(&asked(&mut connection).await.expect("an answer"), b"ping");
        proxy.set(Network::Slow(Duration::from_millis(1))).expect("the network can be set");
        assert_eq!(&asked(&mut connection).await.expect("a late answer"), b"ping");
        proxy.set(Network::Cut).expect("the network can be set");
        asked(&mut connection).await.expect_err("the connection has ended");
        let mut refused = TcpStream::connect(proxy.address()).await.expect("the port is open");
        asked(&mut refused).await.expect_err("the connection is refused");
        proxy.set(Network::Whole).expect("the network can be set");
        let mut healed = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
        assert_eq!(&asked(&mut healed).await.expect("an answer"), b"ping");
    }

    #[tokio::test]
    async fn data_sent_into_a_silent_network_arrives_after_the_silence() {
        let proxy = Proxy::open(Target::Port(echo().await), Speech::Any).await.expect("a proxy");
        let mut connection = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
        assert_eq!(&asked(&mut connection).await.expect("an answer"), b"ping");
        proxy.set(Network::Silent).expect("the network can be set");
        let mut answer = std::pin::pin!(asked(&mut connection));
        let early = tokio::time::timeout(Duration::from_millis(50), &mut answer).await;
        early.expect_err("nothing arrives");
        proxy.set(Network::Whole).expect("the network can be set");
        assert_eq!(&answer.await.expect("a late answer"), b"ping");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_half_open_connection_stays_silent_and_new_ones_work_after_the_network_is_whole() {
        for way in [Way::ToServer, Way::ToClient] {
            let proxy = Proxy::open(Target::Port(echo().await), Speech::Any).await.expect("a proxy");
            let mut connection = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
            assert_eq!(&asked(&mut connection).await.expect("an answer"), b"ping");
            proxy.set(Network::HalfOpen(way)).expect("the network can be set");
            let short = Duration::from_millis(100);
            let mut lost = std::pin::pin!(asked(&mut connection));
            tokio::time::timeout(short, &mut lost).await.expect_err("no answer, and no end");
            let new = TcpStream::connect(proxy.address());
            tokio::time::timeout(short, new).await.expect_err("a new connection gets no answer");
            proxy.set(Network::Whole).expect("the network can be set");
            tokio::time::timeout(short, &mut lost).await.expect_err("lost data stays lost");
            let mut healed = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
            assert_eq!(&asked(&mut healed).await.expect("an answer"), b"ping");
            proxy.set(Network::Cut).expect("the network can be set");
            lost.await.expect_err("the cut ends the connection");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn on_a_half_open_connection_the_other_direction_still_works() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let proxy =
            Proxy::open(Target::Port(listener.local_addr().expect("the listener has an address")), Speech::Any).await;
        let proxy = proxy.expect("a proxy");
        let short = Duration::from_millis(100);
        let pair = async || {
            let client = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
            (client, listener.accept().await.expect("the connection is forwarded").0)
        };
        let mut bytes = [0; 4];
        let (mut client, mut server) = pair().await;
        proxy.set(Network::HalfOpen(Way::ToServer)).expect("the network can be set");
        client.write_all(b"ping").await.expect("the sender sees no error");
        tokio::time::timeout(short, server.read(&mut bytes)).await.expect_err("the data is lost");
        server.write_all(b"pong").await.expect("the data is sent");
        client.read_exact(&mut bytes).await.expect("the data arrives");
        assert_eq!(&bytes, b"pong");
        proxy.set(Network::Whole).expect("the network can be set");
        let (mut client, mut server) = pair().await;
        proxy.set(Network::HalfOpen(Way::ToClient)).expect("the network can be set");
        client.write_all(b"ping").await.expect("the data is sent");
        server.read_exact(&mut bytes).await.expect("the data arrives");
        assert_eq!(&bytes, b"ping");
        server.write_all(b"pong").await.expect("the sender sees no error");
        tokio::time::timeout(short, client.read(&mut bytes)).await.expect_err("the data is lost");
    }
}
