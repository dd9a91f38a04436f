//! GraphiQL, for a browser that opens an endpoint. Its files are in the binary, so it works without internet access.
//! `graphiql/README.md` describes the files and their origin.

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};

use super::text;

/// The version of the files: of GraphiQL, and a number of our own.
const VERSION: &str = "3.8.3-1";

/// The page runs only our scripts, and connects only to this server. GraphiQL sets styles from scripts, and has its fonts in its
/// stylesheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src data:; \
                      img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

/// A file of the page.
struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    /// Whether the bytes are compressed by gzip.
    compressed: bool,
}

const ASSETS: [Asset; 6] = [
    Asset {
        name: "graphiql.min.js",
        kind: JAVASCRIPT,
        bytes: include_bytes!("../../graphiql/graphiql.min.js.gz"),
        compressed: true,
    },
    Asset {
        name: "graphiql.min.css",
        kind: CSS,
        bytes: include_bytes!("../../graphiql/graphiql.min.css.gz"),
        compressed: true,
    },
    Asset {
        name: "react.production.min.js",
        kind: JAVASCRIPT,
        bytes: include_bytes!("../../graphiql/react.production.min.js.gz"),
        compressed: true,
    },
    Asset {
        name: "react-dom.production.min.js",
        kind: JAVASCRIPT,
        bytes: include_bytes!("../../graphiql/react-dom.production.min.js.gz"),
        compressed: true,
    },
    Asset { name: "page.js", kind: JAVASCRIPT, bytes: include_bytes!("../../graphiql/page.js"), compressed: false },
    Asset { name: "page.css", kind: CSS, bytes: include_bytes!("../../graphiql/page.css"), compressed: false },
];

/// Whether the client wants the page: browsers accept HTML first.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    text(headers, header::ACCEPT.as_str()).is_some_and(|accept| accept.trim_start().starts_with("text/html"))
}

/// The page, for the endpoint that it is served from.
pub(super) fn page() -> Response {
    let page = include_str!("../../graphiql/page.html").replace("{version}", VERSION);
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::VARY, "accept"),
    ];
    (headers, Html(page)).into_response()
}

/// The files that the page names.
pub(super) fn router() -> Router {
    Router::new().route("/graphiql/{version}/{name}", get(asset))
}

async fn asset(Path((version, name)): Path<(String, String)>) -> Response {
    let found = ASSETS.iter().find(|asset| version == VERSION && asset.name == name);
    let Some(Asset { kind, bytes, compressed, .. }) = found else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [
        (header::CONTENT_TYPE, *kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let encoding = compressed.then_some([(header::CONTENT_ENCODING, "gzip")]);
    (headers, encoding, *bytes).into_response()
}
