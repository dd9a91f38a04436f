//! What every slice refuses: access, amounts that cannot be computed, currencies out of their time, and commands that touch too much.

use chrono::{DateTime, NaiveDate, Utc};
use daybook_kernel::{Currency, Role, refusals};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Command,
    ids::{Channel, CustomerId, LocationId},
};

/// One of several problems of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Objection {
    /// The code of the refusal that the command would have if this were its only problem.
    pub code: String,
    /// What is wrong, in words.
    pub message: String,
    /// The part of the command that is wrong, as a JSON pointer (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// What the rule looked at.
    #[serde(flatten)]
    pub data: Map<String, Value>,
}

refusals! {
    /// A command is for certain roles.
    "forbidden" RoleForbidden: Forbidden
        = "{command} is not for the role {role}, but for {}" (listed(roles.iter().map(|role| role.name()))), {
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
        = "the storefront does not serve the channel `{channel}`, but {}" (listed(served.iter().map(Channel::as_str))), {
        /// The channel that the command names.
        channel: Channel,
        /// The channels that it serves.
        served: Vec<Channel>,
    }
    /// The storefront sends goods from certain locations.
    "location_not_served" LocationNotServed: Forbidden at "locations"
        = "the storefront does not serve the location `{location}`, but {}" (listed(served.iter().map(LocationId::as_str))), {
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
    /// More than one thing is wrong. All of them are named, so that a sender can mend them at once.
    "several_problems" SeveralProblems: Rule at "lines" or "cart_id"
        = "{} problems: {}" (problems.len(), problems.iter().map(|problem| &*problem.message).collect::<Vec<_>>().join("; ")), {
        /// The problems.
        problems: Vec<Objection>,
    }
    /// An amount does not fit 64 bits of minor units, or is larger than an order may come to.
    "amount_overflow" AmountOverflow: Rule at "quantity" or "cart_id" = "the amount is larger than this engine counts", {
        /// The index of the line in the command or the cart, where it is the amount of one.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
    }
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
    None, General: RoleForbidden, ForAnotherCustomer, ChannelNotServed, LocationNotServed, TooManyStreams, EventTooLarge,
    SeveralProblems, AmountOverflow, CurrencyMismatch, CurrencyNotValid
}

/// Names as the end of a sentence, which never ends with nothing.
pub(crate) fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Refuses a command for all of its problems; for none, it is not refused. A single problem is the refusal itself.
///
/// # Errors
/// The problem, or [`SeveralProblems`].
pub(crate) fn refuse_all(mut problems: Vec<crate::Refusal>, command: impl Into<Command>) -> Result<(), crate::Refusal> {
    if problems.len() > 1 {
        let command = command.into();
        let objection = |refusal: crate::Refusal| Objection {
            code: refusal.code().to_owned(),
            message: refusal.to_string(),
            pointer: refusal.pointer(&command),
            data: refusal.data(),
        };
        return Err(SeveralProblems { problems: problems.into_iter().map(objection).collect() }.into());
    }
    problems.pop().map_or(Ok(()), Err)
}
