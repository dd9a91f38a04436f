//! User errors: every refusal of the domain has its type and all its data, and every path is one of the input.
//!
//! A fake command API refuses every command in the way that the test sets, so that all refusals are tested.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, Type, TypeKind, TypeSystemDefinition},
};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::post,
};
use daybook_domain::Refusal;
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::shop::{Caller, Shop, ShopSettings, id};

/// The answer of the fake, and the body of the last command.
#[derive(Default)]
struct Script {
    problem: Value,
    body: Value,
}

struct CommandApi {
    url: String,
    script: Arc<Mutex<Script>>,
    task: JoinHandle<()>,
}

impl CommandApi {
    async fn start() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let answer =
            async |State(script): State<Arc<Mutex<Script>>>, Path(_): Path<String>, Json(body): Json<Value>| {
                let mut script = script.lock().expect("no thread has panicked with it");
                script.body = body;
                (StatusCode::UNPROCESSABLE_ENTITY, Json(script.problem.clone()))
            };
        let router = Router::new().route("/commands/{name}", post(answer)).with_state(Arc::clone(&script));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("the port is bound"));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("the server runs") });
        Self { url, script, task }
    }

    /// Sets the problem that the next commands get.
    fn refuse(&self, code: &str, pointer: Option<&str>, data: &Value) {
        let mut problem = json!({"type": format!("/problems/{code}"), "title": "Refused by a rule", "status": 422, "code": code,
                                 "detail": "no"});
        let fields = problem.as_object_mut().expect("the problem is an object");
        fields.extend(pointer.map(|pointer| ("pointer".to_owned(), pointer.into())));
        fields.extend(data.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
        self.script.lock().expect("no thread has panicked with it").problem = problem;
    }

    /// The body of the last command.
    fn body(&self) -> Value {
        self.script.lock().expect("no thread has panicked with it").body.clone()
    }
}

impl Drop for CommandApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The types of a schema.
struct Schema(HashMap<String, TypeKind>);

