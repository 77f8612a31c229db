//! What a document says now: plain typed fields, from which a store makes rows and pages.

use serde::{Deserialize, Serialize};

use crate::document::kinds::Content;
use crate::document::kinds::post::Wants;
use crate::id::DocumentId;
use crate::time::Timestamp;

/// A document as it stands. Times are the author's claim (C6); a replica keeps its own time of
/// arrival beside them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// What it holds.
    pub content: Content,
    /// When it was created.
    pub written: Timestamp,
    /// The latest time of the changes after its creation, if there are any.
    pub edited: Option<Timestamp>,
}

impl View {
    /// The title of a thread, the group's name of an agreement.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        match &self.content {
            Content::Thread(thread) => Some(thread.title.as_str()),
            Content::Agreement(agreement) => Some(agreement.name.as_str()),
            _ => None,
        }
    }

    /// The running text: opening, post, agreement, or the reason of an act.
    #[must_use]
    pub fn body(&self) -> Option<&str> {
        match &self.content {
            Content::Thread(thread) => Some(thread.body.as_str()),
            Content::Post(post) => Some(post.body.as_str()),
            Content::Agreement(agreement) => Some(agreement.text.as_str()),
            Content::Act(act) => Some(act.reason.as_str()),
            Content::Profile(_) | Content::Response(_) => None,
        }
    }

    /// The content note, if there is one.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        let note = match &self.content {
            Content::Thread(thread) => thread.note.as_str(),
            Content::Post(post) => post.note.as_str(),
            _ => return None,
        };
        (!note.is_empty()).then_some(note)
    }

    /// What the author would like back.
    #[must_use]
    pub const fn wants(&self) -> Option<Wants> {
        match &self.content {
            Content::Thread(thread) => thread.wants,
            Content::Post(post) => post.wants,
            _ => None,
        }
    }

    /// The document that it belongs under: the thread of a post, what a response answers.
    #[must_use]
    pub const fn under(&self) -> Option<DocumentId> {
        match &self.content {
            Content::Post(post) => Some(post.thread),
            Content::Response(response) => Some(response.post),
            _ => None,
        }
    }
}
