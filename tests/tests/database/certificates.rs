//! Certificates of a test's own.

use openssl::{
    asn1::Asn1Time,
    bn::{BigNum, MsbOption},
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Rsa,
    x509::{
        X509, X509Builder, X509NameBuilder,
        extension::{BasicConstraints, SubjectAlternativeName},
    },
};

/// An authority that signs certificates.
pub(crate) struct Authority {
    key: PKey<Private>,
    certificate: X509,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = key();
        let mut builder = begin(name, &key);
        builder
            .append_extension(BasicConstraints::new().critical().ca().build().expect("an extension"))
            .expect("it fits");
        let issuer = builder_name(name);
        builder.set_issuer_name(&issuer).expect("a name");
        builder.sign(&key, MessageDigest::sha256()).expect("it is signed");
        Self { certificate: builder.build(), key }
    }

    /// Its certificate, as PEM.
    pub(crate) fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().expect("a certificate is PEM")
    }

    /// A certificate for a host, and its key, as PEM.
    pub(crate) fn certificate_of(&self, host: &str) -> (String, String) {
        let own = key();
        let mut builder = begin(host, &own);
        builder.set_issuer_name(self.certificate.subject_name()).expect("a name");
        let context = builder.x509v3_context(Some(&self.certificate), None);
        let names = SubjectAlternativeName::new().dns(host).build(&context).expect("an extension");
        builder.append_extension(names).expect("it fits");
        builder.sign(&self.key, MessageDigest::sha256()).expect("it is signed");
        let text = |pem: Vec<u8>| String::from_utf8(pem).expect("PEM is text");
        let key = own.private_key_to_pem_pkcs8().expect("a key is PEM");
        (text(builder.build().to_pem().expect("a certificate is PEM")), text(key))
    }
}

fn key() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key")
}

fn builder_name(name: &str) -> openssl::x509::X509Name {
    let mut builder = X509NameBuilder::new().expect("a name");
    builder.append_entry_by_text("CN", name).expect("a name");
    builder.build()
}

fn begin(name: &str, key: &PKey<Private>) -> X509Builder {
    let mut builder = X509::builder().expect("a builder");
    builder.set_version(2).expect("version 3");
    let mut number = BigNum::new().expect("a number");
    number.rand(128, MsbOption::MAYBE_ZERO, false).expect("a random number");
    builder.set_serial_number(&number.to_asn1_integer().expect("an integer")).expect("a number");
    builder.set_subject_name(&builder_name(name)).expect("a name");
    builder.set_not_before(&Asn1Time::from_unix(1_700_000_000).expect("a time")).expect("a time");
    builder.set_not_after(&Asn1Time::from_unix(4_000_000_000).expect("a time")).expect("a time");
    builder.set_pubkey(key).expect("a key");
    builder
}
