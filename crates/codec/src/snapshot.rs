//! Snapshots: the state of a stream, as the store keeps it. A snapshot is only a cache, so it need not be readable.

use daybook_domain::{State, StreamName};

/// Why a snapshot is of no use.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is not the JSON of a state.
    #[error(transparent)]
    Form(#[from] serde_json::Error),
    /// It is the state of another kind of stream.
    #[error("it is the state of another kind of stream")]
    OtherStream,
}

/// Writes a state.
///
/// # Errors
/// None for the states of this domain, whose keys are texts; the signature is serde's.
pub fn encode_state(state: &State) -> Result<String, serde_json::Error> {
    serde_json::to_string(state)
}

/// Reads the state of a stream.
///
/// # Errors
/// [`SnapshotError`]; then the stream is folded from its events.
pub fn decode_state(stream: &StreamName, snapshot: &str) -> Result<State, SnapshotError> {
    let state: State = serde_json::from_str(snapshot)?;
    if state.is_of(stream) { Ok(state) } else { Err(SnapshotError::OtherStream) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_for_its_own_stream_only() {
        for stream in ["cart-1", "order-1", "product-1", "sku-1", "slug-1", "category-1", "stock-1@main"] {
            let empty = State::empty(&stream.into()).expect("the prefix is known");
            let written = encode_state(&empty).expect("it is written");
            assert_eq!(decode_state(&stream.into(), &written).expect("it is read"), empty);
            let other = if stream == "cart-1" { "order-1" } else { "cart-1" };
            assert!(matches!(decode_state(&other.into(), &written), Err(SnapshotError::OtherStream)));
        }
        assert!(matches!(decode_state(&"cart-1".into(), "{"), Err(SnapshotError::Form(_))));
    }
}
