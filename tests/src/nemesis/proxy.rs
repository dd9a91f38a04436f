//! A network that can be disturbed: a proxy on a loopback port, whose connections are passed on, delayed, silent, half-open, or cut.

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

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// They are as fast as the machine.
    Whole,
    /// Everything is late by so much, in both directions.
    Slow(Duration),
    /// Nothing arrives, and nobody is told; what was sent arrives when the network is whole again.
    Silent,
    /// What goes one way is lost, with TCP's own acknowledgements of it, and nobody is told. A connection that has lost something
    /// never goes on, not even when the network is whole again, and new ones are not answered.
    HalfOpen(Way),
    /// Those that are there end, and new ones are refused.
    Cut,
}

/// One of the two ways of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From whoever has connected.
    ToServer,
    /// To whoever has connected.
    ToClient,
}

/// For how long a server keeps a connection whose client is not heard any more: as long as the engine asks of PostgreSQL, which is
/// behind a socket of the file system here and hears of the network from its proxy only.
const KEPT: Duration = Duration::from_secs(6);

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

/// Whether this system has networks that are half-open.
#[must_use]
pub const fn can_be_half_open() -> bool {
    deaf::IS_POSSIBLE
}

/// A proxy. It ends when it is dropped, and its connections with it.
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
    /// When there is no port.
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

    /// Leads new connections somewhere else.
    pub fn lead_to(&self, target: Target) {
        self.target.send_replace(target);
    }

    /// Disturbs the network, or lets it be.
    ///
    /// # Errors
    /// When the system has no network that is half-open.
    pub fn set(&self, network: Network) -> io::Result<()> {
        let is_deaf = |network| matches!(network, Network::HalfOpen(_));
        // Before those that are there are lost, no new one may come, and the other way round.
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

/// What is passed on: bytes as they come, or answers of a broker at a port, with another port in its place.
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

/// Passes on, both ways, until one side ends or the connection is cut. A client whose connection has lost something is not told that
/// it has ended.
async fn pass(
    client: TcpStream,
    server: impl AsyncRead + AsyncWrite + Send,
    answers: Passed,
    network: watch::Receiver<Network>,
) -> io::Result<()> {
    // As long as it is there, the client sees no end.
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
        // The nemesis ending cuts as well.
        _ = state.wait_for(|state| *state == Network::Cut) => return Ok(()),
    };
    if *loss.borrow() {
        drop(state.wait_for(|state| *state == Network::Cut).await);
    }
    ended
}

/// Waits until something is lost; from then on nothing is heard from the client. Ends when the server has given it up.
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

/// Waits until it is so, which is never when nobody tells any more.
async fn until<T>(told: &mut watch::Receiver<T>, is_so: impl FnMut(&T) -> bool) {
    if told.wait_for(is_so).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What passes on one way of a connection.
struct Pump<'c> {
    way: Way,
    what: Passed,
    network: watch::Receiver<Network>,
    /// Whether the connection has lost something.
    loss: &'c watch::Sender<bool>,
}

impl Pump<'_> {
    async fn run(mut self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
        let mut is_lost = false;
        while let Some(bytes) = taken(&mut from, self.what).await? {
            let state = *self.network.borrow();
            match state {
                Network::Slow(delay) => tokio::time::sleep(delay).await,
                // That nobody disturbs it any more is as good as whole.
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
        proxy.set(Network::Slow(Duration::from_millis(1))).expect("it can");
        assert_eq!(&asked(&mut connection).await.expect("a late answer"), b"ping");
        proxy.set(Network::Cut).expect("it can");
        asked(&mut connection).await.expect_err("it has ended");
        let mut refused = TcpStream::connect(proxy.address()).await.expect("the port is there");
        asked(&mut refused).await.expect_err("nobody answers");
        proxy.set(Network::Whole).expect("it can");
        let mut healed = TcpStream::connect(proxy.address()).await.expect("it listens");
        assert_eq!(&asked(&mut healed).await.expect("an answer"), b"ping");
    }

    #[tokio::test]
    async fn what_was_sent_into_silence_arrives_when_it_is_over() {
        let proxy = Proxy::open(Target::Port(echo().await), Speech::Any).await.expect("a proxy");
        let mut connection = TcpStream::connect(proxy.address()).await.expect("it listens");
        assert_eq!(&asked(&mut connection).await.expect("an answer"), b"ping");
        proxy.set(Network::Silent).expect("it can");
        let mut answer = std::pin::pin!(asked(&mut connection));
        let early = tokio::time::timeout(Duration::from_millis(50), &mut answer).await;
        early.expect_err("nothing arrives");
        proxy.set(Network::Whole).expect("it can");
        assert_eq!(&answer.await.expect("a late answer"), b"ping");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_half_open_connection_says_nothing_for_good_and_new_ones_work_once_it_is_healed() {
        for way in [Way::ToServer, Way::ToClient] {
            let proxy = Proxy::open(Target::Port(echo().await), Speech::Any).await.expect("a proxy");
            let mut connection = TcpStream::connect(proxy.address()).await.expect("it listens");
            assert_eq!(&asked(&mut connection).await.expect("an answer"), b"ping");
            proxy.set(Network::HalfOpen(way)).expect("it can");
            let short = Duration::from_millis(100);
            let mut lost = std::pin::pin!(asked(&mut connection));
            tokio::time::timeout(short, &mut lost).await.expect_err("no answer, and no end");
            let new = TcpStream::connect(proxy.address());
            tokio::time::timeout(short, new).await.expect_err("nobody can connect");
            proxy.set(Network::Whole).expect("it can");
            tokio::time::timeout(short, &mut lost).await.expect_err("what is lost is lost");
            let mut healed = TcpStream::connect(proxy.address()).await.expect("it listens");
            assert_eq!(&asked(&mut healed).await.expect("an answer"), b"ping");
            proxy.set(Network::Cut).expect("it can");
            lost.await.expect_err("now it has ended");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn on_a_half_open_connection_the_other_way_still_flows() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let proxy = Proxy::open(Target::Port(listener.local_addr().expect("it has one")), Speech::Any).await;
        let proxy = proxy.expect("a proxy");
        let short = Duration::from_millis(100);
        let pair = async || {
            let client = TcpStream::connect(proxy.address()).await.expect("it listens");
            (client, listener.accept().await.expect("it is passed on").0)
        };
        let mut bytes = [0; 4];
        let (mut client, mut server) = pair().await;
        proxy.set(Network::HalfOpen(Way::ToServer)).expect("it can");
        client.write_all(b"ping").await.expect("nobody knows");
        tokio::time::timeout(short, server.read(&mut bytes)).await.expect_err("it is lost");
        server.write_all(b"pong").await.expect("it flows");
        client.read_exact(&mut bytes).await.expect("it arrives");
        assert_eq!(&bytes, b"pong");
        proxy.set(Network::Whole).expect("it can");
        let (mut client, mut server) = pair().await;
        proxy.set(Network::HalfOpen(Way::ToClient)).expect("it can");
        client.write_all(b"ping").await.expect("it flows");
        server.read_exact(&mut bytes).await.expect("it arrives");
        assert_eq!(&bytes, b"ping");
        server.write_all(b"pong").await.expect("nobody knows");
        tokio::time::timeout(short, client.read(&mut bytes)).await.expect_err("it is lost");
    }
}
