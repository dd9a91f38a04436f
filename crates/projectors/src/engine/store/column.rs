//! The types that columns have: how each is declared in SQL, and how its values are written in PostgreSQL's binary format.
//!
//! The formats: <https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-FORMAT-CODES>, and the `_recv` function
//! of each type in PostgreSQL's source.

use std::{error, marker::PhantomData};

use bytes::{BufMut, BytesMut};
use chrono::{DateTime, NaiveDate, Utc};
use daybook_domain::Scalar;
use serde::{Serialize, ser::Error};
use tokio_postgres::types::{IsNull, ToSql, Type};
use uuid::Uuid;

/// Why a row cannot be written.
pub type Unwritable = serde_json::Error;

/// The length of a field that is NULL.
const NULL: i32 = -1;
/// The version of the binary format of `jsonb`.
const JSONB_VERSION: u8 = 1;

/// The plain types are columns by themselves.
pub struct Plain;

/// Every [`Scalar`] of the domain is a column of its plain value. So the ids of a slice are columns without being named here.
pub struct ByValue;

/// A type that a column can have. PostgreSQL must read its JSON, as serde writes it, as the same value.
///
/// `How` keeps the implementations apart; the compiler finds it. It is [`Plain`], [`ByValue`], or an option or a list of them.
pub trait Column<How = Plain> {
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
pub trait Element<How = Plain>: Column<How> {
    /// The type of the array in SQL.
    const ARRAY: &'static str;
    /// The type of an element.
    const TYPE: Type;
}

/// Declares columns of types that PostgreSQL's client can write.
macro_rules! columns {
    ($($sql:literal $type:ident: $($name:ty)|+;)*) => { $($(
        impl Column for $name {
            const SQL: &'static str = $sql;

            fn write(&self, out: &mut BytesMut) -> Result<(), Unwritable> {
                framed(out, |out| self.to_sql(&Type::$type, out))
            }
        }
    )+)* };
}

columns! {
    "smallint" INT2: i16;
    "integer" INT4: i32;
    "bigint" INT8: i64;
    "boolean" BOOL: bool;
    "timestamptz" TIMESTAMPTZ: DateTime<Utc>;
    "date" DATE: NaiveDate;
    "uuid" UUID: Uuid;
    "text" TEXT: String | str;
}

impl<T: Scalar<Value: Column>> Column<ByValue> for T {
    const SQL: &'static str = T::Value::SQL;

    fn write(&self, out: &mut BytesMut) -> Result<(), Unwritable> {
        self.value().write(out)
    }
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
    "uuid[]" UUID: Uuid;
    "text[]" TEXT: String | str;
}

impl<T: Scalar<Value: Element>> Element<ByValue> for T {
    const ARRAY: &'static str = T::Value::ARRAY;
    const TYPE: Type = T::Value::TYPE;
}

impl<T: Column<How>, How> Column<Option<How>> for Option<T> {
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
impl<T: Element<How>, How> Column<Vec<How>> for Vec<T> {
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
pub(super) fn framed(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::store::ColumnSpec;

    /// An id of a slice that the engine does not know.
    struct GiftCardId(Uuid);

    impl Scalar for GiftCardId {
        type Value = Uuid;

        fn value(&self) -> &Uuid {
            &self.0
        }
    }

    fn written<How>(value: &impl Column<How>) -> BytesMut {
        let mut out = BytesMut::new();
        value.write(&mut out).expect("it is short");
        out
    }

    #[test]
    fn an_id_of_any_slice_is_a_column_of_its_plain_value() {
        let sql = |column: ColumnSpec| (column.sql, column.nullable);
        assert_eq!(sql(ColumnSpec::of::<GiftCardId, _>("gift_card_id")), ("uuid", false));
        assert_eq!(sql(ColumnSpec::of::<Option<GiftCardId>, _>("gift_card_id")), ("uuid", true));
        assert_eq!(sql(ColumnSpec::of::<Vec<GiftCardId>, _>("gift_card_ids")), ("uuid[]", false));
        let id = Uuid::from_u128(7);
        assert_eq!(written(&GiftCardId(id)), written(&id));
        assert_eq!(written(&Some(GiftCardId(id))), written(&id));
        assert_eq!(written(&vec![GiftCardId(id)]), written(&vec![id]));
    }
}
