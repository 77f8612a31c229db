//! Acting for the root (A10): what the council can do, drafted, signed and carried.
//!
//! Two acts with one predecessor that enough have signed freeze the root for ever, and a draft that
//! was given up can be completed by whoever still has its text. So a person signs one successor of a
//! root act and no other: the act is remembered on disk before its signature leaves the node.

use crate::capability::draft::{Draft, NotSigned};
use crate::capability::grant::{Council, Grant, RootAct, RootAction};
use crate::capability::rank::{Abilities, Rank};
use crate::capability::revocation::Remove;
use crate::codec::List;
use crate::crypto::signing::SigningKey;
use crate::id::{GrantId, MemberId};
use crate::log::entry::Control;
use crate::replica::Replica;
use crate::replica::effect::{Refused, Reply};
use crate::replica::input::{Command, CutChoice};
use crate::replica::outcome::Outcome;
use crate::time::Timestamp;

/// What a person can ask of the council.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CouncilAct {
    /// Hand over to a council of these keys, of which so many must sign.
    Rotate {
        /// Ed25519 verifying keys.
        keys: Vec<[u8; 32]>,
        /// More than half of them.
        threshold: u8,
    },
    /// Confer a rank, founder at most. Cites what ended the member before.
    Appoint {
        /// Whom.
        member: MemberId,
        /// What.
        rank: Rank,
    },
    /// End what a member holds, a founder's rank too.
    Remove {
        /// Whom.
        member: MemberId,
        /// Up to where their entries count.
        cut: CutChoice,
    },
}

/// A draft with this person's signature, on its way to disk: what it holds comes out of the
/// replica's one door when the signature is remembered.
#[derive(Clone, Debug)]
pub struct Cosigned(Draft);

impl Cosigned {
    /// What the act does.
    #[must_use]
    pub const fn action(&self) -> &RootAction {
        &self.0.act.action
    }
}

impl Replica {
    /// The salt from which this person's council key is derived (I1); `None` while the genesis is
    /// not held.
    #[must_use]
    pub fn salt(&self) -> Option<[u8; 32]> {
        let genesis = crate::id::EntryId::from_bytes(*self.persona.group.as_bytes());
        match self.set.control().get(&genesis) {
            Some(Control::Genesis(genesis)) => Some(genesis.salt),
            _ => None,
        }
    }

    /// Drafts an act of the council and signs it.
    ///
    /// # Errors
    /// When the root is frozen, the key is not of the council, this person has signed another act in
    /// its place, or it could not take effect.
    pub fn draft(&self, key: &SigningKey, act: &CouncilAct) -> Result<Command, Refused> {
        let Some(previous) = self.authority.last_root_act() else {
            let why = "the council has done two things that exclude each other: it is frozen";
            return Err(Refused::Conflict(why.to_owned()));
        };
        let action = self.root_action(act)?;
        self.cosign(key, Draft::new(self.persona.group, previous, action))
    }

    /// Signs what another of the council has drafted. The command answers with the draft when this
    /// is remembered, or carries it if enough have signed.
    ///
    /// # Errors
    /// See [`NotSigned`]; and when this person has signed another act in its place.
    pub fn cosign(&self, key: &SigningKey, draft: Draft) -> Result<Command, Refused> {
        let council = self.authority.council().ok_or_else(unsound)?;
        let last = self.authority.last_root_act();
        says_all(&draft.act.action)?;
        let signed = draft
            .sign(key, self.persona.group, council, last)
            .map_err(|why: NotSigned| Refused::Conflict(why.to_string()))?;
        self.signed_no_other(&signed.act)?;
        Ok(Command::Cosign { act: Box::new(Cosigned(signed)) })
    }

    /// The act of the council that this person has signed and that nothing has followed yet.
    #[must_use]
    pub fn signed_act(&self) -> Option<Draft> {
        let open = |act: &&RootAct| Some(act.previous) == self.authority.last_root_act();
        let act = self.persona.signed.as_ref().filter(open)?;
        Some(Draft { group: self.persona.group, act: act.clone() })
    }

