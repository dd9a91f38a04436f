//! The refusals that the domain has, and the data that each comes with.

use serde_json::{Value, json};

/// A kind of refusal.
#[derive(Debug, Clone)]
pub(super) struct Contract {
    /// The code that tells it from the others.
    pub(super) code: &'static str,
    /// Its name.
    pub(super) name: &'static str,
    /// What it says.
    pub(super) description: &'static str,
    /// The JSON Schema of its data, which is an object.
    pub(super) schema: Value,
}

/// All refusals of the domain.
pub(super) fn contracts() -> Vec<Contract> {
    let money = json!({"type": "object", "properties": {"minor_units": {"type": "integer", "format": "int64"}, "currency": {"type": "string"}}});
    vec![
        Contract {
            code: "insufficient_stock",
            name: "InsufficientStock",
            description: "There is less than was asked for.",
            schema: json!({
                "type": "object",
                "properties": {
                    "sku": {"type": "string", "description": "The SKU."},
                    "requested": {"type": "integer", "format": "uint32", "description": "How many were asked for."},
                    "available": {"type": "integer", "format": "int64", "description": "How many can be had."},
                },
                "required": ["sku", "requested", "available"],
            }),
        },
        Contract {
            code: "illegal_move",
            name: "IllegalMove",
            description: "The order cannot do that now.",
            schema: json!({
                "type": "object",
                "properties": {"next_moves": {"type": "array", "items": {"type": "string"}, "description": "What it can do."}},
                "required": ["next_moves"],
            }),
        },
        Contract {
            code: "total_changed",
            name: "TotalChanged",
            description: "The total is not what the customer was shown.",
            schema: json!({
                "type": "object",
                "$defs": {"Money": money},
                "properties": {"total": {"$ref": "#/$defs/Money", "description": "What it comes to now."}},
                "required": ["total"],
            }),
        },
    ]
}
