//! The types that columns have: how each is declared in SQL, and how its values are written in PostgreSQL's binary format.
//!
//! The formats: <https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-FORMAT-CODES>, and the `_recv` function
//! of each type in PostgreSQL's source.

use std::{error, marker::PhantomData};

use bytes::{BufMut, BytesMut};
use chrono::{DateTime, NaiveDate, Utc};
use daybook_domain::{
    Currency,
    ids::{
        CartId, CategoryId, Channel, CustomerId, ExternalRef, LocationId, OrderId, ProductId, ReservationId,
        ReservationOwner, Sku,
    },
    order::Phase,
    text::{Name, Prose, Slug},
};
use serde::{Serialize, ser::Error};
use tokio_postgres::types::{IsNull, ToSql, Type};
use uuid::Uuid;

/// Why a row cannot be written.
pub type Unwritable = serde_json::Error;

/// The length of a field that is NULL.
const NULL: i32 = -1;
/// The version of the binary format of `jsonb`.
const JSONB_VERSION: u8 = 1;

/// A type that a column can have. PostgreSQL must read its JSON, as serde writes it, as the same value.
pub trait Column {
    /// The type of the column in SQL.
    const SQL: &'static str;
    /// Whether the column may be NULL.
    const NULLABLE: bool = false;

    /// Writes the length of the value and the value.
    ///
    /// # Errors
    /// [`Unwritable`] when it is longer than a field can be.
    fn write(&self, out: &mut BytesMut) -> Result<(), Unwritable>;
}

/// A type that the elements of an array can have.
pub trait Element: Column {
    /// The type of the array in SQL.
    const ARRAY: &'static str;
    /// The type of an element.
    const TYPE: Type;
}

/// Declares columns of types that PostgreSQL's client can write: the types, and what is written of a value.
macro_rules! columns {
    ($($sql:literal $type:ident: $($name:ty)|+ => |$value:ident| $written:expr;)*) => { $($(
        impl Column for $name {
            const SQL: &'static str = $sql;

            fn write(&self, out: &mut BytesMut) -> Result<(), Unwritable> {
                let $value = self;
                framed(out, |out| $written.to_sql(&Type::$type, out))
            }
        }
    )+)* };
}

columns! {
    "smallint" INT2: i16 => |value| value;
    "integer" INT4: i32 => |value| value;
    "bigint" INT8: i64 => |value| value;
    "boolean" BOOL: bool => |value| value;
    "timestamptz" TIMESTAMPTZ: DateTime<Utc> => |value| value;
    "date" DATE: NaiveDate => |value| value;
    "uuid" UUID: Uuid => |value| value;
    "uuid" UUID: CartId | CategoryId | CustomerId | OrderId | ProductId | ReservationId => |id| id.0;
    "text" TEXT: str => |text| text;
    "text" TEXT: String | Channel | ExternalRef | LocationId | Name | Prose | ReservationOwner | Sku | Slug
        => |text| text.as_str();
    "text" TEXT: Currency => |currency| currency.code();
    "text" TEXT: Phase => |phase| phase.name();
}

/// Declares types as elements of arrays.
macro_rules! elements {
    ($($array:literal $type:ident: $($name:ty)|+;)*) => { $($(
        impl Element for $name {
            const ARRAY: &'static str = $array;
            const TYPE: Type = Type::$type;
        }
    )+)* };
}

elements! {
    "uuid[]" UUID: Uuid | CategoryId;
    "text[]" TEXT: String;
}

impl<T: Column> Column for Option<T> {
    const SQL: &'static str = T::SQL;
    const NULLABLE: bool = true;

    fn write(&self, out: &mut BytesMut) -> Result<(), Unwritable> {
        match self {
            Some(value) => value.write(out),
            None => {
                out.put_i32(NULL);
                Ok(())
            }
        }
    }
}

/// An array of one dimension.
impl<T: Element> Column for Vec<T> {
    const SQL: &'static str = T::ARRAY;

    fn write(&self, out: &mut BytesMut) -> Result<(), Unwritable> {
        framed(out, |out| {
            let length = i32::try_from(self.len())?;
            // The number of dimensions; flags, which PostgreSQL does not need; the type of the elements.
            out.put_i32(i32::from(length > 0));
            out.put_i32(0);
            out.put_u32(T::TYPE.oid());
            if length > 0 {
                // The length of the dimension, and the index of its first element.
                out.put_i32(length);
                out.put_i32(1);
            }
            for element in self {
                element.write(out)?;
            }
            Ok(IsNull::No)
        })
    }
}

/// Writes a value as a column of type `json`. JSON's null is NULL, as it is for `json_populate_recordset`.
///
/// # Errors
/// [`Unwritable`] when serde cannot write it as JSON.
pub fn write_json<T: Serialize>(value: &T, out: &mut BytesMut) -> Result<(), Unwritable> {
    let start = out.len();
    framed(out, |out| {
        serde_json::to_writer(out.writer(), value)?;
        Ok(IsNull::No)
    })?;
    null_is_absent(out, start, size_of::<i32>());
    Ok(())
}

/// Writes a value as a column of type `jsonb`. JSON's null is NULL, as it is for `json_populate_recordset`.
///
/// # Errors
/// [`Unwritable`] when serde cannot write it as JSON.
pub fn write_jsonb<T: Serialize>(value: &T, out: &mut BytesMut) -> Result<(), Unwritable> {
    let start = out.len();
    framed(out, |out| {
        out.put_u8(JSONB_VERSION);
        serde_json::to_writer(out.writer(), value)?;
        Ok(IsNull::No)
    })?;
    null_is_absent(out, start, size_of::<i32>() + size_of_val(&JSONB_VERSION));
    Ok(())
}

/// Whether a type is an option, for the types of JSON columns: any type that serde can write may be one. An option has the constant
/// itself, and every other type has it from [`NotOption`].
pub struct IsOption<T>(PhantomData<T>);

impl<T> IsOption<Option<T>> {
    /// It is.
    pub const VALUE: bool = true;
}

/// What [`IsOption`] says of a type that is not an option.
pub trait NotOption {
    /// It is not.
    const VALUE: bool = false;
}

impl<T> NotOption for IsOption<T> {}

/// Writes the length of a field and the field.
fn framed(
    out: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut) -> Result<IsNull, Box<dyn error::Error + Send + Sync>>,
) -> Result<(), Unwritable> {
    let start = out.len();
    out.put_i32(NULL);
    if let IsNull::Yes = write(out).map_err(Unwritable::custom)? {
        return Ok(());
    }
    let value = start + size_of::<i32>();
    let length = i32::try_from(out.len() - value).map_err(Unwritable::custom)?;
    out[start..value].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Makes a field NULL if its JSON, which is `skip` bytes behind its start, is null.
fn null_is_absent(out: &mut BytesMut, start: usize, skip: usize) {
    if out[start + skip..] == *b"null" {
        out.truncate(start);
        out.put_i32(NULL);
    }
}
