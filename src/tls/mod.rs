//! Certificates: whose, for which names, and which are served at this moment. Knows no socket; the record layer over one is
//! `engine/link_tls.rs`.

mod certificate;
mod config;
pub(crate) mod der;
mod load;
mod names;

pub use certificate::ClientCertificate;
pub use config::TlsConfig;

#[cfg(feature = "_fuzz")]
pub(crate) use certificate::Content;

use crate::clock;
use crate::error::{Error, Problem};
use load::Loaded;
pub(crate) use load::Term;
use parking_lot::{Mutex, RwLock};
use rustls::{ServerConfig, ServerConnection};
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// What a server shows to its clients.
#[derive(Debug)]
pub(crate) struct Tls {
    config: TlsConfig,
    current: RwLock<Arc<ServerConfig>>,
    /// Held while files are read, by whoever finds it free. Only [`reload`](Self::reload) waits for it.
    watch: Mutex<Watch>,
    /// Others are served than when somebody last asked.
    changed: AtomicBool,
}

/// What is known of the files.
#[derive(Debug)]
struct Watch {
    looked: Instant,
    stamps: Vec<Option<Stamp>>,
    digests: BTreeMap<PathBuf, [u8; 32]>,
    terms: Vec<Term>,
    /// The log has been told that one of the certificates is out of its term.
    warned: bool,
}

impl Tls {
    /// Reads everything.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn new(config: TlsConfig) -> Result<Self, Vec<Problem>> {
        // Before the files are read: what changes meanwhile is seen at the next look.
        let stamps = stamps(&config);
        let Loaded { config: current, digests, terms } = load::load(&config)?;
        for term in &terms {
            log::info!(target: "mcp_blocking::tls", "certificate in {term}, valid until {}", term.end());
        }
        let mut watch = Watch { looked: Instant::now(), stamps, digests, terms, warned: false };
        watch.warn_of_terms();
        Ok(Self { config, current: RwLock::new(current), watch: Mutex::new(watch), changed: AtomicBool::new(false) })
    }

    /// Begins a connection, with the certificates of this moment. May read files.
    ///
    /// # Errors
    /// None that is known: rustls may refuse a configuration, and this one is not of that kind.
    pub(crate) fn begin(&self) -> Result<ServerConnection, rustls::Error> {
        self.look();
        let current = Arc::clone(&self.current.read());
        ServerConnection::new(current)
    }

    /// Reads all files now; says which of them have changed.
    pub(crate) fn reload(&self) -> Result<Vec<PathBuf>, Error> {
        self.take_files(&mut self.watch.lock()).map_err(Error::Certificates)
    }

    /// Whether the certificates have changed since this was last asked.
    pub(crate) fn has_changed(&self) -> bool {
        // Most find nothing, and then nothing is written that others read.
        self.changed.load(Ordering::Relaxed) && self.changed.swap(false, Ordering::Relaxed)
    }

    /// Looks whether files have changed, if it is time to and nobody else does.
    fn look(&self) {
        let Some(mut watch) = self.watch.try_lock() else { return };
        if watch.looked.elapsed() < self.config.look_every || self.config.look_every == Duration::MAX {
            return;
        }
        watch.looked = Instant::now();
        watch.warn_of_terms();
        if stamps(&self.config) != watch.stamps {
            // It is in the log.
            let _ = self.take_files(&mut watch);
        }
    }

    fn take_files(&self, watch: &mut Watch) -> Result<Vec<PathBuf>, Vec<Problem>> {
        watch.stamps = stamps(&self.config);
        let Loaded { config, digests, terms } = load::load(&self.config).inspect_err(|problems| {
            for problem in problems {
                log::error!(target: "mcp_blocking::tls", "the old certificates stay: {problem}");
            }
        })?;
        let changed = digests.iter().filter(|(path, digest)| watch.digests.get(*path) != Some(digest));
        let changed: Vec<_> = changed.map(|(path, _)| path.clone()).collect();
        if !changed.is_empty() {
            *self.current.write() = config;
            self.changed.store(true, Ordering::Relaxed);
            let files: Vec<_> = changed.iter().map(|path| format!("`{}`", path.display())).collect();
            log::info!(target: "mcp_blocking::tls", "new certificates are in use, from {}", files.join(", "));
            (watch.digests, watch.terms, watch.warned) = (digests, terms, false);
            watch.warn_of_terms();
        }
        Ok(changed)
    }
}

impl Watch {
    /// Tells the log of certificates that no client will accept today.
    fn warn_of_terms(&mut self) {
        if self.warned {
            return;
        }
        let now = clock::seconds_since_1970();
        for term in &self.terms {
            let Some(fault) = term.fault(now) else { continue };
            self.warned = true;
            log::warn!(target: "mcp_blocking::tls", "the certificate in {term} {fault}: clients will refuse it");
        }
    }
}

/// By what a file is told from another that takes its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    #[cfg(unix)]
    inode: (u64, u64, i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            #[cfg(unix)]
            inode: {
                use std::os::unix::fs::MetadataExt;
                (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
            },
        }
    }
}

/// Those of all files, in a fixed order; links are followed.
fn stamps(config: &TlsConfig) -> Vec<Option<Stamp>> {
    let stamp = |path: &Path| fs::metadata(path).ok().as_ref().map(Stamp::of);
    config.paths().into_iter().map(stamp).collect()
}
