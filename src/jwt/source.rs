//! Which keys does an issuer have at this moment? What was given once, what is in a file, or what was fetched.

use super::config::{Jwt, Source};
use super::fetch::{DEADLINE, Endpoint};
use super::keys::KeySet;
use crate::audit::Auditor;
use crate::file_mode;
use crate::guard::text::Escaped;
use crate::tls::Stamp;
use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// How often a file is looked at when callers come; and when one comes whose key is not in it.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// As for what is fetched.
const MOST_FILE_BYTES: u64 = 256 << 10;
/// The age of keys whose server says nothing of it, and the least that is taken from its word.
const LIFETIME: Duration = Duration::from_secs(300);
const LIFETIME_MIN: Duration = Duration::from_secs(30);
/// Callers that wait for one fetch: each holds a thread.
const MOST_WAITING: usize = 32;

/// Where the keys of one issuer come from.
#[derive(Debug)]
pub(super) enum Keys {
    Fixed(Arc<KeySet>),
    File(FileKeys),
    Url(Arc<RemoteKeys>),
}

/// What is known of a key that is not among those of a moment ago.
pub(super) enum Newer {
    /// Look among these.
    Keys(Arc<KeySet>),
    /// There is no such key: they have been looked at since, or a moment before.
    Absent,
    /// Nobody can say: they cannot be looked at now.
    Unclear,
}

impl Keys {
    /// Reads what can be read now.
    ///
    /// # Errors
    /// All that is wrong, each with what it is wrong with.
    pub(super) fn new(config: &Jwt) -> Result<Self, String> {
        match config.sources.as_slice() {
            [Source::Url(url)] => {
                let said = |problem| format!("`{url}`: {problem}");
                let endpoint = Endpoint::parse(url, config.private).map_err(said)?;
                Ok(Self::Url(Arc::new(RemoteKeys::new(config, endpoint)?)))
            }
            [Source::File(path)] => FileKeys::new(&config.issuer, path).map(Self::File),
            pems => {
                let mut keys = KeySet::default();
                for pem in pems {
                    let Source::Pem(pem) = pem else { continue };
                    keys = keys.and(KeySet::from_pem(pem).map_err(|problem| format!("PEM in memory: {problem}"))?);
                }
                Ok(Self::Fixed(Arc::new(keys)))
            }
        }
    }

    /// The keys of this moment. Waits for a fetch only if there are none.
    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        match self {
            Self::Fixed(keys) => Some(Arc::clone(keys)),
            Self::File(file) => Some(file.look(LOOK_EVERY)),
            Self::Url(remote) => remote.current(),
        }
    }

    /// Whether there are other keys than these, in which one is missing. May wait for a fetch.
    pub(super) fn newer(&self, than: &Arc<KeySet>) -> Newer {
        match self {
            Self::Fixed(_) => Newer::Absent,
            Self::File(file) => match file.look(LOOK_AGAIN) {
                keys if !Arc::ptr_eq(&keys, than) => Newer::Keys(keys),
                _ if file.broken.load(Ordering::Relaxed) => Newer::Unclear,
                _ => Newer::Absent,
            },
            Self::Url(remote) => remote.newer(than),
        }
    }

    /// Begins to fetch what has to be fetched. What changes from here on is recorded there.
    pub(super) fn begin(&self, audit: &Arc<Auditor>) {
        match self {
            Self::Fixed(_) => {}
            Self::File(file) => drop(file.audit.set(Arc::clone(audit))),
            Self::Url(remote) => {
                let _ = remote.audit.set(Arc::clone(audit));
                remote.begin(&mut remote.state.lock());
            }
        }
    }
}

/// A key set in a file.
#[derive(Debug)]
pub(super) struct FileKeys {
    issuer: String,
    path: PathBuf,
    current: RwLock<Arc<KeySet>>,
    /// When it was looked at, and what it looked like. Held while it is read, by whoever finds it free; nobody waits for it.
    watch: Mutex<(Instant, Option<Stamp>)>,
    /// It could not be used when it was read last: the keys are older ones.
    broken: AtomicBool,
    audit: OnceLock<Arc<Auditor>>,
}

