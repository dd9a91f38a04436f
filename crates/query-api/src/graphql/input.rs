//! Input types that several slices share.

use std::collections::BTreeMap;

use async_graphql::{Error, InputObject};
use chrono::{DateTime, Utc};
use daybook_domain::Timestamp;
use serde::{Serialize, Serializer};

use crate::graphql::{error::coded, scalars::Long};

/// An amount of money.
#[derive(Debug, Clone, InputObject, Serialize)]
pub(crate) struct MoneyInput {
    /// The amount in minor units.
    minor_units: Long,
    /// The ISO 4217 code.
    currency: String,
}

/// A time that a caller gives, as it is compared: as a command would keep it.
pub(crate) fn time(name: &str, time: DateTime<Utc>) -> Result<DateTime<Utc>, Error> {
    Timestamp::new(time).map(Timestamp::utc).map_err(|error| coded("BAD_INPUT", format!("{name} {error}")))
}

/// A name and a text.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct AttributeInput {
    /// The name.
    name: String,
    /// The text.
    value: String,
}

/// Serialises attributes as the map that commands have. A repeated name is an error, so no value is lost.
pub(crate) fn by_name<'a, S: Serializer>(
    attributes: impl IntoIterator<Item = &'a Vec<AttributeInput>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = BTreeMap::new();
    for AttributeInput { name, value } in attributes.into_iter().flatten() {
        if map.insert(name, value).is_some() {
            return Err(serde::ser::Error::custom(format!("`{name}` is given twice")));
        }
    }
    map.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn a_time_is_compared_as_a_command_would_keep_it_and_refused_by_name() {
        let of = |text: &str| time("from", text.parse().expect("a time"));
        let kept = of("2016-12-31T23:59:60.1234567Z").expect("it is in range");
        assert_eq!(kept.to_rfc3339(), "2017-01-01T00:00:00.123456+00:00");
        for beyond in ["+262142-12-31T23:59:59Z", "9999-12-31T23:59:60Z", "1899-12-31T23:59:59Z"] {
            let error = of(beyond).expect_err("it is out of range");
            assert!(error.message.starts_with("from must be in the years 1900 to 9999"), "{}", error.message);
        }
    }
}
