//! Why something does not count, in words (A9).

use crate::authority::{Counting, Rule};
use crate::id::{EntryId, GrantId, MemberId};
use crate::log::entry::Control;
use crate::replica::Replica;

/// Whether an entry counts, and if not, what says so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Explanation {
    /// Whether it counts.
    pub counts: bool,
    /// The first rule that fails; `None` if it counts.
    pub rule: Option<&'static str>,
    /// The entry that decides.
    pub entry: Option<EntryId>,
    /// In words.
    pub why: String,
}

/// An act of moderation, without its words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Act {
    /// The control entry that is the act.
    pub entry: EntryId,
    /// Who acted.
    pub author: MemberId,
    /// Whom it concerns, if that is known here.
    pub subject: Option<MemberId>,
}

impl Replica {
    /// Explains an entry.
    #[must_use]
    pub fn explain(&self, id: &EntryId) -> Explanation {
        self.explained(self.authority.counting(&self.set, id))
    }

    /// The record of acts of moderation, which every member can read without their words (L7): what
    /// was ended, hidden, restored, or erased by another than the owner. In the order of their ids.
    pub fn record(&self) -> impl Iterator<Item = Act> {
        self.set.control().iter().filter_map(|(id, control)| {
            let grant = self.set.slot(id)?.grant;
            let subject = match control {
                Control::Remove(remove) => Some(remove.subject),
                Control::Revoke(revoke) => self.subject_of(&revoke.grant),
                Control::Replace(replace) => Some(replace.with.subject),
                Control::Hide(hide) => self.authority.author(&self.set, &hide.created),
                Control::Erase(erase) if grant != GrantId::NONE => {
                    self.authority.author(&self.set, &erase.created)
                }
                Control::Restore(restore) => restore.hides.iter().find_map(|hide| {
                    let Control::Hide(hide) = self.set.control().get(hide)? else { return None };
                    self.authority.author(&self.set, &hide.created)
                }),
                _ => return None,
            };
            Some(Act { entry: *id, author: self.authority.author(&self.set, id)?, subject })
        })
    }

    fn subject_of(&self, grant: &GrantId) -> Option<MemberId> {
        self.authority.grant(grant).map(|(subject, _)| subject)
    }

    pub(crate) fn explained(&self, counting: Counting) -> Explanation {
        let (rule, entry, state) = match counting {
            Counting::Counts => (None, None, "it counts"),
            Counting::Suspended { rule, by } => (Some(rule), Some(by), "it is suspended"),
            Counting::Parked { rule, by } => (Some(rule), Some(by), "it waits"),
            Counting::Void { rule, by } => (Some(rule), Some(by), "it does not count"),
            Counting::Unknown => (None, None, "it is not held here"),
        };
        let why = match rule {
            Some(rule) => format!("{state}: {}", words(rule)),
            None => state.to_owned(),
        };
        Explanation { counts: counting.counts(), rule: rule.map(code), entry, why }
    }
}

/// The rule's number.
const fn code(rule: Rule) -> &'static str {
    match rule {
        Rule::I2 => "I2",
        Rule::L3 => "L3",
        Rule::L4 => "L4",
        Rule::A1 => "A1",
        Rule::A4 => "A4",
        Rule::A8 => "A8",
        Rule::A3 => "A3",
        Rule::A6 => "A6",
        Rule::A7 => "A7",
        Rule::A10 => "A10",
        Rule::C5 => "C5",
    }
}

/// The rule for a person.
const fn words(rule: Rule) -> &'static str {
    match rule {
        Rule::I2 => "the device's card does not open its log",
        Rule::L3 => "its author held no such capability",
        Rule::L4 => "this program does not know its kind and has to be updated",
        Rule::A1 => "nobody can confer as much as they hold, or more",
        Rule::A4 => "a revocation ended the capability before this entry",
        Rule::A8 => "the member's own key ended the device before this entry",
        Rule::A3 => "the grant that it rests on does not count",
        Rule::A6 => "a pin selected another branch of this log",
        Rule::A7 => "the log has two branches, and nobody has selected one yet",
        Rule::A10 => "the council did not sign it, or signed two that exclude each other",
        Rule::C5 => "only the owner may erase without a capability",
    }
}
