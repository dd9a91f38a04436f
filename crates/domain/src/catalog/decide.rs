//! How the catalog decides.

use std::collections::BTreeSet;

use crate::{
    Context, Decide, Decision, Fold, Rejection, View,
    catalog::{
        CatalogRefusal as Refusal, Category, Product, ProductStatus, SkuRecord, SlugClaim, command::*, event::*,
    },
    ids::{CategoryId, ProductId, Sku},
    text::Slug,
};

/// The most variants that one product may have.
const MAX_VARIANTS: usize = 250;
/// The most categories or attributes that one product may have.
const MAX_DETAILS: usize = 100;
/// The highest price of one unit, in minor units. Times the largest quantity it still fits 64 bits.
const MAX_PRICE: i64 = 100_000_000_000;
/// How deep categories may nest.
const MAX_DEPTH: usize = 32;

impl Decide for CreateProduct {
    fn decide(&self, _context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let product_id = self.product_id;
        if self.variants.len() > MAX_VARIANTS {
            Err(Refusal::TooManyVariants { limit: MAX_VARIANTS })?;
        }
        check_details(self.categories.len(), self.attributes.len())?;
        let categories = view.get_all::<Category>(&self.categories)?;
        if view.find_new::<Product>(&product_id).is_some_and(|product| product.status != ProductStatus::Absent) {
            Err(Refusal::ProductExists { product_id })?;
        }
        check_categories_exist(&self.categories, &categories)?;
        if let Some(slug) = &self.slug {
            check_slug_free(view, slug)?;
        }
        let mut seen = BTreeSet::new();
        for variant in &self.variants {
            check_unclaimed(&variant.sku, view)?;
            if !seen.insert(&variant.sku) {
                Err(Refusal::SkuRepeated { sku: variant.sku.clone() })?;
            }
        }
        if self.publish && self.variants.is_empty() {
            Err(Refusal::NothingToSell { product_id })?;
        }
        Ok(self.events())
    }
}

impl CreateProduct {
    fn events(&self) -> Decision {
        let product_id = self.product_id;
        let stream = Product::stream(&product_id);
        let mut decision = Decision::of(
            stream.clone(),
            ProductCreated {
                product_id,
                name: self.name.clone(),
                slug: self.slug.clone(),
                description: self.description.clone(),
                brand: self.brand.clone(),
                categories: self.categories.clone(),
                attributes: self.attributes.clone(),
            },
        );
        if let Some(slug) = &self.slug {
            decision = decision.and(SlugClaim::stream(slug), SlugClaimed { slug: slug.clone(), product_id });
        }
        for variant in &self.variants {
            decision = add_variant(decision, product_id, variant);
        }
        if self.publish {
            decision = decision.and(stream, ProductPublished { product_id });
        }
        decision
    }
}

impl Decide for ReviseProduct {
    fn decide(&self, _context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let product_id = self.product_id;
        let product = existing(view, product_id)?;
        let Some(name) = self.name.as_ref().or(product.name.as_ref()) else {
            return Err(Refusal::ProductNotFound { product_id }.into());
        };
        let revised = ProductRevised {
            product_id,
            name: name.clone(),
            slug: self.slug.clone().or_else(|| product.slug.clone()),
            description: self.description.clone().or_else(|| product.description.clone()),
            brand: self.brand.clone().or_else(|| product.brand.clone()),
            categories: self.categories.clone().unwrap_or_else(|| product.categories.clone()),
            attributes: self.attributes.clone().unwrap_or_else(|| product.attributes.clone()),
        };
        check_details(revised.categories.len(), revised.attributes.len())?;
        check_categories_exist(&revised.categories, &view.get_all::<Category>(&revised.categories)?)?;
        let mut after = product.clone();
        after.evolve(&revised.clone().into(), chrono::DateTime::UNIX_EPOCH);
        if after == *product {
            Err(Refusal::NothingChanges { product_id })?;
        }
        let mut decision = Decision::default();
        if revised.slug != product.slug {
            if let Some(slug) = &revised.slug {
                check_slug_free(view, slug)?;
                decision = decision.and(SlugClaim::stream(slug), SlugClaimed { slug: slug.clone(), product_id });
            }
            if let Some(slug) = &product.slug {
                view.get::<SlugClaim>(slug)?;
                decision = decision.and(SlugClaim::stream(slug), SlugReleased { slug: slug.clone(), product_id });
            }
        }
        Ok(decision.and(Product::stream(&product_id), revised))
    }
}

impl Decide for AddVariant {
    fn decide(&self, _context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let product = existing(view, self.product_id)?;
        check_unclaimed(&self.sku, view)?;
        if product.skus.len() >= MAX_VARIANTS {
            Err(Refusal::TooManyVariants { limit: MAX_VARIANTS })?;
        }
        let variant = NewVariant { sku: self.sku.clone(), name: self.name.clone(), options: self.options.clone() };
        Ok(add_variant(Decision::default(), self.product_id, &variant))
    }
}

