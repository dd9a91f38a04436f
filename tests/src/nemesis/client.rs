//! An HTTP client with time limits, which records what it saw.

mod mutation;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use daybook_domain::Actor;
use daybook_edge::tokens::Keys;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    ACTOR,
    history::{Answer, Attempt, Call, History, Read, Receipt, Seen, Via},
    random::Random,
};

/// How long a command may take before it is sent again.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an impatient client waits. It does not retry, so the outcome of its command stays unknown.
const GLIMPSE: Duration = Duration::from_micros(500);
/// How long a query may take.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a command is sent at most. After that its outcome is left open.
const ATTEMPTS: usize = 40;

/// The lifetime of a token that a client signs itself.
const TOKEN: TimeDelta = TimeDelta::hours(1);

/// A client, with its actor and the APIs that it calls.
#[derive(Clone)]
pub struct Client {
    http: Http<HttpConnector, Full<Bytes>>,
    /// The command-apis.
    apis: Vec<SocketAddr>,
    /// The query-api.
    queries: SocketAddr,
    keys: Keys,
    /// The error of the clock of this client, in seconds.
    skew: i64,
    /// The percentage of attempts that are mutations, for commands that have a mutation.
    mutations: u64,
    /// Whether the client makes no random choices.
    is_plain: bool,
    history: Arc<History>,
}

impl Client {
    /// A client of a cluster, whose tokens are signed by these keys.
    #[must_use]
    pub fn new(apis: Vec<SocketAddr>, queries: SocketAddr, keys: Keys, history: Arc<History>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        // The HTTP library must not retry, since every attempt has to be recorded.
        let http = Http::builder(TokioExecutor::new()).retry_canceled_requests(false).build(connector);
        Self { http, apis, queries, keys, skew: 0, mutations: 0, is_plain: false, history }
    }

    /// The same client with a clock that is wrong by some seconds.
    #[must_use]
    pub fn with_skew(mut self, seconds: i64) -> Self {
        self.skew = seconds;
        self
    }

    /// The same client with a percentage of mutations, which wait until the views show their effect.
    #[must_use]
    pub fn by_mutations(mut self, percent: u64) -> Self {
        self.mutations = percent;
        self
    }

