//! What is kept of the events of a session, so that a client that lost a connection can go on where it was: so many, so many bytes.

use super::event_id::EventId;
use crate::engine::budget::Reservation;
use crate::engine::outbox::{Body, Flush, Refused};
use crate::http::event::Event;
use crate::transport::http::exchange::Exchange;
use std::collections::VecDeque;
use std::time::Instant;

/// What an event costs besides its text.
pub(super) const OVERHEAD: usize = 160;

/// What is lost with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    /// Something that may be lost: progress, a log message.
    Notice,
    /// A question, or a message that belongs to no request.
    Message,
    /// The answer to a request.
    Answer,
}

/// What it holds of the budgets: of the whole process's, and of the part of it that sessions may have.
pub(super) type Memory = (Reservation, Reservation);

/// A message on its way.
pub(super) struct Outgoing {
    pub(super) stream: u64,
    pub(super) json: Body,
    /// A newer one of the same stream with the same key other than 0 takes its place.
    pub(super) key: u64,
    pub(super) worth: Worth,
}

impl Outgoing {
    /// Sends it over that connection, as the event of that number.
    pub(super) fn send(&self, live: &Exchange, tag: u32, number: u64, flush: Flush) -> Result<(), Refused> {
        let id = EventId { tag, stream: self.stream, number }.to_string();
        let event = Event { id: Some(&id), ..Event::of(self.json.bytes()) };
        live.event(event, self.key, self.worth == Worth::Notice, flush)
    }

    fn size(&self) -> usize {
        size_of(&self.json)
    }
}

/// One event that is kept.
pub(super) struct Stored {
    pub(super) out: Outgoing,
    pub(super) number: u64,
    /// It went out over a connection: whether it arrived is not known.
    pub(super) sent: bool,
    pub(super) at: Instant,
    pub(super) _memory: Memory,
}

/// The bytes that a message counts for.
pub(super) fn size_of(json: &Body) -> usize {
    json.bytes().len() + OVERHEAD
}

/// The events of all streams of a session, in the order of their numbers.
pub(super) struct Store {
    events: VecDeque<Stored>,
    bytes: usize,
    most_events: usize,
    most_bytes: usize,
}

