//! From PEM to what rustls serves: everything that may be wrong with files, each said once and with what to do about it.

use super::certificate::{Content, Time};
use super::config::{Source, TlsConfig};
use super::names::{Certificates, Entry};
use crate::error::Problem;
use crate::file_mode;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

/// No PEM file of a server is as large; it keeps a device or a log that was named by mistake out of the memory.
const MOST_BYTES: u64 = 1 << 20;

/// What was read, ready to be served.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    /// What was in each file, as a hash.
    pub(super) digests: BTreeMap<PathBuf, [u8; 32]>,
    pub(super) terms: Vec<Term>,
}

/// For how long a certificate is valid.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    source: String,
    names: String,
    not_before: Time,
    not_after: Time,
}

impl Term {
    /// What is wrong with it at that time, in seconds since the beginning of 1970.
    pub(crate) fn fault(&self, now: i64) -> Option<String> {
        if now > self.not_after.unix() {
            return Some(format!("has expired, on {}", self.not_after));
        }
        (now < self.not_before.unix()).then(|| format!("is not valid before {}", self.not_before))
    }

    pub(crate) fn ends_before(&self, time: i64) -> bool {
        self.not_after.unix() < time
    }

    pub(crate) fn end(&self) -> String {
        self.not_after.to_string()
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.source, self.names)
    }
}

/// Reads everything.
///
/// # Errors
/// All that is wrong, at once.
pub(super) fn load(config: &TlsConfig) -> Result<Loaded, Vec<Problem>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut reader = Reader::default();
    let mut entries = Vec::new();
    let mut terms = Vec::new();
    for (chain, key) in &config.certificates {
        if let Some((entry, term)) = reader.certificate(chain, key, &provider) {
            entries.push(entry);
            terms.extend(term);
        }
    }
    let verifier = reader.client_verifier(config, &provider);
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| vec![Problem::new("TLS", error.to_string())])?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut served = builder.with_cert_resolver(Arc::new(Certificates(entries)));
    served.alpn_protocols = vec![b"http/1.1".to_vec()];
    // No resumption: a client is who its certificate says today, not who it was when a session began.
    served.session_storage = Arc::new(NoServerSessionStorage {});
    served.send_tls13_tickets = 0;
    Ok(Loaded { config: Arc::new(served), digests: reader.digests, terms })
}

#[derive(Default)]
struct Reader {
    digests: BTreeMap<PathBuf, [u8; 32]>,
    problems: Vec<Problem>,
}

impl Reader {
    fn complain(&mut self, source: &Source, what: impl Into<String>) {
        self.problems.push(Problem::new(source.to_string(), what));
    }

