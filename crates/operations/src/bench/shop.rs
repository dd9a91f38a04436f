//! A shop to measure: products on sale with prices and stock, and carts that are ready to be ordered.

use std::collections::BTreeMap;

use daybook_bus::{Bus, CommandError, Submission, clock::new_id};
use daybook_domain::{
    Actor, Command, Currency, Money, Quantity,
    cart::{AddLines, NewLine, OpenCart},
    catalog::{CreateProduct, NewVariant, SetPrice},
    ids::{CartId, Channel, LocationId, ProductId, Sku},
    inventory::ReceiveStock,
};
use futures::{TryStreamExt, stream};

/// The number of set-up commands that run at once.
const UNDER_WAY: usize = 512;

/// The administrator of the bench.
pub(super) fn admin() -> Actor {
    Actor::Admin("bench".to_owned())
}

/// The SKU of a product of the bench.
pub(super) fn sku(number: usize) -> Sku {
    format!("bench-{number}").parse().expect("a valid SKU")
}

fn euro() -> Currency {
    "EUR".parse().expect("a currency")
}

/// Publishes products, each with so many units in stock.
pub(super) async fn stock_up(bus: &Bus, products: usize, units: i64) -> anyhow::Result<()> {
    let setup = (0..products).map(|number| {
        let product = CreateProduct {
            product_id: ProductId(new_id()),
            name: format!("Product {number}").parse().expect("a valid name"),
            slug: None,
            description: None,
            brand: None,
            categories: Vec::new(),
            attributes: BTreeMap::new(),
            variants: vec![NewVariant { sku: sku(number), name: None, options: BTreeMap::new(), prices: Vec::new() }],
            publish: true,
        };
        let price = Money::new(1_000 + i64::try_from(number).unwrap_or(0), euro());
        let price = SetPrice { sku: sku(number), channel: Channel::default(), price };
        let quantity = Quantity::new(units).expect("a valid quantity");
        let goods = ReceiveStock { sku: sku(number), location: LocationId::default(), quantity, reference: None };
        vec![product.into(), price.into(), goods.into()]
    });
    run_all(bus, setup).await
}

/// Opens carts with 1 to 3 lines each, and returns their ids.
pub(super) async fn fill_carts(bus: &Bus, products: usize, carts: usize) -> anyhow::Result<Vec<CartId>> {
    let ids: Vec<CartId> = (0..carts).map(|_| CartId(new_id())).collect();
    let setup = ids.iter().enumerate().map(|(number, &cart_id)| {
        let open = OpenCart { cart_id, customer_id: None, channel: None, currency: euro() };
        // The step has no common factor with the number of products, so all of them are used.
        let line = |nr: usize| NewLine { sku: sku((number * 7 + nr * 131) % products), quantity: Quantity::ONE };
        let lines = (0..=number % 3).map(line).collect();
        vec![open.into(), AddLines { cart_id, lines }.into()]
    });
    run_all(bus, setup).await?;
    Ok(ids)
}

/// Runs lists of commands in parallel. The commands of one list run in order.
async fn run_all(bus: &Bus, lists: impl Iterator<Item = Vec<Command>>) -> anyhow::Result<()> {
    let runs = stream::iter(lists.map(Ok::<_, CommandError>));
    let run = |commands: Vec<Command>| async move {
        for command in commands {
            bus.execute_patiently(Submission::new(command, new_id(), admin())).await?;
        }
        Ok(())
    };
    runs.try_for_each_concurrent(UNDER_WAY, run).await?;
    Ok(())
}
