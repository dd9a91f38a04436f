//! Signatures of messages. Anyone who reaches the broker can write to the topics, but only the relay knows the keys.
//!
//! A signature is an HMAC-SHA256 (RFC 2104) over the place of a message, everything that its headers say, and its value. A consumer
//! checks it before it reads the message. It takes what is not signed for absent, and has the event from the book.
//!
//! The keys are in the book's database. There may be several, so that they can be changed while messages are on their way.

use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use daybook_event_store::{Daybook, StoreError};
use hmac::{Hmac, KeyInit, Mac};
use rdkafka::{
    Message,
    message::{Header, Headers, OwnedHeaders},
};
use sha2::Sha256;

use crate::envelope::{self, EnvelopeError, EventMessage};

/// The header of a signature: the number of its key, a dot, and the code in hexadecimal digits.
pub const SIGNATURE: &str = "ce_signature";
/// What the headers begin with that are signed. No other header is read.
const SIGNED: &str = "ce_";
/// How often the keys are read again at most.
const RELOAD_EVERY: Duration = Duration::from_secs(5);
/// How many keys remain after a new one was made.
const KEPT: i64 = 2;

/// The keys of a book, the newest first.
#[derive(Clone)]
pub struct WireKeys {
    keys: Vec<(i64, Hmac<Sha256>)>,
    loaded: Instant,
}

impl WireKeys {
    /// Reads the keys of a book.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed.
    pub async fn load(book: &Daybook) -> Result<Self, StoreError> {
        let client = book.pool().get().await?;
        let statement = client.prepare_cached("SELECT id, key FROM wire_keys ORDER BY id DESC").await?;
        let mut keys = Vec::new();
        for row in client.query(&statement, &[]).await? {
            // A key of any length is accepted.
            if let Ok(key) = Hmac::new_from_slice(row.try_get(1)?) {
                keys.push((row.try_get(0)?, key));
            }
        }
        if keys.is_empty() {
            tracing::warn!("the book has no key to sign messages with; `daybook relay rotate-key` makes one");
        }
        Ok(Self { keys, loaded: Instant::now() })
    }

    /// Whether the keys were read so long ago that they may be read again.
    pub(crate) fn may_be_old(&self) -> bool {
        self.loaded.elapsed() >= RELOAD_EVERY
    }

    /// Signs a message with the newest key. Without a key it stays as it is, and consumers have its event from the book.
    #[must_use]
    pub fn sign(&self, (topic, partition): (&str, i32), headers: OwnedHeaders, value: Option<&[u8]>) -> OwnedHeaders {
        let Some((id, key)) = self.keys.first() else { return headers };
        let mut mac = key.clone();
        feed(&mut mac, (topic, partition), &headers, value);
        let signature = format!("{id}.{}", HEXLOWER.encode(&mac.finalize().into_bytes()));
        headers.insert(Header { key: SIGNATURE, value: Some(&signature) })
    }

    /// Whether the relay of this book has written a message, to the place where it is.
    #[must_use]
    pub fn is_genuine(&self, message: &impl Message) -> bool {
        self.check(message).unwrap_or(false)
    }

    /// Whether a message names a key that is not known.
    pub(crate) fn lacks_key_of(&self, message: &impl Message) -> bool {
        let signature = message.headers().and_then(signature);
        signature.is_some_and(|(id, _)| self.keys.iter().all(|(known, _)| *known != id))
    }

    fn check(&self, message: &impl Message) -> Option<bool> {
        let headers = message.headers()?;
        let (id, code) = signature(headers)?;
        let (_, key) = self.keys.iter().find(|(known, _)| *known == id)?;
        let mut mac = key.clone();
        feed(&mut mac, (message.topic(), message.partition()), headers, message.payload());
        Some(mac.verify_slice(&code).is_ok())
    }

    /// A message as an event, if it is genuine.
    ///
    /// # Errors
    /// [`EnvelopeError::NotSigned`] when it is not, otherwise what [`envelope::decode`] says.
    pub fn decode(&self, message: &impl Message) -> Result<EventMessage, EnvelopeError> {
        if self.is_genuine(message) {
            return envelope::decode(message);
        }
        let claimed = envelope::identity(message).ok().map(|identity| identity.position);
        Err(EnvelopeError::NotSigned { claimed })
    }
}

/// The signature that headers have: the number of the key, and the code.
fn signature(headers: &impl Headers) -> Option<(i64, Vec<u8>)> {
    let found = headers.iter().find(|header| header.key == SIGNATURE)?;
    let (id, code) = std::str::from_utf8(found.value?).ok()?.split_once('.')?;
    Some((id.parse().ok()?, HEXLOWER.decode(code.as_bytes()).ok()?))
}

/// Feeds a message to a code: each part after its length, so that no two messages feed the same bytes.
fn feed(mac: &mut Hmac<Sha256>, (topic, partition): (&str, i32), headers: &impl Headers, value: Option<&[u8]>) {
    let mut part = |bytes: Option<&[u8]>| {
        // No part is as long as the number that stands for an absent one.
        let length = bytes.map_or(u64::MAX, |bytes| bytes.len() as u64);
        mac.update(&length.to_be_bytes());
        mac.update(bytes.unwrap_or_default());
    };
    part(Some(topic.as_bytes()));
    part(Some(&partition.to_be_bytes()));
    part(value);
    for Header { key, value } in headers.iter().filter(|header| header.key.starts_with(SIGNED)) {
        if key != SIGNATURE {
            part(Some(key.as_bytes()));
            part(value);
        }
    }
}

