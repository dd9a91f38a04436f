//! The types of refusals, read from their contracts.

use std::collections::BTreeMap;

use async_graphql::{ID, OutputType, Value, registry::Registry};
use chrono::{DateTime, Utc};
use daybook_domain::Money;
use serde_json::{Map, Value as Json};

use super::{
    OTHER,
    contract::Contract,
    data::{Data, Object},
    path::{camel_case, in_input},
};
use crate::graphql::{
    commands::Problem,
    scalars::{Long, MoneyObject},
};

/// The field of an error without a type of its own that holds its data.
const DATA: &str = "data";
/// The members of every problem, which are no data of it.
const OF_EVERY_PROBLEM: [&str; 3] = ["type", "title", "request_id"];

/// The types of refusals, by their codes, and the type of what is none.
#[derive(Debug)]
pub(super) struct RefusalTypes {
    by_code: BTreeMap<&'static str, RefusalType>,
    other: RefusalType,
}

/// The type of a kind of refusal.
#[derive(Debug)]
pub(super) struct RefusalType {
    pub(super) name: String,
    pub(super) description: String,
    /// Its data, in the order of their names.
    pub(super) fields: Vec<DataField>,
}

/// A field of the data of a refusal.
#[derive(Debug)]
pub(super) struct DataField {
    /// The name in the data.
    key: String,
    /// The name in GraphQL.
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) kind: Kind,
    pub(super) nullable: bool,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Text,
    Id,
    Time,
    Boolean,
    Int,
    Long,
    Float,
    Money,
    /// What GraphQL has no type for.
    Json,
    List(Box<Self>),
}

impl RefusalTypes {
    pub(super) fn of(contracts: Vec<Contract>) -> Self {
        let description = "Anything else that a rule or a check refused.".to_owned();
        let data = DataField {
            key: DATA.to_owned(),
            name: DATA.to_owned(),
            description: Some("What else is known, by the names of the command API.".to_owned()),
            kind: Kind::Json,
            nullable: true,
        };
        let other = RefusalType { name: OTHER.to_owned(), description, fields: vec![data] };
        let by_code = contracts.into_iter().map(|contract| (contract.code, RefusalType::of(contract)));
        Self { by_code: by_code.collect(), other }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &RefusalType> {
        self.by_code.values().chain([&self.other])
    }

    /// The object of a problem. A problem whose data is not what its contract says keeps its data as JSON.
    pub(super) fn object(&self, problem: Problem, input: &Value) -> Object {
        let Problem { code, detail, pointer, data, .. } = problem;
        let known = self.by_code.get(code.as_str()).and_then(|ty| Some((ty, ty.data(&data)?)));
        let (ty, data) = known.unwrap_or_else(|| (&self.other, vec![(DATA.to_owned(), other_data(data))]));
        let path = pointer.map(|pointer| in_input(&pointer, input).into_iter().map(Value::from).collect());
        let common = [
            ("code", Value::String(code)),
            ("message", Value::String(detail)),
            ("path", path.map_or(Value::Null, Value::List)),
        ];
        let common = common.map(|(name, value)| (name.to_owned(), Data::Plain(value)));
        Object::new(&ty.name, data.into_iter().chain(common))
    }
}

/// The data of a problem that no type is known for.
fn other_data(mut data: Map<String, Json>) -> Data {
    data.retain(|key, _| !OF_EVERY_PROBLEM.contains(&key.as_str()));
    let value = if data.is_empty() { Value::Null } else { Value::from_json(data.into()).unwrap_or_default() };
    Data::Plain(value)
}

impl RefusalType {
    fn of(contract: Contract) -> Self {
        let Contract { name, description, schema, .. } = contract;
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let fields = schema["properties"].as_object().into_iter().flatten().map(|(key, property)| {
            let Described { kind, nullable } = Described::of(property, &schema);
            DataField {
                key: key.clone(),
                name: camel_case(key),
                description: property["description"].as_str().map(str::to_owned),
                kind,
                nullable: nullable || !required.iter().any(|required| required == key),
            }
        });
        Self { name: name.to_owned(), description: description.to_owned(), fields: fields.collect() }
    }

