//! Which certificate is a client shown?

use super::certificate::Content;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// A certificate with its key, and the DNS names that it is good for.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Arc<CertifiedKey>,
    names: Names,
}

impl Entry {
    pub(super) fn new(key: CertifiedKey, content: Option<&Content<'_>>) -> Self {
        let names = Names::new(content.map_or(&[], |content| &content.dns_names));
        Self { key: Arc::new(key), names }
    }
}

/// DNS names, in lower case.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    exact: Vec<String>,
    /// Of `*.example.com`, what is behind the star and its dot.
    below: Vec<String>,
}

impl Names {
    fn new(names: &[&str]) -> Self {
        let mut all = Self::default();
        for name in names {
            let name = name.to_ascii_lowercase();
            match name.strip_prefix("*.") {
                Some(parent) => all.below.push(parent.to_owned()),
                None => all.exact.push(name),
            }
        }
        all
    }

    fn has(&self, name: &str) -> bool {
        self.exact.iter().any(|exact| exact == name)
    }

    /// RFC 6125, 6.4.3: a star stands for one whole label.
    fn has_above(&self, name: &str) -> bool {
        name.split_once('.')
            .is_some_and(|(label, parent)| !label.is_empty() && self.below.iter().any(|at| at == parent))
    }
}

/// All certificates of a server, the default first.
#[derive(Debug)]
pub(super) struct Certificates(pub(super) Vec<Entry>);

impl Certificates {
    /// Those for that name: exact ones before wildcards, and without either those of the first one's names. Several, if the same
    /// names have keys of different kinds.
    fn candidates(&self, name: Option<&str>) -> Vec<&Entry> {
        let name = name.unwrap_or_default().to_ascii_lowercase();
        let with =
            |has: &dyn Fn(&Names) -> bool| -> Vec<&Entry> { self.0.iter().filter(|entry| has(&entry.names)).collect() };
        let exact = with(&|names| names.has(&name));
        let found = if exact.is_empty() { with(&|names| names.has_above(&name)) } else { exact };
        match self.0.first() {
            Some(first) if found.is_empty() => with(&|names| *names == first.names),
            _ => found,
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(hello.server_name());
        let fits = |entry: &&&Entry| entry.key.key.choose_scheme(hello.signature_schemes()).is_some();
        candidates.iter().find(fits).or(candidates.first()).map(|entry| Arc::clone(&entry.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(names: &[&str]) -> Entry {
        let key = rcgen::KeyPair::generate().unwrap();
        let provider = rustls::crypto::ring::default_provider();
        let der = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let key = provider.key_provider.load_private_key(der.into()).unwrap();
        Entry { key: Arc::new(CertifiedKey::new(Vec::new(), key)), names: Names::new(names) }
    }

    #[test]
    fn a_name_gets_its_own_certificate_and_an_unknown_one_the_first() {
        let certificates = Certificates(vec![
            entry(&["default.example"]),
            entry(&["*.example.com", "example.com"]),
            entry(&["API.example.com"]),
            entry(&["*.api.example.com", "default.example"]),
        ]);
        let chosen = |name: Option<&str>| -> Vec<usize> {
            let place = |found: &Entry| certificates.0.iter().position(|entry| std::ptr::eq(entry, found)).unwrap();
            certificates.candidates(name).into_iter().map(place).collect()
        };
        assert_eq!(chosen(Some("example.com")), [1]);
        assert_eq!(chosen(Some("www.example.com")), [1]);
        assert_eq!(chosen(Some("WWW.Example.COM")), [1]);
        assert_eq!(chosen(Some("api.example.com")), [2]);
        assert_eq!(chosen(Some("v1.api.example.com")), [3]);
        assert_eq!(chosen(Some("default.example")), [0, 3]);
        // A star is one label: no more, no less, and not a part of one.
        for unknown in ["a.b.example.com", ".example.com", "wwwexample.com", "com", "", "*", "other.example"] {
            assert_eq!(chosen(Some(unknown)), [0], "{unknown}");
        }
        assert_eq!(chosen(None), [0]);
    }

    #[test]
    fn without_certificates_there_is_none() {
        assert!(Certificates(Vec::new()).candidates(Some("example.com")).is_empty());
    }
}
