//! Adding a keeper and taking one back (M1): the mailbox is made first, and then the group is told.

use rand_core::CryptoRng;

use super::{Asked, KeeperAsk};
use crate::capability::invite::Contact;
use crate::capability::keeper::{Dismiss, Keeper};
use crate::capability::rank::Abilities;
use crate::codec::List;
use crate::epoch::secret::Audience;
use crate::id::{AccessKey, ControlKey, EntryId, MailboxId, TransportKey};
use crate::log::entry::Control;
use crate::mailbox::KeeperCode;
use crate::mailbox::keys::{access_key, control_key, owner_key};
use crate::mailbox::message::{KeeperReply, KeeperRequest};
use crate::replica::Replica;
use crate::replica::effect::{Refused, Reply};
use crate::replica::input::CommandId;
use crate::replica::outcome::Outcome;
use crate::time::Timestamp;

/// What one needs to choose the group's keepers, in words.
const NEEDS: &str = "the rank of steward or founder";
/// Milliseconds that a keeper has to answer until whoever adds it is told that it does not.
const ADDING_MILLIS: u64 = 20_000;

/// A keeper that is being added.
pub(super) struct Adding {
    pub(super) keeper: TransportKey,
    pub(super) mailbox: MailboxId,
    pub(super) addresses: Vec<Vec<u8>>,
    contact: Contact,
    request: KeeperRequest,
    asker: CommandId,
    until: Timestamp,
}

impl Adding {
    /// The keeper has its time to answer from now on.
    pub(super) const fn begin(&mut self, now: Timestamp) {
        self.until = now.after(ADDING_MILLIS);
    }
}

