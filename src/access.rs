//! The credentials of a running server, which can change while it runs: its tokens, and the tickets that it has issued.

use crate::audit::Auditor;
use crate::error::Problem;
use crate::file_mode;
use crate::guard::bearer::{self, Tokens};
use crate::guard::config::ConfigError;
use crate::guard::origin::Origin;
use crate::guard::ticket::{Holder, NoTicket, TicketLimits, Tickets};
use crate::principal::Principal;
use crate::random;
use crate::token::{self, Token};
use parking_lot::{Mutex, RwLock};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A file of tokens is read into memory; 10,000 lines are less.
const FILE_BYTES: u64 = 4 << 20;

/// Who is let in by a secret of the server's own. Its clone knows the same tokens and no tickets, and goes its own way.
#[derive(Debug)]
pub(crate) struct Access {
    tokens: RwLock<Arc<Tokens>>,
    /// Those that the author has given in code.
    fixed: Vec<Token>,
    files: Vec<PathBuf>,
    /// One change after the other.
    changing: Mutex<()>,
    tickets: Mutex<Tickets>,
    takes_tickets: bool,
    limits: TicketLimits,
    start: Instant,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            tokens: RwLock::default(),
            fixed: Vec::new(),
            files: Vec::new(),
            changing: Mutex::default(),
            tickets: Mutex::default(),
            takes_tickets: false,
            limits: TicketLimits { total: 0, per_principal: 0, lifetime: Duration::ZERO },
            start: Instant::now(),
        }
    }
}

impl Clone for Access {
    fn clone(&self) -> Self {
        let mut tokens = Tokens::new();
        for token in &self.fixed {
            // It could be added once.
            let _ = tokens.add(token);
        }
        if !self.tokens.read().is_empty() {
            tokens.ask();
        }
        Self {
            tokens: RwLock::new(Arc::new(tokens)),
            fixed: self.fixed.clone(),
            files: self.files.clone(),
            takes_tickets: self.takes_tickets,
            limits: self.limits,
            ..Self::default()
        }
    }
}

impl Access {
    /// Before the start: adds a token.
    pub(crate) fn add(&mut self, token: Token) -> Result<(), ConfigError> {
        Arc::make_mut(self.tokens.get_mut()).add(&token)?;
        self.fixed.push(token);
        Ok(())
    }

    /// Before the start: names a file of tokens, which is read by [`read_files`](Self::read_files).
    pub(crate) fn add_file(&mut self, path: PathBuf) {
        // Also a file without tokens asks for some.
        Arc::make_mut(self.tokens.get_mut()).ask();
        self.files.push(path);
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }

    /// Before the start: takes tickets, too.
    pub(crate) fn take_tickets(&mut self) {
        self.takes_tickets = true;
    }

    /// At the start.
    pub(crate) fn limit(&mut self, limits: TicketLimits) {
        self.limits = limits;
    }

    /// Whether callers are asked for one of these.
    pub(crate) fn asks(&self) -> bool {
        self.takes_tickets || !self.tokens.read().is_empty()
    }

    pub(crate) fn takes_tickets(&self) -> bool {
        self.takes_tickets
    }

    /// What is known at this moment.
    pub(crate) fn tokens(&self) -> Arc<Tokens> {
        Arc::clone(&self.tokens.read())
    }

    /// Reads the files anew. Blocks while they are read.
    ///
    /// # Errors
    /// What is wrong with a file, or with all of them together; nothing is changed then.
    pub(crate) fn read_files(&self) -> Result<(usize, usize), Problem> {
        let _one = self.changing.lock();
        let mut tokens = Tokens::new();
        for token in &self.fixed {
            tokens.add(token).map_err(|error| Problem::new(error.setting, error.problem))?;
        }
        for path in &self.files {
            let wrong = |problem: String| Problem::new(format!("token file {}", path.display()), problem);
            let text = read(path).map_err(wrong)?;
            let list = token::parse(&text).map_err(|error| wrong(format!("line {} {}", error.line, error.problem)))?;
            for token in list {
                tokens.add(&token).map_err(|error| wrong(format!("a token {}", error.problem)))?;
            }
        }
        Ok(self.follow(tokens))
    }

    /// These tokens in place of all others.
    ///
    /// # Errors
    /// One that cannot be used; nothing is changed then.
    pub(crate) fn replace(&self, list: impl IntoIterator<Item = Token>) -> Result<(usize, usize), Problem> {
        let mut tokens = Tokens::new();
        for token in list {
            tokens.add(&token).map_err(|error| Problem::new(error.setting, error.problem))?;
        }
        let _one = self.changing.lock();
        Ok(self.follow(tokens))
    }