impl FileKeys {
    fn new(issuer: &str, path: &Path) -> Result<Self, String> {
        // Before it is read: what changes meanwhile is seen at the next look.
        let watch = (Instant::now(), stamp(path));
        let keys = load(path).map_err(|problem| format!("`{}`: {problem}", path.display()))?;
        let (issuer, path, current) = (issuer.to_owned(), path.to_owned(), RwLock::new(Arc::new(keys)));
        let (watch, broken, audit) = (Mutex::new(watch), AtomicBool::new(false), OnceLock::new());
        Ok(Self { issuer, path, current, watch, broken, audit })
    }

    /// The keys, after a look at the file if the last one was so long ago.
    fn look(&self, every: Duration) -> Arc<KeySet> {
        if let Some(mut watch) = self.watch.try_lock().filter(|watch| watch.0.elapsed() >= every) {
            watch.0 = Instant::now();
            let stamp = stamp(&self.path);
            // What stood against using it need not be seen in it: a folder on the way, or that no more files could be opened.
            let changed = stamp != watch.1;
            if changed || self.broken.load(Ordering::Relaxed) {
                watch.1 = stamp;
                let loaded = load(&self.path);
                self.broken.store(loaded.is_err(), Ordering::Relaxed);
                match loaded {
                    Ok(keys) if keys == **self.current.read() => {}
                    Ok(keys) => {
                        *self.current.write() = Arc::new(keys);
                        self.audit.get().into_iter().for_each(|audit| audit.keys_taken(&self.issuer));
                        log::info!(target: "mcp_blocking::jwt", "new keys are in use, from `{}`", self.path.display());
                    }
                    Err(problem) => {
                        let level = if changed { log::Level::Error } else { log::Level::Debug };
                        log::log!(target: "mcp_blocking::jwt", level, "the old keys stay: `{}`: {problem}", self.path.display());
                    }
                }
            }
        }
        Arc::clone(&self.current.read())
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().as_ref().map(Stamp::of)
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    if let Some(refusal) = file_mode::refusal(path) {
        return Err(refusal.to_owned());
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("the file cannot be read: {error}"))?;
    if bytes.len() as u64 > most {
        return Err(format!("the file is larger than {} KiB", most >> 10));
    }
    Ok(bytes)
}

fn load(path: &Path) -> Result<KeySet, String> {
    KeySet::from_json(&read(path, MOST_FILE_BYTES)?)
}

/// A key set that is fetched.
#[derive(Debug)]
pub(super) struct RemoteKeys {
    issuer: String,
    endpoint: Endpoint,
    tls: Arc<ClientConfig>,
    private: bool,
    refetch_after: Duration,
    lifetime_max: Duration,
    usable_for: Duration,
    /// Held for moments only: never while something is fetched, or a thread started.
    state: Mutex<State>,
    /// A fetch has ended.
    ended: Condvar,
    audit: OnceLock<Arc<Auditor>>,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<Known>,
    fetching: bool,
    /// When the last fetch began.
    begun: Option<Instant>,
    waiting: usize,
    /// The last fetch has failed: the log has been told.
    failing: bool,
}

#[derive(Debug)]
struct Known {
    keys: Arc<KeySet>,
    fetched: Instant,
    lifetime: Duration,
}

impl RemoteKeys {
    fn new(config: &Jwt, endpoint: Endpoint) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        if config.authorities.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for path in &config.authorities {
            let said = |problem: String| format!("`{}`: {problem}", path.display());
            let pem = read(path, 1 << 20).map_err(said)?;
            let authorities = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
            let authorities = authorities.map_err(|error| said(format!("it is not PEM as it should be: {error}")))?;
            if authorities.is_empty() {
                return Err(said("there is no certificate in it (BEGIN CERTIFICATE)".to_owned()));
            }
            for authority in authorities {
                let added = roots.add(authority);
                added.map_err(|error| said(format!("an authority's certificate in it cannot be used: {error}")))?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| error.to_string())?;
        let mut tls = builder.with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            issuer: config.issuer.clone(),
            endpoint,
            tls: Arc::new(tls),
            private: config.private,
            refetch_after: config.refetch_after,
            lifetime_max: config.keys_lifetime_max,
            usable_for: config.keys_usable_for,
            state: Mutex::new(State::default()),
            ended: Condvar::new(),
            audit: OnceLock::new(),
        })
    }

    fn current(self: &Arc<Self>) -> Option<Arc<KeySet>> {
        let mut state = self.state.lock();
        match self.usable(&state) {
            Some((keys, true)) => Some(keys),
            Some((keys, false)) => {
                self.begin(&mut state);
                Some(keys)
            }
            None => {
                self.begin(&mut state);
                self.wait(&mut state);
                self.usable(&state).map(|(keys, _)| keys)
            }
        }
    }

    fn newer(self: &Arc<Self>, than: &Arc<KeySet>) -> Newer {
        let asked = Instant::now();
        let mut state = self.state.lock();
        let others = |state: &State| self.usable(state).map(|(keys, _)| keys).filter(|keys| !Arc::ptr_eq(keys, than));
        if let Some(keys) = others(&state) {
            return Newer::Keys(keys);
        }
        self.begin(&mut state);
        self.wait(&mut state);
        if let Some(keys) = others(&state) {
            return Newer::Keys(keys);
        }
        // A fetch that has failed, was not begun or not waited for says nothing of a key that may be a new one.
        let is_fresh = |known: &Known| known.fetched >= asked || known.fetched.elapsed() < self.refetch_after;
        if state.keys.as_ref().is_some_and(is_fresh) { Newer::Absent } else { Newer::Unclear }
    }

    /// The keys that may be used now, and whether they have not reached their age.
    fn usable(&self, state: &State) -> Option<(Arc<KeySet>, bool)> {
        let Known { keys, fetched, lifetime } = state.keys.as_ref()?;
        let age = fetched.elapsed();
        (age <= lifetime.saturating_add(self.usable_for)).then(|| (Arc::clone(keys), age < *lifetime))
    }

    /// Begins a fetch, unless there is one, or was one a moment ago.
    fn begin(self: &Arc<Self>, state: &mut MutexGuard<'_, State>) {
        if state.fetching || state.begun.is_some_and(|begun| begun.elapsed() < self.refetch_after) {
            return;
        }
        (state.fetching, state.begun) = (true, Some(Instant::now()));
        let fetch = Fetch(Arc::clone(self));
        MutexGuard::unlocked(state, || {
            // If there is no thread to be had, the closure is dropped, and the fetch has failed.
            let _ = thread::Builder::new().name("mcp-jwks".into()).spawn(move || fetch.run());
        });
    }

    /// Waits for the end of the fetch that is under way, if there is one and not too many wait.
    fn wait(&self, state: &mut MutexGuard<'_, State>) {
        if !state.fetching || state.waiting >= MOST_WAITING {
            return;
        }
        let (deadline, begun) = (Instant::now() + DEADLINE, state.begun);
        state.waiting += 1;
        while state.fetching && state.begun == begun && !self.ended.wait_until(state, deadline).timed_out() {}
        state.waiting -= 1;
    }

    fn fetch(&self) -> Result<Known, String> {
        let fetched = self.endpoint.get(&self.tls, self.private)?;
        let keys = KeySet::from_json(&fetched.body)?;
        let lifetime = fetched.max_age.unwrap_or(LIFETIME).max(LIFETIME_MIN).min(self.lifetime_max);
        Ok(Known { keys: Arc::new(keys), fetched: Instant::now(), lifetime })
    }
}

