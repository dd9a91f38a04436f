//! The loader of an operation: one statement fetches what many rows need. Keys and statements are in the slices.

use std::{collections::HashMap, hash::Hash};

use crate::{graphql::environment::Now, reader::Reader};

/// Loads rows by their keys, for one operation.
pub(crate) struct Loader {
    pub(crate) reader: Reader,
    pub(crate) now: Now,
}

/// The rows of each key.
pub(crate) fn grouped<K: Eq + Hash, T>(rows: Vec<T>, key: impl Fn(&T) -> K) -> HashMap<K, Vec<T>> {
    let mut groups: HashMap<K, Vec<T>> = HashMap::new();
    for row in rows {
        groups.entry(key(&row)).or_default().push(row);
    }
    groups
}