impl Replica {
    /// Makes a mailbox for the group at the keeper of a code. The answer comes when that is done.
    pub(crate) fn add_keeper<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        asker: CommandId,
        code: &KeeperCode,
        out: &mut Outcome,
    ) -> Result<(), Refused> {
        self.grant_with(Abilities::EDIT_AGREEMENT, None, NEEDS)?;
        let keeper = code.keeper.transport;
        let known = self.authority.keepers(&self.set);
        if known.contains_key(&keeper) {
            return Err(Refused::Conflict("the group uses this keeper already".to_owned()));
        }
        if known.len() >= crate::limits::KEEPERS {
            return Err(Refused::Conflict(format!(
                "the group uses {} keepers already: take one back first",
                known.len()
            )));
        }
        if self.keepers.adding.is_some() {
            return Err(Refused::Conflict("another keeper is being added just now".to_owned()));
        }
        let epoch = self.epoch_for(now, rng, Audience::Mailbox, out)?;
        let moderators = self.epoch_for(now, rng, Audience::Moderators, out)?;
        let owner = owner_key(&self.persona.member, self.persona.group, keeper);
        let mailbox = MailboxId::from_bytes(owner.verifying_key());
        let unknown = Refused::Unknown { what: "key" };
        let access = access_key(self.keyring.epoch(epoch).ok_or(unknown.clone())?, mailbox);
        let control = control_key(self.keyring.epoch(moderators).ok_or(unknown)?, mailbox);
        let request = KeeperRequest::Create {
            secret: code.secret,
            owner: mailbox,
            access: AccessKey::from_bytes(access.verifying_key()),
            control: ControlKey::from_bytes(control.verifying_key()),
        };
        let addresses = code.keeper.addresses.iter().map(|a| a.as_slice().to_vec()).collect();
        let contact = code.keeper.clone();
        let until = now.after(ADDING_MILLIS);
        self.keepers.adding =
            Some(Adding { keeper, mailbox, addresses, contact, request, asker, until });
        self.follow_keepers(out);
        Ok(())
    }

    /// The first question to a keeper that is being added.
    pub(super) fn creation(&self, keeper: TransportKey) -> Option<(Asked, KeeperAsk)> {
        let adding = self.keepers.adding.as_ref().filter(|adding| adding.keeper == keeper)?;
        Some((Asked::Create, KeeperAsk::Request(Box::new(adding.request.clone()))))
    }

    /// The keeper has made the mailbox, or has not.
    pub(super) fn created_at(
        &mut self,
        now: Timestamp,
        keeper: TransportKey,
        reply: &KeeperReply,
        out: &mut Outcome,
    ) {
        let adding = self.keepers.adding.as_ref();
        let stands = adding.is_some_and(|adding| self.made_before(adding.mailbox));
        if *reply != KeeperReply::Created && !stands {
            let why = "the code of the keeper was used before, or the keeper took it back: ask its \
                       operator for a new one";
            self.not_added(keeper, why, out);
            return;
        }
        let Some(adding) = self.keepers.adding.take_if(|adding| adding.keeper == keeper) else {
            return;
        };
        let written = self.name_keeper(now, &adding, out);
        if written.is_err() {
            self.follow_keepers(out);
        }
        out.reply(adding.asker, written.map(Reply::Entry));
    }

    /// Whether this member has named a mailbox to the group before, and taken it back since: it stands
    /// at its keeper, which makes no second one of the name.
    fn made_before(&self, mailbox: MailboxId) -> bool {
        self.set
            .control()
            .values()
            .any(|control| matches!(control, Control::Keeper(named) if named.mailbox == mailbox))
    }

    fn name_keeper(
        &mut self,
        now: Timestamp,
        adding: &Adding,
        out: &mut Outcome,
    ) -> Result<EntryId, Refused> {
        let grant = self.grant_with(Abilities::EDIT_AGREEMENT, None, NEEDS)?;
        let control = Control::Keeper(Keeper {
            keeper: adding.keeper,
            mailbox: adding.mailbox,
            addresses: adding.contact.addresses.clone(),
        });
        let id = self.write_control(now, grant, &control, out)?;
        self.refresh(out);
        self.follow_keepers(out);
        Ok(id)
    }

    /// Tells whoever adds this keeper that it is not added, and why.
    pub(super) fn not_added(&mut self, keeper: TransportKey, why: &str, out: &mut Outcome) {
        let adding = self.keepers.adding.take_if(|adding| adding.keeper == keeper);
        if let Some(adding) = adding {
            out.reply(adding.asker, Err(Refused::Conflict(why.to_owned())));
            self.follow_keepers(out);
        }
    }

    /// A keeper that does not answer is not added.
    pub(crate) fn tick_adding(&mut self, now: Timestamp, out: &mut Outcome) {
        let late = self.keepers.adding.as_ref().filter(|adding| adding.until <= now);
        if let Some(keeper) = late.map(|adding| adding.keeper) {
            let why = self.keepers.visits.get(&keeper).and_then(|visit| visit.why.clone());
            let why = why.unwrap_or_else(|| "the keeper could not be reached".to_owned());
            self.not_added(keeper, &why, out);
        }
    }

    /// Takes a keeper back: the group no longer uses it. What lies there stays until it expires.
    pub(crate) fn dismiss_keeper(
        &mut self,
        now: Timestamp,
        entry: EntryId,
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let grant = self.grant_with(Abilities::EDIT_AGREEMENT, None, NEEDS)?;
        let Some(Control::Keeper(named)) = self.set.control().get(&entry) else {
            return Err(Refused::Unknown { what: "keeper" });
        };
        // All entries that name the keeper: another would take the place of this one.
        let same = self.set.control().iter().filter(|(_, control)| {
            matches!(control, Control::Keeper(other) if other.keeper == named.keeper)
        });
        let all: Vec<EntryId> = same.map(|(id, _)| *id).take(crate::limits::CITATIONS).collect();
        let control = Control::Dismiss(Dismiss { keepers: List::new(all).unwrap_or_default() });
        let id = self.write_control(now, grant, &control, out)?;
        self.refresh(out);
        self.follow_keepers(out);
        Ok(Reply::Entry(id))
    }

    /// The keepers that the group uses, as a code names them.
    pub(crate) fn keeper_contacts(&self) -> Vec<Contact> {
        let keepers = self.authority.keepers(&self.set);
        let contact = |(keeper, (_, named)): (TransportKey, (EntryId, &Keeper))| Contact {
            transport: keeper,
            addresses: named.addresses.clone(),
        };
        keepers.into_iter().map(contact).collect()
    }
}
