//! A row of a file of products: what it states, and the command that creates its product.

use std::collections::BTreeMap;

use daybook_domain::{
    Money,
    catalog::{CreateProduct, NewPrice, NewVariant, policy::MAX_PRICE},
    ids::{Channel, ProductId, Sku},
    text::{Name, Prose, Slug, TextError},
};
use uuid::Uuid;

use super::{
    super::{
        file::{Columns, Row},
        money::{self, DecimalSeparator},
    },
    IMPORTED, category,
};

/// The columns of products.
pub(in crate::import) const COLUMNS: Columns = Columns {
    required: &["sku", "name"],
    optional: &[
        "brand",
        "department",
        "category",
        "package_size",
        "price",
        "price_minor",
        "currency",
        "slug",
        "description",
    ],
    either: &[&["price", "price_minor"]],
};

/// What a row states of a product. What it leaves empty it does not state.
#[derive(Debug, Clone)]
pub(super) struct Stated {
    pub(super) sku: Sku,
    pub(super) name: Name,
    pub(super) slug: Option<Slug>,
    pub(super) description: Option<Prose>,
    pub(super) brand: Option<Name>,
    pub(super) package_size: Option<Name>,
    /// The categories, the root first.
    pub(super) categories: Vec<category::Named>,
    pub(super) price: Option<Money>,
}

impl Stated {
    /// Reads a row.
    ///
    /// # Errors
    /// A sentence that names the column.
    pub(super) fn of(row: &Row, separator: Option<DecimalSeparator>) -> Result<Self, String> {
        let sku = row.text("sku").parse().map_err(|error| format!("sku: {error}"))?;
        let name = row.text("name").parse().map_err(|error| format!("name: {error}"))?;
        Ok(Self {
            sku,
            name,
            slug: optional(row, "slug")?,
            description: optional(row, "description")?,
            brand: optional(row, "brand")?,
            package_size: optional(row, "package_size")?,
            categories: category::path(optional(row, "department")?, optional(row, "category")?),
            price: price(row, separator)?,
        })
    }

    /// The id of the product. It derives from the SKU, so it is the same in every file.
    pub(super) fn product_id(&self) -> ProductId {
        ProductId(Uuid::new_v5(&IMPORTED, format!("product {}", self.sku).as_bytes()))
    }

    /// The attributes that the row states.
    pub(super) fn attributes(&self) -> BTreeMap<Name, Name> {
        match (&self.package_size, PACKAGE_SIZE.parse::<Name>()) {
            (Some(size), Ok(key)) => BTreeMap::from([(key, size.clone())]),
            _ => BTreeMap::new(),
        }
    }

    /// The command that creates the product, with its price.
    pub(super) fn create(&self) -> CreateProduct {
        let prices = self.price.map(|price| NewPrice { channel: Channel::default(), price });
        let variant = NewVariant {
            sku: self.sku.clone(),
            name: None,
            options: BTreeMap::new(),
            prices: prices.into_iter().collect(),
        };
        CreateProduct {
            product_id: self.product_id(),
            name: self.name.clone(),
            // The decision makes it from the name, where the row has none.
            slug: self.slug.clone(),
            description: self.description.clone(),
            brand: self.brand.clone(),
            categories: self.categories.last().map(|named| named.create.category_id).into_iter().collect(),
            attributes: self.attributes(),
            variants: vec![variant],
            publish: true,
        }
    }
}

/// The attribute that holds the size of a package.
pub(super) const PACKAGE_SIZE: &str = "package_size";

fn optional<T: std::str::FromStr<Err = TextError>>(row: &Row, column: &str) -> Result<Option<T>, String> {
    let parse = |text: &str| text.parse().map_err(|error| format!("{column}: {error}"));
    row.stated(column).map(parse).transpose()
}

fn price(row: &Row, separator: Option<DecimalSeparator>) -> Result<Option<Money>, String> {
    let currency = row.stated("currency").map(money::currency).transpose().map_err(|why| format!("currency: {why}"))?;
    // A number of JSON has a point, whatever texts have.
    let separator = if row.is_number("price") { Some(DecimalSeparator::Point) } else { separator };
    let price = match (row.stated("price"), row.stated("price_minor")) {
        (Some(text), _) => money::amount(text, currency, separator).map_err(|why| format!("price: {why}"))?,
        (None, Some(text)) => {
            let minor = money::minor_units(text).map_err(|why| format!("price_minor: {why}"))?;
            Money::new(minor, currency.ok_or("currency: a price needs one")?)
        }
        (None, None) => return Ok(None),
    };
    if (0..=MAX_PRICE).contains(&price.minor_units) {
        Ok(Some(price))
    } else {
        let limit = Money::new(MAX_PRICE, price.currency);
        Err(format!("price: a price is not negative and at most {limit}, not {price}"))
    }
}