/// A fetch under way. When it is dropped it has ended, however.
struct Fetch(Arc<RemoteKeys>);

impl Fetch {
    fn run(self) {
        let fetched = self.0.fetch();
        let issuer = &self.0.issuer;
        let mut state = self.0.state.lock();
        let failed_before = std::mem::replace(&mut state.failing, fetched.is_err());
        let problem = match fetched {
            Ok(mut known) => {
                let same = state.keys.as_ref().filter(|old| old.keys == known.keys).map(|old| Arc::clone(&old.keys));
                let changed = same.is_none();
                let news = changed || failed_before;
                // The same keys stay the same: who looks for others need not try these again.
                known.keys = same.unwrap_or(known.keys);
                state.keys = Some(known);
                drop(state);
                if changed {
                    self.0.audit.get().into_iter().for_each(|audit| audit.keys_taken(issuer));
                }
                if news {
                    log::info!(target: "mcp_blocking::jwt", "the keys of {issuer} have been fetched");
                }
                return;
            }
            Err(problem) => problem,
        };
        let had = state.keys.is_some();
        drop(state);
        let level = if failed_before { log::Level::Debug } else { log::Level::Warn };
        let then = if had { "the old ones stay for now" } else { "its tokens are refused until they can" };
        // It may quote what the other side has sent.
        let problem = Escaped::new(&problem, 400);
        log::log!(target: "mcp_blocking::jwt", level, "the keys of {issuer} cannot be fetched, {then}: {problem}");
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.fetching = false;
        drop(state);
        self.0.ended.notify_all();
    }
}