    /// The data of a refusal by the names of GraphQL; none when it does not fit.
    fn data(&self, data: &Map<String, Json>) -> Option<Vec<(String, Data)>> {
        let fields = self.fields.iter().map(|field| {
            let value = match data.get(&field.key) {
                None | Some(Json::Null) => field.nullable.then_some(Data::Plain(Value::Null))?,
                Some(value) => field.kind.data(value)?,
            };
            Some((field.name.clone(), value))
        });
        fields.collect()
    }
}

/// What a JSON Schema says of a value.
struct Described {
    kind: Kind,
    nullable: bool,
}

impl Described {
    /// Reads a part of a schema, whose definitions are in the whole.
    fn of(part: &Json, whole: &Json) -> Self {
        if let Some(definition) = part["$ref"].as_str().and_then(|name| name.strip_prefix('#')) {
            return whole.pointer(definition).map_or(Self::some(Kind::Json), |part| Self::of(part, whole));
        }
        if let Some(either) = part["anyOf"].as_array().or_else(|| part["oneOf"].as_array()) {
            let (nulls, others): (Vec<_>, Vec<_>) = either.iter().partition(|part| part["type"] == "null");
            let mut kinds = others.into_iter().map(|part| Self::of(part, whole).kind);
            let first = kinds.next().unwrap_or(Kind::Json);
            let kind = if kinds.all(|kind| kind == first) { first } else { Kind::Json };
            return Self { kind, nullable: !nulls.is_empty() };
        }
        let types: Vec<&str> = match &part["type"] {
            Json::Array(types) => types.iter().filter_map(Json::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        let nullable = types.contains(&"null");
        let kind = match types.into_iter().find(|ty| *ty != "null") {
            None if part["const"].is_string() || part["enum"][0].is_string() => Kind::Text,
            Some("string") => Self::of_string(part),
            Some("boolean") => Kind::Boolean,
            Some("integer") => Self::of_integer(part),
            Some("number") => Kind::Float,
            Some("array") => Kind::List(Box::new(Self::of(&part["items"], whole).kind)),
            Some("object") if is_money(part) => Kind::Money,
            _ => Kind::Json,
        };
        Self { kind, nullable }
    }

    const fn some(kind: Kind) -> Self {
        Self { kind, nullable: false }
    }

    fn of_string(part: &Json) -> Kind {
        match part["format"].as_str() {
            Some("uuid") => Kind::Id,
            Some("date-time") => Kind::Time,
            _ => Kind::Text,
        }
    }

    /// `Int` has 32 bits.
    fn of_integer(part: &Json) -> Kind {
        let bounded = part["maximum"].as_i64().is_some_and(|maximum| maximum <= i64::from(i32::MAX));
        match part["format"].as_str() {
            Some("int64" | "uint64") | None if !bounded => Kind::Long,
            _ => Kind::Int,
        }
    }
}

fn is_money(part: &Json) -> bool {
    let properties = part["properties"].as_object();
    properties.is_some_and(|all| all.len() == 2 && all.contains_key("minor_units") && all.contains_key("currency"))
}

impl Kind {
    /// The name of the type in GraphQL, which is added to a registry.
    pub(super) fn qualified_name(&self, registry: &mut Registry, nullable: bool) -> String {
        let name = match self {
            Self::Text => "String!".to_owned(),
            Self::Boolean => "Boolean!".to_owned(),
            Self::Int => "Int!".to_owned(),
            Self::Float => "Float!".to_owned(),
            Self::Id => <ID as OutputType>::create_type_info(registry),
            Self::Time => <DateTime<Utc> as OutputType>::create_type_info(registry),
            Self::Long => <Long as OutputType>::create_type_info(registry),
            Self::Money => <MoneyObject as OutputType>::create_type_info(registry),
            Self::Json => <async_graphql::Json<Json> as OutputType>::create_type_info(registry),
            Self::List(of) => format!("[{}]!", of.qualified_name(registry, false)),
        };
        if nullable { name.trim_end_matches('!').to_owned() } else { name }
    }

    /// A value of this kind; none when it is of another.
    fn data(&self, json: &Json) -> Option<Data> {
        let plain = match self {
            Self::Text | Self::Id | Self::Time => json.as_str().map(Value::from),
            Self::Boolean => json.as_bool().map(Value::from),
            Self::Int => json.as_i64().map(Value::from),
            Self::Long => json.as_i64().map(|number| async_graphql::ScalarType::to_value(&Long(number))),
            Self::Float => json.as_f64().map(Value::from),
            Self::Json => Value::from_json(json.clone()).ok(),
            Self::Money => {
                let money: Money = serde_json::from_value(json.clone()).ok()?;
                let fields = MoneyObject::from(money).into_fields();
                let fields = fields.map(|(name, value)| (name.to_owned(), Data::Plain(value)));
                return Some(Data::Object(Object::new(&MoneyObject::type_name(), fields)));
            }
            Self::List(of) => {
                return json.as_array()?.iter().map(|item| of.data(item)).collect::<Option<_>>().map(Data::List);
            }
        };
        plain.map(Data::Plain)
    }
}
