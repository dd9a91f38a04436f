//! Rows, each declared once.

use bytes::BytesMut;
use serde::{Serialize, de::DeserializeOwned};

use super::{column::Unwritable, spec::TableSpec};

/// A row of a table. [`row!`](crate::row!) declares it.
///
/// Its JSON is an object with a member per column that is written: no field is left out, and none is flattened.
pub trait Row: Clone + std::fmt::Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What tells it from the others: an object of its key columns.
    type Key: Clone + std::fmt::Debug + Ord + Serialize + Send + Sync + 'static;
    /// The table.
    const TABLE: &'static TableSpec;

    /// Its key.
    fn key(&self) -> Self::Key;

    /// Writes its fields in PostgreSQL's binary format, in the order of the columns.
    ///
    /// # Errors
    /// [`Unwritable`] when a field cannot be written.
    fn write(&self, out: &mut BytesMut) -> Result<(), Unwritable>;
}

/// A row of sums: what is written is added to what is there, column by column.
pub trait Sum: Row {
    /// Adds another row of the same key.
    fn add(&mut self, part: &Self);
}

/// Declares a row once: its struct, the struct of its key, its table in SQL with generated columns and indexes, and how it is
/// written in binary form.
///
/// The type of a column and whether it may be NULL follow from the type of its field, by [`Column`](crate::store::Column). A field
/// that has no such type is kept `as json` or `as jsonb`, by serde. Columns that are `sorted` have the order of texts for people.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use daybook_domain::{ids::Sku, text::Name};
/// use daybook_projectors::{row, store::Row};
///
/// row! {
///     /// What a label on a shelf says.
///     struct ShelfLabel in shelf_labels {
///         key ShelfLabelKey { sku: Sku }
///         name: Name,
///         allergens: Vec<String>,
///         note: Option<String>,
///         measures: BTreeMap<Name, Name> as jsonb,
///     }
///     sorted { name }
///     generated { initial: "text" = "left(name, 1)" }
///     indexes { "(name, sku)", "(note) WHERE note IS NOT NULL" }
/// }
///
/// assert_eq!(
///     ShelfLabel::TABLE.ddl(),
///     "CREATE TABLE shelf_labels (
///     sku text NOT NULL,
///     name text COLLATE read.text_order NOT NULL,
///     allergens text[] NOT NULL,
///     note text,
///     measures jsonb NOT NULL,
///     initial text NOT NULL GENERATED ALWAYS AS (left(name, 1)) STORED,
///     PRIMARY KEY (sku)
/// );
/// CREATE INDEX ON shelf_labels (name, sku);
/// CREATE INDEX ON shelf_labels (note) WHERE note IS NOT NULL;"
/// );
/// ```
#[macro_export]
macro_rules! row {
    (@column $field:ident $type:ty) => {
        $crate::store::ColumnSpec::of::<$type, _>(stringify!($field))
    };
    (@column $field:ident $type:ty, $json:ident) => {{
        #[allow(unused_imports, reason = "only types that are not options take the constant from the trait")]
        use $crate::store::NotOption as _;
        $crate::store::ColumnSpec::json(
            stringify!($field),
            stringify!($json),
            $crate::store::IsOption::<$type>::VALUE,
        )
    }};
    (@write $value:expr, $out:ident) => {
        $crate::store::Column::write($value, $out)
    };
    (@write $value:expr, $out:ident, json) => {
        $crate::store::write_json($value, $out)
    };
    (@write $value:expr, $out:ident, jsonb) => {
        $crate::store::write_jsonb($value, $out)
    };
    (
        $(#[$meta:meta])*
        $vis:vis struct $row:ident in $table:ident {
            key $key:ident { $($key_field:ident: $key_type:ty),+ $(,)? }
            $($(#[$field_meta:meta])* $field:ident: $type:ty $(as $json:ident)?,)*
        }
        $(sorted { $($sorted:ident),+ $(,)? })?
        $(generated { $($generated:ident: $generated_sql:literal = $expression:literal),+ $(,)? })?
        $(indexes { $($index:literal),+ $(,)? })?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, ::serde::Serialize, ::serde::Deserialize)]
        $vis struct $row {
            $($vis $key_field: $key_type,)+
            $($(#[$field_meta])* $vis $field: $type,)*
        }

        /// What tells one row of the table from the others.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, ::serde::Serialize)]
        $vis struct $key {
            $($vis $key_field: $key_type,)+
        }

        impl $crate::store::Row for $row {
            type Key = $key;

            const TABLE: &'static $crate::store::TableSpec = &$crate::store::TableSpec {
                name: stringify!($table),
                key: &[$($crate::row!(@column $key_field $key_type)),+],
                columns: &[$($crate::row!(@column $field $type $(, $json)?)),*],
                sorted: &[$($(stringify!($sorted)),+)?],
                generated: &[$($($crate::store::GeneratedColumn {
                    name: stringify!($generated),
                    sql: $generated_sql,
                    expression: $expression,
                }),+)?],
                indexes: &[$($($index),+)?],
            };

            fn key(&self) -> $key {
                $key { $($key_field: ::core::clone::Clone::clone(&self.$key_field)),+ }
            }

            fn write(&self, out: &mut $crate::store::BytesMut) -> ::core::result::Result<(), $crate::store::Unwritable> {
                $($crate::row!(@write &self.$key_field, out)?;)+
                $($crate::row!(@write &self.$field, out $(, $json)?)?;)*
                ::core::result::Result::Ok(())
            }
        }
    };
}

/// Declares a type of a few values, each of which is kept as a text.
///
/// ```
/// daybook_projectors::labels! {
///     /// Where a parcel is.
///     enum Whereabouts {
///         /// At the carrier.
///         OnItsWay = "on_its_way",
///         /// At the customer.
///         Arrived = "arrived",
///     }
/// }
///
/// assert_eq!(Whereabouts::OnItsWay.label(), "on_its_way");
/// assert_eq!(serde_json::to_string(&Whereabouts::Arrived)?, "\"arrived\"");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[macro_export]
macro_rules! labels {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $label:literal),+ $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ::serde::Serialize, ::serde::Deserialize)]
        $vis enum $name {
            $($(#[$variant_meta])* #[serde(rename = $label)] $variant,)+
        }

        impl $name {
            /// The text that it is kept as.
            $vis const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }
        }

        impl $crate::store::Column for $name {
            const SQL: &'static str = "text";

            fn write(&self, out: &mut $crate::store::BytesMut) -> ::core::result::Result<(), $crate::store::Unwritable> {
                $crate::store::Column::write(self.label(), out)
            }
        }
    };
}
