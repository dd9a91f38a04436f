//! A balancer as a shop has it in front of its processes: it asks each process whether it is ready, sends new connections to those that
//! are, and tries nothing a second time.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// The time between two questions whether a process is ready.
const CHECK_EVERY: Duration = Duration::from_millis(100);

/// A process behind the balancer.
struct Backend {
    address: SocketAddr,
    operators: String,
    ready: bool,
}

#[derive(Default)]
struct Backends {
    all: Vec<Backend>,
    last: usize,
}

pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    backends: Arc<Mutex<Backends>>,
    _tasks: JoinSet<()>,
}

impl Balancer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("the port is bound");
        let backends = Arc::<Mutex<Backends>>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(check(Arc::clone(&backends)));
        tasks.spawn(forward(listener, Arc::clone(&backends)));
        Self { address, backends, _tasks: tasks }
    }

    /// The URL of the balancer.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts a process behind the balancer. It gets connections once it is ready.
    pub(crate) fn add(&self, url: &str, operators: &str) {
        let address = url.trim_start_matches("http://").parse().expect("the URL has an address");
        lock(&self.backends).all.push(Backend { address, operators: operators.to_owned(), ready: false });
    }

    /// Forgets a process that has ended.
    pub(crate) fn remove(&self, operators: &str) {
        lock(&self.backends).all.retain(|backend| backend.operators != operators);
    }

    /// How many processes are ready.
    pub(crate) fn ready(&self) -> usize {
        lock(&self.backends).all.iter().filter(|backend| backend.ready).count()
    }
}

fn lock(backends: &Mutex<Backends>) -> std::sync::MutexGuard<'_, Backends> {
    backends.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn check(backends: Arc<Mutex<Backends>>) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    loop {
        let all: Vec<String> = lock(&backends).all.iter().map(|backend| backend.operators.clone()).collect();
        let asked = all.iter().map(|operators| is_ready(&client, operators));
        let ready = futures::future::join_all(asked).await;
        for (operators, ready) in all.iter().zip(ready) {
            let mut backends = lock(&backends);
            if let Some(backend) = backends.all.iter_mut().find(|backend| backend.operators == *operators) {
                backend.ready = ready;
            }
        }
        tokio::time::sleep(CHECK_EVERY).await;
    }
}

async fn is_ready(client: &Client<HttpConnector, Empty<Bytes>>, operators: &str) -> bool {
    let url = format!("{operators}/readyz").parse().expect("the address is valid");
    client.get(url).await.is_ok_and(|response| response.status().is_success())
}

/// Forwards each connection to the next process that is ready.
async fn forward(listener: TcpListener, backends: Arc<Mutex<Backends>>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let Some(address) = next(&mut lock(&backends)) else { continue };
        tokio::spawn(async move {
            client.set_nodelay(true)?;
            let mut server = TcpStream::connect(address).await?;
            server.set_nodelay(true)?;
            copy_bidirectional(&mut client, &mut server).await
        });
    }
}

fn next(backends: &mut Backends) -> Option<SocketAddr> {
    let ready: Vec<_> = backends.all.iter().filter(|backend| backend.ready).map(|backend| backend.address).collect();
    backends.last += 1;
    ready.get(backends.last % ready.len().max(1)).copied()
}
