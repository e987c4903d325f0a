//! What an author says of an issuer of tokens.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How a token may be signed. There is neither `none` nor a shared secret (`HS256`): a server that checks tokens should not be able
/// to make them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// EdDSA on Ed25519; `EdDSA` or `Ed25519` in a token.
    EdDsa,
    /// RSA (PKCS #1 v1.5) with SHA-256: what every issuer has (RFC 9068, 2.1).
    Rs256,
    /// The same with SHA-384.
    Rs384,
    /// The same with SHA-512.
    Rs512,
    /// RSA (PSS) with SHA-256.
    Ps256,
    /// The same with SHA-384.
    Ps384,
    /// The same with SHA-512.
    Ps512,
}

impl Algorithm {
    /// The one of that name (RFC 7518, 3.1; RFC 8037; RFC 9864).
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            _ => return None,
        })
    }
}

/// An issuer of access tokens that are JWTs (RFC 9068), and what its tokens have to say. For
/// [`Settings::jwt`](crate::Settings::jwt).
///
/// ```
/// # use mcp_blocking::{Server, Settings, jwt::Jwt};
/// let jwt = Jwt::issuer("https://auth.example.com")
///     .audience("https://mcp.example.com/mcp")
///     .jwks_url("https://auth.example.com/.well-known/jwks.json");
/// let server = Server::new("notes", "1.0.0").settings(Settings::new().jwt(jwt));
/// ```
///
/// A token counts if all of this holds; nothing of it can be turned off:
/// - its `alg` is among [`algorithms`](Self::algorithms), and fits the kind of the key and what the key's issuer says that it is for;
/// - its signature is that of the key that its `kid` names (or of the only key that fits, if it names none);
/// - its `typ` is `at+jwt` (RFC 9068, 4), unless [`untyped`](Self::untyped) says otherwise; it has no `crit`, no name twice, and no odd
///   spelling;
/// - `iss` is this issuer, character by character; `aud` names one of the [`audience`](Self::audience)s;
/// - `exp` is there and to come; `nbf` and `iat`, if there, have passed; all with some [`leeway`](Self::leeway);
/// - it has no `cnf`: a token that is bound to a key of its holder's (DPoP, mutual TLS) would be good for a thief if it were taken without asking for that key.
///
/// Who calls is then `jwt:`, the issuer, `#` and the [`principal_claim`](Self::principal_claim): no two issuers can name the same
/// principal. It is limited to the token's scopes (`scope` or `scp`; without either to what asks for no scope), ends with the token, and carries the
/// [`Claims`](super::Claims). A token of more than 4,096 characters is refused with 400, as any other that is not one.
///
/// # Keys that are fetched
///
/// The key set of [`jwks_url`](Self::jwks_url) is fetched when the server starts, and again when it has reached its age (what `Cache-Control` says, from
/// 30 s to [`keys_lifetime_max`](Self::keys_lifetime_max); 5 min if it says nothing) or a token names a key that is not in it. One fetch at a time, on a thread of its own, within 5 s in all, not more often than
/// [`refetch_after`](Self::refetch_after). Callers whose keys are there do not wait for it, even if they are past their age: they are good for
/// [`keys_usable_for`](Self::keys_usable_for) more while the endpoint does not answer. Only callers without a key wait, 5 s at the most and 32 at a time. Without any keys the answer is
/// 503, not 401, as the token may be good; likewise if it names a key that is not there, unless the keys have been fetched within `refetch_after`: the issuer may have begun to use a new one.
///
/// It is fetched over TLS from an authority of Mozilla's list (as of the crate `webpki-roots`: the same on every machine, in a container without files, too)
/// or from one's own ([`jwks_ca_file`](Self::jwks_ca_file)). Redirects are not followed; more than 256 KiB are not read; no proxy of the environment is used. Only public addresses are connected to, as
/// they come out of the resolver, so that a name that points into one's own network leads nowhere, unless
/// [`dangerous_allow_private_address`](Self::dangerous_allow_private_address) says so.
#[derive(Clone)]
#[must_use = "it does nothing until a server takes it"]
pub struct Jwt {
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) sources: Vec<Source>,
    pub(super) authorities: Vec<PathBuf>,
    pub(super) untyped: bool,
    pub(super) private: bool,
    pub(super) leeway: Duration,
    pub(super) required: Vec<String>,
    pub(super) scope_claim: Option<String>,
    pub(super) principal_claim: String,
    pub(super) refetch_after: Duration,
    pub(super) keys_lifetime_max: Duration,
    pub(super) keys_usable_for: Duration,
}

/// Where keys come from.
#[derive(Clone)]
pub(super) enum Source {
    Url(String),
    File(PathBuf),
    Pem(Arc<[u8]>),
}

