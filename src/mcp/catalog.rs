//! A list of things that clients can ask for: sorted, found by key, and given out page by page.

use crate::guard::scopes::Required;
use crate::protocol::cursor;
use crate::protocol::error::RpcError;
use crate::protocol::revision::Revision;
use std::sync::{Arc, OnceLock};

/// Something listed.
pub(crate) trait Listed {
    /// What it is found and sorted by.
    fn key(&self) -> &str;
    /// How it stands in the list of that revision.
    fn encode(&self, out: &mut Vec<u8>, revision: Revision);
    /// What it takes to use it.
    fn required(&self) -> &Required;
}

/// How something is listed, for each revision that has asked.
#[derive(Default)]
pub(crate) struct Shown([OnceLock<Box<[u8]>>; Revision::COUNT]);

impl Shown {
    /// As it is listed in that revision; `encode` writes it when it is asked for the first time.
    pub(crate) fn or_encode(&self, revision: Revision, encode: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        let encode = || {
            let mut out = Vec::with_capacity(256);
            encode(&mut out);
            out.into_boxed_slice()
        };
        self.0.get(revision.index()).map_or(&[], |shown| shown.get_or_init(encode))
    }
}

/// An entry with how it is listed.
pub(crate) struct Item<T> {
    pub(crate) it: T,
    shown: Shown,
}

impl<T: Listed> Item<T> {
    pub(crate) fn listed(&self, revision: Revision) -> &[u8] {
        self.shown.or_encode(revision, |out| self.it.encode(out, revision))
    }
}

/// A page, and the cursor of the next one.
type Page<'c, T> = (Vec<&'c Arc<Item<T>>>, Option<String>);

/// The first so many of those that are seen, and whether there are more.
pub(crate) fn first<T>(entries: &[Arc<T>], size: usize, sees: impl Fn(&T) -> bool) -> (Vec<&Arc<T>>, bool) {
    let mut seen = entries.iter().filter(|entry| sees(entry));
    let page = seen.by_ref().take(size).collect();
    (page, seen.next().is_some())
}

pub(crate) struct Catalog<T> {
    items: Vec<Arc<Item<T>>>,
    /// How many of them ask for a scope.
    guarded: usize,
}

impl<T> Default for Catalog<T> {
    fn default() -> Self {
        Self { items: Vec::new(), guarded: 0 }
    }
}

impl<T> Clone for Catalog<T> {
    fn clone(&self) -> Self {
        Self { items: self.items.clone(), guarded: self.guarded }
    }
}

impl<T: Listed> Catalog<T> {
    /// Adds an entry; one of the same key is replaced.
    pub(crate) fn insert(&mut self, it: T) {
        let at = self.items.partition_point(|other| other.it.key() < it.key());
        let same = self.items.get(at).is_some_and(|other| other.it.key() == it.key());
        self.guarded += usize::from(!it.required().is_empty());
        let item = Arc::new(Item { it, shown: Shown::default() });
        match self.items.get_mut(at).filter(|_| same) {
            Some(place) => {
                self.guarded -= usize::from(!place.it.required().is_empty());
                *place = item;
            }
            None => self.items.insert(at, item),
        }
    }

    /// Takes one away; false if there is none.
    pub(crate) fn remove(&mut self, key: &str) -> bool {
        let before = self.items.len();
        self.items.retain(|item| item.it.key() != key);
        self.guarded = self.items.iter().filter(|item| !item.it.required().is_empty()).count();
        self.items.len() < before
    }

    pub(crate) fn find(&self, key: &str) -> Option<&Arc<Item<T>>> {
        let at = self.items.binary_search_by(|item| item.it.key().cmp(key)).ok()?;
        self.items.get(at)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Item<T>>> {
        self.items.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Not everybody may use all of it.
    pub(crate) fn is_guarded(&self) -> bool {
        self.guarded > 0
    }

    pub(crate) fn differs_from(&self, other: &Self) -> bool {
        self.items.len() != other.items.len() || self.items.iter().zip(&other.items).any(|(a, b)| !Arc::ptr_eq(a, b))
    }

    /// A page of what is seen behind a cursor, and the cursor of the next one.
    ///
    /// # Errors
    /// The cursor is none of ours.
    pub(crate) fn page(
        &self,
        after: Option<&str>,
        size: usize,
        sees: impl Fn(&Required) -> bool,
    ) -> Result<Page<'_, T>, RpcError> {
        let after = after.map(cursor::decode_cursor).transpose()?.unwrap_or_default();
        let from = self.items.partition_point(|item| item.it.key() <= after.as_str());
        let rest = self.items.get(from..).unwrap_or_default();
        let (page, more) = first(rest, size, |item| sees(item.it.required()));
        let next = page.last().filter(|_| more).map(|last| cursor::encode_cursor(last.it.key()));
        Ok((page, next))
    }
}
