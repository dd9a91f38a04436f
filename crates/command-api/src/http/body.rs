//! Reading the body of a command. An error names the wrong field.

use axum::{body::Body, http::StatusCode};
use daybook_domain::Command;
use daybook_edge::problem::Problem;
use futures::StreamExt;
use serde_json::value::RawValue;
use serde_path_to_error::{Path, Segment};

use super::problem::unknown_command;

/// The largest body of a command, in bytes.
const MAX_BODY: usize = 1 << 20;
/// How many bytes of a body that is too large are read and discarded. Its sender is still writing, and would get a broken connection
/// instead of the answer.
const MAX_DRAINED: usize = 32 << 20;

/// Reads a body up to its limit.
pub(super) async fn read(body: Body) -> Result<Vec<u8>, Problem> {
    let mut frames = body.into_data_stream();
    let (mut bytes, mut length) = (Vec::new(), 0_usize);
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|error| Problem::unreadable_body(&error))?;
        length += frame.len();
        if length <= MAX_BODY {
            bytes.extend_from_slice(&frame);
        } else if length > MAX_DRAINED {
            break;
        }
    }
    if length > MAX_BODY { Err(too_large()) } else { Ok(bytes) }
}

fn too_large() -> Problem {
    let detail = format!("a command has at most {MAX_BODY} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Body too large", "body_too_large", &detail)
}

/// Parses a command.
pub(super) fn command(name: &str, body: &[u8]) -> Result<Command, Problem> {
    // The syntax is checked first, so a syntax error is never reported as a wrong field.
    let raw: &RawValue = serde_json::from_slice(body).map_err(|error| Problem::malformed_json(&error))?;
    if !raw.get().starts_with('{') {
        return Err(Problem::invalid_body("a command is a JSON object", ""));
    }
    let mut json = serde_json::Deserializer::from_str(raw.get());
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    match Command::deserialize(name, tracked) {
        None => Err(unknown_command(name)),
        Some(Ok(command)) => Ok(command),
        Some(Err(error)) => Err(Problem::invalid_body(&reason(&error), &pointer(&track.path(), &error))),
    }
}

/// The message without line and column, since the pointer is more exact.
fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).unwrap_or(&message).to_owned()
}

/// The JSON pointer (RFC 6901) to the wrong value. It also names a field that is missing, unknown or duplicate, even if the path ends
/// before that field.
fn pointer(path: &Path, error: &serde_json::Error) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer += &format!("/{index}"),
            Segment::Map { key } | Segment::Enum { variant: key } => pointer += &format!("/{}", escaped(key)),
            Segment::Unknown => {}
        }
    }
    let message = error.to_string();
    let named = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start));
    match named.and_then(|rest| rest.split_once('`')) {
        Some((field, _)) if !pointer.ends_with(&format!("/{}", escaped(field))) => pointer + "/" + &escaped(field),
        _ => pointer,
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer_of(name: &str, body: &str) -> String {
        let problem = command(name, body.as_bytes()).expect_err("the body is wrong");
        problem.pointer.expect("the problem has a pointer")
    }

    #[test]
    fn the_pointer_names_the_wrong_field() {
        let cart = "018f0000-0000-7000-8000-000000000000";
        let line = |quantity: &str| format!(r#"{{"cart_id":"{cart}","lines":[{{"sku":"a","quantity":{quantity}}}]}}"#);
        assert_eq!(pointer_of("AddLines", &line("-1")), "/lines/0/quantity");
        assert_eq!(pointer_of("AddLines", &line("99999999999999999999")), "/lines/0/quantity");
        assert_eq!(pointer_of("AddLines", &format!(r#"{{"cart_id":"{cart}"}}"#)), "/lines");
        assert_eq!(pointer_of("AbandonCart", &format!(r#"{{"cart_id":"{cart}","a/b":1}}"#)), "/a~1b");
        assert_eq!(pointer_of("AbandonCart", r#"{"cart_id":"x"}"#), "/cart_id");
        assert_eq!(pointer_of("AbandonCart", &format!(r#"{{"cart_id":"{cart}","cart_id":"{cart}"}}"#)), "/cart_id");
        assert_eq!(
            pointer_of("SetPrice", r#"{"sku":"a","price":{"minor_units":1,"currency":"EURO"}}"#),
            "/price/currency"
        );
    }

    #[test]
    fn a_body_that_is_not_json_is_malformed() {
        for body in ["", "{", "[1,", "{\"cart_id\":", "nul"] {
            let problem = command("AbandonCart", body.as_bytes()).expect_err("the body is not JSON");
            assert_eq!(problem.code, "malformed_json", "{body}");
        }
    }
}
