//! The words of an act of moderation. The act itself is a control entry, without free text (L7);
//! this is sealed to those who may read it and to the person concerned. It is never edited: what
//! changes is a new act.

use serde::{Deserialize, Serialize};

use crate::codec::Text;
use crate::document::clock::LATEST;
use crate::document::profile::{Field, Scalar, Shape, Values};
use crate::id::{EntryId, MemberId};
use crate::limits::{NOTE_BYTES, TITLE_BYTES};
use crate::time::Timestamp;

/// The words of an act.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Act {
    /// The control entry that is the act.
    pub about: EntryId,
    /// Whom it concerns.
    pub subject: MemberId,
    /// The rule of the agreement that it rests on.
    pub rule: Text<TITLE_BYTES>,
    /// The reason in words.
    pub reason: Text<NOTE_BYTES>,
    /// Until when, if it is for a time.
    pub until: Option<Timestamp>,
    /// How to appeal.
    pub appeal: Text<NOTE_BYTES>,
}

pub(super) const FIELDS: &[Field] = &[
    Field::fixed("about", Shape::Id),
    Field::fixed("subject", Shape::Id),
    Field::fixed("rule", Shape::Text(TITLE_BYTES)),
    Field::fixed("reason", Shape::Text(NOTE_BYTES)),
    Field::fixed("until", Shape::MaybeBelow(LATEST.as_millis())),
    Field::fixed("appeal", Shape::Text(NOTE_BYTES)),
];

impl Act {
    pub(super) fn values(&self) -> Values {
        vec![
            Scalar::Bytes(self.about.as_bytes().to_vec()),
            Scalar::Bytes(self.subject.as_bytes().to_vec()),
            Scalar::Text(self.rule.as_str().to_owned()),
            Scalar::Text(self.reason.as_str().to_owned()),
            Scalar::or_null(self.until, |until| Scalar::Number(until.as_millis())),
            Scalar::Text(self.appeal.as_str().to_owned()),
        ]
    }

    pub(super) fn read(values: &[Scalar]) -> Option<Self> {
        let [about, subject, rule, reason, until, appeal] = values else { return None };
        Some(Self {
            about: EntryId::from_bytes(about.id()?),
            subject: MemberId::from_bytes(subject.id()?),
            rule: rule.text()?,
            reason: reason.text()?,
            until: until.maybe(Scalar::number)?.map(Timestamp::from_millis),
            appeal: appeal.text()?,
        })
    }
}