    /// The same client without random choices: it sends commands only, with a valid token, and waits for every answer.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.is_plain = true;
        self
    }

    /// How many commands were acknowledged so far to all clients of this history.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.history.acknowledged()
    }

    /// The time by the clock of this client.
    #[must_use]
    pub fn clock(&self) -> DateTime<Utc> {
        now() + TimeDelta::seconds(self.skew)
    }

    /// A token that is signed at a time of this clock.
    fn token(&self, clock: DateTime<Utc>) -> anyhow::Result<String> {
        Ok(format!("Bearer {}", self.keys.sign(&Actor::Admin(ACTOR.to_owned()), clock, TOKEN)?))
    }

    /// Sends a command until it is answered or its attempts are used up. Returns its outcome. Sometimes the client treats an answer as
    /// lost, and sends the command again.
    pub async fn command(&self, random: &mut Random, name: &'static str, body: Value) -> Outcome {
        let mut call = Call { key: random.id(), name, body, attempts: Vec::new() };
        // Sometimes the client is impatient, and the outcome stays unknown.
        let (attempts, timeout) = match random.between(0, 100) {
            _ if self.is_plain => (ATTEMPTS, COMMAND_TIMEOUT),
            0 => (1, GLIMPSE),
            1..4 => (1, COMMAND_TIMEOUT),
            _ => (ATTEMPTS, COMMAND_TIMEOUT),
        };
        let again = random.percent(8);
        while call.attempts.len() < attempts {
            let answer = self.attempt(&mut call, random, timeout).await;
            if !matches!(answer, Answer::Unknown(_)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(random.between(50, 400))).await;
        }
        if again && call.acknowledged().is_some() {
            self.attempt(&mut call, random, COMMAND_TIMEOUT).await;
        }
        let outcome = match (call.acknowledged(), call.refused()) {
            (Some(position), _) => Outcome::Accepted(position),
            (None, Some(_)) => Outcome::Refused,
            (None, None) => Outcome::Open,
        };
        self.history.call(call);
        outcome
    }

    async fn attempt(&self, call: &mut Call, random: &mut Random, timeout: Duration) -> Answer {
        let wants_mutation = random.percent(self.mutations) && !self.is_plain;
        let mutation = mutation::request(call.name, call.key, &call.body).filter(|_| wants_mutation);
        // Sometimes the token is signed by the wrong clock, and sometimes it has expired.
        let clock = match random.between(0, 100) {
            _ if self.is_plain => now(),
            0 => now() - TOKEN * 2,
            1..30 => self.clock(),
            _ => now(),
        };
        let command = usize::from(random.percent(50)) % self.apis.len();
        let (sent, at) = (self.history.tick(), now());
        let sending = async {
            let token = self.token(clock)?;
            match &mutation {
                Some(request) => self.mutate(call, request, &token).await,
                None => self.send(call, command, &token).await,
            }
        };
        let answer = match tokio::time::timeout(timeout, sending).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Answer::Unknown(format!("{error:#}")),
            Err(_) => Answer::Unknown("timeout".to_owned()),
        };
        let via = if mutation.is_some() { Via::Mutation } else { Via::Command(command) };
        let (answered, until, expired) = (self.history.tick(), now(), clock + TOKEN < at);
        call.attempts.push(Attempt { sent, at, answered, until, via, expired, answer: answer.clone() });
        answer
    }

    async fn send(&self, call: &Call, api: usize, token: &str) -> anyhow::Result<Answer> {
        let key = call.key.to_string();
        let headers = [("authorization", token), ("idempotency-key", key.as_str())];
        let url = format!("http://{}/commands/{}", self.apis[api], call.name);
        let (status, body) = self.post(&url, &headers, call.body.to_string()).await?;
        Ok(understood(status, body))
    }

    async fn mutate(&self, call: &Call, request: &Value, token: &str) -> anyhow::Result<Answer> {
        let url = format!("http://{}/admin/graphql", self.queries);
        let (status, body) = self.post(&url, &[("authorization", token)], request.to_string()).await?;
        let answer = mutation::understood(status, &body);
        if let (Answer::Shown(position), Some(seen)) = (&answer, mutation::seen(call.name, &call.body, &body)) {
            self.saw(*position, seen);
        }
        Ok(answer)
    }

    /// Queries the stock of a SKU at a position or later.
    pub async fn stock(&self, sku: &str, min_position: i64) -> Option<Seen> {
        let query = format!("{{ stock(sku: {}) {{ onHand reserved }} }}", json!(sku));
        let data = self.query(&query, min_position).await?;
        let level = |name: &str| data["stock"][0][name].as_i64();
        let seen = Seen::Stock { sku: sku.to_owned(), levels: level("onHand").zip(level("reserved")) };
        Some(self.saw(min_position, seen))
    }

    /// Queries the phase of an order at a position or later.
    pub async fn order(&self, id: Uuid, min_position: i64) -> Option<Seen> {
        let query = format!("{{ order(id: \"{id}\") {{ phase }} }}");
        let data = self.query(&query, min_position).await?;
        let phase = data["order"]["phase"].as_str().map(str::to_owned);
        Some(self.saw(min_position, Seen::Order { id, phase }))
    }

    fn saw(&self, min_position: i64, seen: Seen) -> Seen {
        self.history.read(Read { min_position, answered: self.history.tick(), seen: seen.clone() });
        seen
    }

    /// The data of a query, or none if it failed. A failed query is not recorded.
    async fn query(&self, query: &str, min_position: i64) -> Option<Value> {
        let (position, token) = (min_position.to_string(), self.token(now()).ok()?);
        let headers = [("authorization", token.as_str()), ("x-min-position", position.as_str())];
        let url = format!("http://{}/admin/graphql", self.queries);
        let asking = self.post(&url, &headers, json!({ "query": query }).to_string());
        let (status, mut body) = tokio::time::timeout(QUERY_TIMEOUT, asking).await.ok()?.ok()?;
        let whole = status == 200 && body.get("errors").is_none();
        whole.then(|| body["data"].take()).filter(Value::is_object)
    }

    async fn post(&self, url: &str, headers: &[(&str, &str)], body: String) -> anyhow::Result<(u16, Value)> {
        let mut request = Request::post(url).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.http.request(request.body(Full::new(body.into()))?).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, serde_json::from_slice(&body)?))
    }
}

/// The outcome of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The command is in the book, and its last event has this position.
    Accepted(i64),
    /// A rule refused the command.
    Refused,
    /// The outcome is unknown.
    Open,
}

impl Outcome {
    /// The position of its last event.
    #[must_use]
    pub const fn position(self) -> Option<i64> {
        match self {
            Self::Accepted(position) => Some(position),
            _ => None,
        }
    }
}

/// The clock of the machine.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "clients read the real clock here")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

fn understood(status: u16, body: Value) -> Answer {
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    match status {
        200 => match serde_json::from_value::<Receipt>(body) {
            Ok(receipt) => Answer::Accepted(receipt),
            Err(error) => Answer::Unknown(format!("a receipt that cannot be read: {error}")),
        },
        // The service is unavailable, so the outcome is open.
        429 | 503 => Answer::Unknown(text("code")),
        // Any other answer is a refusal. The checks find one that no rule has given.
        status => Answer::Refused {
            code: if text("code").is_empty() { status.to_string() } else { text("code") },
            detail: text("detail"),
        },
    }
}
