//! Taking in an order from another system.

use chrono::{DateTime, TimeDelta, Utc};
use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ImportedLine, Order, OrderImported, OrderRecord, Totals, policy, state::lines_digest};
use crate::{
    Context, Currency, Decide, Decision, Money, Quantity, Reads, Refusal, Rejection, Streams, Timestamp, amount,
    cart::QuantityTooLarge,
    catalog::{SkuRecord, UnknownSku},
    general::check_currency,
    ids::{Channel, CustomerId, CustomerRef, ExternalRef, OrderId, Sku},
};

/// A line of an order from another system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoricalLine {
    /// The SKU; it must be known to the catalog.
    pub sku: Sku,
    /// How many; one that is not positive refuses the whole order.
    pub quantity: i64,
    /// What was paid for the line, after discounts, in minor units of the order's currency.
    pub line_total: i64,
    /// How much was taken off, in minor units.
    #[serde(default)]
    pub discount: i64,
}

/// Takes in an order from another system: it appears in history and sales figures like any other, and touches no stock. An
/// order is known by its `external_ref`: the second import of it is refused, as `already_imported` if it says the same, and otherwise as
/// `import_conflict`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportOrder {
    /// Its id in the other system.
    pub external_ref: ExternalRef,
    /// The id of its customer in the other system; the customer's id here derives from it.
    #[serde(default)]
    pub customer_ref: Option<CustomerRef>,
    /// The channel it came through; `web` when left out.
    #[serde(default)]
    pub channel: Channel,
    /// When it was placed; not in the future, but for 5 minutes by which the clock of the other system may be ahead.
    pub placed_at: Timestamp,
    /// The currency of its amounts, which was one on that day.
    pub currency: Currency,
    /// Its lines.
    #[schemars(length(min = 1, max = policy::MAX_IMPORTED_LINES))]
    pub lines: Vec<HistoricalLine>,
}

refusals! {
    /// It was imported before.
    "already_imported" AlreadyImported: Rule at "external_ref" = "order {external_ref} was imported already, as {order_id}", {
        /// Its id in the other system.
        external_ref: ExternalRef,
        /// Its id here.
        order_id: OrderId,
    }
    /// An order was imported under the same reference, and was another one.
    "import_conflict" ImportConflict: Rule at "external_ref"
        = "order {external_ref} was imported as {order_id} with other values: {}" (differs.join(", ")), {
        /// Its id in the other system.
        external_ref: ExternalRef,
        /// Its id here.
        order_id: OrderId,
        /// The fields that differ.
        differs: Vec<String>,
    }
    /// The id that follows from the reference belongs to an order that was not imported under it. Such an order can be from before
    /// callers had to choose random ids.
    "reference_taken" ReferenceTaken: Rule at "external_ref"
        = "the id of order {external_ref} would be {order_id}, which is another order", {
        /// Its id in the other system.
        external_ref: ExternalRef,
        /// The other order.
        order_id: OrderId,
    }
    /// An order has lines.
    "line_count" LineCount: Rule at "lines" = "an order has 1 to {limit} lines, not {lines}", {
        /// The limit.
        limit: usize,
        /// How many there are.
        lines: usize,
    }
    /// A quantity of an imported line is not positive.
    "quantity_not_positive" QuantityNotPositive: Rule at "quantity" = "the quantity {quantity} of SKU {sku} is not positive", {
        /// The SKU.
        sku: Sku,
        /// The quantity.
        quantity: i64,
        /// The index of the line.
        line: usize,
    }
    /// The total of an imported line is negative.
    "amount_negative" AmountNegative: Rule at "line_total" = "the total of SKU {sku} is negative", {
        /// The SKU.
        sku: Sku,
        /// The index of the line.
        line: usize,
    }
    /// The discount of an imported line is negative.
    "discount_negative" DiscountNegative: Rule at "discount" = "the discount of SKU {sku} is negative", {
        /// The SKU.
        sku: Sku,
        /// The index of the line.
        line: usize,
    }
    /// History lies in the past.
    "placed_in_the_future" PlacedInTheFuture: Rule at "placed_at"
        = "the order was placed at {placed_at}, {ahead_seconds} s ahead of the time here, {now}; {tolerated_seconds} s are tolerated", {
        /// When it was placed, as the command says.
        placed_at: DateTime<Utc>,
        /// The time of this engine.
        now: DateTime<Utc>,
        /// By how many seconds it is ahead, rounded up.
        ahead_seconds: i64,
        /// How many seconds are tolerated.
        tolerated_seconds: i64,
    }
}