    fn signed_no_other(&self, act: &RootAct) -> Result<(), Refused> {
        match &self.persona.signed {
            Some(signed) if signed.previous == act.previous && signed.action != act.action => {
                Err(Refused::SignedAnother(Box::new(signed.action.clone())))
            }
            _ => Ok(()),
        }
    }

    /// Remembers an act that this person has signed, and hands it on or carries it.
    pub(crate) fn hand_on(
        &mut self,
        now: Timestamp,
        Cosigned(draft): Cosigned,
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let council = self.authority.council().ok_or_else(unsound)?;
        self.signed_no_other(&draft.act)?;
        let complete = draft.is_complete(council);
        self.persona.signed = Some(draft.act.clone());
        out.persona_changed = true;
        if complete { self.carry(now, draft.act, out) } else { Ok(Reply::Draft(Box::new(draft))) }
    }

    fn root_action(&self, act: &CouncilAct) -> Result<RootAction, Refused> {
        Ok(match act {
            CouncilAct::Rotate { keys, threshold } => {
                let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
                let needed = usize::from(*threshold);
                let majority = needed.saturating_mul(2) > keys.len() && needed <= keys.len();
                if distinct.len() != keys.len() || !majority {
                    let why = "a council has different keys, and more than half of them must sign";
                    return Err(Refused::Conflict(why.to_owned()));
                }
                let limit = crate::limits::COUNCIL;
                let keys = List::new(keys.clone())
                    .map_err(|_| Refused::TooLong { what: "the council", limit })?;
                RootAction::Rotate(Council { keys, threshold: *threshold })
            }
            CouncilAct::Appoint { member, rank } => {
                self.must_be_known(member)?;
                let removals = self.authority.removals_of(&self.set, member);
                let cites = removals.into_iter().take(crate::limits::CITATIONS).collect();
                RootAction::Grant(Grant {
                    subject: *member,
                    rank: *rank,
                    abilities: Abilities::usual(*rank),
                    cites: List::new(cites).unwrap_or_default(),
                    invite: None,
                })
            }
            CouncilAct::Remove { member, cut } => {
                self.must_be_known(member)?;
                let cut = self.cut_of(member, *cut);
                RootAction::Remove(Remove { subject: *member, cut, epoch: None })
            }
        })
    }

    fn must_be_known(&self, member: &MemberId) -> Result<(), Refused> {
        let known = self.authority.was_member(member);
        known.then_some(()).ok_or(Refused::Unknown { what: "member" })
    }

    /// Writes an act that enough have signed into the own log: whose log carries it does not
    /// matter.
    pub(crate) fn carry(
        &mut self,
        now: Timestamp,
        act: RootAct,
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let draft = Draft { group: self.persona.group, act };
        let council = self.authority.council().ok_or_else(unsound)?;
        if self.authority.last_root_act() != Some(draft.act.previous) || !draft.is_complete(council)
        {
            return Err(Refused::Conflict("this act cannot take effect".to_owned()));
        }
        let id = self.write_control(now, GrantId::NONE, &Control::Root(draft.act), out)?;
        self.refresh(out);
        Ok(Reply::Entry(id))
    }
}

/// An act is put to people in a sentence: whom it makes what, or whom it removes. What does more
/// than such a sentence says is not signed.
fn says_all(action: &RootAction) -> Result<(), Refused> {
    let all = match action {
        RootAction::Grant(grant) => {
            grant.abilities == Abilities::usual(grant.rank) && grant.invite.is_none()
        }
        RootAction::Remove(remove) => remove.epoch.is_none(),
        RootAction::Rotate(_) | RootAction::Raise { .. } => true,
    };
    let why = "this act does more than its words can say: do not sign it";
    all.then_some(()).ok_or_else(|| Refused::Conflict(why.to_owned()))
}

fn unsound() -> Refused {
    Refused::Conflict("this group has no council that could act".to_owned())
}
