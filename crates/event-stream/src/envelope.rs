//! The envelope: an event as a CloudEvent 1.0 in Kafka's binary mode.
//!
//! The value is the event's own JSON with `_meta` added at its end, which repeats the headers for readers that lose them.
//! Sources: CloudEvents 1.0.2, its Kafka protocol binding, and its extensions `sequence`, `partitioning` and `distributed
//! tracing`.

use chrono::{DateTime, SecondsFormat, Utc};
use daybook_event_store::RecordedEvent;
use rdkafka::{
    Message,
    message::{Header, Headers, OwnedHeaders},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const CONTENT_TYPE: &str = "application/json";
const SOURCE: &str = "urn:daybook";
/// The header of a message without an event.
const SET_ASIDE: &str = "ce_setaside";
/// What stands between an event and its `_meta`. Inside a JSON text the quotes would be escaped, so it is found nowhere else.
const META: &str = "\"_meta\":";

/// An event with what only the wire knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventMessage {
    /// The event.
    pub event: RecordedEvent,
    /// No event of the same partition stands between this position and the event's own.
    pub prev_sequence: i64,
    /// Of which history of the book it is: another one since the book was restored.
    pub history: Uuid,
}

/// Why a message is not an event of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// A header is missing, or does not have the form of its attribute.
    #[error("header `{0}` is missing or malformed")]
    Header(&'static str),
    /// The value is not what the relay writes.
    #[error("the value is not an event with its `_meta`")]
    Value,
    /// The relay of this book has not written the message, or has not signed it. It says nothing.
    #[error("the message has no signature of this book's relay")]
    NotSigned {
        /// The position that it claims.
        claimed: Option<i64>,
    },
    /// The message stands in the place of an event that the relay has set aside. The book has the event.
    #[error("the event at position {position} is set aside, and is in the book only")]
    SetAside {
        /// The position of the event.
        position: i64,
        /// No event of the same partition stands between this position and the event's own.
        prev_sequence: i64,
        /// Of which history of the book it is.
        history: Uuid,
    },
}

/// The headers of an event, and the members of its `_meta`.
#[derive(Debug, Serialize)]
struct Attributes<'a> {
    id: String,
    source: &'a str,
    r#type: String,
    specversion: &'a str,
    subject: &'a str,
    time: String,
    dataschema: String,
    sequence: String,
    streamversion: String,
    partitionkey: &'a str,
    correlationid: String,
    causationid: String,
    recordedtime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<&'a str>,
    prevsequence: String,
    history: String,
}

/// What `_meta` holds: every header, and what is no attribute of a CloudEvent.
#[derive(Debug, Serialize)]
struct Meta<'a> {
    #[serde(flatten)]
    attributes: &'a Attributes<'a>,
    event_id: Uuid,
    schema_version: i16,
    actor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<Uuid>,
}

/// What is read back from `_meta`, because no header says it.
#[derive(Debug, Deserialize)]
struct ReadMeta {
    actor: String,
    #[serde(default)]
    key_id: Option<Uuid>,
}

impl<'a> Attributes<'a> {
    fn of(event: &'a RecordedEvent, slice: &str, prev_sequence: i64, history: Uuid) -> Self {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
        // The book keeps both in one text, with a blank between them.
        let trace = event.trace.as_deref();
        let (traceparent, tracestate) = match trace.and_then(|trace| trace.split_once(' ')) {
            Some((parent, state)) => (Some(parent), Some(state)),
            None => (trace, None),
        };
        Self {
            id: event.event_id.to_string(),
            source: SOURCE,
            // The types of books that were begun before types carried their slice do without it.
            r#type: match event.event_type.contains('.') {
                true => format!("daybook.{}", event.event_type),
                false => format!("daybook.{slice}.{}", event.event_type),
            },
            specversion: "1.0",
            subject: &event.stream_id,
            time: time(event.effective_at),
            dataschema: format!("urn:daybook:event:{}:{}", event.event_type, event.schema_version),
            sequence: format!("{:020}", event.position),
            streamversion: event.version.to_string(),
            partitionkey: &event.stream_id,
            correlationid: event.correlation_id.to_string(),
            causationid: event.causation_id.to_string(),
            recordedtime: time(event.recorded_at),
            traceparent,
            tracestate,
            prevsequence: format!("{prev_sequence:020}"),
            history: history.to_string(),
        }
    }

    fn headers(&self) -> OwnedHeaders {
        let always = [
            ("content-type", CONTENT_TYPE),
            ("ce_id", &self.id),
            ("ce_source", self.source),
            ("ce_type", &self.r#type),
            ("ce_specversion", self.specversion),
            ("ce_subject", self.subject),
            ("ce_time", &self.time),
            ("ce_dataschema", &self.dataschema),
            ("ce_sequence", &self.sequence),
            ("ce_streamversion", &self.streamversion),
            ("ce_partitionkey", self.partitionkey),
            ("ce_correlationid", &self.correlationid),
            ("ce_causationid", &self.causationid),
            ("ce_recordedtime", &self.recordedtime),
            ("ce_prevsequence", &self.prevsequence),
            ("ce_history", &self.history),
        ];
        let trace = [("ce_traceparent", self.traceparent), ("ce_tracestate", self.tracestate)];
        let trace = trace.into_iter().filter_map(|(key, value)| Some((key, value?)));
        always.into_iter().chain(trace).fold(OwnedHeaders::new_with_capacity(18), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        })
    }
}

