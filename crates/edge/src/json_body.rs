//! What the headers of a request say about a body of JSON.

use axum::http::{HeaderMap, header};

use crate::problem::Problem;

/// Refuses a body whose headers name another type than JSON, another character set than UTF-8, or a compression. Without these headers,
/// a body counts as JSON. None of them depends on upper and lower case (RFC 9110, section 8.3).
///
/// # Errors
/// A [`Problem`] with the status 415.
pub fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let named = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
    let kind = named(header::CONTENT_TYPE);
    let essence = kind.as_deref().and_then(|kind| kind.split(';').next()).map(str::trim_end);
    if essence.is_some_and(|essence| essence != "application/json" && !essence.ends_with("+json")) {
        return Err(Problem::unsupported_media_type("the body of a request is application/json"));
    }
    if kind.is_some_and(|kind| kind.contains("charset=") && !kind.contains("utf-8")) {
        return Err(Problem::unsupported_media_type("JSON is written in UTF-8"));
    }
    if named(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(Problem::unsupported_media_type("the body of a request is not compressed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    #[test]
    fn headers_compare_without_case_and_other_bodies_are_refused() {
        let status = |name: HeaderName, value: &'static str| {
            let headers = HeaderMap::from_iter([(name, value.parse().expect("a value"))]);
            check(&headers).map_err(|problem| problem.status.as_u16())
        };
        for kind in ["application/json", "APPLICATION/JSON", "Application/Json; Charset=UTF-8", "application/a+json"] {
            assert_eq!(status(header::CONTENT_TYPE, kind), Ok(()), "{kind}");
        }
        for kind in ["text/plain", "application/json; charset=utf-16", "application/jsonx", ""] {
            assert_eq!(status(header::CONTENT_TYPE, kind), Err(415), "{kind}");
        }
        assert_eq!(status(header::CONTENT_ENCODING, "Identity"), Ok(()));
        assert_eq!(status(header::CONTENT_ENCODING, "gzip"), Err(415));
    }
}
