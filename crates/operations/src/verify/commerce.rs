//! Invariants of commerce: the book is read once and folded by the domain.

use std::collections::HashMap;

use daybook_domain::{
    Event, Fold, Money,
    inventory::{Stock, StockLevel},
    money::MoneyError,
    order::{self, OrderImported, OrderLine, OrderPlaced, Totals},
};
use daybook_event_store::{Daybook, RecordedEvent};
use futures::{TryStreamExt, pin_mut};

use super::Check;

pub(super) async fn checks(book: &Daybook) -> anyhow::Result<[Check; 3]> {
    let mut readable = Check::new("every event can be read");
    let mut stock = Check::new("no stock is below zero");
    let mut money = Check::new("the money of every order adds up");
    let mut stocks = HashMap::new();
    let events = book.scan(0, i64::MAX).await?;
    pin_mut!(events);
    while let Some(record) = events.try_next().await? {
        readable.checked += 1;
        match daybook_codec::decode(&record.event_type, record.schema_version, record.data.as_bytes()) {
            Ok(event) => {
                count_stock(&mut stock, &mut stocks, &record, &event);
                count_money(&mut money, &record, &event);
            }
            Err(error) => readable.violation(|| format!("position {}: {error}", record.position)),
        }
    }
    Ok([readable, stock, money])
}

/// No event may take more than is available, unless backorders are allowed.
fn count_stock(check: &mut Check, stocks: &mut HashMap<String, Stock>, record: &RecordedEvent, event: &Event) {
    let Event::Inventory(event) = event else { return };
    check.checked += 1;
    let stock = stocks.entry(record.stream_id.clone()).or_default();
    let left = |stock: &Stock| {
        let Stock { on_hand, reserved, backorders, .. } = *stock;
        StockLevel { on_hand, reserved, lapsed: 0, backorders }.free()
    };
    let before = left(stock);
    stock.evolve(event, record.effective_at);
    let after = left(stock);
    if after < before && after < 0 && !stock.backorders {
        let RecordedEvent { stream_id, position, event_type, .. } = record;
        check.violation(|| format!("{stream_id} has {after} left after {event_type} at position {position}"));
    }
}

fn count_money(check: &mut Check, record: &RecordedEvent, event: &Event) {
    let wrong = match event {
        Event::Order(order::Event::OrderPlaced(order)) => {
            wrong_line(order).or_else(|| wrong_totals(&order.totals, placed(order)))
        }
        Event::Order(order::Event::OrderImported(order)) => wrong_totals(&order.totals, imported(order)),
        _ => return,
    };
    check.checked += 1;
    if let Some(wrong) = wrong {
        check.violation(|| format!("{} at position {} {wrong}", record.stream_id, record.position));
    }
}

/// A line whose total is not its price times its quantity.
fn wrong_line(order: &OrderPlaced) -> Option<String> {
    let total = |line: &OrderLine| line.unit_price.times(line.quantity.units());
    let wrong = order.lines.iter().find(|line| total(line).as_ref() != Ok(&line.line_total))?;
    let OrderLine { sku, quantity, unit_price, line_total, .. } = wrong;
    Some(format!("says that {quantity} {sku} at {unit_price} come to {line_total}"))
}

fn wrong_totals(totals: &Totals, sums: Result<Totals, MoneyError>) -> Option<String> {
    let in_words = |totals: &Totals| format!("{} less {} is {}", totals.gross, totals.discount, totals.net);
    match sums {
        Ok(sums) if sums == *totals => None,
        Ok(sums) => Some(format!("says {}, its lines come to {}", in_words(totals), in_words(&sums))),
        Err(error) => Some(format!("cannot be added up: {error}")),
    }
}

fn placed(order: &OrderPlaced) -> Result<Totals, MoneyError> {
    let gross = Money::sum(order.currency, order.lines.iter().map(|line| line.line_total))?;
    let discount = order.totals.discount;
    Ok(Totals { gross, discount, net: gross.minus(discount)? })
}

fn imported(order: &OrderImported) -> Result<Totals, MoneyError> {
    let net = Money::sum(order.currency, order.lines.iter().map(|line| line.line_total))?;
    let discount = Money::sum(order.currency, order.lines.iter().map(|line| line.discount))?;
    Ok(Totals { gross: net.plus(discount)?, discount, net })
}
