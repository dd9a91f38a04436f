//! Refusals: the typed answers of rules that said no. A refusal is a good answer to a bad wish, not a failure.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    cart::CartRefusal, catalog::CatalogRefusal, inventory::InventoryRefusal, money::MoneyError, order::OrderRefusal,
};

/// What sort of no it is; the edges map it to a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The thing that the command is about does not exist.
    NotFound,
    /// It exists, and belongs to somebody else.
    NotYours,
    /// A rule of the business forbids it.
    Rule,
}

/// A rule said no. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(untagged)]
pub enum Refusal {
    /// A rule of the catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogRefusal),
    /// A rule of the inventory.
    #[error(transparent)]
    Inventory(#[from] InventoryRefusal),
    /// A rule of carts.
    #[error(transparent)]
    Cart(#[from] CartRefusal),
    /// A rule of orders and of checkout.
    #[error(transparent)]
    Order(#[from] OrderRefusal),
    /// Amounts that cannot be computed.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl Refusal {
    /// The stable code, such as `insufficient_stock`. Codes are a public contract: they may be added to, never renamed.
    #[must_use]
    pub fn code(&self) -> String {
        match self.fields().remove("code") {
            Some(Value::String(code)) => code,
            _ => "refused".to_owned(),
        }
    }

    /// What the rule looked at, such as `available`, by name.
    #[must_use]
    pub fn data(&self) -> Map<String, Value> {
        let mut fields = self.fields();
        fields.remove("code");
        fields
    }

    /// What sort of no it is.
    #[must_use]
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::Catalog(refusal) => refusal.kind(),
            Self::Cart(refusal) => refusal.kind(),
            Self::Order(refusal) => refusal.kind(),
            Self::Inventory(refusal) => refusal.kind(),
            Self::Money(_) => RefusalKind::Rule,
        }
    }

    /// The part of the command that the rule objects to, as a JSON pointer (RFC 6901), where there is one.
    #[must_use]
    pub fn pointer(&self) -> Option<String> {
        let fields = self.fields();
        fields.get("line").and_then(Value::as_u64).map(|line| format!("/lines/{line}"))
    }

    fn fields(&self) -> Map<String, Value> {
        // Refusals are plain structs of texts and numbers, so they always serialise to an object.
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        }
    }
}

/// Why a decision produced no events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// A rule said no.
    Refused(Refusal),
    /// The decision read a stream that is not loaded; [`View::missing`](crate::View::missing) names it. Load and decide again.
    NotLoaded,
}

impl<R: Into<Refusal>> From<R> for Rejection {
    fn from(refusal: R) -> Self {
        Self::Refused(refusal.into())
    }
}