impl Schema {
    fn parse(sdl: &str) -> Self {
        let document = parse_schema(sdl).expect("the schema can be parsed");
        let types = document.definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(ty) => Some((ty.node.name.node.to_string(), ty.node.kind)),
            _ => None,
        });
        Self(types.collect())
    }

    /// The fields of an object type, with their types.
    fn fields(&self, name: &str) -> Vec<(String, &Type)> {
        match self.0.get(name) {
            Some(TypeKind::Object(object)) => {
                object.fields.iter().map(|field| (field.node.name.node.to_string(), &field.node.ty.node)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The fields of an input type, with their types.
    fn inputs(&self, name: &str) -> Vec<(String, &Type)> {
        match self.0.get(name) {
            Some(TypeKind::InputObject(input)) => {
                input.fields.iter().map(|field| (field.node.name.node.to_string(), &field.node.ty.node)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// All mutations, with their input types.
    fn mutations(&self) -> Vec<(String, String)> {
        let Some(TypeKind::Object(mutation)) = self.0.get("Mutation") else { return Vec::new() };
        let input = |field: &async_graphql::parser::types::FieldDefinition| {
            let input = field.arguments.iter().find(|argument| argument.node.name.node == "input");
            named(&input.expect("a mutation has an input").node.ty.node).to_owned()
        };
        mutation.fields.iter().map(|field| (field.node.name.node.to_string(), input(&field.node))).collect()
    }

    /// A selection of every field of a type.
    fn selection(&self, name: &str) -> String {
        let fields = self.fields(name).into_iter().map(|(field, ty)| match self.selection(named(ty)) {
            inner if inner.is_empty() => field,
            inner => format!("{field} {{ {inner} }}"),
        });
        fields.collect::<Vec<_>>().join(" ")
    }

    /// An input with a value for every field.
    fn full_input(&self, ty: &Type) -> Value {
        let name = match &ty.base {
            BaseType::List(of) => return json!([self.full_input(of)]),
            BaseType::Named(name) => name.as_str(),
        };
        match name {
            "ID" | "UUID" => json!(id("of an input")),
            "Int" | "Long" => json!(7),
            "Boolean" => json!(true),
            "DateTime" => json!("2026-01-01T00:00:00Z"),
            "String" => json!("text"),
            _ => {
                let fields = self.inputs(name).into_iter().map(|(field, ty)| (field, self.full_input(ty)));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }

    /// The type at a path of an input type, if the path exists.
    fn at<'s>(&'s self, ty: &'s Type, path: &[String]) -> Option<&'s Type> {
        let Some((step, rest)) = path.split_first() else { return Some(ty) };
        match &ty.base {
            BaseType::List(of) => step.parse::<usize>().ok().and_then(|_| self.at(of, rest)),
            BaseType::Named(name) => {
                let (_, ty) = self.inputs(name).into_iter().find(|(field, _)| field == step)?;
                self.at(ty, rest)
            }
        }
    }
}

fn named(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(of) => named(of),
    }
}

async fn shop() -> (Shop, CommandApi, Schema) {
    let api = CommandApi::start().await;
    let shop = Shop::with(ShopSettings { command_url: Some(api.url.clone()), ..ShopSettings::default() }).await;
    (shop, api, Schema::parse(&daybook_query_api::admin_sdl()))
}

/// A value that matches a JSON Schema, and the same value in GraphQL.
fn sample(part: &Value, whole: &Value) -> (Value, Value) {
    let same = |value: Value| (value.clone(), value);
    if let Some(definition) = part["$ref"].as_str() {
        return sample(whole.pointer(&definition[1..]).expect("the schema has its definitions"), whole);
    }
    if let Some(either) = part["anyOf"].as_array().or_else(|| part["oneOf"].as_array()) {
        return sample(either.iter().find(|part| part["type"] != "null").expect("one alternative is not null"), whole);
    }
    let ty = part["type"].as_array().and_then(|types| types.first()).unwrap_or(&part["type"]);
    match ty.as_str() {
        _ if part["const"].is_string() => same(part["const"].clone()),
        _ if part["enum"].is_array() => same(part["enum"][0].clone()),
        Some("string") if part["format"] == "uuid" => same(json!(id("of a refusal"))),
        Some("string") if part["format"] == "date-time" => same(json!("2026-01-01T00:00:00Z")),
        Some("string") => same(json!("EUR")),
        Some("integer") => same(json!(7)),
        Some("number") => same(json!(0.5)),
        Some("boolean") => same(json!(true)),
        Some("array") => {
            let (item, shown) = sample(&part["items"], whole);
            (json!([item]), json!([shown]))
        }
        Some("object") if part["properties"]["minor_units"].is_object() => {
            let shown = json!({"minorUnits": 7, "currency": "EUR", "formatted": "0.07 EUR"});
            (json!({"minor_units": 7, "currency": "EUR"}), shown)
        }
        other => panic!("no sample for {other:?} in {part}"),
    }
}

/// The name in GraphQL.
fn camel_case(name: &str) -> String {
    let mut upper = false;
    let characters = name.chars().filter_map(|character| {
        let shown = (character != '_').then(|| if upper { character.to_ascii_uppercase() } else { character });
        upper = character == '_';
        shown
    });
    characters.collect()
}

#[tokio::test]
async fn every_refusal_of_the_domain_has_its_type_and_all_its_data() {
    let (shop, api, schema) = shop().await;
    // Several problems have no type of their own: each of them is a user error.
    for contract in Refusal::contracts().into_iter().filter(|contract| contract.code != "several_problems") {
        let described = Value::from(contract.schema);
        let properties = described["properties"].as_object().cloned().unwrap_or_default();
        let samples: Vec<_> = properties.iter().map(|(name, part)| (name, sample(part, &described))).collect();
        let data: Map<_, _> = samples.iter().map(|(name, (sent, _))| ((*name).clone(), sent.clone())).collect();
        api.refuse(contract.code, None, &data.into());
        let selection = schema.selection(contract.name);
        let mutation = format!(
            "mutation {{ it: cartAbandon(input: {{cartId: \"{}\"}})
               {{ cart {{ id }} consistencyToken userErrors {{ __typename ... on {} {{ {selection} }} }} }} }}",
            id("c"),
            contract.name,
        );
        let answer = shop.office(Caller::Admin, &mutation).await.data();
        let mut expected = json!({"__typename": contract.name, "code": contract.code, "message": "no", "path": null});
        for (name, (_, shown)) in samples {
            expected[camel_case(name)] = shown;
        }
        let payload = json!({"cart": null, "consistencyToken": null, "userErrors": [expected]});
        assert_eq!(answer["it"], payload, "{}", contract.code);
    }
}

#[tokio::test]
async fn an_unknown_refusal_is_an_other_user_error() {
    let (shop, api, _) = shop().await;
    let fields =
        "userErrors { __typename code message path ... on CartNotFound { cartId } ... on OtherUserError { data } }";
    let mutation = format!("mutation {{ it: cartAbandon(input: {{cartId: \"{}\"}}) {{ {fields} }} }}", id("c"));
    // The first code is that of a newer command API. The second one has data of another version.
    for (code, data) in [("of_a_newer_version", json!({"limit": 7})), ("cart_not_found", json!({"basket": 7}))] {
        api.refuse(code, Some("/cart_id"), &data);
        let error = shop.storefront(Caller::Guest, &mutation).await.data()["it"]["userErrors"][0].take();
        let expected =
            json!({"__typename": "OtherUserError", "code": code, "message": "no", "path": ["cartId"], "data": data});
        assert_eq!(error, expected);
    }
}

/// All JSON pointers into a value except the empty one, each with its value.
fn pointers(value: &Value, at: &str, found: &mut Vec<(String, Value)>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, member) in members {
        let pointer = format!("{at}/{name}");
        found.push((pointer.clone(), member.clone()));
        pointers(member, &pointer, found);
    }
}

#[tokio::test]
async fn every_path_names_a_field_of_the_input() {
    let (shop, api, schema) = shop().await;
    for (mutation, input_type) in schema.mutations() {
        let ty = Type { base: BaseType::Named(async_graphql::Name::new(&input_type)), nullable: false };
        let input = schema.full_input(&ty);
        let query =
            format!("mutation($input: {input_type}!) {{ it: {mutation}(input: $input) {{ userErrors {{ path }} }} }}");
        let path_of = async |pointer: &str| -> Vec<String> {
            api.refuse("of_any_rule", Some(pointer), &json!({}));
            let request = json!({"query": query, "variables": {"input": input}});
            let mut error =
                shop.post("/admin/graphql", Caller::Admin, &request).await.data()["it"]["userErrors"][0].take();
            serde_json::from_value(error["path"].take()).expect("a path is a list of names")
        };
        assert_eq!(path_of("").await, Vec::<String>::new(), "{mutation}");
        let mut all = Vec::new();
        pointers(&api.body(), "", &mut all);
        assert!(!all.is_empty(), "{mutation} sends nothing");
        for (pointer, value) in all {
            let path = path_of(&pointer).await;
            assert!(
                schema.at(&ty, &path).is_some(),
                "{mutation}: {pointer} becomes {path:?}, which {input_type} does not have"
            );
            let given = input.pointer(&format!("/{}", path.join("/")));
            assert!(
                given.is_some_and(|given| !value.is_string() || *given == value),
                "{mutation}: {pointer} is not {path:?}"
            );
        }
    }
}
