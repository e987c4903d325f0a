//! Certificates made for one test, and clients that use them.

use crate::peer::{Peer, Wire, dial};
use mcp_blocking::{Running, TlsConfig};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    IsCa, KeyPair, RevokedCertParams, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SignatureScheme, StreamOwned, SupportedProtocolVersion};
use std::fs;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub type Secure = StreamOwned<ClientConnection, TcpStream>;

impl Wire for Secure {
    fn socket(&self) -> &TcpStream {
        self.get_ref()
    }
}

/// The versions that are served, the older first: they differ in what is sent after the handshake, and by whom.
pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// An issuer of certificates.
pub struct Authority(pub CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Identity {
    pub chain: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these DNS names (or IP addresses).
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |_| {})
    }

    pub fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        self.sign(names, change, &KeyPair::generate().expect("a key"))
    }

    /// The same with a key of that kind.
    pub fn issue_for(&self, names: &[&str], algorithm: &'static rcgen::SignatureAlgorithm) -> Identity {
        self.sign(names, |_| {}, &KeyPair::generate_for(algorithm).expect("a key"))
    }

    fn sign(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams), key: &KeyPair) -> Identity {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name = DistinguishedName::new();
        change(&mut params);
        let certificate = params.signed_by(key, &self.0).expect("a certificate");
        Identity { chain: certificate.pem(), key: key.serialize_pem() }
    }

    /// A list of certificates that are not good any more, by their serial numbers.
    pub fn revoke(&self, serial_numbers: &[u8]) -> String {
        let revoked = |number: &u8| RevokedCertParams {
            serial_number: vec![*number].into(),
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: vec![1].into(),
            issuing_distribution_point: None,
            revoked_certs: serial_numbers.iter().map(revoked).collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).and_then(|list| list.pem()).expect("a list")
    }
}

impl Identity {
    pub fn config(&self) -> TlsConfig {
        TlsConfig::pem(&self.chain, &self.key)
    }

    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.chain.as_bytes()).expect("a certificate")
    }
}

/// A client that trusts an authority.
#[derive(Clone)]
pub struct Client {
    pub config: Arc<ClientConfig>,
    pub name: ServerName<'static>,
    roots: Arc<RootCertStore>,
}

impl Client {
    pub fn new(trusted: &Authority) -> Self {
        Self::with(trusted, &VERSIONS, None)
    }

    /// One of those versions, and with a certificate of its own.
    pub fn with(trusted: &Authority, versions: &[&'static SupportedProtocolVersion], own: Option<&Identity>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.0.der().clone()).expect("an authority");
        let roots = Arc::new(roots);
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(Arc::clone(&roots));
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("a key");
                builder.with_client_auth_cert(vec![own.der()], key).expect("a certificate")
            }
        };
        Self { config: Arc::new(config), name: "localhost".try_into().expect("a name"), roots }
    }

    /// The same, unable to verify signatures of that kind.
    pub fn without(&self, scheme: SignatureScheme) -> Self {
        let mut provider = rustls::crypto::ring::default_provider();
        let all = provider.signature_verification_algorithms;
        let mapping: Vec<_> = all.mapping.iter().filter(|(known, _)| *known != scheme).copied().collect();
        provider.signature_verification_algorithms.mapping = mapping.leak();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&VERSIONS);
        let config = builder.expect("versions").with_root_certificates(self.roots.clone()).with_no_client_auth();
        Self { config: Arc::new(config), ..self.clone() }
    }

    /// The same, asking for another name.
    pub fn named(&self, name: &str) -> Self {
        Self { name: name.to_owned().try_into().expect("a name"), ..self.clone() }
    }

    /// Connects; the first read or write does the handshake.
    pub fn connect(&self, address: SocketAddr) -> Secure {
        self.over(dial(address))
    }

    pub fn over(&self, stream: TcpStream) -> Secure {
        let session = ClientConnection::new(Arc::clone(&self.config), self.name.clone()).expect("a session");
        StreamOwned::new(session, stream)
    }

    /// Does the handshake, up to the server's word that it has taken it: a server of TLS 1.3 looks at a client's certificate when
    /// the client believes that all is done.
    pub fn try_connect(&self, address: SocketAddr) -> Result<Secure, rustls::Error> {
        self.try_over(dial(address))
    }

    pub fn try_over(&self, stream: TcpStream) -> Result<Secure, rustls::Error> {
        let address = stream.peer_addr().expect("connected");
        let mut stream = self.over(stream);
        match greet(&mut stream, address) {
            Ok(()) => Ok(stream),
            Err(error) => match error.downcast::<rustls::Error>() {
                Ok(error) => Err(error),
                Err(error) => panic!("no word of why: {error}"),
            },
        }
    }

    pub fn peer(&self, running: &Running, revision: &'static str) -> Peer {
        Peer::over(Box::new(self.connect(running.addr())), "localhost", &[]).speaking(revision)
    }
}

/// Asks for nothing that there is, and reads the beginning of the answer.
fn greet(stream: &mut Secure, address: SocketAddr) -> io::Result<()> {
    let head = format!("GET /nothing HTTP/1.1\r\nHost: {address}\r\n\r\n");
    io::Write::write_all(stream, head.as_bytes())?;
    let mut word = [0; 8];
    stream.read_exact(&mut word)?;
    assert_eq!(&word, b"HTTP/1.1");
    Ok(())
}

/// Files of one test, removed behind it.
pub struct Files(PathBuf);

impl Files {
    pub fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    /// Writes both files of a certificate.
    pub fn put(&self, identity: &Identity) -> TlsConfig {
        self.write("chain.pem", &identity.chain);
        self.write("key.pem", &identity.key);
        TlsConfig::files(self.path("chain.pem"), self.path("key.pem"))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
