//! The GraphiQL page that a browser gets.

use std::collections::BTreeSet;

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};

use crate::shop::{Answer, Caller, Shop};

/// The `Accept` header of Chromium.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

async fn get(shop: &Shop, path: &str, accept: &str) -> Answer {
    let request = shop.request(Method::GET, path, Caller::Guest).header(header::ACCEPT, accept);
    shop.send(request.body(Body::empty()).expect("the request is valid")).await
}

/// The values of `src` and `href` in a page.
fn named(page: &str) -> BTreeSet<String> {
    let values = ["src=\"", "href=\""].into_iter().flat_map(|name| page.split(name).skip(1));
    values.filter_map(|rest| rest.split('"').next()).filter(|name| *name != "data:,").map(str::to_owned).collect()
}

#[tokio::test]
async fn a_browser_gets_a_page_that_needs_no_other_host() {
    let shop = Shop::open().await;
    for path in ["/graphql", "/admin/graphql", "/graphql?query=%7B__typename%7D"] {
        let page = get(&shop, path, BROWSER).await;
        assert_eq!(page.status, StatusCode::OK);
        assert_eq!(page.headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
        let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().expect("the header is a text");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("http") && !policy.contains('*'), "{policy}");
        assert!(!page.text.contains("//"), "{}", page.text);
        assert_eq!(named(&page.text).len(), 6);
    }
}

#[tokio::test]
async fn every_file_that_the_page_names_is_served_and_may_be_cached() {
    let shop = Shop::open().await;
    let page = get(&shop, "/graphql", BROWSER).await;
    for name in named(&page.text) {
        let file = get(&shop, &name, "*/*").await;
        assert_eq!(file.status, StatusCode::OK, "{name}");
        assert!(!file.text.is_empty());
        assert_eq!(file.headers[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        let kind = file.headers[header::CONTENT_TYPE].to_str().expect("the header is a text");
        assert_eq!(kind.starts_with("text/css"), name.ends_with(".css"), "{name}");
        let compressed = file.headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
        assert_eq!(compressed, !name.contains("/page."), "{name}");
        if !compressed {
            assert!(!file.text.contains("http:") && !file.text.contains("https:"), "{name}");
        }
    }
    assert_eq!(get(&shop, "/graphiql/0.0.0/page.js", "*/*").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_client_that_asks_for_json_gets_no_page() {
    let shop = Shop::open().await;
    for accept in ["application/json", "*/*", "application/graphql-response+json, text/html"] {
        let answer = get(&shop, "/graphql?query=%7B__typename%7D", accept).await;
        assert_eq!(answer.data()["__typename"], "Query", "{accept}");
    }
}
