//! What all refusals have in common: a stable code, a kind, data, and the place in the command.

use daybook_kernel::{RefusalKind, money::MoneyError, refusal::RefusalSpec};
use serde_json::{Map, Value};

use crate::{
    Command, Refusal,
    general::{AmountOverflow, CurrencyMismatch},
};

/// A refusal of the domain. Only [declared](daybook_kernel::refusals) refusals are.
pub trait Refuse: Into<Refusal> {}

impl Refuse for Refusal {}

/// What is known of a refusal by its type.
pub(crate) struct Facts {
    code: &'static str,
    kind: RefusalKind,
    field: Option<&'static str>,
}

impl Facts {
    pub(crate) const fn of<R: RefusalSpec>() -> Self {
        Self { code: R::CODE, kind: R::KIND, field: R::FIELD }
    }
}

impl Refusal {
    /// The stable code, such as `insufficient_stock`. Codes are a public contract: they are added to, never renamed.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.facts().code
    }

    /// What sort of refusal it is.
    #[must_use]
    pub const fn kind(&self) -> RefusalKind {
        self.facts().kind
    }

    /// What the rule looked at, such as `available`, by name.
    #[must_use]
    pub fn data(&self) -> Map<String, Value> {
        // Refusals are plain structs of texts and numbers, so they always serialise to an object.
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        }
    }

    /// The part of the command that the rule objects to, as a JSON pointer (RFC 6901) into its body, where there is one: the
    /// field that the refusal names, or the line or element of it.
    #[must_use]
    pub fn pointer(&self, command: &Command) -> Option<String> {
        let (field, data) = (self.facts().field, self.data());
        let number = |name| data.get(name).and_then(Value::as_u64);
        let of_line = number("line").into_iter().flat_map(|line| {
            let whole = format!("/lines/{line}");
            field.map(|field| format!("{whole}/{field}")).into_iter().chain([whole])
        });
        let of_element = number("index").zip(field).map(|(index, field)| format!("/{field}/{index}"));
        let own = field.map(|field| format!("/{field}"));
        let body = serde_json::to_value(command).ok()?;
        of_line.chain(of_element).chain(own).find(|pointer| body.pointer(pointer).is_some())
    }
}

impl From<MoneyError> for Refusal {
    fn from(error: MoneyError) -> Self {
        match error {
            MoneyError::AmountOverflow => AmountOverflow {}.into(),
            MoneyError::CurrencyMismatch { left, right } => CurrencyMismatch { left, right }.into(),
        }
    }
}
