//! The OpenAPI 3.1 document of the command API, generated from the contracts of the commands.

use daybook_domain::{Command, CommandContract, Role};
use serde_json::{Map, Value, json};

/// The document.
#[must_use]
pub fn document() -> Value {
    let public = Command::contracts().into_iter().filter(|contract| contract.access.is_public());
    let paths: Map<String, Value> = public.map(path).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Daybook commands",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every change is a command. An answer of 200 is durable; any other answer has written nothing, except `unknown_outcome`, `timeout` and `internal`, which the same Idempotency-Key resolves.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } },
            "schemas": { "Receipt": receipt(), "Problem": problem() },
            "responses": responses(),
        },
    })
}

fn path(contract: CommandContract) -> (String, Value) {
    let CommandContract { slice, name, access, schema } = contract;
    let mut schema = Value::from(schema);
    let summary = schema.get("description").cloned().unwrap_or_default();
    hoist_definitions(&mut schema, name);
    let roles: Vec<_> = access.roles.iter().map(|role| role.name()).collect();
    let mut operation = json!({
        "operationId": name,
        "tags": [slice.name()],
        "summary": summary,
        "x-roles": roles,
        "parameters": [
            {
                "name": "Idempotency-Key", "in": "header", "required": false,
                "description": "The identity of the command. Sent again with the same body, it gets the first outcome.",
                "schema": { "type": "string", "format": "uuid" },
            },
            {
                "name": "Correlation-Id", "in": "header", "required": false,
                "description": "The causal chain that the events belong to. By default the command begins one, with its own id.",
                "schema": { "type": "string", "format": "uuid" },
            },
            {
                "name": "traceparent", "in": "header", "required": false,
                "description": "The W3C trace context, which the events keep with `tracestate`. A malformed one is dropped.",
                "schema": { "type": "string" },
            },
        ],
        "requestBody": { "required": true, "content": { "application/json": { "schema": schema } } },
        "responses": answers(),
    });
    if access.roles.contains(&Role::Guest) {
        // A request without a token is a guest's.
        operation["security"] = json!([{ "bearer": [] }, {}]);
    }
    (format!("/commands/{name}"), json!({ "post": operation }))
}

/// Makes the references inside an embedded schema relative to the whole document.
fn hoist_definitions(schema: &mut Value, name: &str) {
    let here = format!("#/paths/~1commands~1{name}/post/requestBody/content/application~1json/schema/$defs/");
    rewrite_references(schema, &here);
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
    }
}

fn rewrite_references(value: &mut Value, here: &str) {
    match value {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(target) if key == "$ref" => *target = target.replace("#/$defs/", here),
                    _ => rewrite_references(value, here),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rewrite_references(value, here)),
        _ => {}
    }
}

/// The possible answers to any command, by status. Each refers to a response among the components.
fn answers() -> Value {
    let answer = |status: &String| (status.clone(), json!({ "$ref": format!("#/components/responses/{status}") }));
    responses().as_object().into_iter().flat_map(Map::keys).map(answer).collect::<Map<_, _>>().into()
}

fn responses() -> Value {
    let problem = |description: &str| {
        json!({
            "description": description,
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        })
    };
    let later = |description: &str| {
        let mut response = problem(description);
        let seconds = json!({ "type": "integer", "minimum": 1 });
        response["headers"] =
            json!({ "Retry-After": { "required": true, "description": "After how many seconds.", "schema": seconds } });
        response
    };
    json!({
        "200": accepted(),
        "400": problem("The body is malformed; `pointer` says where."),
        "401": problem("The token is missing, expired or not valid."),
        "403": problem("The role may not do that, the storefront does not serve what is named, or the thing does not belong to the sender."),
        "404": problem("There is no such command or thing."),
        "408": problem("The body took too long; nothing was done."),
        "409": problem("The idempotency key was used for something else."),
        "413": problem("The body is too large."),
        "415": problem("The body says that it is no JSON in UTF-8, or compressed."),
        "422": problem("Refused by a rule; `code` names it, and its data stands beside it."),
        "429": later("Too many requests, or too many connections from one address; nothing was done."),
        "500": problem("A defect of the server. The same Idempotency-Key gets the outcome."),
        "503": later("Too many commands are waiting, or the outcome is unknown; try again with the same key after Retry-After."),
    })
}

fn accepted() -> Value {
    let id = json!({ "type": "string", "format": "uuid" });
    json!({
        "description": "It is in the book.",
        "headers": { "Idempotency-Key": {
            "required": true, "description": "The identity of the command, the caller's or a new one.", "schema": id,
        } },
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Receipt" } } },
    })
}

fn receipt() -> Value {
    json!({
        "type": "object",
        "required": ["position", "streams", "events", "replayed"],
        "properties": {
            "position": { "type": "integer", "format": "int64", "description": "The position of the command's last event; send it as X-Min-Position to read your writes." },
            "streams": { "type": "array", "items": {
                "type": "object", "required": ["id", "version"],
                "properties": { "id": { "type": "string" }, "version": { "type": "integer" } },
            } },
            "events": { "type": "array", "items": {
                "type": "object", "required": ["position", "stream", "version", "type", "event_id", "data"],
                "properties": {
                    "position": { "type": "integer", "format": "int64" }, "stream": { "type": "string" },
                    "version": { "type": "integer" }, "type": { "type": "string" },
                    "event_id": { "type": "string", "format": "uuid" }, "data": { "type": "object" },
                },
            } },
            "replayed": { "type": "boolean", "description": "Whether this is the outcome of an earlier submission." },
        },
    })
}

fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference" }, "title": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 }, "code": { "type": "string" }, "detail": { "type": "string" },
            "pointer": { "type": "string", "format": "json-pointer" },
            "request_id": { "type": "string", "description": "The id of the request, as in the header X-Request-Id." },
        },
        "additionalProperties": true,
    })
}
