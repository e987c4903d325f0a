//! Stands for TLS in builds without it: there is none, so nothing of this ever runs.

use crate::engine::link::Link;
use crate::error::Problem;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub(crate) enum TlsConfig {}

impl TlsConfig {
    pub(crate) fn authenticates(&self) -> bool {
        match *self {}
    }

    pub(crate) fn certificate_suffices(&self) -> bool {
        match *self {}
    }

    pub(crate) fn terms(&self) -> Result<Vec<Term>, Vec<Problem>> {
        match *self {}
    }

    pub(crate) fn key_files(&self) -> std::iter::Empty<&std::path::Path> {
        match *self {}
    }

    pub(crate) fn trust_files(&self) -> std::iter::Empty<&std::path::Path> {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) enum Term {}

impl Term {
    pub(crate) fn fault(&self, _now: i64) -> Option<String> {
        match *self {}
    }

    pub(crate) fn ends_before(&self, _time: i64) -> bool {
        match *self {}
    }

    pub(crate) fn end(&self) -> String {
        match *self {}
    }
}

impl std::fmt::Display for Term {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) enum Tls {}

impl Tls {
    pub(crate) fn new(config: TlsConfig) -> Result<Self, Vec<Problem>> {
        match config {}
    }

    pub(crate) fn has_changed(&self) -> bool {
        match *self {}
    }

    pub(crate) fn link(&self, _stream: Arc<TcpStream>) -> io::Result<Link> {
        match *self {}
    }
}
