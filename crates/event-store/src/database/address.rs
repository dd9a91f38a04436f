//! The address of a database: a URL or the keywords of libpq, and which of its parts may be shown.
//!
//! The parameters of TLS are read here, since the driver knows fewer of them than libpq.

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;

use super::{
    error::AddressError,
    tls::{TlsMode, TlsSettings},
};

/// An address that was read.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// The driver's part of it.
    pub(crate) config: Config,
    /// The parameters of TLS.
    pub(crate) tls: TlsSettings,
}

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, AddressError> {
        let is_url = SCHEMES.iter().any(|scheme| text.starts_with(scheme));
        let (rest, own) = if is_url { split_url(text)? } else { split_keywords(text)? };
        let tls = tls(own)?;
        let mut config: Config = rest.parse().map_err(|error| malformed(text, &error))?;
        config.ssl_mode(tls.mode.of_the_driver(&config));
        Ok(Self { config, tls })
    }
}

/// The error of the driver, if it names an option that is plainly none. A part of a password is not shown.
fn malformed(text: &str, error: &tokio_postgres::Error) -> AddressError {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let after_host = text.rsplit_once('?').map_or("", |(_, parameters)| parameters);
    let named = cause.strip_prefix("unknown option `").and_then(|name| name.strip_suffix('`'));
    let plain = |name: &&str| name.len() < 40 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let shown = named.filter(plain).filter(|_| !after_host.contains('@') && after_host.contains('='));
    AddressError::Malformed { detail: shown.map(|name| format!(" (the option {name} is unknown)")).unwrap_or_default() }
}

/// Parameters, in order.
type Parameters = Vec<(String, String)>;

/// Whether a parameter is read here.
fn is_own(key: &str) -> bool {
    matches!(key, "sslmode" | "sslrootcert" | "sslcert" | "sslkey")
}

/// A URL without the parameters that are read here, and these.
fn split_url(text: &str) -> Result<(String, Parameters), AddressError> {
    // As the driver reads it: what comes before an `@` is the login, whatever it holds.
    let after_login = text.find('@').unwrap_or(0);
    let Some(at) = text[after_login..].find('?') else { return Ok((text.to_owned(), Vec::new())) };
    let (base, query) = (&text[..after_login + at], &text[after_login + at + 1..]);
    let (mut rest, mut own) = (Vec::new(), Vec::new());
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=') {
            Some((key, value)) if is_own(key) => {
                let value = percent_decode_str(value).decode_utf8();
                let value = value.map_err(|_| AddressError::Malformed { detail: format!(" ({key} is not UTF-8)") })?;
                own.push((key.to_owned(), value.into_owned()));
            }
            _ => rest.push(parameter),
        }
    }
    let rest = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    Ok((rest, own))
}

/// A list of keywords without those that are read here, and these.
fn split_keywords(text: &str) -> Result<(String, Parameters), AddressError> {
    let all = keywords(text).ok_or_else(|| AddressError::Malformed { detail: String::new() })?;
    let (own, rest): (Parameters, Parameters) = all.into_iter().partition(|(key, _)| is_own(key));
    let quoted = |(key, value): &(String, String)| format!("{key}={}", quoted(value));
    Ok((rest.iter().map(quoted).collect::<Vec<_>>().join(" "), own))
}

/// A value as libpq reads it.
pub(crate) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The keywords of libpq: `key = value`, with quotes around values and backslashes before characters.
fn keywords(text: &str) -> Option<Parameters> {
    let mut all = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Some(all);
        }
        let mut key = String::new();
        while let Some(c) = chars.next_if(|c| *c != '=' && !c.is_whitespace()) {
            key.push(c);
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        chars.next_if_eq(&'=')?;
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let is_quoted = chars.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match chars.next() {
                Some('\\') => value.push(chars.next()?),
                Some('\'') if is_quoted => break,
                Some(c) if c.is_whitespace() && !is_quoted => break,
                Some(c) => value.push(c),
                None if is_quoted => return None,
                None => break,
            }
        }
        all.push((key, value));
    }
}

fn tls(own: Parameters) -> Result<TlsSettings, AddressError> {
    let mut tls = TlsSettings::default();
    for (key, value) in own {
        match key.as_str() {
            "sslmode" => tls.mode = TlsMode::named(&value).ok_or(AddressError::SslMode { value })?,
            "sslrootcert" => tls.root_cert = Some(value.into()),
            "sslcert" => tls.cert = Some(value.into()),
            _ => tls.key = Some(value.into()),
        }
    }
    if tls.cert.is_some() != tls.key.is_some() {
        return Err(AddressError::HalfOfAPair);
    }
    Ok(tls)
}

/// An address with `…` in place of its passwords, for output: `postgres://shop:…@host/shop`.
#[must_use]
pub fn redacted(text: &str) -> String {
    match SCHEMES.iter().find_map(|scheme| Some((scheme, text.strip_prefix(scheme)?))) {
        Some((scheme, rest)) => format!("{scheme}{}", redacted_url(rest)),
        None => match keywords(text) {
            Some(all) if !all.is_empty() => {
                let shown = all.iter().map(|(key, value)| match key.as_str() {
                    key if is_secret(key) => format!("{key}=…"),
                    _ if value.contains(char::is_whitespace) || value.is_empty() => format!("{key}={}", quoted(value)),
                    _ => format!("{key}={value}"),
                });
                shown.collect::<Vec<_>>().join(" ")
            }
            // It may be a password in the wrong place.
            _ => "…".to_owned(),
        },
    }
}