impl Store {
    pub(super) fn new(most_events: usize, most_bytes: usize) -> Self {
        Self { events: VecDeque::new(), bytes: 0, most_events, most_bytes }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps an event; older ones give way to it: first what was sent, then what may be lost, for an answer at last those of other requests
    /// that nobody has come for. Their streams are put into `gone`. False if there is no room for it even so.
    ///
    /// An answer that nobody has had yet may be larger than the store, if nothing else is left in there: it is the one of an honest tool.
    pub(super) fn push(&mut self, event: Stored, gone: &mut Vec<u64>) -> bool {
        let (stream, key) = (event.out.stream, event.out.key);
        if key != 0
            && let Some(old) = self.events.iter().position(|old| (old.out.stream, old.out.key) == (stream, key))
        {
            self.remove(old);
        }
        let size = event.out.size();
        let alone = size > self.most_bytes;
        if alone && (event.sent || event.out.worth != Worth::Answer) {
            return false;
        }
        while !self.fits(size, alone) {
            let Some(at) = self.least(&event) else { return false };
            if let Some(old) = self.remove(at).filter(|old| old.out.worth == Worth::Answer) {
                gone.push(old.out.stream);
            }
        }
        self.bytes += size;
        self.events.push_back(event);
        true
    }

    /// The events of a stream behind that number, the oldest first.
    pub(super) fn behind(&mut self, stream: u64, number: u64) -> impl Iterator<Item = &mut Stored> {
        self.events.iter_mut().filter(move |event| event.out.stream == stream && event.number > number)
    }

    /// Keeps those events only.
    pub(super) fn retain(&mut self, keep: impl FnMut(&Stored) -> bool) {
        self.events.retain(keep);
        self.bytes = self.events.iter().map(|event| event.out.size()).sum();
        if self.events.capacity() > 64 && self.events.len() < self.events.capacity() / 4 {
            self.events.shrink_to_fit();
        }
    }

    fn fits(&self, size: usize, alone: bool) -> bool {
        match alone {
            true => self.events.is_empty(),
            false => self.events.len() < self.most_events && self.bytes + size <= self.most_bytes,
        }
    }

    /// What gives way to `event` next.
    fn least(&self, event: &Stored) -> Option<usize> {
        let oldest = |is: &dyn Fn(&Stored) -> bool| self.events.iter().position(is);
        let sent = oldest(&|old| old.sent);
        let stream = event.out.stream;
        match (event.sent, event.out.worth) {
            (true, _) | (false, Worth::Notice) => sent,
            (false, Worth::Message) => sent.or_else(|| oldest(&|old| old.out.worth == Worth::Notice)),
            (false, Worth::Answer) => {
                // What else belongs to this request has no meaning any more.
                let moot = sent.or_else(|| oldest(&|old| old.out.worth == Worth::Notice || old.out.stream == stream));
                moot.or_else(|| oldest(&|old| old.out.worth == Worth::Answer))
            }
        }
    }

    fn remove(&mut self, at: usize) -> Option<Stored> {
        let event = self.events.remove(at)?;
        self.bytes -= event.out.size();
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::budget::Budget;
    use Worth::{Answer, Message, Notice};

    fn event(stream: u64, number: u64, worth: Worth, sent: bool, size: usize) -> Stored {
        let budget = Budget::new(usize::MAX);
        let _memory = (budget.reserve(0).unwrap(), budget.reserve(0).unwrap());
        let json = Body::Owned(vec![b'x'; size - OVERHEAD]);
        Stored { out: Outgoing { stream, json, key: 0, worth }, number, sent, at: Instant::now(), _memory }
    }

    /// What is in there, and whose answers have been dropped.
    fn pushed(most: (usize, usize), events: impl IntoIterator<Item = Stored>) -> (Vec<u64>, Vec<u64>, Vec<bool>) {
        let (mut store, mut gone) = (Store::new(most.0, most.1), Vec::new());
        let kept = events.into_iter().map(|event| store.push(event, &mut gone)).collect();
        assert_eq!(store.bytes(), store.events.iter().map(|event| event.out.size()).sum::<usize>());
        (store.events.iter().map(|event| event.number).collect(), gone, kept)
    }

    #[test]
    fn the_oldest_that_was_sent_gives_way_first() {
        let unsent = |number, worth| event(1, number, worth, false, 200);
        let events = [unsent(1, Notice), event(1, 2, Message, true, 200), event(1, 3, Answer, true, 200)];
        let more = [unsent(4, Message), unsent(5, Message), unsent(6, Message), unsent(7, Notice)];
        let (left, gone, kept) = pushed((3, 10_000), events.into_iter().chain(more));
        assert_eq!((left, gone), (vec![4, 5, 6], vec![1]));
        assert_eq!(kept, [true, true, true, true, true, true, false]);
    }

    #[test]
    fn bytes_count_as_events_do() {
        let events = (1..=20).map(|number| event(1, number, Notice, true, 300));
        assert_eq!(pushed((100, 1_000), events).0, [18, 19, 20]);
    }

    #[test]
    fn an_answer_has_a_place_where_older_answers_have_one() {
        let answers = (1..=5).map(|number| event(number, number, Answer, false, 400));
        let (left, gone, kept) = pushed((2, 1_000), answers);
        assert_eq!((left, gone, kept), (vec![4, 5], vec![1, 2, 3], vec![true; 5]));
        // A question that waits for its client does not give way, unless it is one of the same request.
        let asked = || event(1, 1, Message, false, 600);
        assert_eq!(pushed((9, 1_000), [asked(), event(2, 2, Answer, false, 600)]).2, [true, false]);
        assert_eq!(pushed((9, 1_000), [asked(), event(1, 2, Answer, false, 600)]).0, [2]);
    }

    #[test]
    fn a_large_answer_is_kept_alone_until_it_has_been_sent() {
        let large = |sent| event(2, 2, Answer, sent, 5_000);
        assert_eq!(pushed((9, 1_000), [event(1, 1, Answer, false, 200), large(false)]).0, [2]);
        assert_eq!(pushed((9, 1_000), [event(1, 1, Answer, false, 200), large(true)]).0, [1]);
        assert_eq!(pushed((9, 1_000), [large(false), event(3, 3, Notice, true, 200)]).0, [2]);
        assert_eq!(pushed((9, 1_000), [event(2, 2, Message, false, 5_000)]).2, [false]);
    }

    #[test]
    fn a_key_has_one_event_in_each_stream() {
        let keyed = |stream, number| {
            let mut event = event(stream, number, Notice, true, 200);
            event.out.key = 7;
            event
        };
        let (left, ..) = pushed((9, 10_000), [keyed(1, 1), keyed(2, 2), event(1, 3, Notice, true, 200), keyed(1, 4)]);
        assert_eq!(left, [2, 3, 4]);
    }
}
