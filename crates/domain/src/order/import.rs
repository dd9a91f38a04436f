//! Taking in orders from other systems.

use chrono::Datelike;
use uuid::Uuid;

use crate::{
    Context, Decide, Decision, Fold, Money, Quantity, Rejection, View,
    catalog::SkuRecord,
    ids::{ExternalRef, OrderId},
    order::{Order, OrderRefusal as Refusal, command::*, event::*},
};

/// The namespace of ids of imported orders (a random UUID, fixed for ever).
const IMPORTED: Uuid = Uuid::from_u128(0x6f1d_52c1_8f0e_4f0b_9a59_2d1c_7a6b_3e84);
/// The first year in which an imported order can have been placed.
const EARLIEST: i32 = 1900;
/// The most lines that one imported order may have.
const MAX_LINES: usize = 1_000;

impl OrderId {
    /// The id of the order that was imported under this reference: the same wherever and whenever it is imported.
    #[must_use]
    pub fn imported(external_ref: &ExternalRef) -> Self {
        Self(Uuid::new_v5(&IMPORTED, external_ref.as_str().as_bytes()))
    }
}

impl Decide for ImportOrder {
    fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let order_id = OrderId::imported(&self.external_ref);
        if !(1..=MAX_LINES).contains(&self.lines.len()) {
            Err(Refusal::LineCount { limit: MAX_LINES, lines: self.lines.len() })?;
        }
        let records = view.get_all::<SkuRecord>(self.lines.iter().map(|line| &line.sku));
        if view.find_new::<Order>(&order_id).is_some_and(|order| order.0.is_some()) {
            Err(Refusal::AlreadyImported { external_ref: self.external_ref.clone(), order_id })?;
        }
        if self.placed_at > context.now {
            Err(Refusal::PlacedInTheFuture)?;
        }
        if self.placed_at.year() < EARLIEST {
            Err(Refusal::PlacedTooEarly { earliest: EARLIEST })?;
        }
        let quantities = self.quantities()?;
        let records = records?;
        let mut lines = Vec::with_capacity(self.lines.len());
        for (index, ((line, record), quantity)) in self.lines.iter().zip(records).zip(quantities).enumerate() {
            let unknown = || Refusal::UnknownSku { sku: line.sku.clone(), line: index };
            lines.push(ImportedLine {
                sku: line.sku.clone(),
                product_id: record.product_id.ok_or_else(unknown)?,
                quantity,
                line_total: Money::new(line.line_total, self.currency),
                discount: Money::new(line.discount, self.currency),
            });
        }
        let imported = self.imported(order_id, lines)?;
        Ok(Decision::of(Order::stream(&order_id), imported).effective_at(self.placed_at))
    }
}

impl ImportOrder {
    fn quantities(&self) -> Result<Vec<Quantity>, Refusal> {
        let checked = self.lines.iter().enumerate().map(|(index, line)| {
            let (sku, quantity) = (line.sku.clone(), line.quantity);
            if line.line_total < 0 || line.discount < 0 {
                return Err(Refusal::AmountNegative { sku, line: index });
            }
            if quantity <= 0 {
                return Err(Refusal::QuantityNotPositive { sku, quantity, line: index });
            }
            Quantity::new(quantity).map_err(|_| Refusal::QuantityTooLarge {
                sku,
                quantity,
                limit: Quantity::MAX,
                line: index,
            })
        });
        checked.collect()
    }

    fn imported(&self, order_id: OrderId, lines: Vec<ImportedLine>) -> Result<OrderImported, Rejection> {
        let net = Money::sum(self.currency, lines.iter().map(|line| line.line_total))?;
        let discount = Money::sum(self.currency, lines.iter().map(|line| line.discount))?;
        Ok(OrderImported {
            order_id,
            external_ref: self.external_ref.clone(),
            customer_id: self.customer_ref.clone(),
            channel: self.channel.clone(),
            currency: self.currency,
            lines,
            totals: Totals { gross: net.plus(discount)?.countable()?, discount, net },
            placed_at: self.placed_at,
        })
    }
}
