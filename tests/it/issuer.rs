//! An issuer of access tokens for one test: it signs whatever it is told to, and publishes its keys over HTTPS.

use crate::certs::{Authority, Files, Identity};
use data_encoding::BASE64URL_NOPAD;
use mcp_blocking::jwt::Jwt;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

pub const NAME: &str = "https://auth.example.com";
pub const AUDIENCE: &str = "https://mcp.example.com/mcp";

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(bytes.as_ref())
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs()
}

/// What a good token says.
pub fn claims() -> Value {
    json!({
        "iss": NAME, "aud": AUDIENCE, "sub": "alice", "client_id": "desk", "jti": "1",
        "iat": now(), "exp": now() + 600, "scope": "notes:read notes:write", "email": "alice@example.com",
    })
}

/// A key of an issuer's, and what it is called.
pub struct Key {
    pub id: String,
    pair: Pair,
}

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Key {
    pub fn p256(id: &str) -> Self {
        let (rng, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let key = EcdsaKeyPair::generate_pkcs8(kind, &rng).expect("a key");
        Self { id: id.into(), pair: Pair::P256(EcdsaKeyPair::from_pkcs8(kind, key.as_ref(), &rng).expect("a key")) }
    }

    pub fn ed25519(id: &str) -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        Self { id: id.into(), pair: Pair::Ed25519(Ed25519KeyPair::from_pkcs8(key.as_ref()).expect("a key")) }
    }

    /// Always the same: it takes long to make one. It opens nothing but these tests.
    pub fn rsa(id: &str) -> Self {
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("keys/rsa.pem")).expect("a key");
        Self { id: id.into(), pair: Pair::Rsa(RsaKeyPair::from_pkcs8(key.secret_der()).expect("a key")) }
    }

    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::P256(_) => "ES256",
            Pair::Ed25519(_) => "EdDSA",
            Pair::Rsa(_) => "RS256",
        }
    }

    /// Its public half, as it is published.
    pub fn jwk(&self) -> Value {
        match &self.pair {
            Pair::P256(pair) => {
                let point = pair.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "alg": "ES256",
                    "x": encode(&point[1..33]), "y": encode(&point[33..]) })
            }
            Pair::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": encode(pair.public_key()) })
            }
            Pair::Rsa(pair) => {
                let key = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({ "kty": "RSA", "kid": self.id, "n": encode(&key.n),
                    "e": encode(&key.e) })
            }
        }
    }

    pub fn header(&self) -> Value {
        json!({ "alg": self.algorithm(), "typ": "at+jwt", "kid": self.id })
    }

    pub fn token(&self, claims: &Value) -> String {
        self.sign(&self.header().to_string(), &claims.to_string())
    }

    /// A token of these texts, whatever they are.
    pub fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.signature(signed.as_bytes());
        format!("{signed}.{}", encode(signature))
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let rng = SystemRandom::new();
        match &self.pair {
            Pair::P256(pair) => pair.sign(&rng, message).expect("a signature").as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature).expect("a signature");
                signature
            }
        }
    }
}

pub fn key_set(keys: &[&Key]) -> String {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string()
}

/// What is answered to who asks for keys.
#[derive(Clone)]
pub enum Answer {
    Keys(String),
    /// These bytes.
    Raw(String),
    /// Nothing, until the asker gives up.
    Silence,
}

/// Publishes keys at `https://localhost:PORT/keys`.
pub struct KeyServer {
    pub address: SocketAddr,
    pub files: Files,
    answer: Arc<Mutex<Answer>>,
    hits: Arc<AtomicUsize>,
    ending: Arc<AtomicBool>,
}

impl KeyServer {
    pub fn new(keys: &[&Key]) -> Self {
        let authority = Authority::new("keys");
        Self::showing(&authority, &authority.issue(&["localhost", "127.0.0.1"]), keys)
    }

    /// Shows that certificate; the file `ca.pem` has the authority.
    pub fn showing(authority: &Authority, identity: &Identity, keys: &[&Key]) -> Self {
        let files = Files::new();
        files.write("ca.pem", &authority.pem());
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(identity.chain.as_bytes()).collect();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain.expect("a chain"), key);
        let config = Arc::new(config.expect("a certificate"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("an address");
        let answer = Arc::new(Mutex::new(Answer::Keys(key_set(keys))));
        let (hits, ending) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (answers, count, end) = (Arc::clone(&answer), Arc::clone(&hits), Arc::clone(&ending));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                count.fetch_add(1, Ordering::SeqCst);
                let (config, answer) = (Arc::clone(&config), answers.lock().expect("a lock").clone());
                std::thread::spawn(move || publish(stream, config, &answer));
            }
        });
        Self { address, files, answer, hits, ending }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}/keys", self.address.port())
    }

    pub fn set(&self, answer: Answer) {
        *self.answer.lock().expect("a lock") = answer;
    }

    /// How often somebody has connected.
    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    /// An issuer whose keys are here, with a server's permission to look on this machine.
    pub fn jwt(&self) -> Jwt {
        self.far().dangerous_allow_private_address()
    }

    /// The same without it.
    pub fn far(&self) -> Jwt {
        Jwt::issuer(NAME).audience(AUDIENCE).jwks_url(self.url()).jwks_ca_file(self.files.path("ca.pem"))
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn publish(stream: TcpStream, config: Arc<ServerConfig>, answer: &Answer) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
    let session = ServerConnection::new(config).expect("a session");
    let mut stream = StreamOwned::new(session, stream);
    let (mut request, mut piece) = (Vec::new(), [0; 1024]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(count @ 1..) => request.extend_from_slice(&piece[..count]),
            _ => return,
        }
    }
    let text = match answer {
        Answer::Keys(keys) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{keys}", keys.len()),
        Answer::Raw(text) => text.clone(),
        Answer::Silence => {
            let _ = stream.read(&mut piece);
            return;
        }
    };
    let _ = stream.write_all(text.as_bytes());
    stream.conn.send_close_notify();
    let _ = stream.flush();
    // Until the other side has read it.
    while stream.read(&mut piece).is_ok_and(|count| count > 0) {}
}
