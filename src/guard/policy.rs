//! What is done with characters that honest text does not have?

/// A class of characters that act, mislead, or cannot be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TextClass {
    /// Control characters but for tabulator, line ends and form feed: what terminals obey, with the sequences that ESC begins.
    Control,
    /// What turns text around, so that one reads something else than a program does ("Trojan Source"): embeddings and overrides of direction, and
    /// isolates that are not closed on their line. Marks of direction (U+200E, U+200F, U+061C) and closed isolates belong to honest text.
    Direction,
    /// Tag characters, U+E0000 to U+E007F: a second ASCII that models read and people do not see. The flags of England, Scotland and Wales, which
    /// are made of them, are no such text.
    Tags,
    /// Everything else that cannot be seen, where no language has it: zero-width characters between letters of ASCII, selectors behind
    /// what has no other form, fillers, noncharacters. Joiners of emoji and of Persian or Indic words, breaks in Thai or Khmer, selectors behind emoji
    /// and ideographs, soft hyphens, and a byte order mark at the very beginning belong to honest text.
    Invisible,
}

/// What is done with characters of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TextAction {
    /// The text is not taken, or not sent.
    Reject,
    /// They are left out; of a control sequence all of it.
    Strip,
    /// They are made visible: U+202E becomes `\u{202e}`, in eight characters.
    Mark,
    /// They pass.
    Allow,
}

/// What is done with characters that honest text does not have: for all text that comes in, or that goes out.
///
/// Set for a server with [`Settings::text_in`](crate::Settings::text_in) and [`Settings::text_out`](crate::Settings::text_out), or for a tool with
/// [`Tool::text_in`](crate::Tool::text_in) and [`Tool::text_out`](crate::Tool::text_out).
///
/// ```
/// # use mcp_blocking::{Server, Settings, TextAction, TextClass, TextPolicy, Tool};
/// // Reads files of any kind, and shows them as they are.
/// let tool = Tool::new("read", "Read a file").text_out(TextPolicy::all(TextAction::Allow));
/// // Reviews code: what is hidden in it shall be seen.
/// let policy = TextPolicy::outgoing().with(TextClass::Direction, TextAction::Mark);
/// let server = Server::new("notes", "1.0.0").settings(Settings::new().text_out(policy));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TextPolicy {
    control: TextAction,
    direction: TextAction,
    tags: TextAction,
    invisible: TextAction,
}

impl TextPolicy {
    /// The same for every class.
    pub const fn all(action: TextAction) -> Self {
        Self { control: action, direction: action, tags: action, invisible: action }
    }

    /// The default for what comes in: control characters, changes of direction and tags are rejected, what else is invisible passes.
    ///
    /// Rejected, not left out: arguments that are changed on the way are not those that somebody has agreed to, and a model that reads which
    /// character stands where can try again without it. The last class passes, as people paste such characters without knowing.
    pub const fn incoming() -> Self {
        Self { invisible: TextAction::Allow, ..Self::all(TextAction::Reject) }
    }

    /// The default for what goes out: all four classes are left out. Colors of a program's output are of no use to a model, hidden text is of no use
    /// to anybody but an attacker, and a result that is refused helps nobody.
    pub const fn outgoing() -> Self {
        Self::all(TextAction::Strip)
    }

    /// Another action for one class.
    #[must_use]
    pub const fn with(mut self, class: TextClass, action: TextAction) -> Self {
        match class {
            TextClass::Control => self.control = action,
            TextClass::Direction => self.direction = action,
            TextClass::Tags => self.tags = action,
            TextClass::Invisible => self.invisible = action,
        }
        self
    }

    /// What is done with that class.
    pub const fn action(&self, class: TextClass) -> TextAction {
        match class {
            TextClass::Control => self.control,
            TextClass::Direction => self.direction,
            TextClass::Tags => self.tags,
            TextClass::Invisible => self.invisible,
        }
    }

    /// The same, with nothing rejected: for what cannot be refused, as it is no answer to anybody.
    pub(crate) const fn lenient(self) -> Self {
        const fn soften(action: TextAction) -> TextAction {
            if matches!(action, TextAction::Reject) { TextAction::Strip } else { action }
        }
        Self {
            control: soften(self.control),
            direction: soften(self.direction),
            tags: soften(self.tags),
            invisible: soften(self.invisible),
        }
    }

    /// The same, where a change would make another thing of it: what is not allowed is rejected.
    pub(crate) const fn strict(self) -> Self {
        const fn harden(action: TextAction) -> TextAction {
            if matches!(action, TextAction::Allow) { TextAction::Allow } else { TextAction::Reject }
        }
        Self {
            control: harden(self.control),
            direction: harden(self.direction),
            tags: harden(self.tags),
            invisible: harden(self.invisible),
        }
    }
}

/// The policies of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Texts {
    pub(crate) incoming: TextPolicy,
    pub(crate) outgoing: TextPolicy,
}

impl Default for Texts {
    fn default() -> Self {
        Self { incoming: TextPolicy::incoming(), outgoing: TextPolicy::outgoing() }
    }
}
