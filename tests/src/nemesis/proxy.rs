//! A network that can be disturbed: a proxy on a loopback port, whose connections are passed on, delayed, or cut.

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
    pub async fn open(target: Target) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (network, state) = watch::channel(Network::Whole);
        let target = Arc::new(watch::Sender::new(target));
        let listening = tokio::spawn(listen(listener, state, Arc::clone(&target))).abort_handle();
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

async fn listen(listener: TcpListener, network: watch::Receiver<Network>, target: Arc<watch::Sender<Target>>) {
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
                    pass(client, server, network).await
                }
                Target::Socket(path) => pass(client, UnixStream::connect(path).await?, network).await,
            }
        });
    }
}

/// Passes bytes on, both ways, until one side ends or the connection is cut.
async fn pass(
    client: TcpStream,
    server: impl AsyncRead + AsyncWrite + Send,
    network: watch::Receiver<Network>,
) -> io::Result<()> {
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = tokio::io::split(server);
    let mut state = network.clone();
    tokio::select! {
        ended = pump(from_client, to_server, network.clone()) => ended,
        ended = pump(from_server, to_client, network) => ended,
        // The nemesis ending cuts as well.
        _ = state.wait_for(|state| *state == Network::Cut) => Ok(()),
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    network: watch::Receiver<Network>,
) -> io::Result<()> {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        let state = *network.borrow();
        if let Network::Slow(delay) = state {
            tokio::time::sleep(delay).await;
        }
        to.write_all(&bytes[..count]).await?;
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
        let proxy = Proxy::open(Target::Port(echo().await)).await.expect("a proxy");
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
}