impl Decide for SetPrice {
    fn decide(&self, _context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        if !(0..=MAX_PRICE).contains(&self.price.minor_units) {
            Err(Refusal::PriceOutOfRange { price: self.price, limit: MAX_PRICE })?;
        }
        let record = view.get::<SkuRecord>(&self.sku)?;
        let Some(product_id) = record.product_id else {
            return Err(Refusal::UnknownSku { sku: self.sku.clone() }.into());
        };
        let previous = record.price(&self.channel, self.price.currency);
        if previous == Some(self.price) {
            Err(Refusal::PriceUnchanged { sku: self.sku.clone(), price: self.price })?;
        }
        let (sku, channel) = (self.sku.clone(), self.channel.clone());
        Ok(Decision::of(
            SkuRecord::stream(&self.sku),
            PriceSet { sku, product_id, channel, price: self.price, previous },
        ))
    }
}

impl Decide for PublishProduct {
    fn decide(&self, _context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let product_id = self.product_id;
        let product = existing(view, product_id)?;
        if product.skus.is_empty() {
            Err(Refusal::NothingToSell { product_id })?;
        }
        if product.status == ProductStatus::Published {
            Err(Refusal::NothingChanges { product_id })?;
        }
        Ok(Decision::of(Product::stream(&product_id), ProductPublished { product_id }))
    }
}

impl Decide for ArchiveProduct {
    fn decide(&self, _context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let product_id = self.product_id;
        if existing(view, product_id)?.status == ProductStatus::Archived {
            Err(Refusal::NothingChanges { product_id })?;
        }
        Ok(Decision::of(Product::stream(&product_id), ProductArchived { product_id }))
    }
}

impl Decide for CreateCategory {
    fn decide(&self, _context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let category_id = self.category_id;
        if view.find_new::<Category>(&category_id).is_some_and(|category| category.name.is_some()) {
            Err(Refusal::CategoryExists { category_id })?;
        }
        check_place(view, category_id, self.parent)?;
        Ok(Decision::of(
            Category::stream(&category_id),
            CategoryCreated { category_id, parent: self.parent, name: self.name.clone() },
        ))
    }
}

impl Decide for MoveCategory {
    fn decide(&self, _context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let category_id = self.category_id;
        let category = view.get::<Category>(&category_id)?;
        if category.name.is_none() {
            Err(Refusal::CategoryNotFound { category_id })?;
        }
        if category.parent == self.parent {
            Err(Refusal::CategoryUnmoved { category_id })?;
        }
        check_place(view, category_id, self.parent)?;
        Ok(Decision::of(Category::stream(&category_id), CategoryMoved { category_id, parent: self.parent }))
    }
}

fn existing<'a>(view: &View<'a>, product_id: ProductId) -> Result<&'a Product, Rejection> {
    let product = view.get::<Product>(&product_id)?;
    if product.status == ProductStatus::Absent {
        Err(Refusal::ProductNotFound { product_id })?;
    }
    Ok(product)
}

fn add_variant(decision: Decision, product_id: ProductId, variant: &NewVariant) -> Decision {
    let NewVariant { sku, name, options } = variant.clone();
    decision
        .and(SkuRecord::stream(&sku), SkuClaimed { sku: sku.clone(), product_id })
        .and(Product::stream(&product_id), VariantAdded { product_id, sku, name, options })
}

fn check_unclaimed(sku: &Sku, view: &View<'_>) -> Result<(), Refusal> {
    match view.find_new::<SkuRecord>(sku).and_then(|record| record.product_id) {
        Some(product_id) => Err(Refusal::SkuTaken { sku: sku.clone(), product_id }),
        None => Ok(()),
    }
}

fn check_slug_free(view: &View<'_>, slug: &Slug) -> Result<(), Refusal> {
    match view.find_new::<SlugClaim>(slug).and_then(|claim| claim.product_id) {
        Some(product_id) => Err(Refusal::SlugTaken { slug: slug.clone(), product_id }),
        None => Ok(()),
    }
}

fn check_details(categories: usize, attributes: usize) -> Result<(), Refusal> {
    for (count, what) in [(categories, "categories"), (attributes, "attributes")] {
        if count > MAX_DETAILS {
            return Err(Refusal::TooManyDetails { what, limit: MAX_DETAILS });
        }
    }
    Ok(())
}

fn check_categories_exist(ids: &[CategoryId], categories: &[&Category]) -> Result<(), Refusal> {
    match ids.iter().zip(categories).find(|(_, category)| category.name.is_none()) {
        Some((category_id, _)) => Err(Refusal::CategoryNotFound { category_id: *category_id }),
        None => Ok(()),
    }
}

/// Walks up from `parent` to the root. Every ancestor joins the read set, so two moves that would make a ring together
/// cannot both be committed.
fn check_place(view: &View<'_>, category_id: CategoryId, parent: Option<CategoryId>) -> Result<(), Rejection> {
    let mut above = parent;
    let mut depth = 1;
    while let Some(ancestor) = above {
        if ancestor == category_id {
            Err(Refusal::CategoryCycle { category_id })?;
        }
        depth += 1;
        if depth > MAX_DEPTH {
            Err(Refusal::CategoryTooDeep { limit: MAX_DEPTH })?;
        }
        let category = view.get::<Category>(&ancestor)?;
        if category.name.is_none() {
            Err(Refusal::CategoryNotFound { category_id: ancestor })?;
        }
        above = category.parent;
    }
    Ok(())
}
