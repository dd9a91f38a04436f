//! All processes of a cluster are replaced one after the other, under load, behind balancers that try nothing twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    balancer::Balancer,
    served::{PATIENCE, Served, World, cart_open, open_cart, post},
};

/// The pause of a client between two requests.
const PAUSE: Duration = Duration::from_millis(5);
/// The clients of each kind. Every second one makes a new connection for each request.
const CLIENTS: usize = 6;

/// The load, and what came of it.
#[derive(Default)]
struct Load {
    ends: AtomicBool,
    answered: AtomicUsize,
    /// The commands that were accepted, those of mutations among them.
    accepted: AtomicUsize,
}

/// What a client asks again and again.
#[derive(Clone, Copy)]
enum Asks {
    Commands,
    Mutations,
    Queries,
}

impl Load {
    /// Sends one request after the other, on kept connections or on new ones, and returns the first answer that is no success.
    async fn ask(self: Arc<Self>, url: String, asks: Asks, keeps: bool) -> Option<String> {
        let client = Client::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .pool_idle_timeout(Duration::from_secs(1))
            .pool_max_idle_per_host(usize::from(keeps))
            .build_http::<Full<Bytes>>();
        while !self.ends.load(Ordering::Relaxed) {
            let request = match asks {
                Asks::Commands => post(&url, "/commands/OpenCart", &open_cart()),
                Asks::Mutations => post(&url, "/graphql", &cart_open()),
                Asks::Queries => {
                    post(&url, "/graphql", &json!({ "query": "{ products(first: 5) { edges { node { slug } } } }" }))
                }
            };
            let response = match client.request(request).await {
                Ok(response) => response,
                Err(error) => return Some(format!("{error:?}")),
            };
            let status = response.status();
            let body = match response.into_body().collect().await {
                Ok(body) => body.to_bytes(),
                Err(error) => return Some(format!("{status}, and {error:?}")),
            };
            let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
            let opened = &answer["data"]["cartOpen"];
            let succeeded = match asks {
                Asks::Commands => answer["position"].is_i64(),
                Asks::Mutations => opened["cart"]["status"] == "OPEN" && opened["userErrors"] == json!([]),
                Asks::Queries => answer["data"]["products"]["edges"].is_array(),
            };
            if !status.is_success() || !succeeded || !answer["errors"].is_null() {
                return Some(format!("{status}: {answer}"));
            }
            self.answered.fetch_add(1, Ordering::Relaxed);
            if !matches!(asks, Asks::Queries) {
                self.accepted.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    }

    /// Waits until the clients have got more answers.
    async fn goes_on(&self, clients: &mut JoinSet<Option<String>>) {
        let (begun, before) = (Instant::now(), self.answered.load(Ordering::Relaxed));
        while self.answered.load(Ordering::Relaxed) < before + 20 {
            assert!(begun.elapsed() < PATIENCE, "the clients get no answers");
            if let Some(ended) = clients.try_join_next() {
                panic!("a request failed: {:?}", ended.expect("no panic"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// A process of the cluster.
struct Member {
    roles: &'static str,
    flags: Vec<String>,
    /// Which balancer it is behind, if clients reach it.
    behind: Option<usize>,
    served: Option<Served>,
}

impl Member {
    async fn start(&mut self, world: &World, balancers: &[Balancer; 2]) {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let served = world.ready(self.roles, &flags).await;
        if let Some(balancer) = self.behind.map(|nr| &balancers[nr]) {
            let before = balancer.ready();
            balancer.add(&served.url(), &served.operators);
            served.until("the balancer has noticed it", async |_| balancer.ready() > before).await;
        }
        self.served = Some(served);
    }

    /// Stops the process as an orchestrator does, and waits for its end.
    async fn stop(&mut self, balancers: &[Balancer; 2]) {
        let Some(served) = self.served.take() else { return };
        let operators = served.operators.clone();
        served.signal(Signal::SIGTERM);
        assert!(served.ended().await.success(), "{} stops cleanly", self.roles);
        if let Some(balancer) = self.behind.map(|nr| &balancers[nr]) {
            balancer.remove(&operators);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_is_replaced_under_load_and_no_request_fails() {
    let world = World::new().await;
    let balancers = [Balancer::start().await, Balancer::start().await];
    let [commands, queries] = [balancers[0].url(), balancers[1].url()];
    // Nobody waits for the processes that no balancer is in front of.
    let at_once = vec!["--drain-delay".to_owned(), "0".to_owned()];
    let forwards = vec!["--command-url".to_owned(), commands.clone()];
    let mut members = Vec::new();
    for _ in 0..2 {
        let member = |roles, flags: &Vec<String>, behind| Member { roles, flags: flags.clone(), behind, served: None };
        members.extend([
            member("projectors", &at_once, None),
            member("query-api", &forwards, Some(1)),
            member("relay", &at_once, None),
            member("reactors", &at_once, None),
            member("command-api", &Vec::new(), Some(0)),
        ]);
    }
    for member in &mut members {
        member.start(&world, &balancers).await;
    }
    let (load, mut clients) = (Arc::new(Load::default()), JoinSet::new());
    for nr in 0..CLIENTS {
        for (url, asks) in [(&commands, Asks::Commands), (&queries, Asks::Mutations), (&queries, Asks::Queries)] {
            clients.spawn(Arc::clone(&load).ask(url.clone(), asks, nr % 2 == 0));
        }
    }
    load.goes_on(&mut clients).await;
    for member in &mut members {
        member.stop(&balancers).await;
        load.goes_on(&mut clients).await;
        member.start(&world, &balancers).await;
        load.goes_on(&mut clients).await;
    }
    load.ends.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        assert_eq!(ended.expect("no panic"), None, "no request fails");
    }
    let client = world.database.connect().await;
    let opened = "SELECT count(*) FROM events WHERE type = 'cart.CartOpened'";
    let opened: i64 = client.query_one(opened, &[]).await.expect("the book answers").get(0);
    assert_eq!(usize::try_from(opened), Ok(load.accepted.load(Ordering::Relaxed)), "each command is in the book once");
}
