//! Products: each line is a product with one variant. Departments and categories become the tree of categories.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use daybook_bus::{Bus, CommandError, Submission, clock::new_id};
use daybook_domain::{
    Actor, Money,
    catalog::{CreateCategory, CreateProduct, NewVariant, SetPrice},
    ids::{CategoryId, ProductId, Sku},
    text::{Name, Slug},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Outcome, Rejection,
    records::Records,
    running::{self, Imported},
    submit,
};

/// The namespace of ids of imported products and categories (a random UUID, fixed for ever).
const IMPORTED: Uuid = Uuid::from_u128(0x8a4e_1f0d_93b7_4c62_a1d5_60f2_7be3_c918);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    sku: String,
    name: String,
    #[serde(default)]
    brand: String,
    #[serde(default)]
    department: String,
    #[serde(default)]
    category: String,
    #[serde(default)]
    package_size: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
}

pub(super) async fn import(bus: Bus, file: &Path) -> anyhow::Result<Imported> {
    let records = Records::csv(file, &["sku", "name"])?;
    let mut known = HashSet::new();
    let imported = running::import(file, records, async |line: Line| match commands(&line) {
        Ok(Commands { categories, product, price }) => {
            for category in categories {
                if known.insert(category.category_id) {
                    create_category(&bus, category).await?;
                }
            }
            Ok(Ok(create_product(bus.clone(), product, price, line)))
        }
        Err(reason) => {
            let record = serde_json::to_value(&line)?;
            Ok(Err(Rejection { record, code: "invalid_record".to_owned(), reason }))
        }
    });
    Ok(imported.await)
}

/// The commands of a line.
struct Commands {
    categories: Vec<CreateCategory>,
    product: CreateProduct,
    price: Option<SetPrice>,
}

fn commands(line: &Line) -> Result<Commands, String> {
    let sku: Sku = line.sku.trim().parse().map_err(|error| format!("sku: {error}"))?;
    let name: Name = line.name.trim().parse().map_err(|error| format!("name: {error}"))?;
    let brand = optional(&line.brand).map_err(|error| format!("brand: {error}"))?;
    let size = optional(&line.package_size).map_err(|error| format!("package_size: {error}"))?;
    let categories = categories(line)?;
    let attributes = match (size, "package_size".parse::<Name>()) {
        (Some(size), Ok(key)) => BTreeMap::from([(key, size)]),
        _ => BTreeMap::new(),
    };
    let product = CreateProduct {
        product_id: ProductId(Uuid::new_v5(&IMPORTED, format!("product {sku}").as_bytes())),
        slug: Some(slug(&name, &sku)?),
        name,
        description: None,
        brand,
        categories: categories.last().map(|category| category.category_id).into_iter().collect(),
        attributes,
        variants: vec![NewVariant { sku: sku.clone(), name: None, options: BTreeMap::new() }],
        publish: true,
    };
    let price = match (line.price, &line.currency) {
        (Some(minor_units), Some(currency)) => {
            let currency = currency.parse().map_err(|error| format!("currency: {error}"))?;
            let price = Money::new(minor_units, currency);
            Some(SetPrice { sku, channel: daybook_domain::ids::Channel::default(), price })
        }
        (None, _) => None,
        (Some(_), None) => return Err("currency: a price needs one".to_owned()),
    };
    Ok(Commands { categories, product, price })
}

fn optional(text: &str) -> Result<Option<Name>, daybook_domain::text::TextError> {
    let text = text.trim();
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

/// The category of a line and its parents, the root first. Their ids are derived from their names.
fn categories(line: &Line) -> Result<Vec<CreateCategory>, String> {
    let mut path = String::from("category");
    let mut categories: Vec<CreateCategory> = Vec::new();
    for text in [&line.department, &line.category] {
        let Some(name) = optional(text).map_err(|error| format!("category: {error}"))? else { break };
        path = format!("{path}/{name}");
        let category_id = CategoryId(Uuid::new_v5(&IMPORTED, path.as_bytes()));
        let parent = categories.last().map(|category| category.category_id);
        categories.push(CreateCategory { category_id, parent, name });
    }
    Ok(categories)
}

/// A slug of a product's name, made unique by its SKU.
fn slug(name: &Name, sku: &Sku) -> Result<Slug, String> {
    let text = format!("{:.100} {sku}", name.as_str()).to_lowercase();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    Slug::new(words.collect::<Vec<_>>().join("-")).map_err(|error| format!("slug: {error}"))
}

async fn create_category(bus: &Bus, category: CreateCategory) -> anyhow::Result<()> {
    match bus.execute_patiently(Submission::new(category, new_id(), Actor::Admin("import".to_owned()))).await {
        Err(CommandError::Refused { refusal, .. }) if refusal.code() == "category_exists" => Ok(()),
        created => Ok(created.map(drop)?),
    }
}

async fn create_product(
    bus: Bus,
    product: CreateProduct,
    price: Option<SetPrice>,
    line: Line,
) -> anyhow::Result<Outcome> {
    let record = serde_json::to_value(&line)?;
    let created = submit(bus.clone(), product.into(), record.clone(), &["product_exists"]).await?;
    match (created, price) {
        // A run that was interrupted may not have set the price, so the next run sets it.
        (created @ (Outcome::Imported | Outcome::AlreadyThere), Some(price)) => {
            match submit(bus, price.into(), record, &[]).await? {
                rejected @ Outcome::Rejected(_) => Ok(rejected),
                Outcome::Imported | Outcome::AlreadyThere => Ok(created),
            }
        }
        (created, _) => Ok(created),
    }
}