/// An event as headers and value: of which slice it is, which one of its partition was before it, and of which history of the
/// book both are.
///
/// # Errors
/// [`EnvelopeError::Value`] when the stored data is not a JSON object.
pub fn encode(
    event: &RecordedEvent,
    slice: &str,
    prev_sequence: i64,
    history: Uuid,
) -> Result<(OwnedHeaders, String), EnvelopeError> {
    let attributes = Attributes::of(event, slice, prev_sequence, history);
    let (actor, key_id) = (event.actor.as_str(), event.key_id);
    let (event_id, schema_version) = (event.event_id, event.schema_version);
    let meta = Meta { attributes: &attributes, event_id, schema_version, actor, key_id };
    let meta = serde_json::to_string(&meta).map_err(|_| EnvelopeError::Value)?;
    // The data goes out as it was written, so whatever space stands around its braces stays where it is.
    let (body, end) = event.data.split_at(event.data.rfind('}').ok_or(EnvelopeError::Value)?);
    let comma = match body.trim() {
        "{" => "",
        members if members.starts_with('{') => ",",
        _ => return Err(EnvelopeError::Value),
    };
    Ok((attributes.headers(), format!("{body}{comma}{META}{meta}{end}")))
}

/// The headers of a message that stands in the place of an event which the relay has set aside. It has no value.
#[must_use]
pub fn set_aside(event: &RecordedEvent, slice: &str, prev_sequence: i64, history: Uuid) -> OwnedHeaders {
    let headers = Attributes::of(event, slice, prev_sequence, history).headers();
    headers.insert(Header { key: SET_ASIDE, value: Some("true") })
}

/// A message as an event.
///
/// # Errors
/// [`EnvelopeError`] names what is not as the relay writes it.
pub fn decode(message: &impl Message) -> Result<EventMessage, EnvelopeError> {
    let headers = Read(message);
    let (position, prev_sequence) = (headers.parsed("ce_sequence")?, headers.parsed("ce_prevsequence")?);
    if !(0..position).contains(&prev_sequence) {
        return Err(EnvelopeError::Header("ce_prevsequence"));
    }
    if headers.text(SET_ASIDE).is_ok() {
        return Err(EnvelopeError::SetAside { position, prev_sequence, history: headers.parsed("ce_history")? });
    }
    let schema = headers.text("ce_dataschema")?;
    let mut schema = schema.rsplit(':');
    let schema_version = schema.next().and_then(|version| version.parse().ok());
    let event_type = schema.next().map(str::to_owned);
    let value = message.payload().and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or(EnvelopeError::Value)?;
    let (data, meta) = without_meta(value).ok_or(EnvelopeError::Value)?;
    Ok(EventMessage {
        event: RecordedEvent {
            position,
            stream_id: headers.text("ce_subject")?.to_owned(),
            version: headers.parsed("ce_streamversion")?,
            event_type: event_type.ok_or(EnvelopeError::Header("ce_dataschema"))?,
            schema_version: schema_version.ok_or(EnvelopeError::Header("ce_dataschema"))?,
            event_id: headers.parsed("ce_id")?,
            recorded_at: headers.parsed("ce_recordedtime")?,
            effective_at: headers.parsed("ce_time")?,
            correlation_id: headers.parsed("ce_correlationid")?,
            causation_id: headers.parsed("ce_causationid")?,
            actor: meta.actor,
            trace: trace(&headers),
            key_id: meta.key_id,
            data,
        },
        prev_sequence,
        history: headers.parsed("ce_history")?,
    })
}

/// The trace context of a message, in one text as the book keeps it.
fn trace(headers: &Read<'_, impl Message>) -> Option<String> {
    let parent = headers.text("ce_traceparent").ok()?;
    Some(headers.text("ce_tracestate").map_or_else(|_| parent.to_owned(), |state| format!("{parent} {state}")))
}

/// Which event of which history a message carries, without the rest of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) position: i64,
    pub(crate) event_id: Uuid,
    pub(crate) history: Uuid,
}

/// What a message carries.
pub(crate) fn identity(message: &impl Message) -> Result<Identity, EnvelopeError> {
    let headers = Read(message);
    Ok(Identity {
        position: headers.parsed("ce_sequence")?,
        event_id: headers.parsed("ce_id")?,
        history: headers.parsed("ce_history")?,
    })
}

/// The data as it was written, and what `_meta` said.
fn without_meta(value: &str) -> Option<(String, ReadMeta)> {
    let (body, rest) = value.rsplit_once(META)?;
    let mut members = serde_json::Deserializer::from_str(rest).into_iter();
    let meta = members.next()?.ok()?;
    let end = rest.get(members.byte_offset()..)?;
    let body = body.strip_suffix(',').unwrap_or(body);
    Some((format!("{body}{end}"), meta))
}

/// Reads headers.
struct Read<'m, M>(&'m M);

impl<M: Message> Read<'_, M> {
    fn text(&self, key: &'static str) -> Result<&str, EnvelopeError> {
        let headers = self.0.headers().ok_or(EnvelopeError::Header(key))?;
        let found = headers.iter().find(|header| header.key == key).and_then(|header| header.value);
        found.and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or(EnvelopeError::Header(key))
    }

    fn parsed<T: std::str::FromStr>(&self, key: &'static str) -> Result<T, EnvelopeError> {
        self.text(key)?.parse().map_err(|_| EnvelopeError::Header(key))
    }
}

#[cfg(test)]
mod tests;
