//! What an author says about TLS.

use super::load::{Term, load};
use crate::error::Problem;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Certificates of a server, and which clients' certificates it accepts. For [`Settings::tls`](crate::Settings::tls).
///
/// ```
/// # use mcp_blocking::{Server, TlsConfig};
/// let tls = TlsConfig::files("/etc/notes/chain.pem", "/etc/notes/key.pem");
/// let server = Server::new("notes", "1.0.0").tls(tls);
/// ```
///
/// TLS 1.3 and 1.2, by rustls with ring; ALPN is `http/1.1`. There is no compression, no renegotiation, no early data. **No session is ever resumed**:
/// connections here live long, so a full handshake is cheap, and each one looks at the certificates anew. So there are no ticket keys to steal or to
/// rotate, and no client passes for one whose certificate has been taken back.
///
/// The handshake is part of what [`Limits::head_deadline`](crate::Limits::head_deadline) is for; until it and the request head behind it are
/// complete, a connection counts among the [`Limits::half_open`](crate::Limits::half_open).
///
/// # Files that change
///
/// Files are read when the server is bound. While it runs they are looked at every 10 s ([`look_every`](Self::look_every)), by the thread of a
/// connection that has just come, before its handshake: new files are taken whole, or not at all. If they cannot be used, say because only one of two has
/// been replaced so far, the log says why and the old certificates stay. [`Handle::reload_tls`](crate::Handle::reload_tls) takes them at once. Connections that
/// are open go on with what they began with.
#[derive(Clone)]
#[must_use = "it does nothing until a server takes it"]
pub struct TlsConfig {
    pub(super) certificates: Vec<(Source, Source)>,
    pub(super) client_authorities: Vec<Source>,
    pub(super) revoked: Vec<Source>,
    pub(super) optional: bool,
    pub(super) look_every: Duration,
}

impl TlsConfig {
    /// A certificate in two PEM files: its chain (the server's own first, then the intermediate ones), and its key (PKCS #8, PKCS #1 or SEC 1; not
    /// encrypted). Both may be the same file. A key that everybody on this machine may write to is refused (Unix).
    pub fn files(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self::new(Source::File(chain.into()), Source::File(key.into()))
    }

    /// The same out of memory. It stays as it is for as long as the server runs.
    pub fn pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        Self::new(Source::memory(chain), Source::memory(key))
    }

    /// One more certificate, for other names. A client gets the one that has the name it asks for (SNI), exactly or by a wildcard for one label
    /// (`*.example.com`); names are those among the certificate's subject alternative names. Who asks for no name or an unknown one gets the first.
    /// Certificates of the same name may have keys of different kinds: then the first that the client can verify.
    pub fn and_files(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.certificates.push((Source::File(chain.into()), Source::File(key.into())));
        self
    }

    /// The same out of memory.
    pub fn and_pem(mut self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.certificates.push((Source::memory(chain), Source::memory(key)));
        self
    }

    /// Asks every client for a certificate that one of the authorities in this PEM file has issued, and lets no other client in. May be called several
    /// times.
    ///
    /// Whoever comes in has a [`Principal`](crate::Principal) of the certificate's subject: `cert:uri:…`, `cert:email:…` or
    /// `cert:dns:…` for the first of these among the subject's alternative names, in that order; else `cert:cn:…` for its common name; else, or if the
    /// name is longer than 512 bytes, `cert:sha256:…` for the certificate itself. All authorities are trusted alike: a name is the same, whichever of them
    /// has put it into a certificate. The principal carries the
    /// [`ClientCertificate`](crate::ClientCertificate). So this counts as authentication beyond loopback.
    ///
    /// With [`bearer_token`](crate::Settings::bearer_token)s a client needs both, and is who the token says. An author's own
    /// [`authenticate`](crate::Settings::authenticate) decides alone, and finds the principal in
    /// [`RequestHead::client_certificate`](crate::RequestHead::client_certificate).
    pub fn client_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.client_authorities.push(Source::File(path.into()));
        self
    }

    /// The same out of memory.
    pub fn client_ca_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.client_authorities.push(Source::memory(pem));
        self
    }

    /// Lets clients without a certificate in, too; a wrong one is refused still. With [`bearer_token`](crate::Settings::bearer_token)s a client
    /// then needs one of the two: a certificate stands for a token that is not sent, not for one that is wrong.
    pub fn optional_client_certificate(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Refuses client certificates that are on the revocation lists (CRLs) in this PEM file. May be called several times. Every authority whose certificates are
    /// to be accepted needs a list then; what counts is the client's own certificate. A list that is out of date is used all the same.
    pub fn client_crl_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.revoked.push(Source::File(path.into()));
        self
    }

    /// The same out of memory.
    pub fn client_crl_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.revoked.push(Source::memory(pem));
        self
    }

    /// How often files are looked at for changes, when connections come. Default 10 s; [`Duration::MAX`] for never.
    pub fn look_every(mut self, time: Duration) -> Self {
        self.look_every = time;
        self
    }

    fn new(chain: Source, key: Source) -> Self {
        Self {
            certificates: vec![(chain, key)],
            client_authorities: Vec::new(),
            revoked: Vec::new(),
            optional: false,
            look_every: Duration::from_secs(10),
        }
    }

    /// Nobody comes in without a certificate.
    pub(crate) fn authenticates(&self) -> bool {
        !self.client_authorities.is_empty() && !self.optional
    }

    /// A client may come with a certificate instead of a token.
    pub(crate) fn certificate_suffices(&self) -> bool {
        !self.client_authorities.is_empty() && self.optional
    }

    /// From when to when its certificates are good. Reads all files.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(crate) fn terms(&self) -> Result<Vec<Term>, Vec<Problem>> {
        load(self).map(|loaded| loaded.terms)
    }

    /// Those whose contents are secret.
    pub(crate) fn key_files(&self) -> impl Iterator<Item = &Path> {
        self.certificates.iter().filter_map(|(_, key)| key.path())
    }

    /// The others, which decide who is trusted.
    pub(crate) fn trust_files(&self) -> impl Iterator<Item = &Path> {
        self.paths().into_iter().filter(|path| !self.key_files().any(|key| key == *path))
    }

    /// All files, each once.
    pub(super) fn paths(&self) -> Vec<&Path> {
        let pairs = self.certificates.iter().flat_map(|(chain, key)| [chain, key]);
        let sources = pairs.chain(&self.client_authorities).chain(&self.revoked);
        let mut paths: Vec<_> = sources.filter_map(Source::path).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("certificates", &self.certificates)
            .field("client_authorities", &self.client_authorities)
            .field("optional", &self.optional)
            .finish_non_exhaustive()
    }
}

/// Where some PEM comes from.
#[derive(Clone)]
pub(super) enum Source {
    File(PathBuf),
    Memory(Arc<[u8]>),
}

impl Source {
    fn memory(pem: impl AsRef<[u8]>) -> Self {
        Self::Memory(pem.as_ref().into())
    }

    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Memory(_) => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Memory(_) => f.write_str("PEM in memory"),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not what is in memory: it may be a key.
        fmt::Display::fmt(self, f)
    }
}
