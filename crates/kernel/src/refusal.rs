//! Refusals: the typed answers of rules that said no. A refusal is a good answer to a bad wish, not a failure.

use schemars::{JsonSchema, Schema};
use serde::Serialize;

/// What sort of refusal it is. The edges map it to a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The thing that the command is about does not exist.
    NotFound,
    /// It exists, and the sender may not touch it.
    Forbidden,
    /// A rule of the business forbids it.
    Rule,
}

/// One refusal: a plain object whose fields are what the rule looked at. [`refusals!`](crate::refusals) declares them.
pub trait RefusalSpec: Serialize + JsonSchema {
    /// The stable code, such as `insufficient_stock`. Codes are a public contract: they are added to, never renamed.
    const CODE: &'static str;
    /// What sort of refusal it is.
    const KIND: RefusalKind;
    /// The field of the command that the rule objects to, by the name that it has in one command or another; of the line, where the
    /// refusal names one.
    const FIELDS: &'static [&'static str];
    /// What it means, in words.
    const DESCRIPTION: &'static str;
}

/// The public description of a refusal.
#[derive(Debug, Clone)]
pub struct RefusalContract {
    /// The slice whose rule it is; `None` for what every slice refuses.
    pub slice: Option<&'static str>,
    /// The stable code.
    pub code: &'static str,
    /// The name of its type, such as `InsufficientStock`.
    pub name: &'static str,
    /// What sort of refusal it is.
    pub kind: RefusalKind,
    /// What it means, in words.
    pub description: &'static str,
    /// The JSON Schema (2020-12) of its data: an object.
    pub schema: Schema,
}

/// Declares refusals, each a struct with its code, its kind and its sentence:
///
/// ```
/// daybook_kernel::refusals! {
///     /// A line has a bounded quantity.
///     "quantity_too_large" QuantityTooLarge: Rule at "quantity" = "there would be {quantity}; the limit is {limit}", {
///         /// How many there would be.
///         quantity: i64,
///         /// The limit.
///         limit: u32,
///     }
/// }
/// ```
///
/// `at` names the field of the command that the rule objects to, if there is one; `or` gives its name in other commands. A field `line` is
/// the index of a line of the command, a field `index` that of an element of a list.
#[macro_export]
macro_rules! refusals {
    ($(
        $(#[doc = $doc:literal])+
        $code:literal $name:ident: $kind:ident $(at $field:literal $(or $other:literal)*)? = $message:literal $(($($argument:tt)+))?, {
            $($(#[$($attribute:tt)*])* $member:ident: $type:ty),* $(,)?
        }
    )*) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, ::thiserror::Error, ::serde::Serialize, ::serde::Deserialize, ::schemars::JsonSchema)]
        #[error($message $(, $($argument)+)?)]
        pub struct $name {
            $($(#[$($attribute)*])* pub $member: $type,)*
        }

        impl $crate::refusal::RefusalSpec for $name {
            const CODE: &'static str = $code;
            const KIND: $crate::RefusalKind = $crate::RefusalKind::$kind;
            const FIELDS: &'static [&'static str] = &[$($field $(, $other)*)?];
            const DESCRIPTION: &'static str = concat!($($doc, "\n"),+);
        }
    )*};
}

/// `Some` of what is given, or `None`.
#[doc(hidden)]
#[macro_export]
macro_rules! optional {
    () => {
        None
    };
    ($given:expr) => {
        Some($given)
    };
}
