//! Products: each row is a product with one variant, and its price. Departments and categories become the tree of categories.
//!
//! A product that the book has is compared with the row. It is changed with `--update` only.

mod category;
mod compare;
mod row;

use std::collections::HashMap;

use daybook_bus::clock::new_id;
use daybook_domain::{
    Fold, State,
    catalog::{self, Category, CreateCategory, CreateProduct, Product, SkuRecord},
    ids::{CategoryId, ProductId},
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

use crate::print_note;

/// The namespace of ids of imported products and categories (a random UUID, fixed for ever).
const IMPORTED: Uuid = Uuid::from_u128(0x8a4e_1f0d_93b7_4c62_a1d5_60f2_7be3_c918);

pub(super) async fn import(
    importer: Importer,
    present: Present,
    rejected: Rejected,
    opened: Opened,
) -> anyhow::Result<Imported> {
    let records = opened.rows(row::COLUMNS)?;
    let mut known = HashMap::new();
    let mut first = HashMap::new();
    let mut is_noted = false;
    let imported = running::import(rejected, records, async |row: Row| {
        note_the_unit(&row, &mut is_noted);
        let mut stated = match Stated::of(&row, importer.decimal_separator) {
            Ok(stated) => stated,
            Err(reason) => return Ok(Err(row.rejected("invalid_record", reason))),
        };
        if let Some(line) = before(&mut first, &row, &stated) {
            let reason = format!("line {line} has this SKU with other values; a file says one thing of a product");
            return Ok(Err(row.rejected("repeated_sku", reason)));
        }
        if let Err((code, reason)) = create_categories(&importer, &present, &mut stated, &mut known).await? {
            return Ok(Err(row.rejected(&code, reason)));
        }
        let create = stated.create();
        Ok(Ok(one(importer.clone(), present.clone(), row, stated, create)))
    });
    Ok(imported.await)
}

/// The line of an earlier row of the same product that says something else. Rows are imported beside one another, so neither of the two
/// would be the last for certain.
fn before(first: &mut HashMap<ProductId, (u64, Uuid)>, row: &Row, stated: &Stated) -> Option<u64> {
    let contents = Uuid::new_v5(&IMPORTED, format!("{stated:?}").as_bytes());
    let (line, known) = *first.entry(stated.product_id()).or_insert((row.line, contents));
    (known != contents).then_some(line)
}

/// Says once what the unit of a price is, where a file may be from when the column held minor units.
fn note_the_unit(row: &Row, is_noted: &mut bool) {
    let price = row.text("price");
    if !*is_noted && !price.is_empty() && price.bytes().all(|byte| byte.is_ascii_digit()) {
        *is_noted = true;
        print_note!(
            "the column `price` holds units of the currency, such as 19.99: {price} is not {price} cents, which stand in `price_minor`"
        );
    }
}

/// Creates the categories of a row unless they exist, and gives the row their ids. `known` holds those of earlier rows.
async fn create_categories(
    importer: &Importer,
    present: &Present,
    stated: &mut Stated,
    known: &mut HashMap<CategoryId, CategoryId>,
) -> anyhow::Result<Result<(), Refused>> {
    let mut parent = None;
    for named in &mut stated.categories {
        let derived = named.create.category_id;
        named.create.parent = parent;
        let id = match known.get(&derived) {
            Some(id) => *id,
            None => match create_category(importer, present, &named.create).await? {
                Ok(id) => id,
                Err(refused) => return Ok(Err(refused)),
            },
        };
        known.insert(derived, id);
        named.create.category_id = id;
        parent = Some(id);
    }
    Ok(Ok(()))
}

/// Creates a category unless it exists. The id of a removed category is not used again, so the next one that derives from it is taken.
async fn create_category(
    importer: &Importer,
    present: &Present,
    category: &CreateCategory,
) -> anyhow::Result<Result<CategoryId, Refused>> {
    let mut create = category.clone();
    loop {
        let id = create.category_id;
        match sent(&importer.bus, create.clone().into(), new_id()).await? {
            Ok(_) => return Ok(Ok(id)),
            Err((code, _)) if code == "category_exists" => {}
            Err(refused) => return Ok(Err(refused)),
        }
        let stream = Category::stream(&id);
        match present.states(vec![stream.clone()]).await?.get(&stream) {
            Some(State::Catalog(catalog::State::Category(Category::Removed { .. }))) => {
                create.category_id = CategoryId(Uuid::new_v5(&IMPORTED, id.0.as_bytes()));
            }
            _ => return Ok(Ok(id)),
        }
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
