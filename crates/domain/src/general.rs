//! What every slice refuses: access, amounts that cannot be computed, currencies out of their time, and commands that touch too much.

use chrono::{DateTime, NaiveDate, Utc};
use daybook_kernel::{Currency, Role, refusals};

use crate::ids::{Channel, CustomerId, LocationId};

refusals! {
    /// A command is for certain roles.
    "forbidden" RoleForbidden: Forbidden
        = "{command} is not for the role {role}, but for {}" (roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")), {
        /// The command.
        command: String,
        /// The role of the sender.
        role: Role,
        /// The roles that may send it.
        roles: Vec<Role>,
    }
    /// Buyers act for themselves only.
    "for_another_customer" ForAnotherCustomer: Forbidden at "customer_id" = "only staff acts for customer {customer_id}", {
        /// The customer whom the command names.
        customer_id: CustomerId,
    }
    /// The storefront serves certain channels.
    "channel_not_served" ChannelNotServed: Forbidden at "channel"
        = "the storefront does not serve the channel `{channel}`, but {}" (served.iter().map(Channel::as_str).collect::<Vec<_>>().join(", ")), {
        /// The channel that the command names.
        channel: Channel,
        /// The channels that it serves.
        served: Vec<Channel>,
    }
    /// The storefront sends goods from certain locations.
    "location_not_served" LocationNotServed: Forbidden at "locations"
        = "the storefront does not serve the location `{location}`, but {}" (served.iter().map(LocationId::as_str).collect::<Vec<_>>().join(", ")), {
        /// The location that the command names.
        location: LocationId,
        /// The index of the location in the command.
        index: usize,
        /// The locations that it serves.
        served: Vec<LocationId>,
    }
    /// A command touches a bounded number of streams.
    "too_many_streams" TooManyStreams: Rule = "the command touches more than {limit} streams", {
        /// The limit.
        limit: usize,
    }
    /// An event has a bounded size, so that every consumer can hold it.
    "event_too_large" EventTooLarge: Rule = "the event {event_type} would have {bytes} bytes; an event has at most {limit}", {
        /// The type of the event.
        event_type: String,
        /// How many bytes it would have as JSON.
        bytes: usize,
        /// The limit.
        limit: usize,
    }
    /// An amount does not fit 64 bits of minor units, or is larger than an order may come to.
    "amount_overflow" AmountOverflow: Rule = "the amount is larger than this engine counts", {}
    /// Two amounts are in different currencies.
    "currency_mismatch" CurrencyMismatch: Rule = "{left} and {right} cannot be added", {
        /// The currency of the left amount.
        left: Currency,
        /// The currency of the right amount.
        right: Currency,
    }
    /// A currency is one in its time, from its introduction to its end.
    "currency_not_valid" CurrencyNotValid: Rule at "currency" or "price"
        = "{currency} is not a currency on {date}: it {}" (time_of(*first_day, *last_day)), {
        /// The currency.
        currency: Currency,
        /// The day in UTC on which the amounts are agreed.
        date: NaiveDate,
        /// The first day on which it was a currency; absent where that is before 1900.
        first_day: Option<NaiveDate>,
        /// The last day on which it was a currency; absent where it still is one.
        last_day: Option<NaiveDate>,
    }
}

fn time_of(first_day: Option<NaiveDate>, last_day: Option<NaiveDate>) -> String {
    let first = first_day.map(|day| format!("was introduced on {day}"));
    let last = last_day.map(|day| format!("ended on {day}"));
    first.into_iter().chain(last).collect::<Vec<_>>().join(" and ")
}

/// Checks that a currency is one when amounts in it are agreed.
pub(crate) fn check_currency(currency: Currency, at: DateTime<Utc>) -> Result<(), CurrencyNotValid> {
    let date = at.date_naive();
    if currency.is_valid_on(date) {
        return Ok(());
    }
    Err(CurrencyNotValid { currency, date, first_day: currency.first_day(), last_day: currency.last_day() })
}

crate::declare::refusal_set! {
    None, General: RoleForbidden, ForAnotherCustomer, ChannelNotServed, LocationNotServed, TooManyStreams, EventTooLarge, AmountOverflow,
        CurrencyMismatch, CurrencyNotValid
}
