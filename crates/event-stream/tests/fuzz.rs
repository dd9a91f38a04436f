//! Bad input on the wire: any message in Kafka is decoded or refused by name, without a panic. `PROPTEST_CASES` is the number of
//! messages, and `PROPTEST_RNG_SEED` is their seed.

use daybook_event_store::RecordedEvent;
use daybook_event_stream::envelope::{EnvelopeError, EventMessage, decode, encode};
use proptest::{prelude::*, sample::Index, test_runner::Config};
use rdkafka::message::{Header, Headers, OwnedHeaders, OwnedMessage, Timestamp};
use uuid::Uuid;

/// The default number of messages.
const CASES: u32 = 2_000;

/// The history of the messages.
const HISTORY: Uuid = Uuid::from_u128(7);

fn config() -> Config {
    let requested = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    Config { cases: requested.unwrap_or(CASES), failure_persistence: None, ..Config::default() }
}

fn message(value: Option<Vec<u8>>, headers: Option<OwnedHeaders>) -> OwnedMessage {
    OwnedMessage::new(value, None, "t".into(), Timestamp::NotAvailable, 0, 0, headers)
}

/// JSON objects, some with members that look like an envelope.
fn data() -> impl Strategy<Value = String> {
    let text = prop_oneof![".{0,20}", Just("\",\"_meta\":{".to_owned()), Just("\0\u{202e}\u{fffe}".to_owned())];
    let members = prop::collection::btree_map(prop_oneof![text.clone(), Just("_meta".to_owned())], text, 0..4);
    (members, prop::sample::select(vec!["", " ", "\n\t"])).prop_map(|(members, space)| {
        let object = serde_json::to_string(&members).expect("texts are JSON");
        format!("{space}{object}{space}")
    })
}

fn event() -> impl Strategy<Value = (RecordedEvent, i64)> {
    let times = (0_i64..4_000_000_000_000_000, 0_i64..4_000_000_000_000_000);
    let names = ("[A-Za-z]{1,20}", ".{0,40}", ".{0,40}", prop::option::of("[ -~]{55}"));
    let ids = (any::<u128>(), any::<u128>(), any::<u128>(), prop::option::of(any::<u128>()));
    let numbers = (1_i64..i64::MAX, any::<Index>(), any::<i32>(), any::<i16>());
    (times, names, ids, numbers, data()).prop_map(|(times, names, ids, numbers, data)| {
        let time = |micros| chrono::DateTime::from_timestamp_micros(micros).expect("the time is within the calendar");
        let (event_type, stream_id, actor, trace) = names;
        let (position, before, version, schema_version) = numbers;
        let event = RecordedEvent {
            position,
            stream_id,
            version,
            event_type,
            schema_version,
            event_id: Uuid::from_u128(ids.0),
            recorded_at: time(times.0),
            effective_at: time(times.1),
            correlation_id: Uuid::from_u128(ids.1),
            causation_id: Uuid::from_u128(ids.2),
            actor,
            trace,
            key_id: ids.3.map(Uuid::from_u128),
            data,
        };
        let before = before.index(usize::try_from(position).expect("a position is positive"));
        (event, i64::try_from(before).expect("the index is below a position"))
    })
}

/// Headers of which one is damaged, doubled or missing.
fn damaged(headers: &OwnedHeaders, at: Index, with: Option<&[u8]>, kept: bool) -> OwnedHeaders {
    let nth = at.index(headers.count());
    let mut all = OwnedHeaders::new();
    for (nr, header) in headers.iter().enumerate() {
        if nr == nth {
            all = all.insert(Header { key: header.key, value: with });
        }
        if nr != nth || kept {
            all = all.insert(Header { key: header.key, value: header.value });
        }
    }
    all
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_decoded_message_equals_the_encoded_event(written in event()) {
        let (event, prev_sequence) = written;
        let (headers, value) = encode(&event, "order", prev_sequence, HISTORY).expect("the event is an object");
        let read = decode(&message(Some(value.into_bytes()), Some(headers)));
        prop_assert_eq!(read, Ok(EventMessage { event, prev_sequence, history: HISTORY }));
    }

    #[test]
    fn a_damaged_message_is_refused_by_name_or_is_another_event(
        written in event(),
        header in (any::<Index>(), prop::option::of(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::sample::select(vec!["-1", "0", "9223372036854775807", "9223372036854775808", "NaN", ":", "::", "é"])
                .prop_map(|text| text.as_bytes().to_vec()),
        ]), any::<bool>()),
        value in prop::option::of((any::<Index>(), prop::collection::vec(any::<u8>(), 0..6), any::<bool>())),
    ) {
        let (event, prev_sequence) = written;
        let (headers, text) = encode(&event, "order", prev_sequence, HISTORY).expect("the event is an object");
        let (at, with, kept) = header;
        let headers = damaged(&headers, at, with.as_deref(), kept);
        let mut bytes = text.into_bytes();
        if let Some((at, other, cut)) = value {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..if cut { bytes.len() } else { at }, other);
        }
        match decode(&message(Some(bytes), Some(headers))) {
            Ok(read) => prop_assert!((0..read.event.position).contains(&read.prev_sequence)),
            Err(EnvelopeError::Header(name)) => prop_assert!(name.starts_with("ce_")),
            Err(EnvelopeError::Value) => {}
            Err(EnvelopeError::NotSigned { .. }) => prop_assert!(false, "no signature is checked"),
            Err(EnvelopeError::SetAside { .. }) => prop_assert!(false, "no header says that the event is set aside"),
        }
    }

    #[test]
    fn a_message_that_is_no_event_is_refused(
        headers in prop::option::of(prop::collection::vec(("(ce_(sequence|id|subject|time|dataschema|history)|.{0,8})", any::<Vec<u8>>()), 0..6)),
        value in prop::option::of(prop_oneof![
            any::<Vec<u8>>(),
            (1_usize..2_000).prop_map(|depth| [b"\"_meta\":".as_slice(), "[".repeat(depth).as_bytes()].concat()),
            (1_usize..2_000).prop_map(|depth| format!("{{\"_meta\":{}", "{\"actor\":".repeat(depth)).into_bytes()),
        ]),
    ) {
        let headers = headers.map(|headers| headers.into_iter().fold(OwnedHeaders::new(), |all, (key, value)| {
            let key = key.replace('\0', "");
            all.insert(Header { key: &key, value: Some(&value) })
        }));
        prop_assert!(decode(&message(value, headers)).is_err());
    }
}
