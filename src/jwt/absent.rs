//! Stands for tokens that are JWTs in builds without them: there are none, so nothing of this ever runs.

use crate::error::Problem;
use crate::guard::challenge::Challenge;
use crate::http::refusal::Refusal;
use crate::principal::Principal;
use std::panic::Location;

#[derive(Debug, Clone)]
pub(crate) enum Jwt {}

impl Jwt {
    pub(crate) fn named(&self) -> &str {
        match *self {}
    }

    pub(crate) fn fetches_unencrypted(&self) -> bool {
        match *self {}
    }

    pub(crate) fn reaches_private(&self) -> bool {
        match *self {}
    }

    pub(crate) fn is_untyped(&self) -> bool {
        match *self {}
    }

    pub(crate) fn files(&self) -> std::iter::Empty<&std::path::Path> {
        match *self {}
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Issuers;

impl Issuers {
    pub(crate) fn new(_: &[(Jwt, &'static Location<'static>)]) -> Result<Self, Vec<Problem>> {
        Ok(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        true
    }

    pub(crate) fn begin(&self, _: &std::sync::Arc<crate::audit::Auditor>) {}

    pub(crate) fn claimed(&self, _: &str) -> Option<String> {
        None
    }

    pub(crate) fn check(&self, _: &str, challenge: &Challenge) -> Result<Principal, Refusal> {
        Err(challenge.invalid("this token is not known here"))
    }
}
