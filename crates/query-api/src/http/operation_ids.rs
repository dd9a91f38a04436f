//! The ids of the operations of one WebSocket. `graphql-transport-ws` demands that an id is free; the library gives the id to the later
//! operation, and the earlier one cannot be ended any more.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_graphql::http::{ClientMessage, WebSocketProtocols};
use serde::{Deserialize, de::Error as _};

/// The beginning of the reason for which a connection is closed with 4409.
pub(super) const TAKEN: &str = "Subscriber for ";

/// The ids that are taken. Clones share them.
#[derive(Clone)]
pub(super) struct OperationIds {
    /// Whether the protocol is `graphql-transport-ws`. In the older protocol a later operation takes the place of the earlier one.
    is_strict: bool,
    ids: Arc<Mutex<Ids>>,
}

#[derive(Default)]
struct Ids {
    running: HashSet<String>,
    /// Those that the client has ended. The library answers that as if it had ended the operation; a client that has begun the next
    /// operation with this id would take the answer for the end of that one.
    ended_by_client: HashSet<String>,
}

/// A message of the server that ends an operation.
#[derive(Deserialize)]
struct Ending {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

impl OperationIds {
    /// None is taken.
    pub(super) fn new(protocol: WebSocketProtocols) -> Self {
        Self { is_strict: protocol == WebSocketProtocols::GraphQLWS, ids: Arc::default() }
    }

    fn ids(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The message of a client.
    ///
    /// # Errors
    /// When it is no message of the protocol, or begins an operation under an id that is taken.
    pub(super) fn received(&self, bytes: &[u8]) -> serde_json::Result<ClientMessage> {
        let message = ClientMessage::from_bytes(bytes)?;
        if !self.is_strict {
            return Ok(message);
        }
        match &message {
            ClientMessage::Start { id, .. } if !self.ids().running.insert(id.clone()) => {
                return Err(serde_json::Error::custom(format_args!("{TAKEN}{id} already exists")));
            }
            ClientMessage::Stop { id } => {
                let ids = &mut *self.ids();
                if let Some(id) = ids.running.take(id) {
                    ids.ended_by_client.insert(id);
                }
            }
            _ => {}
        }
        Ok(message)
    }

    /// Whether a message is for the client. It frees the id of an operation that has ended.
    pub(super) fn is_sent(&self, message: &str) -> bool {
        // A result is the most frequent message, and may be large.
        if !self.is_strict || message.starts_with(r#"{"type":"next""#) {
            return true;
        }
        match serde_json::from_str::<Ending>(message) {
            Ok(Ending { kind, id }) if kind == "complete" => {
                let mut ids = self.ids();
                ids.running.remove(&id);
                !ids.ended_by_client.remove(&id)
            }
            // The others have no id.
            Ok(_) | Err(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: &str = r#"{"type":"complete","id":"1"}"#;
    const SUBSCRIBE: &str = r#"{"type":"subscribe","id":"1","payload":{"query":"{a}"}}"#;

    #[test]
    fn an_id_is_free_when_its_operation_has_ended() {
        let ids = OperationIds::new(WebSocketProtocols::GraphQLWS);
        let begins = || ids.received(SUBSCRIBE.as_bytes()).map(drop).map_err(|error| error.to_string());
        assert_eq!(begins(), Ok(()));
        assert_eq!(begins(), Err("Subscriber for 1 already exists".to_owned()));
        assert!(ids.is_sent(r#"{"type":"next","id":"1","payload":{}}"#) && begins().is_err());
        assert!(ids.is_sent(COMPLETE), "the operation has ended by itself");
        assert_eq!(begins(), Ok(()));
        assert!(ids.received(COMPLETE.as_bytes()).is_ok());
        assert!(!ids.is_sent(COMPLETE), "the client has ended it");
        assert_eq!(begins(), Ok(()));
        assert!(begins().is_err());
        assert!(ids.is_sent(COMPLETE) && ids.is_sent(r#"{"type":"connection_ack"}"#));
        let old = OperationIds::new(WebSocketProtocols::SubscriptionsTransportWS);
        assert!(old.received(SUBSCRIBE.as_bytes()).is_ok() && old.received(SUBSCRIBE.as_bytes()).is_ok());
    }
}
