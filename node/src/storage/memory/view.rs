//! The rows of one group, to read.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use cairn_crdt::id::{DocumentId, MemberId};
use cairn_crdt::replica::effect::{PostRow, PostState, Row};
use cairn_crdt::replica::input::ResponseWord;
use cairn_crdt::time::Timestamp;

use super::held::Held;
use crate::storage::{
    ActRow, MEMBER_SETTING, ProfileRow, SEARCH_HITS, SearchHit, ThreadSummary, words,
};

pub(super) fn count<T>(things: impl Iterator<Item = T>) -> u64 {
    things.fold(0, |count: u64, _| count.saturating_add(1))
}

impl Held {
    pub(super) fn posts(&self) -> impl Iterator<Item = &PostRow> {
        self.rows.values().filter_map(|row| match row {
            Row::Post(post) => Some(post),
            _ => None,
        })
    }

    pub(super) fn post(&self, document: DocumentId) -> Option<&PostRow> {
        match self.rows.get(&document) {
            Some(Row::Post(post)) => Some(post),
            _ => None,
        }
    }

    pub(super) fn is_unread(&self, post: &PostRow) -> bool {
        let own = self.settings.get(MEMBER_SETTING);
        post.document != post.thread
            && post.state == PostState::Shown
            && !self.seen.contains(&post.document)
            && own.is_none_or(|own| own.as_slice() != post.author.as_bytes())
    }

    pub(super) fn threads(&self) -> Vec<ThreadSummary> {
        let summary = |row: &PostRow| {
            let posts = || {
                self.posts()
                    .filter(|post| post.thread == row.document && post.document != row.document)
            };
            ThreadSummary {
                row: row.clone(),
                posts: count(posts().filter(|post| post.state != PostState::Erased)),
                unread: count(posts().filter(|post| self.is_unread(post))),
                newest: posts().map(|post| post.written).max().unwrap_or(row.written),
            }
        };
        let mut threads: Vec<ThreadSummary> =
            self.posts().filter(|post| post.document == post.thread).map(summary).collect();
        threads.sort_by_key(|thread| (Reverse(thread.newest), thread.row.document));
        threads
    }

    /// The rows by the latest time that an entry of their document claims, then by document.
    fn oldest_first(&self) -> Vec<&Row> {
        let claimed = |document: DocumentId| -> Timestamp {
            let of = self.entries.values().filter(|entry| entry.document == Some(document));
            of.filter_map(|entry| entry.written).max().unwrap_or_default()
        };
        let mut rows: Vec<&Row> = self.rows.values().collect();
        rows.sort_by_cached_key(|row| (claimed(row.document()), row.document()));
        rows
    }

    pub(super) fn responses(
        &self,
        thread: DocumentId,
    ) -> Vec<(DocumentId, MemberId, ResponseWord)> {
        let mut latest = BTreeMap::new();
        for row in self.oldest_first() {
            if let Row::Response { post, member, word, .. } = row
                && self.post(*post).is_some_and(|post| post.thread == thread)
            {
                latest.insert((*post, *member), *word);
            }
        }
        latest.into_iter().map(|((post, member), word)| (post, member, word)).collect()
    }

    pub(super) fn profiles(&self) -> BTreeMap<MemberId, ProfileRow> {
        let mut latest = BTreeMap::new();
        for row in self.oldest_first() {
            if let Row::Profile { member, pseudonym, addresses, .. } = row {
                let (pseudonym, addresses) = (pseudonym.clone(), addresses.clone());
                latest.insert(*member, ProfileRow { pseudonym, addresses });
            }
        }
        latest
    }

    pub(super) fn agreement(&self) -> Option<(String, String)> {
        self.oldest_first().into_iter().rev().find_map(|row| match row {
            Row::Agreement { name, text, .. } => Some((name.clone(), text.clone())),
            _ => None,
        })
    }

    pub(super) fn acts(&self) -> Vec<ActRow> {
        let mut acts: Vec<ActRow> = self
            .rows
            .values()
            .filter_map(|row| match row.clone() {
                Row::Act { document, about, subject, author, rule, reason, written } => {
                    Some(ActRow { document, about, subject, author, rule, reason, written })
                }
                _ => None,
            })
            .collect();
        acts.sort_by_key(|act| (act.written, act.document));
        acts
    }

    pub(super) fn search(&self, words: &str, limit: u32) -> Vec<SearchHit> {
        let terms: Vec<Vec<String>> = words::terms(words).into_iter().map(tokens).collect();
        if terms.is_empty() {
            return Vec::new();
        }
        let found = |post: &&PostRow| {
            let texts = [tokens(post.title.as_deref().unwrap_or_default()), tokens(&post.body)];
            let last = terms.len().saturating_sub(1);
            post.state == PostState::Shown
                && terms.iter().enumerate().all(|(place, term)| {
                    texts.iter().any(|text| contains(text, term, place == last))
                })
        };
        let mut posts: Vec<&PostRow> = self.posts().filter(found).collect();
        posts.sort_by_key(|post| (Reverse(post.written), post.document));
        posts.truncate(usize::try_from(limit.min(SEARCH_HITS)).unwrap_or(usize::MAX));
        let title = |post: &PostRow| {
            let thread = self.post(post.thread)?;
            thread.title.clone().filter(|_| thread.state == PostState::Shown)
        };
        posts.into_iter().map(|post| SearchHit { row: post.clone(), title: title(post) }).collect()
    }
}

fn tokens(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// Whether the words stand in the text one after the other, the last perhaps as a beginning.
fn contains(text: &[String], phrase: &[String], beginning: bool) -> bool {
    let Some((last, before)) = phrase.split_last() else { return true };
    text.windows(phrase.len()).any(|window| {
        window.split_last().is_some_and(|(end, start)| {
            start == before && (end == last || beginning && end.starts_with(last))
        })
    })
}
