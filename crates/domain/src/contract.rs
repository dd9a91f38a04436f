//! The public descriptions of commands, events and refusals, from which `schemas/` is generated.

use daybook_kernel::{RefusalContract, refusal::RefusalSpec};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};

use crate::{Access, Slice};

/// The public description of a command.
#[derive(Debug, Clone)]
pub struct CommandContract {
    /// The slice it belongs to.
    pub slice: Slice,
    /// Its name, such as `PlaceOrder`.
    pub name: &'static str,
    /// Who may send it.
    pub access: &'static Access,
    /// The JSON Schema (2020-12) of its body.
    pub schema: Schema,
}

/// The public description of an event type.
#[derive(Debug, Clone)]
pub struct EventContract {
    /// The slice it belongs to.
    pub slice: Slice,
    /// The name of the type, such as `order.OrderPlaced`.
    pub event_type: &'static str,
    /// The current schema version, from 1.
    pub schema_version: i16,
    /// Its JSON Schema (2020-12).
    pub schema: Schema,
}

/// The public description of a refusal.
pub(crate) fn of_refusal<R: RefusalSpec>(slice: Option<&'static str>, name: &'static str) -> RefusalContract {
    let (code, kind, description) = (R::CODE, R::KIND, R::DESCRIPTION.trim());
    RefusalContract { slice, code, name, kind, description, schema: schema_of::<R>() }
}

/// The JSON Schema of a type, with its definitions inside, so that each file stands on its own.
pub(crate) fn schema_of<T: JsonSchema>() -> Schema {
    SchemaGenerator::new(SchemaSettings::draft2020_12()).into_root_schema_for::<T>()
}
