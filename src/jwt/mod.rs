//! OAuth access tokens that are JWTs (feature `jwt`): RFC 9068, with the advice of RFC 8725.
//!
//! Say with [`Jwt`] who issues them and what this server is called in them, and give it to [`Settings::jwt`](crate::Settings::jwt).
//! Handlers find the caller's [`Claims`] in its [`Principal`].

// | file | question |
// | --- | --- |
// | `config` | what does an author say of an issuer? |
// | `token` | what is in a token, before anything in it is believed? |
// | `json` | has this JSON one meaning only? |
// | `keys` | which keys are there, and has one of them signed this? |
// | `check` | is what it says good enough, and who is it then? |
// | `source` | where do the keys come from, how old may they be, who waits for them? |
// | `fetch` | how is a key set fetched without doing harm? |
//
// ring verifies, serde_json and data-encoding read; there is no JWT crate in between. `jsonwebtoken` takes its cryptography from one
// provider for the whole process, which a library must not choose for a program (and which panics where none was chosen), reads
// heads whose extensions occur twice, and compares claims on its own clock; what is left of it after that is what `token` does.

mod check;
mod claims;
mod config;
mod fetch;
mod json;
mod keys;
mod source;
mod token;

pub use claims::Claims;
pub use config::{Algorithm, Jwt};

use crate::audit::Auditor;
use crate::error::Problem;
use crate::guard::challenge::Challenge;
use crate::http::refusal::Refusal;
use crate::principal::Principal;
use check::{Failure, check};
use source::{Keys, Newer};
use std::panic::Location;
use std::sync::Arc;
use std::time::SystemTime;
use token::Token;

/// All issuers whose tokens are accepted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Issuers(Arc<[Issuer]>);

#[derive(Debug)]
struct Issuer {
    config: Jwt,
    keys: Keys,
}

impl Issuers {
    /// Reads what can be read now.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(crate) fn new(configs: &[(Jwt, &'static Location<'static>)]) -> Result<Self, Vec<Problem>> {
        let (mut issuers, mut problems) = (Vec::<Issuer>::new(), Vec::new());
        for (config, location) in configs {
            let mut wrong = config.problems();
            if issuers.iter().any(|other| other.config.issuer == config.issuer) {
                wrong.push("its issuer has been named before: name all audiences in one place".to_owned());
            }
            if wrong.is_empty() {
                match Keys::new(config) {
                    Ok(keys) => issuers.push(Issuer { config: config.clone(), keys }),
                    Err(problem) => wrong.push(problem),
                }
            }
            let problem = |what| Problem::new(format!("jwt for `{}`", config.issuer), what).at(location);
            problems.extend(wrong.into_iter().map(problem));
        }
        if problems.is_empty() { Ok(Self(issuers.into())) } else { Err(problems) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Begins to fetch the keys, so that the first caller finds them; each change of them is recorded from here on.
    pub(crate) fn begin(&self, audit: &Arc<Auditor>) {
        self.0.iter().for_each(|issuer| issuer.keys.begin(audit));
    }

    /// Whose token this says it is. Nobody has vouched for that.
    pub(crate) fn claimed(&self, text: &str) -> Option<String> {
        let token = Token::parse(text).ok()?;
        let issuer = self.named(&token)?;
        check::check_head(&issuer.config, &token).ok()?;
        check::principal_id(&issuer.config, &token)
    }

    fn named(&self, token: &Token<'_>) -> Option<&Issuer> {
        self.0.iter().find(|issuer| token.issuer() == Some(&issuer.config.issuer))
    }

    /// Who shows this token. May wait for keys, 5 s at the most, if the one that it names is not there.
    ///
    /// # Errors
    /// 401 with what is wrong with it, 503 if its issuer's keys cannot be had, or not those that it may be signed with.
    pub(crate) fn check(&self, text: &str, challenge: &Challenge) -> Result<Principal, Refusal> {
        let invalid = |why: &str| challenge.invalid(why);
        let token = Token::parse(text).map_err(invalid)?;
        let issuer = self.named(&token).ok_or_else(|| invalid("the token's issuer is not known here"))?;
        // Before its keys are asked for: what can never be good is no reason to fetch some.
        check::check_head(&issuer.config, &token).map_err(invalid)?;
        let keys = issuer.keys.current().ok_or_else(unavailable)?;
        let mut found = check(&issuer.config, &token, &keys, SystemTime::now());
        if let Err(Failure::UnknownKey) = found {
            match issuer.keys.newer(&keys) {
                Newer::Keys(keys) => found = check(&issuer.config, &token, &keys, SystemTime::now()),
                Newer::Absent => {}
                // The issuer may have begun to use another one: that is no fault of who shows it.
                Newer::Unclear => return Err(unavailable()),
            }
        }
        found.map_err(|failure| {
            let mut refusal = invalid(failure.reason());
            if failure == Failure::Invalid(check::EXPIRED) {
                // Its issuer made it: who shows it is guessing nothing.
                refusal.label = "expired";
            }
            refusal
        })
    }
}

/// Nobody can say at the moment whether a token is good.
fn unavailable() -> Refusal {
    Refusal::new(503, "keys", "the keys of the token's issuer cannot be had at the moment").header("Retry-After", "5")
}

/// The whole check with keys and a clock that do not change, for the fuzz target: the principal of a token, or why there is none.
#[cfg(feature = "_fuzz")]
pub(crate) fn exercise(config: &Jwt, text: &str, now: SystemTime) -> Result<Principal, &'static str> {
    let Ok(Keys::Fixed(keys)) = Keys::new(config) else { return Err("keys that can change") };
    let token = Token::parse(text)?;
    if token.issuer() != Some(&config.issuer) {
        return Err("another issuer");
    }
    check::check_head(config, &token)?;
    check(config, &token, &keys, now).map_err(|failure| failure.reason())
}
