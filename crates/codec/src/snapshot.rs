//! Snapshots: the state of a stream, as the event store keeps it. A snapshot is only a cache, so an unreadable one is no damage to the
//! book.

use daybook_domain::{State, StreamName, text::stored};

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The snapshot is not the JSON of a state.
    #[error(transparent)]
    Form(#[from] serde_json::Error),
    /// The snapshot is the state of another kind of stream.
    #[error("it is the state of another kind of stream")]
    OtherStream,
}

/// Encodes a state.
///
/// # Errors
/// None for the states of this domain, since their keys are texts. The signature is that of serde.
pub fn encode_state(state: &State) -> Result<String, serde_json::Error> {
    serde_json::to_string(state)
}

/// Decodes the state of a stream.
///
/// # Errors
/// [`SnapshotError`] if the snapshot cannot be used. Then the stream is folded from its events.
pub fn decode_state(stream: &StreamName, snapshot: &str) -> Result<State, SnapshotError> {
    let state: State = stored(|| serde_json::from_str(snapshot))?;
    if state.is_of(stream) { Ok(state) } else { Err(SnapshotError::OtherStream) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_decoded_for_its_own_kind_of_stream_only() {
        for stream in ["cart-1", "order-1", "product-1", "sku-1", "slug-1", "category-1", "stock-1@main"] {
            let empty = State::empty(&stream.into()).expect("the prefix is known");
            let written = encode_state(&empty).expect("the state is encoded");
            assert_eq!(decode_state(&stream.into(), &written).expect("the state is decoded"), empty);
            let other = if stream == "cart-1" { "order-1" } else { "cart-1" };
            assert!(matches!(decode_state(&other.into(), &written), Err(SnapshotError::OtherStream)));
        }
        assert!(matches!(decode_state(&"cart-1".into(), "{"), Err(SnapshotError::Form(_))));
    }
}
