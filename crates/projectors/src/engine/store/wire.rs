//! What serde says of a row, as PostgreSQL's types are sent on the wire.

use bytes::{BufMut, BytesMut};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{
    Serialize,
    ser::{Error, Impossible, SerializeSeq, SerializeStruct, Serializer},
};
use tokio_postgres::types::{IsNull, Kind, ToSql, Type};
use uuid::Uuid;

/// Why a row cannot be written.
pub(super) type Unwritable = serde_json::Error;

/// How long a field is that is NULL.
const NULL: i32 = -1;

/// Writes a row, or a field of one.
pub(super) struct Wire<'c, 'o> {
    what: What<'c>,
    out: &'o mut BytesMut,
}

#[derive(Clone, Copy)]
enum What<'c> {
    /// A row of these columns.
    Row(&'c [(&'static str, Type)]),
    /// A value of this type.
    Value(&'c Type),
}

impl<'c, 'o> Wire<'c, 'o> {
    /// Writes a row of these columns.
    pub(super) const fn row(columns: &'c [(&'static str, Type)], out: &'o mut BytesMut) -> Self {
        Self { what: What::Row(columns), out }
    }

    /// The type of the value, if it is one.
    fn of(&self, found: &str) -> Result<&'c Type, Unwritable> {
        match self.what {
            What::Value(of) => Ok(of),
            What::Row(_) => Err(Unwritable::custom(format!("{found} is no row"))),
        }
    }

    fn refused<T>(&self, found: &str) -> Result<T, Unwritable> {
        let of = self.of(found)?;
        Err(Unwritable::custom(format!("{found} do not go into a column of type {of}")))
    }

    /// Writes a value behind its length.
    fn put(self, value: &(dyn ToSql + Sync)) -> Result<(), Unwritable> {
        let of = self.of("a value")?;
        framed(self.out, |out| value.to_sql_checked(of, out).map_err(Unwritable::custom))
    }

    fn integer(self, value: i64) -> Result<(), Unwritable> {
        match *self.of("an integer")? {
            Type::INT2 => self.put(&i16::try_from(value).map_err(Unwritable::custom)?),
            Type::INT4 => self.put(&i32::try_from(value).map_err(Unwritable::custom)?),
            _ => self.put(&value),
        }
    }

    fn text(self, value: &str) -> Result<(), Unwritable> {
        match *self.of("text")? {
            Type::TIMESTAMPTZ => self.put(&value.parse::<DateTime<Utc>>().map_err(Unwritable::custom)?),
            Type::DATE => self.put(&value.parse::<NaiveDate>().map_err(Unwritable::custom)?),
            _ => self.put(&value),
        }
    }
}

/// Writes something behind its length.
fn framed(
    out: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut) -> Result<IsNull, Unwritable>,
) -> Result<(), Unwritable> {
    let at = out.len();
    out.put_i32(NULL);
    if let IsNull::Yes = write(out)? {
        return Ok(());
    }
    let begin = at + size_of::<i32>();
    let length = i32::try_from(out.len() - begin).map_err(Unwritable::custom)?;
    out[at..begin].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Writes JSON, whatever the value; null is NULL.
fn json<T: Serialize + ?Sized>(of: &Type, value: &T, out: &mut BytesMut) -> Result<(), Unwritable> {
    framed(out, |out| {
        if *of == Type::JSONB {
            // The version of the format of jsonb.
            out.put_u8(1);
        }
        let begin = out.len();
        serde_json::to_writer((&mut *out).writer(), value)?;
        if out[begin..] != *b"null" {
            return Ok(IsNull::No);
        }
        out.truncate(begin - usize::from(*of == Type::JSONB));
        Ok(IsNull::Yes)
    })
}

/// Writes a row, field by field.
pub(super) struct Fields<'c, 'o> {
    columns: std::slice::Iter<'c, (&'static str, Type)>,
    out: &'o mut BytesMut,
}

impl SerializeStruct for Fields<'_, '_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unwritable> {
        match self.columns.next() {
            Some((column, of)) if *column == name => match *of {
                Type::JSON | Type::JSONB => json(of, value, self.out),
                _ => value.serialize(Wire { what: What::Value(of), out: self.out }),
            },
            _ => Err(Unwritable::custom(format!("the field `{name}` does not stand where its column does"))),
        }
    }

    fn end(self) -> Result<(), Unwritable> {
        Ok(())
    }
}

/// Writes an array of one dimension, element by element; PostgreSQL sees for itself whether any is NULL.
pub(super) struct Elements<'c, 'o> {
    of: &'c Type,
    out: &'o mut BytesMut,
    /// Where it begins.
    at: usize,
    written: i32,
}

