//! Commands as mutations: the same intent and the same key, sent by way of the query-api.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::nemesis::history::{Answer, Seen};

/// The mutations, by the commands that they become: the field, and its input.
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

/// Failures that leave open what became of the command. Anything else is an answer, and the checker knows whether a right one.
const PASSING: [&str; 5] = ["UNAVAILABLE", "CONSISTENCY_TIMEOUT", "RATE_LIMITED", "INTERNAL", "TIMEOUT"];

/// What the changed object shows, by the field of the payload.
fn shown(command: &str) -> &'static str {
    match command {
        "PlaceOrder" | "ConfirmOrder" | "CancelOrder" => "order { id phase }",
        "ReceiveStock" | "ReserveStock" | "ReleaseStock" | "CommitReservation" => "stock { onHand reserved }",
        _ => "",
    }
}

/// The request for a command; none when there is no such mutation.
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

/// The fields of commands as inputs name them.
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

/// What an answer to a mutation says of the command.
pub(super) fn understood(status: u16, body: &Value) -> Answer {
    let done = &body["data"]["done"];
    if let Some(position) = done["consistencyToken"].as_i64() {
        return Answer::Shown(position);
    }
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    if let Some(wrong) = done["userErrors"].get(0) {
        return Answer::Refused { code: text(wrong, "code"), detail: text(wrong, "message") };
    }
    // A request that is turned away at the door is a problem, and no GraphQL.
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

/// What the changed object has shown, which is no older than the token beside it.
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
    fn a_command_becomes_the_mutation_that_becomes_it() {
        let body = json!({ "cart_id": "c", "lines": [{ "sku": "s", "line_total": { "minor_units": 1 } }] });
        let request = request("AddLines", Uuid::nil(), &body).expect("there is one");
        let wanted = json!({ "cartId": "c", "lines": [{ "sku": "s", "lineTotal": { "minorUnits": 1 } }],
                             "idempotencyKey": Uuid::nil() });
        assert_eq!(request["variables"]["input"], wanted);
        assert_eq!(super::request("ImportOrder", Uuid::nil(), &body), None);
    }

    #[test]
    fn what_is_done_refused_and_open_are_told_apart() {
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
