//! Catalog: products and their variants, SKUs and their prices, the category tree.
//!
//! A SKU has a stream of its own, which is its claim (a SKU belongs to one variant of one product, for ever) and its price list.
//! So a checkout reads a few bytes a line and not whole products. A slug is claimed the same way, and may be given back.

mod add_variant;
mod archive_product;
mod create_category;
mod create_product;
mod details;
mod event;
pub(crate) mod ids;
mod move_category;
pub mod policy;
mod prices;
mod publish_product;
mod revise_product;
mod set_price;
mod slug_of_name;
mod state;
mod tree;
mod variants;

pub use add_variant::AddVariant;
pub use archive_product::ArchiveProduct;
pub use create_category::{CategoryExists, CreateCategory};
pub use create_product::{CreateProduct, ProductExists, SkuRepeated};
pub use details::{CategoryNotFound, NothingChanges, ProductNotFound, SlugTaken, TooManyAttributes, TooManyCategories};
pub use event::*;
pub use move_category::{CategoryUnmoved, MoveCategory};
pub use prices::PriceList;
pub use publish_product::{NothingToSell, PublishProduct};
pub use revise_product::ReviseProduct;
pub use set_price::{PriceOutOfRange, PriceUnchanged, SetPrice, UnknownSku};
pub use state::{Category, Product, ProductDetails, SkuRecord, SlugClaim};
pub use tree::{CategoryCycle, CategoryTooDeep};
pub use variants::{NewPrice, NewVariant, PricesRepeated, SkuTaken, TooManyOptions, TooManyVariants, VariantTooLong};

crate::declare::slice! {
    Catalog;
    streams { "product" => Product, "category" => Category, "sku" => SkuRecord, "slug" => SlugClaim }
    commands {
        CreateProduct: by ADMIN;
        ReviseProduct: by ADMIN;
        AddVariant: by ADMIN;
        SetPrice: by ADMIN;
        PublishProduct: by ADMIN;
        ArchiveProduct: by ADMIN;
        CreateCategory: by ADMIN;
        MoveCategory: by ADMIN;
    }
    events {
        "catalog.ProductCreated" 1 => ProductCreated,
        "catalog.ProductRevised" 1 => ProductRevised,
        "catalog.VariantAdded" 1 => VariantAdded,
        "catalog.ProductPublished" 1 => ProductPublished,
        "catalog.ProductArchived" 1 => ProductArchived,
        "catalog.SkuClaimed" 1 => SkuClaimed,
        "catalog.PriceSet" 1 => PriceSet,
        "catalog.SlugClaimed" 1 => SlugClaimed,
        "catalog.SlugReleased" 1 => SlugReleased,
        "catalog.CategoryCreated" 1 => CategoryCreated,
        "catalog.CategoryMoved" 1 => CategoryMoved,
        "catalog.CategoryChildChanged" 1 => CategoryChildChanged,
    }
    refusals {
        ProductExists, ProductNotFound, SkuTaken, SkuRepeated, PricesRepeated, UnknownSku, SlugTaken, TooManyVariants, TooManyOptions,
        VariantTooLong, TooManyCategories, TooManyAttributes, NothingToSell, NothingChanges, PriceOutOfRange, PriceUnchanged, CategoryExists, CategoryNotFound,
        CategoryCycle, CategoryUnmoved, CategoryTooDeep,
    }
}
