//! What was wrong with a mutation, typed: a refusal is a good answer, and no GraphQL error.

use async_graphql::{Interface, SimpleObject};
use serde_json::Value;

use crate::graphql::{commands::Problem, scalars::MoneyObject};

/// Declares the kinds of user error: the three fields of all of them, and their own.
macro_rules! user_errors {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, SimpleObject)]
            pub(crate) struct $name {
                /// The stable code.
                code: String,
                /// What is wrong, in words.
                message: String,
                /// Which part of the input is wrong.
                path: Option<Vec<String>>,
                $($(#[$field_doc])* $field: $type,)*
            }
        )*
    };
}

user_errors! {
    /// There is less than was asked for.
    InsufficientStock {
        /// The SKU.
        sku: String,
        /// How many were asked for.
        requested: i64,
        /// How many can be had.
        available: i64,
    }
    /// The order cannot do that now.
    IllegalMove {
        /// What it can do.
        next_moves: Vec<String>,
    }
    /// The total is not what the customer was shown.
    TotalChanged {
        /// What it comes to now.
        total: Option<MoneyObject>,
    }
    /// Anything else that a rule or a check said no to.
    OtherUserError {}
}

/// What was wrong with a mutation.
#[derive(Debug, Clone, Interface)]
#[expect(clippy::duplicated_attributes, reason = "each field says its own name and type")]
#[graphql(
    field(name = "code", ty = "&String", desc = "The stable code."),
    field(name = "message", ty = "&String", desc = "What is wrong, in words."),
    field(name = "path", ty = "&Option<Vec<String>>", desc = "Which part of the input is wrong.")
)]
pub(crate) enum UserError {
    InsufficientStock(InsufficientStock),
    IllegalMove(IllegalMove),
    TotalChanged(TotalChanged),
    OtherUserError(OtherUserError),
}

impl From<Problem> for UserError {
    fn from(problem: Problem) -> Self {
        let Problem { code, detail: message, pointer, data, .. } = problem;
        let path = pointer.map(|pointer| pointer.split('/').skip(1).map(str::to_owned).collect());
        let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |name: &str| data.get(name).and_then(Value::as_i64).unwrap_or_default();
        match code.as_str() {
            "insufficient_stock" => {
                let (sku, requested, available) = (text("sku"), number("requested"), number("available"));
                Self::InsufficientStock(InsufficientStock { code, message, path, sku, requested, available })
            }
            "illegal_move" => {
                let moves = data.get("next_moves").and_then(Value::as_array).into_iter().flatten();
                let next_moves = moves.filter_map(Value::as_str).map(str::to_owned).collect();
                Self::IllegalMove(IllegalMove { code, message, path, next_moves })
            }
            "total_changed" => {
                let total = data.get("total").cloned().and_then(|total| serde_json::from_value(total).ok());
                let total = total.map(|money: daybook_domain::Money| money.into());
                Self::TotalChanged(TotalChanged { code, message, path, total })
            }
            _ => Self::OtherUserError(OtherUserError { code, message, path }),
        }
    }
}