/// Makes a new key, which the relay signs with a few seconds later. The one before it still holds; earlier ones do not, and consumers
/// have from the book what was signed with them.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn rotate(book: &Daybook) -> Result<i64, StoreError> {
    let client = book.pool().get().await?;
    let new = "INSERT INTO wire_keys (key) VALUES (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) RETURNING id";
    let id = client.query_one(new, &[]).await?.try_get(0)?;
    let old = "DELETE FROM wire_keys WHERE id NOT IN (SELECT id FROM wire_keys ORDER BY id DESC LIMIT $1)";
    client.execute(old, &[&KEPT]).await?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{OwnedMessage, Timestamp};

    use super::*;

    fn keys(ids: &[i64]) -> WireKeys {
        let key =
            |id: &i64| (*id, Hmac::new_from_slice(&[u8::try_from(*id).expect("a small number"); 32]).expect("a key"));
        WireKeys { keys: ids.iter().map(key).collect(), loaded: Instant::now() }
    }

    fn headers(all: &[(&str, &str)]) -> OwnedHeaders {
        let add =
            |headers: OwnedHeaders, (key, value): &(&str, &str)| headers.insert(Header { key, value: Some(*value) });
        all.iter().fold(OwnedHeaders::new(), add)
    }

    fn message(headers: OwnedHeaders, value: Option<&str>, (topic, partition): (&str, i32)) -> OwnedMessage {
        let value = value.map(|value| value.as_bytes().to_vec());
        OwnedMessage::new(value, None, topic.to_owned(), Timestamp::NotAvailable, partition, 0, Some(headers))
    }

    const PLACE: (&str, i32) = ("daybook.order", 2);
    const ALL: [(&str, &str); 2] = [("ce_sequence", "7"), ("ce_subject", "order-1")];

    #[test]
    fn a_signed_message_is_genuine_and_any_change_of_it_is_not() {
        let keys = keys(&[2, 1]);
        let signed = keys.sign(PLACE, headers(&ALL), Some(b"{}"));
        assert!(keys.is_genuine(&message(signed.clone(), Some("{}"), PLACE)));
        assert!(!keys.is_genuine(&message(headers(&ALL), Some("{}"), PLACE)), "without a signature");
        assert!(!keys.is_genuine(&message(signed.clone(), Some("{ }"), PLACE)), "another value");
        assert!(!keys.is_genuine(&message(signed.clone(), None, PLACE)), "without its value");
        assert!(!keys.is_genuine(&message(signed.clone(), Some("{}"), ("daybook.order", 1))), "in another partition");
        assert!(!keys.is_genuine(&message(signed.clone(), Some("{}"), ("daybook.cart", 2))), "in another topic");
        let more = signed.clone().insert(Header { key: "ce_setaside", value: Some("true") });
        assert!(!keys.is_genuine(&message(more, Some("{}"), PLACE)), "with a header more");
        let code =
            String::from_utf8_lossy(signed.iter().last().expect("a header").value.expect("a value")).into_owned();
        let moved =
            [[("ce_sequence", "8"), ALL[1]], [("ce_sequence", "7o"), ("ce_subject", "rder-1")], [ALL[1], ALL[0]]];
        for changed in moved {
            let forged = headers(&changed).insert(Header { key: SIGNATURE, value: Some(&code) });
            assert!(!keys.is_genuine(&message(forged, Some("{}"), PLACE)), "{changed:?}");
        }
        let traced = signed.insert(Header { key: "b3", value: Some("1") });
        assert!(keys.is_genuine(&message(traced, Some("{}"), PLACE)), "a header that is not read");
    }

    #[test]
    fn a_signature_holds_as_long_as_its_key_is_kept() {
        let old = keys(&[1]).sign(PLACE, headers(&ALL), None);
        let message = message(old, None, PLACE);
        assert!(keys(&[2, 1]).is_genuine(&message));
        assert!(!keys(&[3, 2]).is_genuine(&message) && keys(&[3, 2]).lacks_key_of(&message));
        assert!(!keys(&[1]).lacks_key_of(&message));
    }

    #[test]
    fn a_signature_of_another_form_is_none() {
        for text in
            ["", "1", "1.", "1.00", "x.00", "1.é", &format!("1.{}", "é".repeat(32)), &format!("1.{}", "0".repeat(65))]
        {
            let signed = headers(&ALL).insert(Header { key: SIGNATURE, value: Some(text) });
            assert!(!keys(&[1]).is_genuine(&message(signed, None, PLACE)), "{text}");
        }
    }

    #[test]
    fn without_a_key_nothing_is_signed_and_nothing_is_genuine() {
        let unsigned = keys(&[]).sign(PLACE, headers(&ALL), None);
        assert_eq!(unsigned.count(), 2);
        assert!(!keys(&[]).is_genuine(&message(unsigned, None, PLACE)));
    }
}
