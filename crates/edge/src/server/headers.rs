//! The headers of every route: what a request must have, and what an answer tells a browser.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header},
    response::Response,
};

use crate::{idempotency, problem::Problem};

/// What every answer tells a browser, unless its route says otherwise: the type is not guessed, no address is passed on, and no page
/// runs a script of an answer or shows it in a frame.
const FOR_BROWSERS: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
];

/// Adds the headers for browsers that a route has not set itself.
pub(super) fn secure(response: &mut Response) {
    let headers = response.headers_mut();
    for (name, value) in FOR_BROWSERS {
        headers.entry(name).or_insert(value);
    }
}

/// Refuses a request whose host is not clear (RFC 9112, section 3.2): HTTP/1.1 without `Host`, more than one `Host`, or one that is no
/// host. Two proxies could take such a request for requests to different hosts.
pub(super) fn check_host(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let wrong = match (hosts.next(), hosts.next()) {
        (None, _) if version < Version::HTTP_11 => return Ok(()),
        (None, _) => "the header Host is missing",
        (Some(_), Some(_)) => "the header Host comes twice",
        (Some(host), None) if is_host(host.as_bytes()) => return Ok(()),
        (Some(_), None) => "the header Host is no host",
    };
    Err(Problem::new(StatusCode::BAD_REQUEST, "The host is not clear", "bad_host", &wrong))
}

/// The headers that hold one value. Who sends two of them means two things, and a proxy may have taken the other one.
const SINGLE: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static(idempotency::HEADER),
    HeaderName::from_static("correlation-id"),
    HeaderName::from_static("x-min-position"),
    HeaderName::from_static("last-event-id"),
];

/// Refuses a request that has a header of one value twice, or one with a value that is no text of ASCII, as a blank from a page. Who
/// reads such a header would take it for absent.
pub(super) fn check_single(headers: &HeaderMap) -> Result<(), Problem> {
    for name in &SINGLE {
        let mut values = headers.get_all(name).iter();
        let first = values.next();
        if values.next().is_some() {
            let detail = format!("the header {name} comes twice");
            return Err(Problem::new(StatusCode::BAD_REQUEST, "A header comes twice", "repeated_header", &detail));
        }
        if first.is_some_and(|value| value.to_str().is_err()) {
            let detail = format!("the header {name} has a character beyond ASCII, or one that cannot be seen");
            return Err(Problem::new(StatusCode::BAD_REQUEST, "A header is malformed", "malformed_header", &detail));
        }
    }
    Ok(())
}

/// Whether a text can be a host with a port. It may be empty.
fn is_host(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_one_value_comes_once() {
        for name in SINGLE {
            let mut headers = HeaderMap::new();
            headers.append(&name, HeaderValue::from_static("a"));
            assert!(check_single(&headers).is_ok(), "{name}");
            headers.append(&name, HeaderValue::from_static("a"));
            assert_eq!(check_single(&headers).map_err(|problem| problem.code), Err("repeated_header".into()), "{name}");
            let blank = HeaderValue::from_bytes("Bearer a\u{a0}".as_bytes()).expect("HTTP allows it");
            headers.insert(&name, blank);
            assert_eq!(
                check_single(&headers).map_err(|problem| problem.code),
                Err("malformed_header".into()),
                "{name}"
            );
        }
        let mut headers = HeaderMap::new();
        headers.append(header::ACCEPT, HeaderValue::from_static("text/html"));
        headers.append(header::ACCEPT, HeaderValue::from_static("*/*"));
        assert!(check_single(&headers).is_ok());
    }

    #[test]
    fn a_request_of_http_1_1_names_one_host() {
        let of = |version, hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            check_host(version, &headers).is_ok()
        };
        for host in ["shop.example", "shop.example:8080", "[::1]:8080", "127.0.0.1", ""] {
            assert!(of(Version::HTTP_11, &[host]), "{host}");
        }
        for host in ["a b", "a,b", "http://shop.example", "ann@shop.example", "shop.example/x"] {
            assert!(!of(Version::HTTP_11, &[host]), "{host}");
        }
        assert!(of(Version::HTTP_10, &[]) && !of(Version::HTTP_11, &[]));
        assert!(!of(Version::HTTP_11, &["a", "a"]) && !of(Version::HTTP_10, &["a", "b"]));
    }
}
