//! What does a client hear of a call while it is under way: progress, log messages, and what else belongs to its request?

use super::call::Call;
use super::texts;
use crate::protocol::capabilities::LogLevel;
use crate::protocol::notify;
use std::sync::atomic::Ordering;

impl Call {
    /// Sends a notification that belongs to this request, if it is still under way.
    pub(crate) fn notify(&self, key: u64, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let state = self.state.lock();
        if state.over {
            return false;
        }
        self.send_notice(key, write);
        true
    }

    fn send_notice(&self, key: u64, write: impl FnOnce(&mut Vec<u8>)) {
        let mut json = Vec::with_capacity(128);
        write(&mut json);
        self.reply.notice(&self.link, json, key);
    }

    /// Reports progress, if the client asked for it; gives the handler its time anew in any case.
    pub(crate) fn progress(&self, progress: f64, total: Option<f64>, message: Option<&str>) {
        self.extend();
        let message = message.map(|message| texts::notice(&self.mcp.core, message));
        let message = message.as_deref();
        if let (Some(task), Some(message)) = (self.task(), message) {
            task.say(message);
        }
        let Some(token) = &self.speech.progress else { return };
        let mut state = self.state.lock();
        // The value MUST increase (2025-11-25, basic/utilities/progress).
        if state.over || !progress.is_finite() || state.progress.is_some_and(|last| progress <= last) {
            return;
        }
        state.progress = Some(progress);
        if self.key.load(Ordering::Relaxed) == 0 {
            self.key.store(self.mcp.next_key(), Ordering::Relaxed);
        }
        let key = self.key.load(Ordering::Relaxed);
        self.send_notice(key, |out| {
            notify::write_progress(
                out,
                token,
                progress,
                total.filter(|total| total.is_finite()),
                message,
                self.speech.revision,
                self.task().map(|task| &*task.id),
            );
        });
    }

    /// Sends a log message, if the client wants those of this level.
    pub(crate) fn log(&self, level: LogLevel, data: &serde_json::value::RawValue, logger: Option<&str>) {
        let wanted = match self.speech.level {
            Some(least) => level >= least,
            None if self.speech.revision.is_modern() => false,
            None => self.link.legacy().is_some_and(|legacy| legacy.wants(level)),
        };
        if wanted && self.link.may_log() {
            let data = texts::notice_json(&self.mcp.core, data);
            let task = self.task().map(|task| &*task.id);
            self.notify(0, |out| notify::write_log_message(out, level, logger, &data, task));
        }
    }
}
