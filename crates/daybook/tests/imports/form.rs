//! What a file may look like.

use std::io::Write;

use daybook_test_needs::{Need, skipped};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use crate::world;

fn utf_16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

fn compressed(text: &str) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    gz.write_all(text.as_bytes()).expect("memory can be written");
    gz.finish().expect("memory can be written")
}

#[tokio::test(flavor = "multi_thread")]
async fn delimiters_encodings_and_amounts_are_recognised_and_one_file_is_the_same_in_every_form() {
    let world = world().await;
    let rows = |delimiter: char, price: &str, currency: &str| {
        let row = |fields: [&str; 5]| fields.join(&delimiter.to_string());
        let header = row(["SKU", " Name", "Package Size", "Price", "currency"]);
        format!("{header}\r\n{}\r\n", row(["AB 12", "  \"Łopata, \"\"łódzka\"\"\" ".trim(), "1 l ", price, currency]))
    };
    let text = rows(',', "19.99", "EUR");
    let said = world.import("products", "first.csv", &text, &[]);
    assert_eq!((said.outcomes(), said.code), ([1, 1, 0, 0, 0], Some(0)), "{said:?}");
    let created = world.events("catalog.ProductCreated").await;
    assert_eq!(
        (&created[0]["name"], &created[0]["attributes"]["package_size"]),
        (&json!("Łopata, \"łódzka\""), &json!("1 l"))
    );
    assert_eq!(world.events("catalog.PriceSet").await[0]["price"], json!({ "minor_units": 1999, "currency": "EUR" }));
    let object = json!({ "SKU": "AB 12", "name": "Łopata, \"łódzka\"", "price": 19.99, "currency": "eur" });
    let forms: Vec<(&str, Vec<u8>)> = vec![
        ("semicolons.csv", rows(';', "\"19,99\"", "eur").into_bytes()),
        ("tabs.tsv", rows('\t', "19,99 €", "EUR").into_bytes()),
        ("pipes.csv", rows('|', "€ 19.99", "").into_bytes()),
        ("named.csv", format!("sep=;\r\n{}", rows(';', "EUR 19,99", "EUR")).into_bytes()),
        ("marked.csv", format!("\u{feff}{text}").into_bytes()),
        ("little.csv", utf_16(&format!("\u{feff}{text}"), u16::to_le_bytes)),
        ("big.csv", utf_16(&text, u16::to_be_bytes)),
        ("compressed.csv.gz", compressed(&text)),
        ("compressed-without-its-name.csv", compressed(&text)),
        ("lines.ndjson", format!("{object}\n\n").into_bytes()),
        ("lines", format!("{object}\n").into_bytes()),
        (
            "minor.csv",
            b"sku;name;price_minor;currency\nAB 12;\"\xc5\x81opata, \"\"\xc5\x82\xc3\xb3dzka\"\"\";1999;EUR\n;;;\n"
                .to_vec(),
        ),
    ];
    for (name, bytes) in forms {
        let said = world.import("products", name, bytes, &[]);
        assert_eq!((said.outcomes(), said.code), ([1, 0, 1, 0, 0], Some(0)), "{name}: {said:?}");
    }
    let latin = b"sku,name\nlatin,Caf\xe9\n";
    let said = world.import("products", "latin.csv", latin, &[]);
    assert!(said.code == Some(2) && said.errors.contains("--encoding") && said.errors.contains("`Café`"), "{said:?}");
    let said = world.import("products", "latin.csv", latin, &["--encoding", "iso-8859-1"]);
    assert_eq!(said.outcomes(), [1, 1, 0, 0, 0], "{said:?}");
    let names: Vec<_> =
        world.events("catalog.ProductCreated").await.into_iter().map(|data| data["name"].clone()).collect();
    assert_eq!(names[1], "Café");
    let said = world.import("products", "wrong.csv", "sku,name\nx,Café\n", &["--encoding", "windows-1252"]);
    assert!(said.code == Some(2) && said.errors.contains("it is UTF-8"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_header_is_named_before_anything_is_imported() {
    let world = world().await;
    let before = world.head().await;
    for (header, named) in [
        ("sku,name,Prise,currency", "`Prise` is no column of this import (the nearest is `price`)"),
        ("sku,name,sku,sku", "the column `sku` occurs twice"),
        ("name,price", "it has no column `sku`"),
        ("sku,name,price,price_minor", "`price` and `price_minor`; one of them is enough"),
        ("sku name price", "no column `sku`"),
    ] {
        let said = world.import("products", "wrong.csv", format!("{header}\na,b,1,2\n"), &[]);
        assert!(said.code == Some(2) && said.errors.contains(named), "{header}: {said:?}");
        assert!(said.errors.contains("`package_size`"), "the columns are listed: {said:?}");
        assert_eq!(said.summary["read"], 0, "{said:?}");
    }
    assert_eq!(world.head().await, before);
    let said = world.import("products", "more.csv", "sku,name,colour\na,Oat,red\n", &["--ignore", "Colour"]);
    assert_eq!(said.outcomes(), [1, 1, 0, 0, 0], "{said:?}");
    let said = world.import("stock", "stock.ndjson", "{\"sku\":\"a\",\"quantity\":1,\"Locaton\":\"x\"}\n", &[]);
    assert_eq!((said.codes(), said.code), (vec!["unknown_field"], Some(1)), "{said:?}");
    assert!(said.rejected[0]["reason"].as_str().is_some_and(|why| why.contains("`location`")), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_none_is_rejected_with_its_line_and_the_others_are_imported() {
    let world = world().await;
    world.with_product("shf").await;
    let said = world.import("stock", "stock.csv", "sku,quantity,location\nshf,1,000,main\n", &[]);
    assert_eq!((said.outcomes(), said.code), ([1, 0, 0, 0, 1], Some(1)), "every record was rejected: {said:?}");
    assert_eq!((&said.rejected[0]["line"], said.codes()), (&json!(2), vec!["field_count"]));
    assert_eq!(world.events("inventory.StockReceived").await, Vec::<serde_json::Value>::new());

    let products = b"sku,name,brand,price,currency\nshf2,Milk, oat,Oatly,1.00,EUR\nok,\"two\nlines\",B,1.00,EUR\nlate,Caf\xe9,B,1.00,EUR\n\
                     good,Oat,B,1.00,EUR\nfew,Oat\nbig,Oat,B,\"1,234\",EUR\nodd,Oat,B,1.00,EURO\n,,,,\n";
    let said = world.import("products", "products.csv", products, &["--encoding", "utf-8"]);
    let lines: Vec<_> = said.rejected.iter().map(|record| record["line"].as_u64()).collect();
    assert_eq!(said.outcomes(), [7, 1, 0, 0, 6], "{said:?}");
    assert_eq!(lines, [2, 3, 5, 7, 8, 9].map(Some), "{said:?}");
    assert_eq!(
        said.codes(),
        ["field_count", "invalid_record", "invalid_encoding", "field_count", "invalid_record", "invalid_record"]
    );
    assert_eq!(said.code, Some(0), "one was imported");
    let strict = world.import("products", "products.csv", products, &["--encoding", "utf-8", "--strict"]);
    assert_eq!((strict.code, strict.outcomes()), (Some(1), [7, 0, 1, 0, 6]));
    let settled = "sku,name,price,currency\nbig,Oat,\"1,234\",EUR\n";
    let said = world.import("products", "settled.csv", settled, &["--decimal-separator", "point"]);
    assert_eq!(said.outcomes(), [1, 1, 0, 0, 0], "{said:?}");

    let strays = "\nsku,name\r\n\rsa,\"24\" TV\"\rsb,5\" pipe\r\n\"=\"\"00123\"\"\",\"24\"\" TV\" \n\n=\"00123\",Oat\rsc,\"a\"b\r";
    let said = world.import("products", "strays.csv", strays, &[]);
    assert_eq!(said.outcomes(), [5, 2, 0, 0, 3], "{said:?}");
    let mut rejected: Vec<_> =
        said.rejected.iter().map(|record| (record["line"].as_u64(), record["code"].as_str())).collect();
    rejected.sort_unstable();
    let expected = [(4, "stray_quote"), (8, "repeated_sku"), (9, "stray_quote")];
    assert_eq!(rejected, expected.map(|(line, code)| (Some(line), Some(code))), "{said:?}");
    for (bytes, what) in [(&b"PK\x03\x04\x14\x00\x83"[..], "XLSX"), (b"\xd0\xcf\x11\xe0\xa1", "XLS")] {
        let said = world.import("products", "sheet.csv", bytes, &[]);
        assert!(said.code == Some(2) && said.errors.contains(what), "{said:?}");
    }

    let open = "sku,name\nfirst,Oat\nopen,\"Oat\nlost,Oat\n";
    let said = world.import("products", "open.csv", open, &[]);
    assert!(said.code == Some(1) && said.errors.contains("the quote in line 3 is never closed"), "{said:?}");
    assert_eq!(said.outcomes(), [1, 1, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_json_are_what_the_file_says() {
    let world = world().await;
    let row =
        |sku: &str, price: &str| format!("{{\"sku\":{sku},\"name\":\"x\",\"price\":{price},\"currency\":\"EUR\"}}\n");
    let good = [row("123456789012345678901", "1.10"), row("\"a\"", "12.34"), row("\"b\"", "\"1.234,50\"")].concat();
    let said = world.import("products", "good.ndjson", good, &["--decimal-separator", "comma"]);
    assert_eq!(said.outcomes(), [3, 3, 0, 0, 0], "{said:?}");
    let prices = world.events("catalog.PriceSet").await;
    let mut prices: Vec<_> =
        prices.iter().map(|event| (event["sku"].as_str(), event["price"]["minor_units"].as_i64())).collect();
    prices.sort_unstable();
    let expected = [("123456789012345678901", 110), ("a", 1_234), ("b", 123_450)];
    assert_eq!(prices, expected.map(|(sku, cents)| (Some(sku), Some(cents))));
    let bad = [row("1.10", "1"), row("1e3", "1"), row("-0", "1"), row("\"c\"", "1.005"), row("\"d\"", "1e3")].concat();
    let mut said = world.import("products", "bad.ndjson", bad, &[]);
    said.rejected.sort_by_key(|record| record["line"].as_u64());
    let rounded = "rounded_number";
    assert_eq!(said.codes(), [rounded, rounded, rounded, "invalid_record", "invalid_record"], "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_empty_cells_of_a_spreadsheet_do_no_harm() {
    let world = world().await;
    let forms = [
        ("sku,name,price,currency,,,\na,Tea,1.99,EUR,,,\n", [1, 1, 0, 0, 0]),
        ("sku,name,price,currency,,,\na,Tea,1.99,EUR\n", [1, 0, 1, 0, 0]),
        ("sku,name,price,currency\na,Tea,1.99,EUR,, \n,,,,,\n", [1, 0, 1, 0, 0]),
        ("\n,,,\n  \nsku,name,price,currency\na,Tea,1.99,EUR\n\u{1a}", [1, 0, 1, 0, 0]),
        (";;;\nsku;;name;price;currency;\na;;Tea;1,99;EUR\n", [1, 0, 1, 0, 0]),
        ("sku\tname\tprice\tcurrency\t\na\tTea\t1.99\tEUR\t\n", [1, 0, 1, 0, 0]),
    ];
    for (text, outcomes) in forms {
        let said = world.import("products", "cells.csv", text, &[]);
        assert_eq!((said.outcomes(), said.code), (outcomes, Some(0)), "{text}: {said:?}");
    }
    let said = world.import("products", "cells.ndjson", "{\"sku\":\"a\",\"name\":\"Tea\",\"\":\"\"}\n\u{1a}", &[]);
    assert_eq!(said.outcomes(), [1, 0, 1, 0, 0], "{said:?}");
    let wrong = "sku,name,,\nb,Cake\nc,Cake,,9\nd,Cake,,,9\ne\n";
    let said = world.import("products", "wrong.csv", wrong, &[]);
    assert_eq!((said.outcomes(), said.code), ([4, 1, 0, 0, 3], Some(0)), "{said:?}");
    assert_eq!(said.codes(), ["unnamed_column", "field_count", "field_count"]);
    let reasons: Vec<_> = said.rejected.iter().filter_map(|record| record["reason"].as_str()).collect();
    assert_eq!(reasons[0], "it has the value `9` in column 4, which has no name");
    assert!(reasons[2].ends_with("an empty value needs its `,` as well"), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exports_of_other_engines_are_read_and_their_columns_are_named() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/import");
    if !directory.join("expected.json").exists() {
        return skipped(Need::JourneyData, "shared/data/import is missing beside the project");
    }
    let world = world().await;
    for (name, columns) in [
        ("shopify-apparel.csv", vec!["`Handle`", "`Variant SKU`"]),
        ("shopify-2025-headers.csv", vec!["`URL handle`", "`Compare-at price`"]),
        ("vendure-products.csv", vec!["`optionGroups`", "`stockOnHand`"]),
        ("medusa-exported-products.csv", vec!["`Product Id`", "`Variant Price EUR`"]),
        ("woocommerce-sample-products.csv", vec!["`ID`", "`Regular price`"]),
    ] {
        let bytes = std::fs::read(directory.join(name)).expect("the file can be read");
        let said = world.import("products", name, bytes, &[]);
        assert_eq!(said.code, Some(2), "{name}: {said:?}");
        for column in columns {
            assert!(
                said.errors.contains(&format!("{column} is no column of this import")),
                "{name}: {column}: {said:?}"
            );
        }
    }
    assert_eq!(world.head().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_were_joined_are_read_as_one_or_refused_where_the_second_begins() {
    let world = world().await;
    let joined = "\u{feff}\"sku\",\"name\"\n\"one\",\"A\"\n\u{feff}\"sku\",\"name\"\n\"two\",\"B\"\nSKU,Name\nthree,C\n\u{feff}four,D\n";
    let said = world.import("products", "joined.csv", joined, &[]);
    assert_eq!((said.outcomes(), said.code), ([4, 4, 0, 0, 0], Some(0)), "{said:?}");
    let mut names: Vec<_> =
        world.events("catalog.ProductCreated").await.iter().map(|event| event["name"].to_string()).collect();
    // Rows are imported beside one another.
    names.sort_unstable();
    assert_eq!(names, ["\"A\"", "\"B\"", "\"C\"", "\"D\""]);

    let other = "sku,name\nfive,E\nname,sku\nF,six\n";
    let said = world.import("products", "other.csv", other, &[]);
    assert!(said.code == Some(1) && said.errors.contains("line 3 is another header"), "{said:?}");
    assert_eq!(said.outcomes(), [1, 1, 0, 0, 0], "{said:?}");

    let lines = "\u{feff}{\"sku\":\"seven\",\"name\":\"G\"}\n\u{feff}{\"sku\":\"eight\",\"name\":\"H\"}\n";
    let said = world.import("products", "joined.ndjson", lines, &[]);
    assert_eq!((said.outcomes(), said.code), ([2, 2, 0, 0, 0], Some(0)), "{said:?}");
}