impl<'c, 'o> Elements<'c, 'o> {
    /// Leaves room for what can be said only at the end.
    fn begin(of: &'c Type, out: &'o mut BytesMut) -> Self {
        let at = out.len();
        out.put_bytes(0, Self::HEAD);
        Self { of, out, at, written: 0 }
    }

    /// The length of the whole, how many dimensions, flags that PostgreSQL does not need, and the type of the elements.
    const HEAD: usize = 4 * size_of::<i32>();
}

impl SerializeSeq for Elements<'_, '_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        if self.written == 0 {
            // The length of the dimension, which is not known yet, and the index of its first element.
            self.out.put_i32(0);
            self.out.put_i32(1);
        }
        self.written += 1;
        value.serialize(Wire { what: What::Value(self.of), out: self.out })
    }

    fn end(self) -> Result<(), Unwritable> {
        let length = i32::try_from(self.out.len() - self.at - size_of::<i32>()).map_err(Unwritable::custom)?;
        let mut head = &mut self.out[self.at..];
        head.put_i32(length);
        head.put_i32(i32::from(self.written > 0));
        head.put_i32(0);
        head.put_u32(self.of.oid());
        if self.written > 0 {
            head.put_i32(self.written);
        }
        Ok(())
    }
}

impl<'c, 'o> Serializer for Wire<'c, 'o> {
    type Ok = ();
    type Error = Unwritable;
    type SerializeStruct = Fields<'c, 'o>;
    type SerializeSeq = Elements<'c, 'o>;
    type SerializeTuple = Impossible<(), Unwritable>;
    type SerializeTupleStruct = Impossible<(), Unwritable>;
    type SerializeTupleVariant = Impossible<(), Unwritable>;
    type SerializeMap = Impossible<(), Unwritable>;
    type SerializeStructVariant = Impossible<(), Unwritable>;

    /// Ids come as bytes then.
    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_struct(self, _: &'static str, fields: usize) -> Result<Self::SerializeStruct, Unwritable> {
        let What::Row(columns) = self.what else { return self.refused("objects") };
        if fields != columns.len() {
            return Err(Unwritable::custom(format!("a row of {fields} fields and {} columns", columns.len())));
        }
        self.out.put_i16(i16::try_from(fields).map_err(Unwritable::custom)?);
        Ok(Fields { columns: columns.iter(), out: self.out })
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Unwritable> {
        match self.of("a sequence")?.kind() {
            Kind::Array(of) => Ok(Elements::begin(of, self.out)),
            _ => self.refused("sequences"),
        }
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Unwritable> {
        match Uuid::from_slice(value) {
            Ok(id) if *self.of("an id")? == Type::UUID => self.put(&id),
            _ => self.refused("bytes"),
        }
    }

    fn serialize_none(self) -> Result<(), Unwritable> {
        framed(self.out, |_| Ok(IsNull::Yes))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unwritable> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Unwritable> {
        value.serialize(self)
    }

    fn serialize_str(self, value: &str) -> Result<(), Unwritable> {
        self.text(value)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Result<(), Unwritable> {
        self.text(name)
    }

    fn serialize_bool(self, value: bool) -> Result<(), Unwritable> {
        self.put(&value)
    }

    fn serialize_i8(self, value: i8) -> Result<(), Unwritable> {
        self.integer(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Unwritable> {
        self.integer(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Unwritable> {
        self.integer(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Unwritable> {
        self.integer(value)
    }

    fn serialize_u8(self, value: u8) -> Result<(), Unwritable> {
        self.integer(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Unwritable> {
        self.integer(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Unwritable> {
        self.integer(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Unwritable> {
        self.integer(i64::try_from(value).map_err(Unwritable::custom)?)
    }

    fn serialize_f32(self, _: f32) -> Result<(), Unwritable> {
        self.refused("floats")
    }

    fn serialize_f64(self, _: f64) -> Result<(), Unwritable> {
        self.refused("floats")
    }

    fn serialize_char(self, _: char) -> Result<(), Unwritable> {
        self.refused("characters")
    }

    fn serialize_unit(self) -> Result<(), Unwritable> {
        self.refused("units")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unwritable> {
        self.refused("units")
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Unwritable> {
        self.refused("variants")
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Unwritable> {
        self.refused("tuples")
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Unwritable> {
        self.refused("tuples")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unwritable> {
        self.refused("variants")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Unwritable> {
        self.refused("maps")
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Unwritable> {
        self.refused("variants")
    }
}
