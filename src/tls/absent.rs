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
