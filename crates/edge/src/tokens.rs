//! Bearer tokens (JWT, HS256) and the [`Actor`] behind them. All APIs read them in the same way.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use chrono::{DateTime, TimeDelta, Utc};
use daybook_kernel::{
    Actor, Role,
    ids::CustomerId,
    text::{Name, TextError},
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use serde::{Deserialize, Serialize};

use crate::rates::ClientAddress;

/// The shortest secret that is accepted, in bytes: as long as the hash (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;
/// How many different bytes a secret has at least. 32 random hexadecimal digits have fewer once in a hundred million times.
const MIN_DIFFERENT_BYTES: usize = 8;

/// The longest lifetime of a token that is accepted.
pub const MAX_LIFETIME: TimeDelta = TimeDelta::days(366);

/// How many seconds ahead the clock of a signer may be: as far as clocks of processes may differ by default.
const SIGNERS_CLOCK: u64 = 5;

/// The header in which query-api names the address of a client to a command-api in another process, as a signed text.
pub const CLIENT_HEADER: &str = "x-daybook-client";
/// For how long such a text is valid.
const CLIENT_LIFETIME: TimeDelta = TimeDelta::minutes(1);

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claims {
    /// The subject that it was given to.
    sub: String,
    /// The role of the subject.
    role: Role,
    /// The customer, for the role `customer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer: Option<CustomerId>,
    /// When it was signed, in seconds since 1970.
    iat: i64,
    /// When it expires, in seconds since 1970.
    exp: i64,
}

impl Claims {
    fn has_ended(&self) -> bool {
        u64::try_from(self.exp).map_or(true, |end| end < jsonwebtoken::get_current_timestamp())
    }

    /// For how long it is valid, in seconds: from the time of signing, or from now if that is earlier.
    fn lifetime(&self) -> i64 {
        let now = i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap_or(i64::MAX);
        self.exp.saturating_sub(self.iat.min(now))
    }
}

/// The claims of a text that names the address of a client. It is no token: it has no role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientClaims {
    /// The address.
    client: IpAddr,
    /// When it expires, in seconds since 1970.
    exp: i64,
}

/// The actor behind a token, and the end of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The actor.
    pub actor: Actor,
    /// When the token expires. What goes on after the request, such as a subscription, ends then.
    pub until: DateTime<Utc>,
}

/// Why a token is not accepted or cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The request has no token.
    #[error("a bearer token is needed")]
    Missing,
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// It was not signed with this secret, or is malformed.
    #[error("the token is not valid")]
    Invalid,
    /// Its time has not begun.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It lives longer than [`MAX_LIFETIME`].
    #[error("a token is valid for {} days at most", MAX_LIFETIME.num_days())]
    TooLong,
    /// The role `customer` has no customer.
    #[error("a token for the role customer names the customer")]
    CustomerMissing,
    /// The subject is no name that can stand beside an event.
    #[error("the subject of the token {0}")]
    Subject(TextError),
    /// The secret is shorter than [`MIN_SECRET_BYTES`].
    #[error("the secret for tokens needs at least {MIN_SECRET_BYTES} bytes")]
    SecretTooShort,
    /// The secret can be guessed: few different bytes, or one text again and again.
    #[error("the secret for tokens can be guessed; make one with `openssl rand -hex 32`")]
    SecretTooWeak,
}

/// The secret that signs and checks tokens. Clones share it, so a new secret holds for all of them.
#[derive(Clone)]
pub struct Keys(Arc<RwLock<Arc<Pair>>>);

/// The two keys of a secret.
struct Pair {
    signing: EncodingKey,
    checking: DecodingKey,
}

impl Pair {
    fn of(secret: &[u8]) -> Result<Arc<Self>, TokenError> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(TokenError::SecretTooShort);
        }
        if secret.iter().collect::<BTreeSet<_>>().len() < MIN_DIFFERENT_BYTES || repeats(secret) {
            return Err(TokenError::SecretTooWeak);
        }
        let (signing, checking) = (EncodingKey::from_secret(secret), DecodingKey::from_secret(secret));
        Ok(Arc::new(Self { signing, checking }))
    }
}

