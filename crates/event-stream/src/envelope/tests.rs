//! Tests of the envelope.

use rdkafka::message::{OwnedMessage, Timestamp};

use super::*;

const HISTORY: Uuid = Uuid::from_u128(7);

fn event(data: &str) -> RecordedEvent {
    let time = |text: &str| text.parse().expect("a time");
    RecordedEvent {
        position: 42,
        stream_id: "order-1".into(),
        version: 3,
        event_type: "order.OrderConfirmed".into(),
        schema_version: 1,
        event_id: Uuid::from_u128(1),
        recorded_at: time("2026-11-21T10:00:00.123456Z"),
        effective_at: time("2017-01-01T00:00:00Z"),
        correlation_id: Uuid::from_u128(2),
        causation_id: Uuid::from_u128(3),
        actor: r#"support:"sam","_meta":{"#.into(),
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        key_id: None,
        data: data.into(),
    }
}

#[test]
fn what_goes_out_comes_back_byte_for_byte() {
    let odd = [
        "{}",
        " {\n} \n",
        r#"{ "order_id" : "1" }  "#,
        r#"{"a":[{}]}"#,
        r#"{"note":",\"_meta\":{","n":{"_meta":1}}"#,
        r#"{"_meta":{"actor":"forged"}}"#,
    ];
    for (data, key_id) in odd.into_iter().zip([None, Some(Uuid::from_u128(9))].into_iter().cycle()) {
        let event = RecordedEvent { key_id, ..event(data) };
        let (headers, value) = encode(&event, "order", 40, HISTORY).expect("it is an object");
        serde_json::from_str::<serde::de::IgnoredAny>(&value).expect("it is JSON");
        let message =
            OwnedMessage::new(Some(value.into_bytes()), None, "t".into(), Timestamp::NotAvailable, 0, 0, Some(headers));
        assert_eq!(decode(&message), Ok(EventMessage { event, prev_sequence: 40, history: HISTORY }));
    }
}

#[test]
fn the_trace_of_an_event_goes_out_as_two_headers_and_comes_back_as_one_text() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let sent = |trace: Option<String>| {
        let event = RecordedEvent { trace, ..event("{}") };
        let (headers, value) = encode(&event, "order", 40, HISTORY).expect("it is an object");
        let header = |key| {
            let found = headers.iter().find(|header| header.key == key).and_then(|header| header.value);
            found.map(|value| String::from_utf8_lossy(value).into_owned())
        };
        let found = [header("ce_traceparent"), header("ce_tracestate")];
        let time = Timestamp::NotAvailable;
        let message = OwnedMessage::new(Some(value.into_bytes()), None, "t".into(), time, 0, 0, Some(headers));
        assert_eq!(decode(&message).map(|message| message.event), Ok(event));
        found
    };
    assert_eq!(sent(None), [None, None]);
    assert_eq!(sent(Some(parent.to_owned())), [Some(parent.to_owned()), None]);
    let both = sent(Some(format!("{parent} rojo=a b,congo=t61")));
    assert_eq!(both, [Some(parent.to_owned()), Some("rojo=a b,congo=t61".to_owned())]);
    // Books of before hold texts of any kind.
    for text in [" ", " a", "a ", "a  b"] {
        sent(Some(text.to_owned()));
    }
}

#[test]
fn the_names_on_the_wire_are_pinned() {
    let (headers, value) = encode(&event(r#"{"order_id":"1"}"#), "order", 40, HISTORY).expect("it is an object");
    let shown: Vec<_> = headers
        .iter()
        .map(|header| format!("{}: {}", header.key, String::from_utf8_lossy(header.value.unwrap_or_default())))
        .collect();
    assert_eq!(
        shown,
        [
            "content-type: application/json",
            "ce_id: 00000000-0000-0000-0000-000000000001",
            "ce_source: urn:daybook",
            "ce_type: daybook.order.OrderConfirmed",
            "ce_specversion: 1.0",
            "ce_subject: order-1",
            "ce_time: 2017-01-01T00:00:00.000000Z",
            "ce_dataschema: urn:daybook:event:order.OrderConfirmed:1",
            "ce_sequence: 00000000000000000042",
            "ce_streamversion: 3",
            "ce_partitionkey: order-1",
            "ce_correlationid: 00000000-0000-0000-0000-000000000002",
            "ce_causationid: 00000000-0000-0000-0000-000000000003",
            "ce_recordedtime: 2026-11-21T10:00:00.123456Z",
            "ce_prevsequence: 00000000000000000040",
            "ce_history: 00000000-0000-0000-0000-000000000007",
            "ce_traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ]
    );
    assert_eq!(
        value,
        concat!(
            r#"{"order_id":"1","_meta":{"id":"00000000-0000-0000-0000-000000000001","source":"urn:daybook","#,
            r#""type":"daybook.order.OrderConfirmed","specversion":"1.0","subject":"order-1","#,
            r#""time":"2017-01-01T00:00:00.000000Z","dataschema":"urn:daybook:event:order.OrderConfirmed:1","#,
            r#""sequence":"00000000000000000042","streamversion":"3","partitionkey":"order-1","#,
            r#""correlationid":"00000000-0000-0000-0000-000000000002","#,
            r#""causationid":"00000000-0000-0000-0000-000000000003","#,
            r#""recordedtime":"2026-11-21T10:00:00.123456Z","#,
            r#""traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","#,
            r#""prevsequence":"00000000000000000040","history":"00000000-0000-0000-0000-000000000007","event_id":"00000000-0000-0000-0000-000000000001","#,
            r#""schema_version":1,"actor":"support:\"sam\",\"_meta\":{"}}"#,
        )
    );
}

#[test]
fn a_message_in_the_place_of_an_event_names_it_and_has_no_value() {
    let headers = set_aside(&event("{}"), "order", 40, HISTORY);
    let message = OwnedMessage::new(None, None, "t".into(), Timestamp::NotAvailable, 0, 0, Some(headers));
    let expected = EnvelopeError::SetAside { position: 42, prev_sequence: 40, history: HISTORY };
    assert_eq!(decode(&message), Err(expected));
    assert_eq!(identity(&message).map(|identity| identity.position), Ok(42));
}

#[test]
fn what_the_relay_did_not_write_is_refused() {
    for data in ["", "[1]", "7", "\"}\"", "null"] {
        assert_eq!(encode(&event(data), "order", 40, HISTORY).err(), Some(EnvelopeError::Value), "{data}");
    }
    let bare = OwnedMessage::new(Some(b"{}".to_vec()), None, "t".into(), Timestamp::NotAvailable, 0, 0, None);
    assert_eq!(decode(&bare), Err(EnvelopeError::Header("ce_sequence")));
    let (headers, _) = encode(&event("{}"), "order", 40, HISTORY).expect("it is an object");
    for value in [None, Some(b"{}".to_vec()), Some(br#"{"_meta":{}}"#.to_vec()), Some(vec![0xff])] {
        let spoiled = OwnedMessage::new(value, None, "t".into(), Timestamp::NotAvailable, 0, 0, Some(headers.clone()));
        assert_eq!(decode(&spoiled), Err(EnvelopeError::Value));
    }
}
