//! Products: each row is a product with one variant, and its price. Departments and categories become the tree of categories.
//!
//! A product that the book has is compared with the row. It is changed with `--update` only.

mod category;
mod compare;
mod row;

use std::collections::HashSet;

use daybook_bus::clock::new_id;
use daybook_domain::{
    Fold, State,
    catalog::{self, CreateCategory, CreateProduct, Product, SkuRecord},
};
use uuid::Uuid;

use self::{compare::Differences, row::Stated};
use super::{
    Importer, Outcome, Refused,
    file::{Opened, Row},
    present::Present,
    running::{self, Imported, Rejected},
    sent,
};

/// The namespace of ids of imported products and categories (a random UUID, fixed for ever).
const IMPORTED: Uuid = Uuid::from_u128(0x8a4e_1f0d_93b7_4c62_a1d5_60f2_7be3_c918);

pub(super) async fn import(
    importer: Importer,
    present: Present,
    rejected: Rejected,
    opened: Opened,
) -> anyhow::Result<Imported> {
    let records = opened.rows(row::COLUMNS)?;
    let mut known = HashSet::new();
    let mut is_noted = false;
    let imported = running::import(rejected, records, async |row: Row| {
        note_the_unit(&row, &mut is_noted);
        let stated = match Stated::of(&row, importer.decimal_separator) {
            Ok(stated) => stated,
            Err(reason) => return Ok(Err(row.rejected("invalid_record", reason))),
        };
        let create = stated.create();
        for named in &stated.categories {
            let category_id = named.create.category_id;
            if !known.contains(&category_id) {
                if let Some((code, reason)) = create_category(&importer, named.create.clone()).await? {
                    return Ok(Err(row.rejected(&code, reason)));
                }
                known.insert(category_id);
            }
        }
        Ok(Ok(one(importer.clone(), present.clone(), row, stated, create)))
    });
    Ok(imported.await)
}

/// Says once what the unit of a price is, where a file may be from when the column held minor units.
fn note_the_unit(row: &Row, is_noted: &mut bool) {
    let price = row.text("price");
    if !*is_noted && !price.is_empty() && price.bytes().all(|byte| byte.is_ascii_digit()) {
        *is_noted = true;
        eprintln!(
            "the column `price` holds units of the currency, such as 19.99: {price} is not {price} cents, which stand in `price_minor`"
        );
    }
}

/// Creates a category unless it exists. Returns why it cannot be created.
async fn create_category(importer: &Importer, category: CreateCategory) -> anyhow::Result<Option<Refused>> {
    match sent(&importer.bus, category.into(), new_id()).await? {
        Ok(_) => Ok(None),
        Err((code, _)) if code == "category_exists" => Ok(None),
        Err(refused) => Ok(Some(refused)),
    }
}

async fn one(
    importer: Importer,
    present: Present,
    row: Row,
    stated: Stated,
    create: CreateProduct,
) -> anyhow::Result<Outcome> {
    match sent(&importer.bus, create.into(), new_id()).await? {
        Ok(_) => Ok(Outcome::Created),
        Err(refusal) if refusal.0 == "product_exists" => existing(importer, present, row, stated).await,
        Err((code, reason)) => Ok(Outcome::Rejected(row.rejected(&code, reason))),
    }
}

/// Compares a row with the product that the book has, and changes the product if that was asked for.
async fn existing(importer: Importer, present: Present, row: Row, stated: Stated) -> anyhow::Result<Outcome> {
    let product_id = stated.product_id();
    let (product, sku) = (Product::stream(&product_id), SkuRecord::stream(&stated.sku));
    let states = present.states(vec![product.clone(), sku.clone()]).await?;
    let differences = match (states.get(&product), states.get(&sku)) {
        (
            Some(State::Catalog(catalog::State::Product(product))),
            Some(State::Catalog(catalog::State::SkuRecord(sku))),
        ) => Differences::of(&stated, product, sku),
        _ => Err(format!("product {product_id} cannot be read")),
    };
    let differences = match differences {
        Ok(differences) if differences.is_empty() => return Ok(Outcome::Unchanged),
        Ok(differences) if !importer.update => {
            let reason = format!("{}; --update changes the book", differences.sentence());
            return Ok(Outcome::Rejected(row.rejected("conflict", reason)));
        }
        Ok(differences) => differences,
        Err(reason) => return Ok(Outcome::Rejected(row.rejected("product_id_taken", reason))),
    };
    let commands = differences.commands(product_id).map_err(|reason| row.rejected("invalid_record", reason));
    match commands {
        Ok(commands) => update(importer, &row, commands).await,
        Err(rejection) => Ok(Outcome::Rejected(rejection)),
    }
}

async fn update(importer: Importer, row: &Row, commands: Vec<daybook_domain::Command>) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::Unchanged;
    for command in commands {
        match sent(&importer.bus, command, new_id()).await? {
            // Another sender has made the same change meanwhile.
            Ok(receipt) if receipt.events.is_empty() => {}
            Ok(_) => outcome = Outcome::Updated,
            Err((code, reason)) => return Ok(Outcome::Rejected(row.rejected(&code, reason))),
        }
    }
    Ok(outcome)
}