impl Jwt {
    /// Tokens of this issuer: exactly what stands in their `iss`, with or without a slash at its end.
    pub fn issuer(issuer: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audiences: Vec::new(),
            algorithms: vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa],
            sources: Vec::new(),
            authorities: Vec::new(),
            untyped: false,
            private: false,
            leeway: Duration::from_secs(60),
            required: Vec::new(),
            scope_claim: None,
            principal_claim: "sub".to_owned(),
            refetch_after: Duration::from_secs(5),
            keys_lifetime_max: Duration::from_secs(60 * 60),
            keys_usable_for: Duration::from_secs(60 * 60),
        }
    }

    /// The name of this server in tokens (`aud`): its address as clients know it (RFC 8707), or what the issuer calls it. A token for
    /// anybody else is refused. May be called several times: a token has to name one of them. Needed.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// The algorithms that are accepted. Default: RS256, ES256, ES384 and EdDSA, which is one for each kind of key, so that no key is
    /// used in two ways (RFC 8725, 3.1). Name the one that the issuer uses.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Where the issuer publishes its keys (`jwks_uri` in its metadata), beginning with `https://`. `http://` is for this machine only, and for
    /// [`dangerous_allow_private_address`](Self::dangerous_allow_private_address).
    pub fn jwks_url(mut self, url: impl Into<String>) -> Self {
        self.sources.push(Source::Url(url.into()));
        self
    }

    /// The issuer's keys in a file, as JSON Web Key Set. It is looked at every 10 s when callers come, and when a token names a key that is not in it; a file that cannot be
    /// used leaves the old keys where they are, is read again each time, and tokens of others are answered 503. Replace it by renaming.
    pub fn jwks_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.sources.push(Source::File(path.into()));
        self
    }

    /// A public key of the issuer's in PEM (`BEGIN PUBLIC KEY`), for as long as the server runs. May be called several times; what tokens name
    /// by `kid` is not looked at then, and of each kind of key there can be one.
    pub fn key_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.sources.push(Source::Pem(pem.as_ref().into()));
        self
    }

    /// The authorities (PEM) that vouch for the host of [`jwks_url`](Self::jwks_url): these instead of the public ones. Read once, when the server is
    /// bound. May be called several times.
    pub fn jwks_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.authorities.push(path.into());
        self
    }

    /// Fetches keys from private addresses, too: of this machine, of one's own network. Whoever can change what the host's name resolves to can then have
    /// this server connect to anything in there, if only to fail at TLS.
    pub fn dangerous_allow_private_address(mut self) -> Self {
        self.private = true;
        self
    }

    /// Accepts tokens whose `typ` is `JWT`, or missing, for issuers that do not mark their access tokens. An ID token of the same issuer is then told
    /// apart by its audience alone: make sure that no client has this server's.
    pub fn untyped(mut self) -> Self {
        self.untyped = true;
        self
    }

    /// By how much clocks may differ: tokens count for so much longer, and sooner. Default 60 s: clocks that are kept in step differ by less, and
    /// nobody notices a minute of a token's hour. At most 5 min.
    pub fn leeway(mut self, time: Duration) -> Self {
        self.leeway = time;
        self
    }

    /// Claims that have to be there besides, with any value but `null`: `client_id`, say.
    pub fn required_claims<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.required.extend(names.into_iter().map(Into::into));
        self
    }

    /// The claim that has the scopes, as text with blanks between them or as a list. Default: `scope`, else `scp`.
    pub fn scope_claim(mut self, name: impl Into<String>) -> Self {
        self.scope_claim = Some(name.into());
        self
    }

    /// The claim that names the caller; a token without it is refused. Default `sub`; `client_id` is for machines.
    pub fn principal_claim(mut self, name: impl Into<String>) -> Self {
        self.principal_claim = name.into();
        self
    }

    /// How long after one fetch the next may begin, however many tokens name unknown keys. Default 5 s: a new key is there soon, and an issuer is asked 12 times
    /// a minute at the most, whatever anybody sends.
    pub fn refetch_after(mut self, time: Duration) -> Self {
        self.refetch_after = time;
        self
    }

    /// The age at which keys are fetched anew, whatever `Cache-Control` says. Default 1 h: so long a key may be taken for good that its
    /// issuer has withdrawn.
    pub fn keys_lifetime_max(mut self, time: Duration) -> Self {
        self.keys_lifetime_max = time;
        self
    }

    /// How long beyond their age keys are good while they cannot be fetched. Default 1 h: most outages are shorter. Beyond it callers get 503.
    pub fn keys_usable_for(mut self, time: Duration) -> Self {
        self.keys_usable_for = time;
        self
    }

    pub(crate) fn named(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn fetches_unencrypted(&self) -> bool {
        self.sources.iter().any(|source| matches!(source, Source::Url(url) if url.starts_with("http://")))
    }

    pub(crate) fn reaches_private(&self) -> bool {
        self.private && self.sources.iter().any(|source| matches!(source, Source::Url(_)))
    }

    pub(crate) fn is_untyped(&self) -> bool {
        self.untyped
    }

    /// All files that decide whose tokens count.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let sources = self.sources.iter().filter_map(|source| match source {
            Source::File(path) => Some(path.as_path()),
            Source::Url(_) | Source::Pem(_) => None,
        });
        sources.chain(self.authorities.iter().map(PathBuf::as_path))
    }

    /// What stands against using it.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut demand = |holds: bool, what: &str| {
            if !holds {
                problems.push(what.to_owned());
            }
        };
        let plain = |text: &str| (1..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        demand(
            plain(&self.issuer) && !self.issuer.contains(['#', '?']),
            "name the issuer as its tokens do in `iss`: an address without query and fragment, say https://auth.example.com",
        );
        demand(
            !self.audiences.is_empty() && self.audiences.iter().all(|audience| !audience.is_empty()),
            "say with `audience` what this server is called in tokens; without it a token for any other server would do",
        );
        demand(!self.algorithms.is_empty(), "name an algorithm that tokens may be signed with");
        demand(self.leeway <= Duration::from_secs(300), "`leeway` is for clocks that differ: 5 minutes at the most");
        let pem = |source: &Source| matches!(source, Source::Pem(_));
        demand(
            self.sources.len() == 1 || (!self.sources.is_empty() && self.sources.iter().all(pem)),
            "name one place for the issuer's keys: `jwks_url`, `jwks_file`, or one or more of `key_pem`",
        );
        demand(!self.principal_claim.is_empty(), "`principal_claim` is the name of a claim");
        problems
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt")
            .field("issuer", &self.issuer)
            .field("audiences", &self.audiences)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}