/// Whether a key may stand before a password, also a misspelt one, such as `PASSWORD` or `pwd`, or one that is percent-encoded.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("pass") || key.contains("pwd") || key.contains('%')
}

/// What follows the scheme. An unencoded `@`, `/` or `?` of a password is taken for a part of the password.
fn redacted_url(rest: &str) -> String {
    let (login, place) = match rest.rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, rest),
    };
    let (place, query) = place.split_once('?').map_or((place, None), |(place, query)| (place, Some(query)));
    let login = login.map(|login| match login.split_once(':') {
        Some((user, _)) => format!("{user}:…@"),
        None => format!("{login}@"),
    });
    let query = query.map(|query| {
        let shown = query.split('&').map(|parameter| match parameter.split_once('=') {
            Some((key, _)) if is_secret(key) => format!("{key}=…"),
            _ => parameter.to_owned(),
        });
        format!("?{}", shown.collect::<Vec<_>>().join("&"))
    });
    format!("{}{place}{}", login.unwrap_or_default(), query.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::{Host, SslMode};

    use super::*;

    #[test]
    fn the_parameters_of_tls_are_those_of_libpq() {
        let of = |text: &str| Address::parse(text).expect("an address");
        let url = of("postgres://u@h/d?sslmode=verify-full&application_name=a&sslrootcert=%2Fetc%2Froot%20ca.pem");
        assert_eq!(url.tls.mode, TlsMode::VerifyFull);
        assert_eq!(url.tls.root_cert, Some("/etc/root ca.pem".into()));
        assert_eq!(url.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(url.config.get_application_name(), Some("a"));
        let keywords = of(r"host=h user = u password='it\'s' sslmode=verify-ca sslrootcert='/etc/root ca.pem'");
        assert_eq!((keywords.tls.mode, keywords.tls.root_cert), (TlsMode::VerifyCa, Some("/etc/root ca.pem".into())));
        assert_eq!(keywords.config.get_password(), Some(&b"it's"[..]));
        let strange = of("postgres://shop:pass?word&more@h/d?sslmode=disable");
        assert_eq!((strange.config.get_password(), strange.tls.mode), (Some(&b"pass?word&more"[..]), TlsMode::Disable));
        assert_eq!(of("postgres://u@h/d").tls.mode, TlsMode::Prefer);
        assert_eq!(of("postgres://u@h/d?sslmode=require").config.get_ssl_mode(), SslMode::Require);
        // A socket has no TLS, as with libpq.
        let socket = of("postgres://u@/d?host=/run&sslmode=verify-full");
        assert_eq!(socket.config.get_ssl_mode(), SslMode::Disable);
        assert_eq!(socket.config.get_hosts(), [Host::Unix("/run".into())]);
    }

    #[test]
    fn an_error_shows_no_password() {
        for address in [
            "postgres://shop:s3cr3t@host:port/db",
            "s3cr3t",
            "host=h password='s3cr3t",
            "postgres://shop:s3cr3t@host/db?sslmode=maybe",
            "postgres://shop:s3cr3t@host/db?sslcert=a.pem",
        ] {
            let error = Address::parse(address).expect_err("the address is refused").to_string();
            assert!(!error.contains("s3cr3t"), "{error}");
        }
        let error = Address::parse("postgres://u:p@host/db?colour=red").expect_err("the option is unknown");
        assert!(error.to_string().contains("the option colour is unknown"), "{error}");
        let error = Address::parse("postgres://u@h/d?sslmode=maybe").expect_err("the mode is unknown");
        assert!(error.to_string().starts_with("sslmode=maybe is unknown"), "{error}");
    }

    #[test]
    fn a_shown_address_has_no_password() {
        assert_eq!(
            redacted("postgres://shop:s3cr3tpw@host:5432/shop?sslmode=require"),
            "postgres://shop:…@host:5432/shop?sslmode=require"
        );
        assert_eq!(redacted("postgresql://shop@host/shop"), "postgresql://shop@host/shop");
        assert_eq!(redacted("postgres://shop:p@ss/w?rd@host/shop"), "postgres://shop:…@host/shop");
        assert_eq!(redacted("postgres:///shop?host=/run&password=s3cr3t"), "postgres:///shop?host=/run&password=…");
        assert_eq!(redacted("host=h password = 's3 cr3t' dbname=d"), "host=h password=… dbname=d");
        for misspelt in
            ["PASSWORD=s3cr3t host=h", "host=h pwd=s3cr3t", "postgres://u@h/d?Passw%6Frd=s3cr3t&passwd=s3cr3t"]
        {
            assert!(!redacted(misspelt).contains("s3cr3t"), "{misspelt}");
        }
        assert_eq!(redacted("s3cr3t"), "…");
    }
}
