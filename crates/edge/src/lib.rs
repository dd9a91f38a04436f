//! What every HTTP face shares.
//!
//! What belongs here: serving [connections](server) within their limits, the [drain] of a process, bearer [tokens], the client
//! address of a request ([proxies]), rate limits ([rates]), what each caller has at once ([callers]), request ids ([request_id]), keys ([idempotency]),
//! trace contexts ([trace]), [documents](document), and [problems](problem) (RFC 9457).
//!
//! What does not: accounts, passwords and login, which come later and will sign tokens here. Each command declares which roles may
//! send it. The size of bodies and the cost of queries belong to the APIs.

pub mod callers;
pub mod document;
pub mod drain;
pub mod idempotency;
pub mod json_body;
pub mod problem;
pub mod proxies;
pub mod rates;
pub mod request_id;
pub mod server;
pub mod tokens;
pub mod trace;
