//! A cache of parsed documents. A document is parsed once, and a client may send its hash instead of it from then on (Apollo's
//! automatic persisted queries).

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{
    Request, ServerError, Value,
    parser::{parse_query, types::ExecutableDocument},
};
use data_encoding::HEXLOWER_PERMISSIVE;
use hashlink::LruCache;
use sha2::{Digest, Sha256};

use crate::graphql::{
    error::{shortened, with_code},
    lexemes::Length,
};

/// How many documents the cache keeps.
const MAX_DOCUMENTS: usize = 1_000;
/// How many bytes the texts of these documents may have together. A parsed document takes about ten times as much.
const MAX_BYTES: usize = 4 << 20;

type Hash = [u8; 32];

/// A document, its text, and its length.
struct Document {
    text: String,
    length: Length,
    parsed: ExecutableDocument,
}

/// The documents that were used most recently.
pub(crate) struct Documents(Mutex<Cache>);

struct Cache {
    documents: LruCache<Hash, Arc<Document>>,
    bytes: usize,
}

impl Documents {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Cache { documents: LruCache::new(MAX_DOCUMENTS), bytes: 0 }))
    }

    /// Sets the parsed document of a request, and its text when the request has only a hash. Returns its length.
    pub(crate) fn prepare(&self, request: &mut Request) -> Result<Length, ServerError> {
        let named = named(request)?;
        let document = if request.query.is_empty() {
            let hash = named.ok_or_else(|| refused("BAD_REQUEST", "the query is missing"))?;
            self.find(&hash).ok_or_else(|| refused("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound"))?
        } else {
            let hash: Hash = Sha256::digest(&request.query).into();
            if named.is_some_and(|named| named != hash) {
                return Err(refused("PERSISTED_QUERY_MISMATCH", "the sha256Hash is not that of the query"));
            }
            match self.find(&hash) {
                Some(document) => document,
                None => self.parse(hash, &request.query)?,
            }
        };
        request.query.clone_from(&document.text);
        request.set_parsed_query(document.parsed.clone());
        Ok(document.length)
    }

    fn find(&self, hash: &Hash) -> Option<Arc<Document>> {
        self.cache().documents.get(hash).cloned()
    }

    fn parse(&self, hash: Hash, text: &str) -> Result<Arc<Document>, ServerError> {
        let length = Length::of(text)?;
        let parsed = parse_query(text).map_err(|error| shortened(with_code(error.into(), "GRAPHQL_PARSE_FAILED")))?;
        let document = Arc::new(Document { text: text.to_owned(), length, parsed });
        self.cache().keep(hash, Arc::clone(&document));
        Ok(document)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    /// Adds a document, and removes the least recently used ones where the cache is full.
    fn keep(&mut self, hash: Hash, document: Arc<Document>) {
        while self.documents.len() >= MAX_DOCUMENTS || self.bytes + document.text.len() > MAX_BYTES {
            let Some((_, oldest)) = self.documents.remove_lru() else { break };
            self.bytes -= oldest.text.len();
        }
        self.bytes += document.text.len();
        if let Some(same) = self.documents.insert(hash, document) {
            self.bytes -= same.text.len();
        }
    }
}

/// The hash that a request has instead of its document.
fn named(request: &Request) -> Result<Option<Hash>, ServerError> {
    let Some(extension) = request.extensions.get("persistedQuery") else { return Ok(None) };
    let Value::Object(extension) = extension else {
        return Err(refused("BAD_REQUEST", "extensions.persistedQuery is an object"));
    };
    if !matches!(extension.get("version"), Some(Value::Number(version)) if version.as_i64() == Some(1)) {
        return Err(refused("PERSISTED_QUERY_NOT_SUPPORTED", "persisted queries are of version 1"));
    }
    let hash = match extension.get("sha256Hash") {
        Some(Value::String(text)) => bytes(text),
        _ => None,
    };
    hash.map(Some).ok_or_else(|| refused("BAD_REQUEST", "sha256Hash is 64 hexadecimal digits"))
}

fn bytes(hexadecimal: &str) -> Option<Hash> {
    HEXLOWER_PERMISSIVE.decode(hexadecimal.as_bytes()).ok()?.try_into().ok()
}

fn refused(code: &str, message: &str) -> ServerError {
    with_code(ServerError::new(message, None), code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_cache(documents: &Documents) -> (usize, usize) {
        let cache = documents.cache();
        (cache.documents.len(), cache.bytes)
    }

    #[test]
    fn the_cache_stays_within_its_bounds() {
        let documents = Documents::new();
        for at in 0..MAX_DOCUMENTS * 2 {
            documents.prepare(&mut Request::new(format!("{{ a{at} }}"))).expect("it can be parsed");
        }
        assert_eq!(size_of_cache(&documents).0, MAX_DOCUMENTS);
        for at in 0..30 {
            let long = format!("{{ a{at} }} #{}", "x".repeat(200_000));
            documents.prepare(&mut Request::new(long)).expect("it can be parsed");
        }
        let (_, bytes) = size_of_cache(&documents);
        assert!(bytes <= MAX_BYTES, "{bytes} bytes are kept");
    }
}
