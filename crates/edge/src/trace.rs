//! The trace context of a request (W3C Trace Context, level 1): `traceparent` and `tracestate`. What a client sends is parsed, and
//! dropped unless it is what the specification says. So no arbitrary characters reach the book.

use axum::http::{HeaderMap, HeaderName};

/// The header that names the trace and the span of the caller.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header with what each tracing system adds.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The most members of a `tracestate` (section 3.3.1.1).
const MAX_MEMBERS: usize = 32;
/// The longest `tracestate` that is kept, in bytes. The specification asks for 512 at least (section 3.3.1.5).
const MAX_STATE: usize = 512;

/// A valid trace context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    parent: String,
    state: Option<String>,
}

impl TraceContext {
    /// The trace context of a request. `None` when `traceparent` is missing, repeated or malformed. A malformed `tracestate` is dropped
    /// alone.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let parent = parents.next()?.to_str().ok().and_then(parent)?;
        if parents.next().is_some() {
            return None;
        }
        // Several headers are one list (section 3.3.1).
        let lines: Result<Vec<&str>, _> = headers.get_all(TRACESTATE).iter().map(|line| line.to_str()).collect();
        Some(Self { parent, state: lines.ok().and_then(|lines| state(&lines)) })
    }

    /// The value of `traceparent`, of version 00.
    #[must_use]
    pub fn parent(&self) -> &str {
        &self.parent
    }

    /// The value of `tracestate`.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Both in one text, as an event keeps them: `traceparent`, and after a blank `tracestate`, if there is one.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.state {
            None => self.parent.clone(),
            Some(state) => format!("{} {state}", self.parent),
        }
    }
}

/// A `traceparent` as version 00. A later version is read as far as version 00 knows it (section 3.2.3).
fn parent(text: &str) -> Option<String> {
    let mut fields = text.split('-');
    let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let more = fields.next().is_some();
    let valid = is_hex(version, 2)
        && version != "ff"
        && is_id(trace, 32)
        && is_id(span, 16)
        && is_hex(flags, 2)
        && (!more || version != "00");
    valid.then(|| format!("00-{trace}-{span}-{flags}"))
}

/// Lower-case hexadecimal digits.
fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// An id, which is not all zeros.
fn is_id(text: &str, length: usize) -> bool {
    is_hex(text, length) && text.bytes().any(|byte| byte != b'0')
}

/// A `tracestate` without empty members. `None` when it is empty, too long or malformed.
fn state(lines: &[&str]) -> Option<String> {
    let all = lines.iter().flat_map(|line| line.split(',')).map(|member| member.trim_matches([' ', '\t']));
    let members: Vec<&str> = all.filter(|member| !member.is_empty()).collect();
    let keys: Option<Vec<&str>> = members.iter().map(|member| key(member)).collect();
    let mut keys = keys?;
    keys.sort_unstable();
    if members.is_empty() || members.len() > MAX_MEMBERS || keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return None;
    }
    let state = members.join(",");
    (state.len() <= MAX_STATE).then_some(state)
}

/// The key of a well-formed member (sections 3.3.1.3.1 and 3.3.1.3.2).
fn key(member: &str) -> Option<&str> {
    let (key, value) = member.split_once('=')?;
    let is_key_byte = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
    let part = |part: &str, longest: usize| (1..=longest).contains(&part.len()) && part.bytes().all(is_key_byte);
    let starts_with_letter = |part: &str| part.starts_with(|first: char| first.is_ascii_lowercase());
    let is_key = match key.split_once('@') {
        None => part(key, 256) && starts_with_letter(key),
        Some((tenant, system)) => {
            part(tenant, 241)
                && tenant.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
                && part(system, 14)
                && starts_with_letter(system)
        }
    };
    let is_value_byte = |byte: u8| matches!(byte, 0x20..=0x2b | 0x2d..=0x3c | 0x3e..=0x7e);
    let is_value = (1..=256).contains(&value.len()) && value.bytes().all(is_value_byte) && !value.ends_with(' ');
    (is_key && is_value).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn of(lines: &[(HeaderName, &str)]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().expect("the value is valid"));
        }
        TraceContext::of(&headers).map(|context| context.text())
    }

    #[test]
    fn a_traceparent_is_parsed_and_anything_else_is_dropped() {
        assert_eq!(of(&[(TRACEPARENT, PARENT)]).as_deref(), Some(PARENT));
        let later = format!("cc{}-what-follows", &PARENT[2..]);
        assert_eq!(of(&[(TRACEPARENT, &later)]).as_deref(), Some(PARENT), "a later version is read as version 00");
        for malformed in [
            "z".repeat(55),
            String::new(),
            format!("ff{}", &PARENT[2..]),
            format!("{PARENT}-more"),
            format!("{PARENT} "),
            PARENT.to_uppercase(),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", "0".repeat(16)),
            PARENT[..52].to_owned(),
        ] {
            assert_eq!(of(&[(TRACEPARENT, &malformed)]), None, "{malformed:?}");
        }
        assert_eq!(of(&[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)]), None, "it is given twice");
        assert_eq!(of(&[(TRACESTATE, "a=1")]), None, "a state belongs to a parent");
    }

    #[test]
    fn a_tracestate_is_kept_whole_or_dropped() {
        let kept = |state: &str| of(&[(TRACEPARENT, PARENT), (TRACESTATE, state)]);
        let with = |state: &str| Some(format!("{PARENT} {state}"));
        for (state, found) in [
            ("rojo=00f067aa0ba902b7", "rojo=00f067aa0ba902b7"),
            (" a=1 ,, b=2 ", "a=1,b=2"),
            ("1tenant@system=x y", "1tenant@system=x y"),
        ] {
            assert_eq!(kept(state), with(found));
        }
        let many: Vec<String> = (0..33).map(|at| format!("k{at}=1")).collect();
        let long = format!("k={},l={},m={}", "x".repeat(200), "x".repeat(200), "x".repeat(200));
        for malformed in ["a", "=1", "a=", "A=1", "1a=1", "a=1,a=2", "a=b=c", "a@=1", &many.join(","), &long] {
            assert_eq!(kept(malformed).as_deref(), Some(PARENT), "{malformed}");
        }
        assert_eq!(of(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=1"), (TRACESTATE, "b=2")]), with("a=1,b=2"));
    }
}
