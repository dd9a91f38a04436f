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
    fields: &'static [&'static str],
}

impl Facts {
    pub(crate) const fn of<R: RefusalSpec>() -> Self {
        Self { code: R::CODE, kind: R::KIND, fields: R::FIELDS }
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
    /// field that the refusal names, or the line or element of it. Where a command has the value in another field, such as a cart in
    /// `from`, it is that field.
    #[must_use]
    pub fn pointer(&self, command: &Command) -> Option<String> {
        let (fields, data) = (self.facts().fields, self.data());
        let body = serde_json::to_value(command).ok()?;
        let number = |name| data.get(name).and_then(Value::as_u64);
        let of_line = number("line").into_iter().flat_map(|line| {
            let whole = format!("/lines/{line}");
            fields.iter().map(|field| format!("{whole}/{field}")).chain([whole.clone()]).collect::<Vec<_>>()
        });
        let of_element =
            number("index").into_iter().flat_map(|index| fields.iter().map(move |field| format!("/{field}/{index}")));
        let exact = of_line.chain(of_element).find(|pointer| body.pointer(pointer).is_some());
        exact.or_else(|| {
            let objected = |field: &str| data.get(field).filter(|value| value.is_string());
            let is_same = |field: &str, value: &Value| objected(field).is_none_or(|objected| objected == value);
            let own = fields.iter().find(|field| body.get(**field).is_some_and(|value| is_same(field, value)));
            let elsewhere = || last_place(&body, fields.iter().find_map(|field| objected(field))?);
            own.map(|field| format!("/{field}")).or_else(elsewhere)
        })
    }
}

/// The last place in a body that has a text: of two that are equal, the second is one too many.
fn last_place(body: &Value, text: &Value) -> Option<String> {
    match body {
        Value::String(_) => (body == text).then(String::new),
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .rev()
            .find_map(|(index, element)| Some(format!("/{index}{}", last_place(element, text)?))),
        Value::Object(members) => members.iter().rev().find_map(|(name, member)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            Some(format!("/{name}{}", last_place(member, text)?))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

impl From<MoneyError> for Refusal {
    fn from(error: MoneyError) -> Self {
        match error {
            MoneyError::AmountOverflow => AmountOverflow { line: None }.into(),
            MoneyError::CurrencyMismatch { left, right } => CurrencyMismatch { left, right }.into(),
        }
    }
}
