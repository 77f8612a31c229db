//! Ranks are strict: nobody can touch an equal (A1, A2). Abilities are a set.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// How high a grant stands. Ordered: `Reader < … < Root`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
pub enum Rank {
    /// Reads.
    Reader,
    /// Reads, posts, responds.
    Member,
    /// Admits, hides, erases, removes members.
    Moderator,
    /// Appoints moderators, edits agreement and resources.
    Steward,
    /// Founded the group, or was appointed by the council.
    Founder,
    /// The council (A10). No member holds it.
    Root,
}

impl Rank {
    /// All that can be granted to a member, lowest first.
    pub const GRANTABLE: [Self; 5] =
        [Self::Reader, Self::Member, Self::Moderator, Self::Steward, Self::Founder];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Member => "member",
            Self::Moderator => "moderator",
            Self::Steward => "steward",
            Self::Founder => "founder",
            Self::Root => "root",
        }
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The word names no rank that can be granted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no such rank: choose steward, moderator, member or reader")]
pub struct NotARank;

impl FromStr for Rank {
    type Err = NotARank;

    fn from_str(word: &str) -> Result<Self, NotARank> {
        Self::GRANTABLE.into_iter().find(|rank| rank.word() == word).ok_or(NotARank)
    }
}

/// A set of abilities, as bits. Unknown bits are carried and confer nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
pub struct Abilities(u32);

impl Abilities {
    /// None.
    pub const NONE: Self = Self(0);
    /// All, known and unknown.
    pub const ALL: Self = Self(u32::MAX);
    /// Read what is sealed for all readers.
    pub const READ: Self = Self(1);
    /// Start threads and post.
    pub const POST: Self = Self(1 << 1);
    /// Respond in words to a post.
    pub const RESPOND: Self = Self(1 << 2);
    /// Make invites.
    pub const INVITE: Self = Self(1 << 3);
    /// Admit who was invited.
    pub const ADMIT: Self = Self(1 << 4);
    /// Hide and restore.
    pub const HIDE: Self = Self(1 << 5);
    /// Erase what others wrote.
    pub const ERASE: Self = Self(1 << 6);
    /// End capabilities.
    pub const REMOVE: Self = Self(1 << 7);
    /// Confer ranks above member.
    pub const APPOINT: Self = Self(1 << 8);
    /// Write the agreement and the group's name.
    pub const EDIT_AGREEMENT: Self = Self(1 << 9);
    /// Write shared resources.
    pub const EDIT_RESOURCES: Self = Self(1 << 10);
    /// Lead sessions.
    pub const FACILITATE: Self = Self(1 << 11);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What a rank usually comes with.
    #[must_use]
    pub const fn usual(rank: Rank) -> Self {
        let reader = Self::READ;
        let member = reader.and(Self::POST).and(Self::RESPOND);
        let moderator = member
            .and(Self::INVITE)
            .and(Self::ADMIT)
            .and(Self::HIDE)
            .and(Self::ERASE)
            .and(Self::REMOVE)
            .and(Self::EDIT_RESOURCES)
            .and(Self::FACILITATE);
        match rank {
            Rank::Reader => reader,
            Rank::Member => member,
            Rank::Moderator => moderator,
            Rank::Steward => moderator.and(Self::APPOINT).and(Self::EDIT_AGREEMENT),
            Rank::Founder | Rank::Root => Self::ALL,
        }
    }
}
