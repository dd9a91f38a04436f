//! What was wrong with a mutation, or what keeps a thing from being bought, typed. A refusal is a good answer, and no error of GraphQL.
//!
//! The types are generated. Each refusal of the domain becomes an object type that implements the interface `UserError` and has all
//! data of the refusal as fields. What no type is known for is an `OtherUserError`.

mod contract;
mod data;
mod path;
mod refusal;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::LazyLock};

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, ServerResult, Value,
    indexmap::IndexSet,
    parser::types::Field,
    registry::{CacheControl, Deprecation, MetaField, MetaType, MetaTypeId, Registry},
};

use daybook_domain::Refusal;

use self::{
    data::Object,
    refusal::{RefusalType, RefusalTypes},
};
use crate::graphql::commands::Problem;

/// The name of the interface.
const INTERFACE: &str = "UserError";
/// The type of what no refusal of the domain is: bad input, or a refusal that a newer command API knows.
const OTHER: &str = "OtherUserError";

/// The types of the domain's refusals.
static TYPES: LazyLock<RefusalTypes> = LazyLock::new(|| RefusalTypes::of(contract::contracts()));

/// What was wrong with a mutation.
#[derive(Debug, Clone)]
pub(crate) struct UserError(Object);

impl UserError {
    /// The problems that a command API answered with, for the input that its command was made of. Several problems of one command
    /// are an error each.
    pub(crate) fn all_of(problem: Problem, input: &Value) -> Vec<Self> {
        let problems = problem.each();
        problems.into_iter().map(|problem| Self(TYPES.object(problem, input))).collect()
    }

    /// The refusal that a command would have, with the place that it is about.
    pub(crate) fn of_refusal(refusal: &Refusal, path: Option<&str>) -> Self {
        let (code, detail) = (refusal.code().to_owned(), refusal.to_string());
        let pointer = path.map(str::to_owned);
        Self(TYPES.object(Problem { status: 422, code, detail, pointer, data: refusal.data() }, &Value::Null))
    }
}

/// Whether an object type is that of a refusal.
#[cfg(test)]
pub(crate) fn is_refusal(name: &str) -> bool {
    TYPES.all().any(|ty| ty.name == name)
}

impl OutputType for UserError {
    fn type_name() -> Cow<'static, str> {
        INTERFACE.into()
    }

    fn introspection_type_name(&self) -> Cow<'static, str> {
        self.0.type_name().to_owned().into()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        registry.create_output_type::<Self, _>(MetaTypeId::Interface, |registry| describe(&TYPES, registry))
    }

    async fn resolve(&self, context: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        Ok(self.0.select(&context.item.node, &context.query_env.fragments, &context.schema_env.registry))
    }
}

/// Adds an object type for each refusal, and returns the interface that all of them implement.
fn describe(types: &RefusalTypes, registry: &mut Registry) -> MetaType {
    let common = common_fields();
    let mut possible_types = IndexSet::new();
    for RefusalType { name, description, fields } in types.all() {
        let mut all = common.clone();
        all.extend(fields.iter().map(|of_data| {
            let described = of_data.description.as_deref();
            field(&of_data.name, described, of_data.kind.qualified_name(registry, of_data.nullable))
        }));
        let taken = registry.types.insert(name.clone(), object_type(name, description, all));
        assert!(taken.is_none(), "the refusal {name} has the name of another type");
        registry.add_implements(name, INTERFACE);
        possible_types.insert(name.clone());
    }
    MetaType::Interface {
        name: INTERFACE.to_owned(),
        description: Some("What was wrong with a mutation, or why something cannot be bought.".to_owned()),
        fields: common.into_iter().map(|field| (field.name.clone(), field)).collect(),
        possible_types,
        extends: false,
        keys: None,
        visible: None,
        inaccessible: false,
        tags: Vec::new(),
        rust_typename: Some(std::any::type_name::<UserError>()),
        directive_invocations: Vec::new(),
        requires_scopes: Vec::new(),
    }
}

/// The fields of every user error.
fn common_fields() -> Vec<MetaField> {
    vec![
        field("code", Some("The stable code."), "String!".to_owned()),
        field("message", Some("What is wrong, in words."), "String!".to_owned()),
        field(
            "path",
            Some("Which part of the input is wrong, in the names of the input; of a cart, which line."),
            "[String!]".to_owned(),
        ),
    ]
}

fn field(name: &str, description: Option<&str>, ty: String) -> MetaField {
    MetaField {
        name: name.to_owned(),
        description: description.map(str::to_owned),
        args: Default::default(),
        ty,
        deprecation: Deprecation::NoDeprecated,
        cache_control: CacheControl::default(),
        external: false,
        requires: None,
        provides: None,
        visible: None,
        shareable: false,
        inaccessible: false,
        tags: Vec::new(),
        override_from: None,
        compute_complexity: None,
        directive_invocations: Vec::new(),
        requires_scopes: Vec::new(),
    }
}

fn object_type(name: &str, description: &str, fields: Vec<MetaField>) -> MetaType {
    MetaType::Object {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        fields: fields.into_iter().map(|field| (field.name.clone(), field)).collect(),
        cache_control: CacheControl::default(),
        extends: false,
        shareable: false,
        resolvable: true,
        keys: None,
        visible: None,
        inaccessible: false,
        interface_object: false,
        tags: Vec::new(),
        is_subscription: false,
        rust_typename: Some(std::any::type_name::<RefusalType>()),
        directive_invocations: Vec::new(),
        requires_scopes: Vec::new(),
    }
}