/// Whether a secret is a short text, again and again.
fn repeats(secret: &[u8]) -> bool {
    (1..=MIN_DIFFERENT_BYTES).any(|period| secret[period..] == secret[..secret.len() - period])
}

impl Keys {
    /// Keys from a shared secret.
    ///
    /// # Errors
    /// [`TokenError::SecretTooShort`], [`TokenError::SecretTooWeak`].
    pub fn new(secret: &[u8]) -> Result<Self, TokenError> {
        Ok(Self(Arc::new(RwLock::new(Pair::of(secret)?))))
    }

    /// Replaces the secret. Tokens that were signed with the old one are invalid from then on.
    ///
    /// # Errors
    /// As [`Self::new`]; the old secret stays.
    pub fn replace(&self, secret: &[u8]) -> Result<(), TokenError> {
        let pair = Pair::of(secret)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = pair;
        Ok(())
    }

    fn pair(&self) -> Arc<Pair> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Signs a token for an actor. It holds from `now` for `lifetime`.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] when it cannot be signed, or the actor is the engine itself.
    pub fn sign(&self, actor: &Actor, now: DateTime<Utc>, lifetime: TimeDelta) -> Result<String, TokenError> {
        let (sub, customer) = match actor {
            Actor::Guest => ("guest".to_owned(), None),
            Actor::Customer(id) => (id.to_string(), Some(*id)),
            Actor::Support(name) | Actor::Admin(name) => (name.clone(), None),
            // The engine acts inside its own processes and carries no token.
            Actor::System(_) => return Err(TokenError::Invalid),
        };
        let end = now.checked_add_signed(lifetime).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let claims = Claims { sub, role: actor.role(), customer, iat: now.timestamp(), exp: end.timestamp() };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.pair().signing)
            .map_err(|_| TokenError::Invalid)
    }

    /// The actor behind a token, and the end of the token.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it.
    pub fn check(&self, token: &str) -> Result<Bearer, TokenError> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = SIGNERS_CLOCK;
        validation.validate_nbf = true;
        let claims = match jsonwebtoken::decode::<Claims>(token, &self.pair().checking, &validation) {
            // A token may begin a little early, and never ends late.
            Ok(token) if token.claims.has_ended() => return Err(TokenError::Expired),
            Ok(token) => token.claims,
            Err(error) => {
                return Err(match error.kind() {
                    ErrorKind::ExpiredSignature => TokenError::Expired,
                    ErrorKind::ImmatureSignature => TokenError::NotYetValid,
                    _ => TokenError::Invalid,
                });
            }
        };
        if claims.lifetime() > MAX_LIFETIME.num_seconds() {
            return Err(TokenError::TooLong);
        }
        let name = |sub: &str| sub.parse::<Name>().map(|name| name.to_string()).map_err(TokenError::Subject);
        let actor = match (claims.role, claims.customer) {
            (Role::Guest, _) => Actor::Guest,
            (Role::Customer, Some(id)) => Actor::Customer(id),
            (Role::Customer, None) => return Err(TokenError::CustomerMissing),
            (Role::Support, _) => Actor::Support(name(&claims.sub)?),
            (Role::Admin, _) => Actor::Admin(name(&claims.sub)?),
            (Role::System, _) => return Err(TokenError::Invalid),
        };
        let until = DateTime::from_timestamp(claims.exp, 0).ok_or(TokenError::Invalid)?;
        Ok(Bearer { actor, until })
    }

    /// The actor behind the value of an `Authorization` header, and the end of the token.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it; [`TokenError::Missing`] when it is no bearer token at all.
    pub fn check_header(&self, authorization: Option<&str>) -> Result<Bearer, TokenError> {
        let (scheme, token) = authorization.and_then(|value| value.split_once(' ')).ok_or(TokenError::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(TokenError::Missing);
        }
        self.check(token.trim())
    }

    /// Signs the address of a client, for another process of the engine. It is the value of [`CLIENT_HEADER`].
    ///
    /// # Errors
    /// [`TokenError::Invalid`] when it cannot be signed.
    pub fn sign_client(&self, client: ClientAddress, now: DateTime<Utc>) -> Result<String, TokenError> {
        let end = now.checked_add_signed(CLIENT_LIFETIME).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let claims = ClientClaims { client: client.0, exp: end.timestamp() };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.pair().signing)
            .map_err(|_| TokenError::Invalid)
    }

    /// The address of a client that another process of the engine has signed. `None` when it is not valid.
    #[must_use]
    pub fn check_client(&self, signed: &str) -> Option<ClientAddress> {
        let validation = Validation::new(Algorithm::HS256);
        let token = jsonwebtoken::decode::<ClientClaims>(signed, &self.pair().checking, &validation).ok()?;
        Some(ClientAddress(token.claims.client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(b"one secret of thirty-two or more bytes").expect("the secret is good")
    }

    fn now() -> DateTime<Utc> {
        let seconds = i64::try_from(jsonwebtoken::get_current_timestamp()).expect("a time of today");
        DateTime::from_timestamp(seconds, 0).expect("a time of today")
    }

    /// What is said of a token with these claims.
    fn checked(claims: &serde_json::Value) -> Result<Actor, TokenError> {
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &keys().pair().signing);
        keys().check(&token.expect("the token can be signed")).map(|bearer| bearer.actor)
    }

    #[test]
    fn a_token_names_the_actor_that_it_was_signed_for() {
        let customer = CustomerId(uuid::Uuid::from_u128(1));
        for actor in [Actor::Guest, Actor::Customer(customer), Actor::Support("sam".into()), Actor::Admin("ada".into())]
        {
            let token = keys().sign(&actor, now(), TimeDelta::hours(1)).expect("the token can be signed");
            let until = now() + TimeDelta::hours(1);
            assert_eq!(keys().check_header(Some(&format!("Bearer {token}"))), Ok(Bearer { actor, until }));
        }
    }

    #[test]
    fn expired_foreign_and_missing_tokens_are_distinct() {
        let actor = Actor::Admin("ada".into());
        let old = keys().sign(&actor, DateTime::UNIX_EPOCH, TimeDelta::hours(1)).expect("the token can be signed");
        let other = Keys::new(b"other secret of thirty-two or more bytes").expect("the secret is good");
        let foreign = other.sign(&actor, now(), TimeDelta::hours(1)).expect("the token can be signed");
        assert_eq!(keys().check(&old), Err(TokenError::Expired));
        assert_eq!(keys().check(&foreign), Err(TokenError::Invalid));
        assert_eq!(keys().check_header(None), Err(TokenError::Missing));
        assert_eq!(keys().check_header(Some("Basic YTpi")), Err(TokenError::Missing));
        assert!(matches!(Keys::new(b"short"), Err(TokenError::SecretTooShort)));
    }

    #[test]
    fn a_token_whose_time_has_not_begun_or_lasts_too_long_is_refused() {
        let admin = Actor::Admin("ada".into());
        let long = keys().sign(&admin, now(), TimeDelta::days(400)).expect("the token can be signed");
        assert_eq!(keys().check(&long), Err(TokenError::TooLong));
        let begin = (now() + TimeDelta::days(365 * 9)).timestamp();
        let end = begin + 60;
        let later = serde_json::json!({"sub": "ada", "role": "admin", "iat": begin, "exp": end});
        assert_eq!(
            checked(&later),
            Err(TokenError::TooLong),
            "a time of signing that is still to come changes nothing"
        );
        let early = serde_json::json!({"sub": "ada", "role": "admin", "iat": begin, "exp": end, "nbf": begin});
        assert_eq!(checked(&early), Err(TokenError::NotYetValid));
    }

    #[test]
    fn a_subject_can_stand_beside_an_event() {
        let of = |sub: &str| {
            let now = now().timestamp();
            let claims = |role: &str| serde_json::json!({"sub": sub, "role": role, "iat": now, "exp": now + 60});
            assert_eq!(checked(&claims("guest")), Ok(Actor::Guest), "a guest has no name");
            assert_eq!(checked(&claims("support")).is_ok(), checked(&claims("admin")).is_ok());
            checked(&claims("admin"))
        };
        assert_eq!(of(" Zoë de Vries "), Ok(Actor::Admin("Zoë de Vries".into())));
        assert_eq!(of(&"é".repeat(300)), Ok(Actor::Admin("é".repeat(300))));
        for wrong in [
            "",
            " ",
            "\u{200b}",
            "ada\nadmin:eve",
            "\u{1b}[2J",
            "ada\0",
            "\u{202e}ada",
            &"a".repeat(301),
            &"a".repeat(3_000),
        ] {
            assert!(matches!(of(wrong), Err(TokenError::Subject(_))), "{wrong:?}");
        }
    }

    #[test]
    fn the_clock_of_a_signer_may_be_a_little_ahead_and_no_token_outlives_its_end() {
        let now = now().timestamp();
        let check = |begin: i64, end: i64| {
            checked(&serde_json::json!({"sub": "ada", "role": "admin", "iat": begin, "exp": end, "nbf": begin}))
        };
        assert_eq!(check(now + 4, now + 60), Ok(Actor::Admin("ada".into())));
        assert_eq!(check(now + 60, now + 120), Err(TokenError::NotYetValid));
        assert_eq!(check(now - 60, now - 2), Err(TokenError::Expired));
        assert!(check(-60, -2).is_err(), "no time before 1970");
    }

    #[test]
    fn only_the_engine_names_the_address_of_a_client_and_no_token_does() {
        let address = ClientAddress("2001:db8::1".parse().expect("the address is valid"));
        let signed = keys().sign_client(address, now()).expect("it can be signed");
        assert_eq!(keys().check_client(&signed), Some(address));
        assert_eq!(keys().check(&signed), Err(TokenError::Invalid), "it is no token");
        let token = keys().sign(&Actor::Guest, now(), TimeDelta::hours(1)).expect("the token can be signed");
        let other = Keys::new(b"another secret of thirty-two bytes").expect("the secret is good");
        let foreign = other.sign_client(address, now()).expect("it can be signed");
        let old = keys().sign_client(address, DateTime::UNIX_EPOCH).expect("it can be signed");
        for wrong in [token, foreign, old, "192.0.2.1".to_owned(), String::new()] {
            assert_eq!(keys().check_client(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_refused() {
        let weak = ["a".repeat(64), "ab".repeat(32), "changeme".repeat(8), "password".repeat(4), "01234567".repeat(5)];
        for secret in weak {
            assert!(matches!(Keys::new(secret.as_bytes()), Err(TokenError::SecretTooWeak)), "{secret}");
        }
        assert!(Keys::new(b"0f1e2d3c4b5a69788796a5b4c3d2e1f0").is_ok(), "32 hexadecimal digits");
    }

    #[test]
    fn a_replaced_secret_holds_for_every_clone() {
        let (keys, actor) = (keys(), Actor::Admin("ada".into()));
        let clone = keys.clone();
        let old = keys.sign(&actor, now(), TimeDelta::hours(1)).expect("the token can be signed");
        assert!(matches!(keys.replace(b"short"), Err(TokenError::SecretTooShort)));
        assert_eq!(clone.check(&old).map(|bearer| bearer.actor), Ok(actor.clone()), "the old secret stays");
        keys.replace(b"another secret of thirty-two bytes").expect("the secret is good");
        assert_eq!(clone.check(&old), Err(TokenError::Invalid));
        let new = clone.sign(&actor, now(), TimeDelta::hours(1)).expect("the token can be signed");
        assert_eq!(keys.check(&new).map(|bearer| bearer.actor), Ok(actor));
    }
}
