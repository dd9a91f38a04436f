//! The status of a cart at a time. Decisions and read models share it, so a shop shows no cart as open that a decision refuses.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::OpenedCart;

/// The status of a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CartStatus {
    /// It can be filled and bought.
    Open,
    /// It became an order.
    CheckedOut,
    /// Another cart has its lines.
    Merged,
    /// It was abandoned.
    Abandoned,
    /// It was not changed for too long.
    Expired,
}

impl CartStatus {
    /// Its name in read models.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::CheckedOut => "checked_out",
            Self::Merged => "merged",
            Self::Abandoned => "abandoned",
            Self::Expired => "expired",
        }
    }

    /// The status at a time of a cart that had this status after its last event. A cart expires by the clock, before the event that
    /// ends it.
    #[must_use]
    pub fn at(self, expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        match self {
            Self::Open if expires_at.is_some_and(|end| end <= now) => Self::Expired,
            status => status,
        }
    }
}

impl OpenedCart {
    /// Whether its time is over, so that it cannot be changed or bought any more.
    #[must_use]
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        CartStatus::Open.at(Some(self.expires_at()), now) == CartStatus::Expired
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::CartStatus;

    const ALL: [CartStatus; 5] =
        [CartStatus::Open, CartStatus::CheckedOut, CartStatus::Merged, CartStatus::Abandoned, CartStatus::Expired];

    #[test]
    fn an_open_cart_expires_at_its_time_and_no_other_status_changes() {
        let end = DateTime::UNIX_EPOCH + TimeDelta::days(7);
        let moment = TimeDelta::microseconds(1);
        assert_eq!(CartStatus::Open.at(Some(end), end - moment), CartStatus::Open);
        assert_eq!(CartStatus::Open.at(Some(end), end), CartStatus::Expired);
        assert_eq!(CartStatus::Open.at(None, end), CartStatus::Open);
        for status in &ALL[1..] {
            assert_eq!(status.at(Some(end), end + moment), *status);
        }
    }

    #[test]
    fn a_status_is_stored_by_its_name() {
        for status in ALL {
            let json = serde_json::to_value(status).expect("a status is a text");
            assert_eq!(json, status.name());
        }
    }
}
