//! A response: one word in answer to a thread's opening or a post. Never counted as a score.

use serde::{Deserialize, Serialize};

use crate::document::profile::{Field, Scalar, Shape, Values};
use crate::id::DocumentId;

/// The words.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// I hear you.
    Hear,
    /// Same here.
    Same,
    /// Thank you.
    Thanks,
    /// Thinking of you.
    Thinking,
}

impl Word {
    const COUNT: u64 = 4;

    const fn number(self) -> u64 {
        match self {
            Self::Hear => 0,
            Self::Same => 1,
            Self::Thanks => 2,
            Self::Thinking => 3,
        }
    }

    const fn of(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::Hear,
            1 => Self::Same,
            2 => Self::Thanks,
            3 => Self::Thinking,
            _ => return None,
        })
    }
}

/// A response.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The thread or post that it answers.
    pub post: DocumentId,
    /// The word.
    pub word: Word,
}

pub(super) const FIELDS: &[Field] =
    &[Field::fixed("post", Shape::Id), Field::editable("word", Shape::Below(Word::COUNT))];

impl Response {
    pub(super) fn values(&self) -> Values {
        vec![Scalar::Bytes(self.post.as_bytes().to_vec()), Scalar::Number(self.word.number())]
    }

    pub(super) fn read(values: &[Scalar]) -> Option<Self> {
        let [post, word] = values else { return None };
        Some(Self { post: DocumentId::from_bytes(post.id()?), word: Word::of(word.number()?)? })
    }
}
