//! The public keys of an issuer, and whether one of them has signed something. (RFC 7517, RFC 7518, RFC 8037)

use super::config::Algorithm;
use super::json;
use crate::tls::der::{BIT_STRING, Der, INTEGER, OID, SEQUENCE};
use data_encoding::BASE64URL_NOPAD;
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value};
use std::fmt;

/// Keys of one set that are kept: issuers have two or three.
const MOST_KEYS: usize = 64;

/// All keys of an issuer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KeySet(Vec<Key>);

/// What there is for a token.
#[derive(Debug)]
pub(super) enum Found<'k> {
    Key(&'k Key),
    /// The key that it names is for something else.
    Unfit,
    /// There is no such key: perhaps not yet.
    Unknown,
}

impl KeySet {
    /// A JSON Web Key Set. Keys that cannot be used here (for encryption, of other kinds, too weak) are passed over.
    ///
    /// # Errors
    /// It is none, or nothing in it can be used.
    pub(super) fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let set = json::object(bytes).ok_or("it is not a JSON object with each name once")?;
        let Some(Value::Array(members)) = set.get("keys") else {
            return Err("it has no `keys`, so it is not a JSON Web Key Set".to_owned());
        };
        if members.len() > MOST_KEYS {
            return Err(format!("it has more than {MOST_KEYS} keys"));
        }
        let keys: Vec<_> = members.iter().filter_map(Value::as_object).filter_map(Key::from_jwk).collect();
        if keys.is_empty() {
            return Err(
                "none of its keys can be used: of type EC (P-256, P-384), OKP (Ed25519) or RSA (2,048 bits or more), \
                 public, and for signatures"
                    .to_owned(),
            );
        }
        Ok(Self(keys))
    }

    /// Public keys in PEM.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let infos = SubjectPublicKeyInfoDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let infos = infos.map_err(|error| format!("it is not PEM as it should be: {error}"))?;
        if infos.is_empty() {
            return Err("there is no public key in it (BEGIN PUBLIC KEY): `openssl pkey -in FILE -pubout` makes one of a private \
                 key, which does not belong here"
                .to_owned());
        }
        let keys: Option<Vec<_>> = infos.iter().map(|info| Key::from_der(info)).collect();
        keys.map(Self).ok_or_else(|| {
            "a key in it is of no kind that is supported: use EC (P-256, P-384), Ed25519 or RSA of 2,048 to 8,192 bits".to_owned()
        })
    }

    /// Puts two sets together.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The key for a token that names this one, or none.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Found<'_> {
        if let Some(id) = id {
            let mut named = self.0.iter().filter(|key| key.id.as_deref() == Some(id)).peekable();
            if named.peek().is_some() {
                return named.find(|key| key.fits(algorithm)).map_or(Found::Unfit, Found::Key);
            }
        }
        // Without a name to go by, it must be clear which one is meant. A key without a name may be the one that a token names.
        let mut fit = self.0.iter().filter(|key| key.fits(algorithm) && (id.is_none() || key.id.is_none()));
        match (fit.next(), fit.next()) {
            (Some(key), None) => Found::Key(key),
            _ => Found::Unknown,
        }
    }
}

/// One public key.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key {
    id: Option<String>,
    /// What its issuer says that it is for.
    only: Option<Algorithm>,
    material: Material,
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    /// A point, not compressed.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