impl Decide for ImportOrder {
    fn reads(&self, reads: &mut Reads) {
        // More lines are refused without a look at their SKUs.
        if self.lines.len() <= policy::MAX_IMPORTED_LINES {
            reads.add_all::<SkuRecord>(self.lines.iter().map(|line| &line.sku));
        }
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let order_id = OrderId::imported(&self.external_ref);
        if !(1..=policy::MAX_IMPORTED_LINES).contains(&self.lines.len()) {
            return Err(LineCount { limit: policy::MAX_IMPORTED_LINES, lines: self.lines.len() }.into());
        }
        if let Some(order) = streams.assume_absent::<Order>(&order_id)?.and_then(Order::record) {
            return Err(self.exists(order_id, order).into());
        }
        self.check_time(context.now)?;
        let quantities = self.quantities()?;
        let records = streams.get_all::<SkuRecord>(self.lines.iter().map(|line| &line.sku))?;
        let mut lines = Vec::with_capacity(self.lines.len());
        for (index, ((line, record), quantity)) in self.lines.iter().zip(records).zip(quantities).enumerate() {
            let unknown = || UnknownSku { sku: line.sku.clone(), line: Some(index) };
            lines.push(ImportedLine {
                sku: line.sku.clone(),
                product_id: record.product_id().ok_or_else(unknown)?,
                quantity,
                line_total: Money::new(line.line_total, self.currency),
                discount: Money::new(line.discount, self.currency),
            });
        }
        let imported = self.imported(order_id, lines)?;
        // Where the other clock is ahead, the order takes effect now.
        Ok(Decision::of::<Order>(&order_id, imported).effective_at(self.placed_at.utc().min(context.now)))
    }
}

impl ImportOrder {
    fn check_time(&self, now: DateTime<Utc>) -> Result<(), Refusal> {
        let placed_at = self.placed_at.utc();
        let ahead = placed_at - now;
        if ahead > policy::CLOCK_TOLERANCE {
            let whole = ahead.num_seconds();
            let ahead_seconds = if TimeDelta::seconds(whole) < ahead { whole + 1 } else { whole };
            let tolerated_seconds = policy::CLOCK_TOLERANCE.num_seconds();
            return Err(PlacedInTheFuture { placed_at, now, ahead_seconds, tolerated_seconds }.into());
        }
        Ok(check_currency(self.currency, placed_at)?)
    }

    /// The refusal where the order of this reference exists.
    fn exists(&self, order_id: OrderId, order: &OrderRecord) -> Refusal {
        let external_ref = self.external_ref.clone();
        if order.external_ref.as_ref() != Some(&external_ref) {
            return ReferenceTaken { external_ref, order_id }.into();
        }
        let differs = self.differences(order);
        if differs.is_empty() {
            AlreadyImported { external_ref, order_id }.into()
        } else {
            ImportConflict { external_ref, order_id, differs }.into()
        }
    }

    /// The fields that differ from those of the order that was imported under the reference.
    fn differences(&self, order: &OrderRecord) -> Vec<String> {
        let lines = self
            .lines
            .iter()
            .map(|line| (&line.sku, line.quantity, line.line_total, line.discount))
            .collect::<Vec<_>>();
        let is_same = [
            ("customer_ref", order.customer_id == self.customer_ref.as_ref().map(CustomerId::imported)),
            ("channel", order.channel == self.channel),
            ("currency", order.currency == self.currency),
            ("placed_at", order.placed_at == self.placed_at.utc()),
            ("lines", order.lines_digest.is_none_or(|digest| digest == lines_digest(lines))),
        ];
        is_same.into_iter().filter(|(_, same)| !same).map(|(field, _)| field.to_owned()).collect()
    }

    fn quantities(&self) -> Result<Vec<Quantity>, Refusal> {
        let checked = self.lines.iter().enumerate().map(|(index, line)| {
            let (sku, quantity) = (line.sku.clone(), line.quantity);
            if line.line_total < 0 {
                return Err(AmountNegative { sku, line: index }.into());
            }
            if line.discount < 0 {
                return Err(DiscountNegative { sku, line: index }.into());
            }
            if quantity <= 0 {
                return Err(QuantityNotPositive { sku, quantity, line: index }.into());
            }
            let too_large = |_| QuantityTooLarge { sku, quantity, limit: Quantity::MAX, line: Some(index) }.into();
            Quantity::new(quantity).map_err(too_large)
        });
        checked.collect()
    }