    /// What is in it, if it can be read and is anything like PEM.
    fn read(&mut self, source: &Source) -> Option<Arc<[u8]>> {
        let bytes: Arc<[u8]> = match source {
            Source::Memory(bytes) => Arc::clone(bytes),
            Source::File(path) => {
                let mut bytes = Vec::new();
                let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
                match read {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        self.complain(source, "there is no such file");
                        return None;
                    }
                    Err(error) => {
                        self.complain(source, format!("the file cannot be read: {error}"));
                        return None;
                    }
                }
                if let Some(refusal) = file_mode::refusal(path) {
                    self.complain(source, refusal);
                    return None;
                }
                self.digests.insert(path.clone(), Sha256::digest(&bytes).into());
                bytes.into()
            }
        };
        let odd = if bytes.is_empty() {
            "it is empty"
        } else if bytes.len() as u64 > MOST_BYTES {
            "it is larger than 1 MiB, which no PEM file of a server is"
        } else if bytes.starts_with(&[super::der::SEQUENCE]) {
            "it is not PEM; if it is DER, `openssl x509` or `openssl pkey` with `-inform der` makes PEM of it"
        } else {
            return Some(bytes);
        };
        self.complain(source, odd);
        None
    }

    /// All sections of a kind.
    fn sections<T: PemObject>(&mut self, source: &Source, pem: &[u8]) -> Option<Vec<T>> {
        match T::pem_slice_iter(pem).collect::<Result<Vec<_>, pem::Error>>() {
            Ok(sections) => Some(sections),
            Err(error) => {
                self.complain(source, format!("it is not PEM as it should be: {error}"));
                None
            }
        }
    }

    fn certificates(&mut self, source: &Source) -> Option<Vec<CertificateDer<'static>>> {
        let pem = self.read(source)?;
        let certificates: Vec<_> = self.sections(source, &pem)?;
        if certificates.is_empty() {
            let swapped = if has(&pem, b"PRIVATE KEY-----") { ", but a key: were the two exchanged?" } else { "" };
            self.complain(source, format!("there is no certificate in it (BEGIN CERTIFICATE){swapped}"));
            return None;
        }
        Some(certificates)
    }

    fn key(&mut self, source: &Source) -> Option<PrivateKeyDer<'static>> {
        let pem = self.read(source)?;
        if has(&pem, b"BEGIN ENCRYPTED PRIVATE KEY") || has(&pem, b"Proc-Type: 4,ENCRYPTED") {
            self.complain(
                source,
                "the key is encrypted, and there is nobody to ask for its passphrase: `openssl pkey -in FILE -out PLAIN` \
                 takes it off; let only the server's user read the result",
            );
            return None;
        }
        let keys: Vec<_> = self.sections(source, &pem)?;
        let key = keys.into_iter().next();
        if key.is_none() {
            let swapped =
                if has(&pem, b"BEGIN CERTIFICATE-----") { ", but a certificate: were the two exchanged?" } else { "" };
            self.complain(source, format!("there is no private key in it (BEGIN PRIVATE KEY){swapped}"));
        }
        key
    }

    fn certificate(
        &mut self,
        chain: &Source,
        key: &Source,
        provider: &CryptoProvider,
    ) -> Option<(Entry, Option<Term>)> {
        // Both are looked at, so that both complaints come at once.
        let (certificates, private) = (self.certificates(chain), self.key(key));
        let (certificates, private) = (certificates?, private?);
        let certified = match provider.key_provider.load_private_key(private) {
            Ok(signer) => CertifiedKey::new(certificates, signer),
            Err(_) => {
                self.complain(key, "the key is of no kind that is supported: use ECDSA (P-256, P-384), Ed25519 or RSA of 2,048 to 8,192 bits");
                return None;
            }
        };
        match certified.keys_match() {
            // Some signers cannot say; those of files can.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                self.complain(
                    key,
                    format!(
                        "the key does not belong to the first certificate in {chain}: name the key that the certificate was \
                         made for, and put the server's own certificate before the intermediate ones"
                    ),
                );
                return None;
            }
            Err(error) => {
                self.complain(chain, format!("the first certificate cannot be used: {error}"));
                return None;
            }
        }
        let leaf = certified.cert.first().cloned();
        let content = leaf.as_deref().and_then(Content::read);
        let term = content.as_ref().map(|content| Term {
            source: chain.to_string(),
            names: if content.dns_names.is_empty() { "no name".to_owned() } else { content.dns_names.join(", ") },
            not_before: content.not_before,
            not_after: content.not_after,
        });
        Some((Entry::new(certified, content.as_ref()), term))
    }

    fn client_verifier(
        &mut self,
        config: &TlsConfig,
        provider: &Arc<CryptoProvider>,
    ) -> Option<Arc<dyn rustls::server::danger::ClientCertVerifier>> {
        let mut roots = RootCertStore::empty();
        for source in &config.client_authorities {
            for authority in self.certificates(source).unwrap_or_default() {
                if let Err(error) = roots.add(authority) {
                    self.complain(source, format!("an authority's certificate in it cannot be used: {error}"));
                }
            }
        }
        let mut lists: Vec<CertificateRevocationListDer<'static>> = Vec::new();
        for source in &config.revoked {
            match self.read(source).and_then(|pem| self.sections(source, &pem)) {
                Some(found) if found.is_empty() => {
                    self.complain(source, "there is no revocation list in it (BEGIN X509 CRL)");
                }
                found => lists.extend(found.into_iter().flatten()),
            }
        }
        if config.client_authorities.is_empty() {
            if config.optional || !config.revoked.is_empty() {
                self.problems.push(Problem::new(
                    "TLS",
                    "there are settings for client certificates, and no authority for them: name one with `client_ca_file` \
                     (option --client-ca)",
                ));
            }
            return None;
        }
        if !self.problems.is_empty() {
            return None;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .with_crls(lists)
            .only_check_end_entity_revocation();
        let builder = if config.optional { builder.allow_unauthenticated() } else { builder };
        match builder.build() {
            Ok(verifier) => Some(verifier),
            Err(error) => {
                self.problems.push(Problem::new("TLS", format!("client certificates cannot be verified: {error}")));
                None
            }
        }
    }
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