    fn follow(&self, mut tokens: Tokens) -> (usize, usize) {
        let changed = tokens.follow(&self.tokens());
        *self.tokens.write() = Arc::new(tokens);
        changed
    }

    /// Issues a ticket for a page of that origin, to be shown without any certificate, or with whatever one its connection has, and has
    /// that recorded.
    pub(crate) fn issue_for(
        &self,
        principal: &Principal,
        origin: &str,
        audit: &Auditor,
    ) -> Result<Ticket, TicketError> {
        self.issue(principal, Origin::parse(origin).map_err(|_| TicketError::Origin)?, None, audit)
    }

    /// Issues a ticket, and has that recorded. If it was asked for with a certificate, it has to be shown with the same.
    pub(crate) fn issue(
        &self,
        principal: &Principal,
        origin: Origin,
        certificate: Option<&Principal>,
        audit: &Auditor,
    ) -> Result<Ticket, TicketError> {
        if !self.takes_tickets {
            return Err(TicketError::Disabled);
        }
        if origin == Origin::Null {
            return Err(TicketError::Origin);
        }
        let text = random::text::<32>().map_err(|_| TicketError::Random)?;
        let (hash, page) = (bearer::hash(&text), origin.to_string());
        let holder =
            Holder { principal: principal.clone(), origin, certificate: certificate.map(Principal::shared_id) };
        let issued = self.tickets.lock().issue(hash, holder, self.start.elapsed(), self.limits);
        match issued {
            Ok(()) => {
                audit.ticket_issued(principal, &page);
                Ok(Ticket { text, expires_in: self.limits.lifetime })
            }
            Err(NoTicket::TooMany) => Err(TicketError::TooMany),
            Err(NoTicket::Full) => Err(TicketError::Full),
        }
    }

    /// Whether that ticket has been issued, and nobody has used it so far.
    pub(crate) fn has_ticket(&self, ticket: &str) -> bool {
        self.tickets.lock().has(&bearer::hash(ticket))
    }

    /// Whom a ticket lets in; it is used up.
    pub(crate) fn redeem(&self, ticket: &str, origin: &Origin, certificate: Option<&Principal>) -> Option<Principal> {
        let hash = bearer::hash(ticket);
        self.tickets.lock().redeem(&hash, (origin, certificate.map(Principal::id)), self.start.elapsed())
    }
}

fn read(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let file = std::fs::File::open(path).map_err(unreadable)?;
    if let Some(refusal) = file_mode::refusal(path) {
        return Err(refusal.to_owned());
    }
    let mut text = String::new();
    file.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    match text.len() as u64 > FILE_BYTES {
        true => Err(format!("is larger than {FILE_BYTES} bytes")),
        false => Ok(text),
    }
}

/// A one-time ticket with which a page opens one WebSocket: see [`Settings::tickets`](crate::Settings::tickets).
///
/// Its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    text: String,
    expires_in: Duration,
}

impl Ticket {
    /// The ticket: 43 characters of base64url, 256 random bits. A secret until it is used.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How long it can be used: [`Limits::ticket_lifetime`](crate::Limits::ticket_lifetime) from its issue.
    pub fn expires_in(&self) -> Duration {
        self.expires_in
    }

    /// What the page passes as the second argument of `new WebSocket(url, …)`.
    pub fn subprotocols(&self) -> [String; 2] {
        ["mcp".to_owned(), format!("{}{}", crate::guard::offer::TICKET, self.text)]
    }

    /// The same as JSON, with `ticket`, `expires_in` in seconds, and `subprotocols`: what `POST …/ticket` answers, too.
    pub fn to_json(&self) -> String {
        let expires_in = self.expires_in.as_secs();
        serde_json::json!({ "ticket": self.text, "expires_in": expires_in, "subprotocols": self.subprotocols() })
            .to_string()
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// Why no ticket was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// The server takes no tickets: turn them on with [`Settings::tickets`](crate::Settings::tickets).
    #[error("this server takes no tickets: turn them on with `Settings::tickets`")]
    Disabled,
    /// The origin is none of a page: write it as `https://app.example.com`. `null` is nobody's own.
    #[error("a ticket is for the origin of a page, such as `https://app.example.com`")]
    Origin,
    /// The principal has as many unused ones as it may have ([`Limits::tickets_per_principal`](crate::Limits::tickets_per_principal)): try again
    /// when some were used or have expired.
    #[error("this principal has too many unused tickets")]
    TooMany,
    /// There are as many as there may be in all ([`Limits::tickets`](crate::Limits::tickets)): try again later.
    #[error("there are too many unused tickets")]
    Full,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}
