//! The AsyncAPI document of the topics: a file of the contracts, and `/asyncapi.json`.

use daybook_domain::Event;
use daybook_event_stream::Topology;
use serde_json::{Value, json};

/// How the document contains the schema of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schemas {
    /// As a reference to its file in `schemas/`.
    Referred,
    /// Inline.
    Inlined,
}

/// The AsyncAPI 3.0 document of the topics.
#[must_use]
pub fn document(topology: &Topology, schemas: Schemas) -> Value {
    let mut channels = serde_json::Map::new();
    let mut operations = serde_json::Map::new();
    for slice in daybook_domain::Slice::ALL {
        let events = Event::contracts().into_iter().filter(|contract| contract.slice == *slice);
        let messages: serde_json::Map<_, _> = events
            .map(|contract| {
                let version = contract.schema_version;
                let (_, name) = contract.event_type.split_once('.').unwrap_or_default();
                let schema = match schemas {
                    Schemas::Referred => json!({ "$ref": format!("events/{slice}/{name}.v{version}.json") }),
                    Schemas::Inlined => contract.schema.into(),
                };
                let message = json!({
                    "name": format!("daybook.{slice}.{name}"),
                    "contentType": "application/json",
                    "bindings": { "kafka": { "key": { "type": "string", "description": "the stream's name" } } },
                    "payload": {
                        "schemaFormat": "application/schema+json;version=draft-2020-12",
                        "schema": schema,
                    },
                });
                (name.to_owned(), message)
            })
            .collect();
        let name = slice.name();
        channels.insert(name.to_owned(), json!({ "address": topology.topic(name), "messages": messages }));
        operations.insert(
            format!("receive_{name}"),
            json!({ "action": "receive", "channel": { "$ref": format!("#/channels/{name}") } }),
        );
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Daybook events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every event of the book, as CloudEvents 1.0 in binary mode. The value has the event's fields at its top level and `_meta`, which repeats the headers. `sequence` is the position in the book. The partition has no event between `prevsequence` and `sequence`. A message with the header `ce_setaside` has no value: it stands for an event that the broker did not take, and `/events` has the event. `ce_signature` is for the engine's own consumers, which believe no message without it; `/events` shows what others may doubt. `history` changes when the book is restored from a back-up. Then the topics hold the whole restored book. A position may belong to another event than before. Events that a consumer has processed after the restored position are no longer in the book.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
    })
}
