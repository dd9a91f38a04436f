//! What a row and the book say of the same product, and the commands that make the book say what the row says.

use daybook_domain::{
    Command,
    catalog::{Product, ProductDetails, SetPrice, SkuRecord},
    ids::{Channel, ProductId},
    text::Name,
};
use serde_json::{Map, Value, json};

use super::row::{PACKAGE_SIZE, Stated};

/// Something that a row states otherwise than the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    column: &'static str,
    book: String,
    file: String,
}

/// All that a row states otherwise than the book.
#[derive(Debug, Clone, Default)]
pub(super) struct Differences {
    found: Vec<Difference>,
    /// The fields of the command that revises the product.
    revise: Map<String, Value>,
    price: Option<SetPrice>,
}

impl Differences {
    /// Compares a row with its product and SKU. What the row does not state is not compared.
    ///
    /// # Errors
    /// A sentence, where the product is another one.
    pub(super) fn of(stated: &Stated, product: &Product, sku: &SkuRecord) -> Result<Self, String> {
        let product_id = stated.product_id();
        let details = product.details().filter(|details| details.variant(&stated.sku).is_some());
        let Some(details) = details.filter(|_| sku.product_id() == Some(product_id)) else {
            return Err(format!("product {product_id}, whose id follows from the SKU, has not this SKU"));
        };
        let mut differences = Self::default();
        differences.texts(stated, details);
        differences.categories(stated, details);
        differences.price(stated, sku);
        Ok(differences)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// What differs, as a sentence.
    pub(super) fn sentence(&self) -> String {
        let said = self
            .found
            .iter()
            .map(|Difference { column, book, file }| format!("{column} is `{file}` here and `{book}` in the book"));
        format!("the book has it with other values: {}", said.collect::<Vec<_>>().join("; "))
    }

    /// The commands that make the book say what the row says.
    ///
    /// # Errors
    /// A sentence, where a command cannot be made.
    pub(super) fn commands(self, product_id: ProductId) -> Result<Vec<Command>, String> {
        let mut commands = Vec::new();
        if !self.revise.is_empty() {
            let mut body = self.revise;
            body.insert("product_id".to_owned(), json!(product_id));
            let revise = Command::deserialize("ReviseProduct", Value::Object(body));
            let revise = revise.ok_or("there is no command ReviseProduct")?;
            commands.push(revise.map_err(|error| error.to_string())?);
        }
        commands.extend(self.price.map(Command::from));
        Ok(commands)
    }

    fn differs(&mut self, column: &'static str, book: String, file: String) {
        self.found.push(Difference { column, book, file });
    }

    fn texts(&mut self, stated: &Stated, details: &ProductDetails) {
        let shown = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let file = [
            ("name", Some(stated.name.as_str())),
            ("slug", stated.slug.as_ref().map(|slug| slug.as_str())),
            ("description", stated.description.as_ref().map(|text| text.as_str())),
            ("brand", stated.brand.as_ref().map(Name::as_str)),
        ];
        let book = [
            Some(details.name.as_str()),
            details.slug.as_ref().map(|slug| slug.as_str()),
            details.description.as_ref().map(|text| text.as_str()),
            details.brand.as_ref().map(Name::as_str),
        ];
        for ((column, file), book) in file.into_iter().zip(book) {
            if file.is_some() && file != book {
                self.differs(column, shown(book), shown(file));
                self.revise.insert(column.to_owned(), json!(file));
            }
        }
        let known =
            details.attributes.iter().find(|(key, _)| key.as_str() == PACKAGE_SIZE).map(|(_, size)| size.as_str());
        let size = stated.package_size.as_ref().map(Name::as_str);
        if size.is_some() && size != known {
            self.differs(PACKAGE_SIZE, shown(known), shown(size));
            let mut attributes = details.attributes.clone();
            attributes.extend(stated.attributes());
            self.revise.insert("attributes".to_owned(), json!(attributes));
        }
    }

    fn categories(&mut self, stated: &Stated, details: &ProductDetails) {
        let Some(named) = stated.categories.last() else { return };
        let is_same = |id| details.categories == [id];
        if !is_same(named.create.category_id) && !is_same(named.former_id) {
            let book = details.categories.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let file: Vec<_> = stated.categories.iter().map(|named| named.create.name.as_str()).collect();
            self.differs("category", book, file.join(" > "));
            self.revise.insert("categories".to_owned(), json!([named.create.category_id]));
        }
    }

    fn price(&mut self, stated: &Stated, sku: &SkuRecord) {
        let Some(price) = stated.price else { return };
        let channel = Channel::default();
        let known = sku.price(&channel, price.currency);
        if known != Some(price) {
            self.differs("price", known.map(|price| price.to_string()).unwrap_or_default(), price.to_string());
            self.price = Some(SetPrice { sku: stated.sku.clone(), channel, price });
        }
    }
}
