//! Bearer tokens (JWT, HS256) and the [`Actor`] behind them. All APIs read them in the same way.

use chrono::{DateTime, TimeDelta, Utc};
use daybook_kernel::{Actor, Role, ids::CustomerId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use serde::{Deserialize, Serialize};

/// The shortest secret that is accepted, in bytes: as long as the hash (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

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
    /// The role `customer` has no customer.
    #[error("a token for the role customer names the customer")]
    CustomerMissing,
    /// The secret is shorter than [`MIN_SECRET_BYTES`].
    #[error("the secret for tokens needs at least {MIN_SECRET_BYTES} bytes")]
    SecretTooShort,
}

/// The secret that signs and checks tokens.
#[derive(Clone)]
pub struct Keys {
    signing: EncodingKey,
    checking: DecodingKey,
}

impl Keys {
    /// Keys from a shared secret.
    ///
    /// # Errors
    /// [`TokenError::SecretTooShort`].
    pub fn new(secret: &[u8]) -> Result<Self, TokenError> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(TokenError::SecretTooShort);
        }
        Ok(Self { signing: EncodingKey::from_secret(secret), checking: DecodingKey::from_secret(secret) })
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
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing).map_err(|_| TokenError::Invalid)
    }

    /// The actor behind a token.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it.
    pub fn check(&self, token: &str) -> Result<Actor, TokenError> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        let claims = match jsonwebtoken::decode::<Claims>(token, &self.checking, &validation) {
            Ok(token) => token.claims,
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => return Err(TokenError::Expired),
            Err(_) => return Err(TokenError::Invalid),
        };
        match (claims.role, claims.customer) {
            (Role::Guest, _) => Ok(Actor::Guest),
            (Role::Customer, Some(id)) => Ok(Actor::Customer(id)),
            (Role::Customer, None) => Err(TokenError::CustomerMissing),
            (Role::Support, _) => Ok(Actor::Support(claims.sub)),
            (Role::Admin, _) => Ok(Actor::Admin(claims.sub)),
            (Role::System, _) => Err(TokenError::Invalid),
        }
    }

    /// The actor behind the value of an `Authorization` header.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it; [`TokenError::Missing`] when it is no bearer token at all.
    pub fn check_header(&self, authorization: Option<&str>) -> Result<Actor, TokenError> {
        let (scheme, token) = authorization.and_then(|value| value.split_once(' ')).ok_or(TokenError::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(TokenError::Missing);
        }
        self.check(token.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(&[7; MIN_SECRET_BYTES]).expect("the secret is long enough")
    }

    fn far_from_now() -> DateTime<Utc> {
        DateTime::from_timestamp(4_000_000_000, 0).expect("the year 2096 is a time")
    }

    #[test]
    fn a_token_names_the_actor_that_it_was_signed_for() {
        let customer = CustomerId(uuid::Uuid::from_u128(1));
        for actor in [Actor::Guest, Actor::Customer(customer), Actor::Support("sam".into()), Actor::Admin("ada".into())]
        {
            let token = keys().sign(&actor, far_from_now(), TimeDelta::hours(1)).expect("the token can be signed");
            assert_eq!(keys().check_header(Some(&format!("Bearer {token}"))), Ok(actor));
        }
    }

    #[test]
    fn expired_foreign_and_missing_tokens_are_distinct() {
        let actor = Actor::Admin("ada".into());
        let old = keys().sign(&actor, DateTime::UNIX_EPOCH, TimeDelta::hours(1)).expect("the token can be signed");
        let other = Keys::new(&[8; 32]).expect("the secret is long enough");
        let foreign = other.sign(&actor, far_from_now(), TimeDelta::hours(1)).expect("the token can be signed");
        assert_eq!(keys().check(&old), Err(TokenError::Expired));
        assert_eq!(keys().check(&foreign), Err(TokenError::Invalid));
        assert_eq!(keys().check_header(None), Err(TokenError::Missing));
        assert_eq!(keys().check_header(Some("Basic YTpi")), Err(TokenError::Missing));
        assert!(matches!(Keys::new(b"short"), Err(TokenError::SecretTooShort)));
    }
}
