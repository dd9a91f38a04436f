//! The label of a base back-up, which is the name of its folder.

use std::{fmt, str::FromStr};

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

/// The form of a label, for chrono.
const FORM: &str = "%Y%m%dT%H%M%S%.3fZ";
/// The length of a label.
const LENGTH: usize = "20261128T093000.000Z".len();

/// The time when a base back-up was begun, in UTC, such as `20261128T093000.000Z`. It has no other form, so a label never names a folder
/// outside its directory of back-ups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

/// The text is no label.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the label of a base back-up, such as 20261128T093000.000Z")]
pub struct NoLabel(String);

impl Label {
    /// The label of a base back-up that was begun at a time.
    pub(crate) fn of(began: DateTime<Utc>) -> Self {
        Self(began.format(FORM).to_string())
    }

    /// The label as a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = NoLabel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Chrono also reads signs and blanks. The same time, written again, has one form only.
        let read = NaiveDateTime::parse_from_str(text, FORM).map(|time| Self::of(time.and_utc()));
        match read {
            Ok(label) if text.len() == LENGTH && label.0 == text => Ok(label),
            _ => Err(NoLabel(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Label {
    type Error = NoLabel;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_time_and_never_a_path() {
        let began: DateTime<Utc> = "2026-11-28T09:30:00.0456Z".parse().expect("a time");
        assert_eq!(Label::of(began).as_str(), "20261128T093000.045Z");
        assert_eq!("20261128T093000.045Z".parse::<Label>().expect("a label"), Label::of(began));
        for text in [
            "",
            ".",
            "..",
            "../20261128T093000.045Z",
            "/etc",
            "20261128T093000.045Z/..",
            "20261128T093000.045Z.part",
            "20261128T093000Z",
            "20261328T093000.045Z",
            " 20261128T093000.045Z",
            "+0261128T093000.045Z",
            "20261128t093000.045z",
        ] {
            assert!(text.parse::<Label>().is_err(), "{text}");
            assert!(serde_json::from_value::<Label>(text.into()).is_err(), "{text}");
        }
    }
}
