//! The columns of an import, and the header of a file.

use serde_json::{Map, Value};

/// The columns that an import knows.
#[derive(Debug, Clone, Copy)]
pub(in crate::import) struct Columns {
    /// A file has all of these.
    pub(in crate::import) required: &'static [&'static str],
    /// A file may have these.
    pub(in crate::import) optional: &'static [&'static str],
    /// A file has one of each of these groups at most.
    pub(in crate::import) either: &'static [&'static [&'static str]],
}

/// The name of a column as it is compared: without case, blanks, `_` and `-`.
pub(super) fn normal(name: &str) -> String {
    let kept = name.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-' | '\u{feff}'));
    kept.flat_map(char::to_lowercase).collect()
}

impl Columns {
    fn all(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.required.iter().chain(self.optional).copied()
    }

    /// The column of a name, if the import knows it.
    pub(super) fn of(&self, name: &str) -> Option<&'static str> {
        let name = normal(name);
        self.all().find(|known| normal(known) == name)
    }

    pub(super) fn knows(&self, normal_name: &str) -> bool {
        self.all().any(|known| normal(known) == *normal_name)
    }

    /// The sentence for a name that the import does not know, with the nearest that it knows.
    pub(super) fn unknown(&self, name: &str) -> String {
        let wanted = normal(name);
        let alike = |known: &&'static str| strsim::jaro_winkler(&wanted, &normal(known));
        let nearest = self.all().max_by(|a, b| alike(a).total_cmp(&alike(b))).filter(|known| alike(known) > 0.75);
        let hint = nearest.map(|known| format!(" (the nearest is `{known}`)")).unwrap_or_default();
        format!("`{name}` is no column of this import{hint}")
    }

    /// The columns as a list, for messages.
    fn listed(&self) -> String {
        let required: Vec<_> = self.required.iter().map(|name| format!("`{name}`")).collect();
        let optional: Vec<_> = self.optional.iter().map(|name| format!("`{name}`")).collect();
        format!("It has to have {}; it may have {}", required.join(", "), optional.join(", "))
    }
}

/// The header of a CSV file: which column each field belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// The names in the file, in order.
    pub(super) names: Vec<String>,
    /// Of each field the column; none for a field that is left out on request, and for one without a name, which holds no values.
    pub(super) columns: Vec<Option<&'static str>>,
}

impl Header {
    /// Reads the names of a header. `ignored` are names that are left out on request.
    ///
    /// # Errors
    /// A sentence that names all that is wrong: unknown, missing and repeated columns, and columns that exclude one another.
    pub(super) fn of(names: Vec<String>, columns: &Columns, ignored: &[String]) -> Result<Self, String> {
        let is_ignored = |name: &str| ignored.iter().any(|ignored| normal(ignored) == normal(name));
        let mut faults = Vec::new();
        let mut found: Vec<Option<&'static str>> = Vec::with_capacity(names.len());
        for name in &names {
            let column = columns.of(name).filter(|_| !is_ignored(name));
            match column {
                Some(column) if found.contains(&Some(column)) => {
                    let fault = format!("the column `{column}` occurs twice");
                    if !faults.contains(&fault) {
                        faults.push(fault);
                    }
                }
                None if !name.is_empty() && !is_ignored(name) => faults.push(columns.unknown(name)),
                Some(_) | None => {}
            }
            found.push(column);
        }
        let missing = columns.required.iter().filter(|required| !found.contains(&Some(**required)));
        faults.extend(missing.map(|required| format!("it has no column `{required}`")));
        for group in columns.either {
            let both: Vec<_> =
                group.iter().filter(|name| found.contains(&Some(**name))).map(|name| format!("`{name}`")).collect();
            if both.len() > 1 {
                faults.push(format!("it has {}; one of them is enough", both.join(" and ")));
            }
        }
        if faults.is_empty() {
            return Ok(Self { names, columns: found });
        }
        Err(format!("{}. {}. Other columns are left out with --ignore NAME", faults.join("; "), columns.listed()))
    }

    /// The number of fields up to the last one that has a name.
    pub(super) fn width(&self) -> usize {
        self.names.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1)
    }

    /// Whether a record is the header once more.
    pub(super) fn is_repeated(&self, record: &csv::ByteRecord) -> bool {
        let names = record.iter().map(|field| normal(&String::from_utf8_lossy(field)));
        names.eq(self.names.iter().map(|name| normal(name)))
    }

    /// Whether a record is the header of another file: all that it has are names of columns.
    pub(super) fn is_another(record: &csv::ByteRecord, columns: &Columns) -> bool {
        let names = || record.iter().map(String::from_utf8_lossy).filter(|name| !name.trim().is_empty());
        names().count() > 1 && names().all(|name| columns.of(&name).is_some())
    }

    /// The record of some fields, as JSON.
    pub(super) fn record<'f>(&self, fields: impl Iterator<Item = &'f str>) -> Value {
        let mut record = Map::new();
        let mut more = Vec::new();
        for (at, field) in fields.enumerate() {
            match self.names.get(at) {
                Some(name) if name.is_empty() && field.trim().is_empty() => {}
                Some(name) => _ = record.insert(self.columns[at].unwrap_or(name).to_owned(), field.into()),
                None => more.push(Value::from(field)),
            }
        }
        if !more.is_empty() {
            record.insert("more_fields".to_owned(), more.into());
        }
        record.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: Columns = Columns {
        required: &["sku", "name"],
        optional: &["package_size", "price", "price_minor", "currency"],
        either: &[&["price", "price_minor"]],
    };

    fn header(names: &str, ignored: &[&str]) -> Result<Vec<Option<&'static str>>, String> {
        let ignored: Vec<String> = ignored.iter().map(|name| (*name).to_owned()).collect();
        Header::of(names.split(',').map(str::to_owned).collect(), &COLUMNS, &ignored).map(|header| header.columns)
    }

    #[test]
    fn names_compare_without_case_and_blanks() {
        let columns = header("SKU, Name ,Package Size,PRICE", &[]);
        assert_eq!(columns, Ok(vec![Some("sku"), Some("name"), Some("package_size"), Some("price")]));
    }

    #[test]
    fn all_that_is_wrong_with_a_header_is_named_at_once() {
        let message = header("sku,sku,prise,,sku", &[]).expect_err("it is wrong");
        assert!(
            message.starts_with(
                "the column `sku` occurs twice; `prise` is no column of this import (the nearest is `price`); \
                 it has no column `name`. It has to have `sku`, `name`; it may have `package_size`, `price`"
            ),
            "{message}"
        );
        let message = header("sku,name,price,price minor", &[]).expect_err("it is wrong");
        assert!(message.contains("`price` and `price_minor`; one of them is enough"), "{message}");
        assert!(header("sku,name,colour", &[]).is_err());
        assert_eq!(header("sku,name,colour", &["Colour"]), Ok(vec![Some("sku"), Some("name"), None]));
    }
}
