//! What every HTTP face shares.
//!
//! What belongs here: serving [connections](server) within their limits, [tokens] and the actor behind them, whose address a
//! request is counted for ([proxies]), how often a client may ask ([rates]), and [problems](problem) (RFC 9457). What does not:
//! accounts, passwords and login, which come later and will sign tokens here; what a role may do, which stands beside each
//! command in the domain; the size of bodies and the cost of queries, which are the APIs' own.

pub mod problem;
pub mod proxies;
pub mod rates;
pub mod server;
pub mod tokens;