impl Key {
    fn from_jwk(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| BASE64URL_NOPAD.decode(text(name)?.as_bytes()).ok();
        if jwk.contains_key("d") || text("kty") == Some("oct") {
            log::warn!(target: "mcp_blocking::jwt", "a key set contains a secret key: it is not used, and whoever published it should replace it");
            return None;
        }
        // RFC 7517, 4.2 and 4.3: what a key is for.
        let signs = text("use").is_none_or(|purpose| purpose == "sig");
        let verifies = match jwk.get("key_ops") {
            None => true,
            Some(operations) => operations.as_array()?.iter().any(|operation| operation == "verify"),
        };
        if !signs || !verifies {
            return None;
        }
        let only = match jwk.get("alg") {
            None => None,
            Some(name) => Some(Algorithm::from_name(name.as_str()?)?),
        };
        let material = match (text("kty")?, text("crv")) {
            ("EC", Some("P-256")) => Material::P256(point(&bytes("x")?, &bytes("y")?, 32)?),
            ("EC", Some("P-384")) => Material::P384(point(&bytes("x")?, &bytes("y")?, 48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x").filter(|key| key.len() == 32)?),
            ("RSA", _) => Material::rsa(&bytes("n")?, &bytes("e")?)?,
            _ => return None,
        };
        Some(Self { id: text("kid").map(str::to_owned), only, material })
    }

    /// A SubjectPublicKeyInfo (RFC 5280, 4.1.2.7).
    fn from_der(der: &[u8]) -> Option<Self> {
        const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
        const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
        const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
        const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
        const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
        let mut info = Der::new(der).enter(SEQUENCE)?;
        let mut kind = info.enter(SEQUENCE)?;
        let (kind, curve) = (kind.take(OID)?, kind.take(OID));
        // The first byte says how many bits of the last one do not count.
        let (0, bits) = info.take(BIT_STRING)?.split_first()? else { return None };
        let is_point = |size: usize| bits.len() == 1 + 2 * size && bits.first() == Some(&4);
        let material = match (kind, curve) {
            (EC, Some(P256)) if is_point(32) => Material::P256(bits.to_vec()),
            (EC, Some(P384)) if is_point(48) => Material::P384(bits.to_vec()),
            (ED25519, None) if bits.len() == 32 => Material::Ed25519(bits.to_vec()),
            (RSA, None) => {
                let mut numbers = Der::new(bits).enter(SEQUENCE)?;
                Material::rsa(numbers.take(INTEGER)?, numbers.take(INTEGER)?)?
            }
            _ => return None,
        };
        Some(Self { id: None, only: None, material })
    }

    /// Whether it is a key for that algorithm: its kind decides, never the token.
    fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        let kind = match &self.material {
            Material::P256(_) => algorithm == A::Es256,
            Material::P384(_) => algorithm == A::Es384,
            Material::Ed25519(_) => algorithm == A::EdDsa,
            Material::Rsa { .. } => !matches!(algorithm, A::Es256 | A::Es384 | A::EdDsa),
        };
        kind && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether it has signed this.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8], algorithm: Algorithm) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        let verify = |algorithm: &'static dyn VerificationAlgorithm, key: &Vec<u8>| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature)
        };
        match &self.material {
            Material::P256(point) => verify(&signature::ECDSA_P256_SHA256_FIXED, point),
            Material::P384(point) => verify(&signature::ECDSA_P384_SHA384_FIXED, point),
            Material::Ed25519(key) => verify(&signature::ED25519, key),
            Material::Rsa { modulus, exponent } => {
                let Some(parameters) = rsa(algorithm) else { return false };
                RsaPublicKeyComponents { n: modulus, e: exponent }.verify(parameters, message, signature)
            }
        }
        .is_ok()
    }
}

impl Material {
    fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        // Numbers without leading zeros, as ring wants them; DER has one before a number whose first bit is set.
        let trim = |number: &[u8]| number.iter().skip_while(|byte| **byte == 0).copied().collect::<Vec<_>>();
        let (modulus, exponent) = (trim(modulus), trim(exponent));
        // RFC 7518, 3.3: 2,048 bits or more. ring takes 8,192 at the most.
        let bits = (modulus.len() * 8).saturating_sub(modulus.first()?.leading_zeros() as usize);
        ((2048..=8192).contains(&bits) && !exponent.is_empty()).then_some(Self::Rsa { modulus, exponent })
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    use Algorithm as A;
    Some(match algorithm {
        A::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        A::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        A::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        A::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        A::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        A::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        A::Es256 | A::Es384 | A::EdDsa => return None,
    })
}

/// RFC 7518, 6.2.1.2: coordinates have their full length.
fn point(x: &[u8], y: &[u8], size: usize) -> Option<Vec<u8>> {
    (x.len() == size && y.len() == size).then(|| [&[4], x, y].concat())
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("only", &self.only).finish_non_exhaustive()
    }
}
