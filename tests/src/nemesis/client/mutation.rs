//! Commands as mutations: the same command with the same key, sent over the query-api.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::nemesis::history::{Answer, Seen};

/// The mutations by their commands: the field, and its input type.
const MUTATIONS: [(&str, &str, &str); 12] = [
    ("SetPrice", "priceSet", "PriceSetInput"),
    ("ReceiveStock", "stockReceive", "StockReceiveInput"),
    ("ReserveStock", "stockReserve", "StockReserveInput"),
    ("ReleaseStock", "stockRelease", "ReservationInput"),
    ("CommitReservation", "reservationCommit", "ReservationInput"),
    ("OpenCart", "cartOpen", "CartOpenInput"),
    ("AddLines", "cartLinesAdd", "CartLinesAddInput"),
    ("ChangeQuantity", "cartLineQuantityChange", "CartLineQuantityChangeInput"),
    ("MergeCarts", "cartsMerge", "CartsMergeInput"),
    ("PlaceOrder", "orderPlace", "OrderPlaceInput"),
    ("ConfirmOrder", "orderConfirm", "OrderMoveInput"),
    ("CancelOrder", "orderCancel", "OrderReasonedMoveInput"),
];

/// Failures that leave the outcome of the command open. Any other error is a refusal, which the checks test.
const PASSING: [&str; 5] = ["UNAVAILABLE", "CONSISTENCY_TIMEOUT", "RATE_LIMITED", "INTERNAL", "TIMEOUT"];

/// The selection of the changed object, by command.
fn shown(command: &str) -> &'static str {
    match command {
        "PlaceOrder" | "ConfirmOrder" | "CancelOrder" => "order { id phase }",
        "ReceiveStock" | "ReserveStock" | "ReleaseStock" | "CommitReservation" => "stock { onHand reserved }",
        _ => "",
    }
}

/// The request for a command, or none if it has no mutation.
pub(super) fn request(command: &str, key: Uuid, body: &Value) -> Option<Value> {
    let (_, field, input) = MUTATIONS.into_iter().find(|(name, _, _)| *name == command)?;
    let shown = shown(command);
    let query = format!(
        "mutation($input: {input}!) {{ done: {field}(input: $input) {{ consistencyToken userErrors {{ code message }} {shown} }} }}"
    );
    let mut variable = in_camel_case(body);
    variable["idempotencyKey"] = json!(key);
    Some(json!({ "query": query, "variables": { "input": variable } }))
}

/// The fields of a command, in the names of the input.
fn in_camel_case(body: &Value) -> Value {
    match body {
        Value::Object(fields) => {
            let renamed = fields.iter().map(|(name, value)| (camel_case(name), in_camel_case(value)));
            Value::Object(renamed.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(in_camel_case).collect(),
        other => other.clone(),
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |so_far, word| {
        let (initial, rest) = word.split_at(word.len().min(1));
        so_far + &initial.to_uppercase() + rest
    })
}

/// The outcome of the command by the answer to its mutation.
pub(super) fn understood(status: u16, body: &Value) -> Answer {
    let done = &body["data"]["done"];
    if let Some(position) = done["consistencyToken"].as_i64() {
        return Answer::Shown(position);
    }
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    if let Some(wrong) = done["userErrors"].get(0) {
        return Answer::Refused { code: text(wrong, "code"), detail: text(wrong, "message") };
    }
    // A request that is refused before GraphQL runs gets a problem document.
    let error = &body["errors"][0];
    let (code, detail) = match body["code"].as_str() {
        Some(code) => (code.to_owned(), text(body, "detail")),
        None => (text(&error["extensions"], "code"), text(error, "message")),
    };
    if status >= 500 || status == 429 || PASSING.contains(&code.as_str()) {
        return Answer::Unknown(format!("{status} {code}"));
    }
    Answer::Refused { code, detail }
}

/// The state of the changed object. It is at least as recent as the token beside it.
pub(super) fn seen(command: &str, body: &Value, answer: &Value) -> Option<Seen> {
    let done = &answer["data"]["done"];
    if let (Some(id), Some(phase)) = (done["order"]["id"].as_str(), done["order"]["phase"].as_str()) {
        return Some(Seen::Order { id: id.parse().ok()?, phase: Some(phase.to_owned()) });
    }
    let stock = done["stock"].get(0).filter(|_| shown(command).starts_with("stock"))?;
    let levels = stock["onHand"].as_i64().zip(stock["reserved"].as_i64());
    Some(Seen::Stock { sku: body["sku"].as_str()?.to_owned(), levels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_translated_to_its_mutation() {
        let body = json!({ "cart_id": "c", "lines": [{ "sku": "s", "line_total": { "minor_units": 1 } }] });
        let request = request("AddLines", Uuid::nil(), &body).expect("there is one");
        let wanted = json!({ "cartId": "c", "lines": [{ "sku": "s", "lineTotal": { "minorUnits": 1 } }],
                             "idempotencyKey": Uuid::nil() });
        assert_eq!(request["variables"]["input"], wanted);
        assert_eq!(super::request("ImportOrder", Uuid::nil(), &body), None);
    }

    #[test]
    fn accepted_refused_and_open_outcomes_are_distinguished() {
        let done = |done: Value| json!({ "data": { "done": done } });
        let accepted = done(json!({ "consistencyToken": 7, "userErrors": [] }));
        assert_eq!(understood(200, &accepted), Answer::Shown(7));
        let refused = done(json!({ "userErrors": [{ "code": "no", "message": "never" }] }));
        let wanted = Answer::Refused { code: "no".to_owned(), detail: "never".to_owned() };
        assert_eq!(understood(200, &refused), wanted);
        let failed = |code: &str| json!({ "data": null, "errors": [{ "extensions": { "code": code } }] });
        assert!(matches!(understood(200, &failed("UNAVAILABLE")), Answer::Unknown(_)));
        assert!(matches!(understood(200, &failed("BAD_INPUT")), Answer::Refused { .. }));
        let turned_away = json!({ "code": "token_expired", "detail": "it has run out" });
        let wanted = Answer::Refused { code: "token_expired".to_owned(), detail: "it has run out".to_owned() };
        assert_eq!(understood(401, &turned_away), wanted);
    }
}
