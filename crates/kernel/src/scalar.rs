//! Scalars: types of the business whose values are single plain values.

/// A type whose values are plain values with a meaning: an id is a UUID, a code or a name is a text. So code that knows no slice, such
/// as the columns of read models, treats the types of every slice alike.
pub trait Scalar {
    /// The type of the plain value: `Uuid` or `str`.
    type Value: ?Sized;

    /// The plain value.
    fn value(&self) -> &Self::Value;
}