    fn imported(&self, order_id: OrderId, lines: Vec<ImportedLine>) -> Result<OrderImported, Rejection> {
        let net = Money::sum(self.currency, lines.iter().map(|line| line.line_total))?;
        let discount = Money::sum(self.currency, lines.iter().map(|line| line.discount))?;
        let gross = amount::countable(net.plus(discount)?)?;
        Ok(OrderImported {
            order_id,
            external_ref: self.external_ref.clone(),
            customer_id: self.customer_ref.as_ref().map(CustomerId::imported),
            customer_ref: self.customer_ref.clone(),
            channel: self.channel.clone(),
            currency: self.currency,
            lines,
            totals: Totals { gross, discount, net },
            placed_at: self.placed_at.utc(),
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::{Value, json};

    use crate::{
        Command, Event,
        amount::MAX_TOTAL,
        ids::{CustomerId, OrderId},
        order::{
            self, Order, OrderPlaced,
            policy::{CLOCK_TOLERANCE, MAX_IMPORTED_LINES},
        },
        spec::{Book, code, record},
    };

    fn historical(reference: &str, lines: &Value) -> Value {
        json!({ "external_ref": reference, "customer_ref": "900", "channel": "store-1",
                "placed_at": "2017-01-01T10:00:00Z", "currency": "USD", "lines": lines })
    }

    #[test]
    fn history_is_taken_in_once_and_touches_no_stock() {
        let mut book = Book::with_product("a", 5);
        let lines = json!([{ "sku": "a", "quantity": 30_000, "line_total": 500, "discount": 50 }]);
        book.given("ImportOrder", historical("x-1", &lines));
        assert_eq!(code(book.when("ImportOrder", historical("x-1", &lines))), "already_imported");
        assert_eq!(book.stock("a"), (5, 0));
        let other = json!([{ "sku": "a", "quantity": 30_000, "line_total": 501, "discount": 49 }]);
        let refusal = book.when("ImportOrder", historical("x-1", &other)).expect_err("it says something else");
        assert_eq!((refusal.code(), &refusal.data()["differs"]), ("import_conflict", &json!(["lines"])));
        let mut other = historical("x-1", &lines);
        (other["placed_at"], other["currency"]) = (json!("2017-01-02T10:00:00Z"), json!("EUR"));
        let refusal = book.when("ImportOrder", other).expect_err("it says something else");
        assert_eq!(refusal.data()["differs"], json!(["currency", "placed_at"]));
        let order = OrderId::imported(&"x-1".parse().expect("valid"));
        let record = book.state::<crate::order::Order>(&order).record().expect("it exists").clone();
        assert_eq!(record.customer_id, Some(CustomerId::imported(&"900".parse().expect("valid"))));
    }

    #[test]
    fn a_line_that_cannot_have_been_sold_refuses_the_whole_order() {
        let mut book = Book::with_product("a", 5);
        let wrong = |lines: Value| historical("x-2", &lines);
        let bad_quantity =
            json!([{ "sku": "z", "quantity": 1, "line_total": 1 }, { "sku": "a", "quantity": 0, "line_total": 1 }]);
        assert_eq!(code(book.when("ImportOrder", wrong(bad_quantity))), "quantity_not_positive");
        let unknown = json!([{ "sku": "z", "quantity": 1, "line_total": 1 }]);
        assert_eq!(code(book.when("ImportOrder", wrong(unknown))), "unknown_sku");
        let negative = json!([{ "sku": "a", "quantity": 1, "line_total": -1 }]);
        assert_eq!(code(book.when("ImportOrder", wrong(negative))), "amount_negative");
        let many = json!([{ "sku": "a", "quantity": 10_000_001, "line_total": 1 }]);
        assert_eq!(code(book.when("ImportOrder", wrong(many))), "quantity_too_large");
    }

    #[test]
    fn an_order_that_was_not_imported_under_the_reference_is_not_taken_for_it() {
        let mut book = Book::with_order();
        let order = record(&book, 1);
        let order_id = OrderId::imported(&"x-9".parse().expect("valid"));
        let placed = book.events.iter().find_map(|(_, event)| match event {
            Event::Order(order::Event::OrderPlaced(placed)) => Some(placed.clone()),
            _ => None,
        });
        // Before callers had to choose random ids, a guest could take the id.
        book.happened::<Order>(
            &order_id,
            order::Event::OrderPlaced(OrderPlaced { order_id, ..placed.expect("it is") }),
        );
        let lines = json!([{ "sku": "a", "quantity": 2, "line_total": order.totals.net.minor_units }]);
        assert_eq!(code(book.when("ImportOrder", historical("x-9", &lines))), "reference_taken");
    }

    #[test]
    fn lines_are_counted_up_to_the_limit() {
        let mut book = Book::with_product("a", 5);
        let lines = |count: usize| json!(vec![json!({ "sku": "a", "quantity": 1, "line_total": 1 }); count]);
        assert_eq!(code(book.when("ImportOrder", historical("x", &lines(0)))), "line_count");
        assert_eq!(code(book.when("ImportOrder", historical("x", &lines(MAX_IMPORTED_LINES + 1)))), "line_count");
        book.given("ImportOrder", historical("x", &lines(MAX_IMPORTED_LINES)));
    }

    #[test]
    fn a_clock_may_be_a_little_ahead_and_a_refusal_says_by_how_much() {
        let mut book = Book::with_product("a", 1);
        let placed = |reference: &str, ahead: TimeDelta, book: &Book| {
            json!({ "external_ref": reference, "placed_at": book.now + ahead, "currency": "EUR",
                    "lines": [{ "sku": "a", "quantity": 1, "line_total": 1 }] })
        };
        for (reference, ahead) in [("R-1", TimeDelta::milliseconds(500)), ("R-2", CLOCK_TOLERANCE)] {
            let body = placed(reference, ahead, &book);
            book.given("ImportOrder", body);
        }
        let body = placed("R-3", CLOCK_TOLERANCE + TimeDelta::milliseconds(500), &book);
        let refusal = book.when("ImportOrder", body).expect_err("it is too far ahead");
        assert_eq!(refusal.code(), "placed_in_the_future");
        assert_eq!(
            (&refusal.data()["ahead_seconds"], &refusal.data()["tolerated_seconds"]),
            (&json!(301), &json!(300))
        );
        let earliest =
            json!({ "external_ref": "R-4", "placed_at": "1900-01-01T00:00:00Z", "currency": "EUR", "lines": [] });
        assert_eq!(code(book.when("ImportOrder", earliest)), "line_count", "no difference of times overflows");
    }

    #[test]
    fn an_order_is_in_a_currency_of_its_day() {
        let mut book = Book::with_product("a", 1);
        let import = |currency: &str, day: &str| {
            json!({ "external_ref": format!("{currency}-{day}"), "placed_at": format!("{day}T12:00:00Z"), "currency": currency,
                    "lines": [{ "sku": "a", "quantity": 1, "line_total": 1 }] })
        };
        for (currency, day) in [
            ("HRK", "2022-06-01"),
            ("DEM", "1999-06-01"),
            ("LTL", "2014-06-01"),
            ("VEF", "2017-06-01"),
            ("SLL", "2020-06-01"),
            ("MRO", "2016-06-01"),
            ("EUR", "1999-01-01"),
            ("USD", "1950-01-01"),
        ] {
            book.given("ImportOrder", import(currency, day));
        }
        for (currency, day) in
            [("HRK", "2023-06-01"), ("DEM", "2003-01-01"), ("EUR", "1998-06-01"), ("XCG", "2023-01-01")]
        {
            assert_eq!(code(book.when("ImportOrder", import(currency, day))), "currency_not_valid", "{currency} {day}");
        }
    }

    #[test]
    fn what_no_calendar_or_sum_can_hold_is_refused() {
        let mut book = Book::with_product("a", 1);
        let import = |placed_at: &str, line_total: i64| {
            json!({ "external_ref": "R-1", "placed_at": placed_at, "currency": "EUR",
                    "lines": [{ "sku": "a", "quantity": 1, "line_total": line_total }] })
        };
        for time in ["-9999-01-01T11:00:00Z", "1899-12-31T23:59:59Z", "+12026-01-01T00:00:00Z"] {
            assert!(Command::deserialize("ImportOrder", import(time, 1)).is_some_and(|read| read.is_err()), "{time}");
        }
        assert_eq!(code(book.when("ImportOrder", import("2999-01-01T11:00:00Z", 1))), "placed_in_the_future");
        for total in [9_000_000_000_000_000_000, MAX_TOTAL + 1] {
            assert_eq!(code(book.when("ImportOrder", import("2020-01-01T11:00:00Z", total))), "amount_overflow");
        }
        let sum = json!([{ "sku": "a", "quantity": 1, "line_total": i64::MAX },
                         { "sku": "a", "quantity": 1, "line_total": 1 }]);
        assert_eq!(code(book.when("ImportOrder", historical("x-3", &sum))), "amount_overflow");
        book.given("ImportOrder", import("2020-01-01T11:00:00Z", MAX_TOTAL));
    }
}
