//! What every HTTP face shares.
//!
//! What belongs here: serving [connections](server) within their limits, bearer [tokens], the client address that a request is
//! counted for ([proxies]), rate limits ([rates]), and [problems](problem) (RFC 9457). What does not: accounts, passwords and login,
//! which come later and will sign tokens here; what a role may do, which is declared with each command; the size of bodies and the
//! cost of queries, which belong to the APIs.

pub mod problem;
pub mod proxies;
pub mod rates;
pub mod server;
pub mod tokens;
