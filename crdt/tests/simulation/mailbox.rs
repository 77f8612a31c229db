//! What a keeper that means well does with what it holds (M1–M3): as `node` does it, in memory and
//! with the time of the simulation. What goes wrong with a keeper is elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::id::{AccessKey, ControlKey, DropBoxId, MailboxId, RecordId};
use cairn_crdt::limits::{DROP_BOXES, DROP_RECORDS};
use cairn_crdt::mailbox::access::{SignedBy, SignedGeneration};
use cairn_crdt::mailbox::deposit::Packed;
use cairn_crdt::mailbox::message::{
    HeldRecord, KeeperReply, KeeperRequest, MailboxState, NewRecord, Putting,
};
use cairn_crdt::mailbox::{Cursor, Generation, erase_hash, record_id};
use cairn_crdt::replica::keepers::{Deposited, KeeperEvent};
use cairn_crdt::time::Timestamp;

pub const DAY: u64 = 86_400_000;
/// Milliseconds for which a record is held: short, so that whole lives of records go by.
pub const RETENTION: u64 = 4 * DAY;
/// Bytes that a mailbox may hold as long as nobody makes it full.
pub const QUOTA: u64 = 1 << 30;
/// Records that one answer gives: few, so that answers follow one another.
const GIVEN: usize = 6;

/// Where a connection has come to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Place {
    #[default]
    Outside,
    Mailbox(MailboxId, AccessKey),
    Drop(DropBoxId),
}

/// What is asked on a connection; of `Open` and `Drop` the key was proved.
pub enum Question {
    Open(MailboxId, AccessKey),
    Drop(DropBoxId),
    Compare(Vec<RecordId>),
    Put(Vec<Packed>),
    Plain(KeeperRequest),
}

/// The keys of one generation, and how it began.
#[derive(Clone)]
struct Keys {
    generation: Generation,
    access: AccessKey,
    control: ControlKey,
    by_owner: bool,
    rekey: Vec<u8>,
    /// When another took its place.
    ended: Option<u64>,
    /// Whether that was the owner's of the same number.
    replaced: bool,
}

#[derive(Clone)]
pub struct Held {
    pub id: RecordId,
    pub bytes: Vec<u8>,
    erase: [u8; 32],
    until: u64,
}

#[derive(Clone, Default)]
struct DropBox {
    expires: u64,
    records: BTreeMap<u64, Vec<u8>>,
    newest: u64,
}

#[derive(Clone)]
pub struct Mailbox {
    keys: Vec<Keys>,
    pub records: BTreeMap<u64, Held>,
    newest: u64,
    boxes: BTreeMap<DropBoxId, DropBox>,
    drops: u64,
    store: [u8; 32],
}

/// All that a keeper has on its disk.
#[derive(Clone, Default)]
pub struct Disk {
    pub mailboxes: BTreeMap<MailboxId, Mailbox>,
    /// The operator's invitations, and what was made of them.
    pub invitations: BTreeMap<[u8; 32], Option<MailboxId>>,
    /// What is counted of what happens.
    pub done: Vec<&'static str>,
}

impl Mailbox {
    /// The key that opens it now.
    pub fn access(&self) -> AccessKey {
        self.keys[self.keys.len() - 1].access
    }

    fn used(&self) -> u64 {
        self.records.values().map(|held| held.bytes.len() as u64).sum()
    }

    pub fn newest(&self) -> KeeperReply {
        KeeperReply::Newest { cursor: Cursor(self.newest), drops: self.drops }
    }

    /// Whether there is more than somebody knows of.
    pub fn has_news(&self, after: Cursor, drops: u64) -> bool {
        self.newest != after.0 || self.drops != drops
    }

    /// What followed the generation of a key that was proved.
    pub fn ended(&self, now: u64, access: AccessKey) -> KeeperReply {
        let keys = self.keys.iter().find(|keys| keys.access == access);
        let lately = |at: u64| now.saturating_sub(at) <= RETENTION;
        let Some(keys) = keys.filter(|keys| keys.ended.is_some_and(lately)) else {
            return KeeperReply::Refused;
        };
        let next = if keys.replaced { keys.generation } else { keys.generation.next() };
        let mut following = self.keys.iter().filter(|keys| !keys.replaced);
        let following = following.find(|keys| keys.generation == next);
        following.map_or(KeeperReply::Refused, |keys| KeeperReply::Ended {
            generation: keys.generation,
            rekey: Bytes::new(keys.rekey.clone()).unwrap(),
        })
    }

    fn put(&mut self, now: u64, quota: u64, record: NewRecord) -> Putting {
        let id = record_id(record.bytes.as_slice());
        let until = now + RETENTION;
        if let Some(held) = self.records.values_mut().find(|held| held.id == id) {
            held.until = until;
            return Putting::Known;
        }
        let room = if record.priority { quota } else { quota - quota / 10 };
        if self.used() + record.bytes.as_slice().len() as u64 > room {
            return Putting::Full;
        }
        self.newest += 1;
        let bytes = record.bytes.as_slice().to_vec();
        self.records.insert(self.newest, Held { id, bytes, erase: record.erase, until });
        Putting::Stored(Cursor(self.newest))
    }

    fn rotate(&mut self, now: u64, signed: SignedGeneration) -> KeeperReply {
        let at = self.keys.len() - 1;
        let present = &mut self.keys[at];
        let new = &signed.new;
        let same = new.generation == present.generation;
        if same && present.access == new.access && present.control == new.control {
            return KeeperReply::Rotated;
        }
        let signer = signed.signer(present.control);
        let replaces = same && signer == Ok(SignedBy::Owner) && !present.by_owner;
        let follows = new.generation == present.generation.next();
        let Some(by) = signer.ok().filter(|_| replaces || follows) else {
            let late = new.generation <= present.generation;
            let conflict = KeeperReply::Conflict(present.generation);
            return if late { conflict } else { KeeperReply::Refused };
        };
        (present.ended, present.replaced) = (Some(now), replaces);
        let new = signed.new;
        self.keys.push(Keys {
            generation: new.generation,
            access: new.access,
            control: new.control,
            by_owner: by == SignedBy::Owner,
            rekey: new.rekey.into_vec(),
            ended: None,
            replaced: false,
        });
        KeeperReply::Rotated
    }
}

impl Disk {
    /// Answers. What time has ended is gone before.
    pub fn answer(
        &mut self,
        (now, quota): (u64, u64),
        place: &mut Place,
        question: Question,
    ) -> KeeperEvent {
        self.expire(now);
        let reply = match question {
            Question::Open(mailbox, access) => self.open(now, place, mailbox, access),
            Question::Drop(drop) => self.enter(place, drop),
            Question::Compare(named) => match self.inside(now, place) {
                Err(reply) => reply,
                Ok(mailbox) => {
                    let there: BTreeSet<RecordId> =
                        mailbox.records.values().map(|held| held.id).collect();
                    let named: BTreeSet<RecordId> = named.into_iter().collect();
                    return KeeperEvent::Compared {
                        there: there.difference(&named).copied().collect(),
                        here: named.difference(&there).copied().collect(),
                    };
                }
            },
            Question::Put(packed) => match self.inside(now, place) {
                Err(reply) => reply,
                Ok(mailbox) => {
                    let put = packed.into_iter().map(|Packed { record, id, kept }| {
                        let putting = mailbox.put(now, quota, record);
                        Deposited { record: id, kept, putting }
                    });
                    return KeeperEvent::Deposited(put.collect());
                }
            },
            Question::Plain(request) => self.plain((now, quota), place, request),
        };
        KeeperEvent::Answer(reply)
    }

    fn expire(&mut self, now: u64) {
        for mailbox in self.mailboxes.values_mut() {
            let before = mailbox.records.len();
            mailbox.records.retain(|_, held| held.until >= now);
            mailbox.boxes.retain(|_, drop| drop.expires >= now);
            if mailbox.records.len() < before {
                self.done.push("records that expired");
            }
        }
    }

    /// The mailbox that a connection is in, or why it is there no more.
    #[expect(clippy::result_large_err, reason = "test code")]
    fn inside(&mut self, now: u64, place: &mut Place) -> Result<&mut Mailbox, KeeperReply> {
        let Place::Mailbox(id, access) = *place else { return Err(KeeperReply::Refused) };
        let Some(mailbox) = self.mailboxes.get_mut(&id) else { return Err(KeeperReply::Refused) };
        if mailbox.access() != access {
            *place = Place::Outside;
            return Err(mailbox.ended(now, access));
        }
        Ok(mailbox)
    }

    fn open(
        &mut self,
        now: u64,
        place: &mut Place,
        id: MailboxId,
        access: AccessKey,
    ) -> KeeperReply {
        if matches!(place, Place::Drop(_)) {
            return KeeperReply::Refused;
        }
        let Some(mailbox) = self.mailboxes.get(&id) else { return KeeperReply::Refused };
        let Some(keys) = mailbox.keys.last().filter(|keys| keys.access == access) else {
            *place = Place::Outside;
            return mailbox.ended(now, access);
        };
        *place = Place::Mailbox(id, access);
        KeeperReply::Opened(MailboxState {
            generation: keys.generation,
            control: keys.control,
            newest: Cursor(mailbox.newest),
            drops: mailbox.drops,
            store: mailbox.store,
            retention: RETENTION,
            quota: QUOTA,
            used: mailbox.used(),
            records: mailbox.records.len() as u64,
        })
    }

    fn enter(&mut self, place: &mut Place, drop: DropBoxId) -> KeeperReply {
        let stands = self.mailboxes.values().any(|mailbox| mailbox.boxes.contains_key(&drop));
        if *place != Place::Outside || !stands {
            return KeeperReply::Refused;
        }
        *place = Place::Drop(drop);
        KeeperReply::Done
    }

    fn create(&mut self, request: KeeperRequest) -> KeeperReply {
        let KeeperRequest::Create { secret, owner, access, control } = request else {
            return KeeperReply::Refused;
        };
        let drawn = u8::try_from(self.mailboxes.len()).unwrap();
        let Some(made) = self.invitations.get_mut(&secret) else { return KeeperReply::Refused };
        if let Some(made) = made {
            let keys = &self.mailboxes[made].keys[0];
            let again = *made == owner && (keys.access, keys.control) == (access, control);
            return if again { KeeperReply::Created } else { KeeperReply::Refused };
        }
        if self.mailboxes.contains_key(&owner) {
            return KeeperReply::Refused;
        }
        *made = Some(owner);
        let keys = Keys {
            generation: Generation(1),
            access,
            control,
            by_owner: true,
            rekey: Vec::new(),
            ended: None,
            replaced: false,
        };
        let mailbox = Mailbox {
            keys: vec![keys],
            records: BTreeMap::new(),
            newest: 0,
            boxes: BTreeMap::new(),
            drops: 0,
            store: [drawn; 32],
        };
        self.mailboxes.insert(owner, mailbox);
        KeeperReply::Created
    }

    fn plain(
        &mut self,
        (now, quota): (u64, u64),
        place: &mut Place,
        request: KeeperRequest,
    ) -> KeeperReply {
        match request {
            KeeperRequest::Create { .. } => return self.create(request),
            KeeperRequest::DropGet { drop, after } => {
                return self.drop_get(now, place, drop, after);
            }
            KeeperRequest::DropPut { drop, record } => {
                return self.drop_put(now, place, drop, record.into_vec());
            }
            KeeperRequest::Rotate(signed) => {
                let Some(mailbox) = self.mailboxes.get_mut(&signed.new.mailbox) else {
                    return KeeperReply::Refused;
                };
                let reply = mailbox.rotate(now, *signed);
                if reply == KeeperReply::Rotated {
                    self.done.push("generations begun");
                }
                if reply != KeeperReply::Refused {
                    *place = Place::Outside;
                }
                return reply;
            }
            _ => {}
        }
        let mailbox = match self.inside(now, place) {
            Ok(mailbox) => mailbox,
            Err(reply) => return reply,
        };
        match request {
            KeeperRequest::Put(records) => {
                let records = records.into_vec().into_iter();
                let put = records.map(|record| mailbox.put(now, quota, record));
                KeeperReply::Put(List::new(put.collect()).unwrap())
            }
            KeeperRequest::Get { after, .. } => {
                let mut records = mailbox.records.range(after.0 + 1..).map(given);
                let some: Vec<HeldRecord> = records.by_ref().take(GIVEN).collect();
                let more = records.next().is_some();
                KeeperReply::Records { records: List::new(some).unwrap(), more }
            }
            KeeperRequest::Fetch(ids) => {
                let find = |id: &RecordId| mailbox.records.iter().find(|(_, held)| held.id == *id);
                let mut records = ids.iter().filter_map(find).map(given);
                let some: Vec<HeldRecord> = records.by_ref().take(GIVEN).collect();
                let more = records.next().is_some();
                KeeperReply::Records { records: List::new(some).unwrap(), more }
            }
            KeeperRequest::Renew(ids) => {
                let mut unknown = ids.into_vec();
                for held in mailbox.records.values_mut() {
                    if let Some(at) = unknown.iter().position(|id| *id == held.id) {
                        unknown.remove(at);
                        held.until = now + RETENTION;
                    }
                }
                self.done.push("renewals");
                KeeperReply::Unknown(List::new(unknown).unwrap())
            }
            KeeperRequest::Erase(tokens) => {
                let (mut kept, before) = (Vec::new(), mailbox.records.len());
                for (id, token) in tokens.into_vec() {
                    let erase = erase_hash(&token);
                    let other = |held: &Held| held.id == id && held.erase != erase;
                    if mailbox.records.values().any(other) {
                        kept.push(id);
                    } else {
                        mailbox.records.retain(|_, held| held.id != id);
                    }
                }
                if mailbox.records.len() < before {
                    self.done.push("records erased");
                }
                KeeperReply::NotErased(List::new(kept).unwrap())
            }
            KeeperRequest::OpenDrop { drop, expires } => {
                let expires = expires.min(Timestamp::from_millis(now + RETENTION)).as_millis();
                let full = mailbox.boxes.len() >= DROP_BOXES && !mailbox.boxes.contains_key(&drop);
                if full {
                    return KeeperReply::Full;
                }
                mailbox.boxes.entry(drop).or_default().expires = expires;
                KeeperReply::Done
            }
            KeeperRequest::CloseDrop(drop) => {
                mailbox.boxes.remove(&drop);
                KeeperReply::Done
            }
            _ => KeeperReply::Refused,
        }
    }

    /// The mailbox whose drop-box this is, if a connection may use that.
    #[expect(clippy::result_large_err, reason = "test code")]
    fn with_box(
        &mut self,
        now: u64,
        place: &mut Place,
        drop: DropBoxId,
    ) -> Result<&mut Mailbox, KeeperReply> {
        let mailbox = match *place {
            Place::Outside => None,
            Place::Drop(entered) => {
                let mut all = self.mailboxes.values_mut();
                all.find(|mailbox| entered == drop && mailbox.boxes.contains_key(&drop))
            }
            Place::Mailbox(..) => Some(self.inside(now, place)?),
        };
        mailbox.filter(|mailbox| mailbox.boxes.contains_key(&drop)).ok_or(KeeperReply::Refused)
    }

    fn drop_get(
        &mut self,
        now: u64,
        place: &mut Place,
        drop: DropBoxId,
        after: Cursor,
    ) -> KeeperReply {
        match self.with_box(now, place, drop) {
            Err(reply) => reply,
            Ok(mailbox) => {
                let mut records = mailbox.boxes[&drop].records.range(after.0 + 1..);
                let given = |(cursor, bytes): (&u64, &Vec<u8>)| HeldRecord {
                    cursor: Cursor(*cursor),
                    bytes: Bytes::new(bytes.clone()).unwrap(),
                };
                let some: Vec<HeldRecord> = records.by_ref().take(GIVEN).map(given).collect();
                let more = records.next().is_some();
                KeeperReply::Records { records: List::new(some).unwrap(), more }
            }
        }
    }

    fn drop_put(
        &mut self,
        now: u64,
        place: &mut Place,
        drop: DropBoxId,
        record: Vec<u8>,
    ) -> KeeperReply {
        let of_member = matches!(place, Place::Mailbox(..));
        let mailbox = match self.with_box(now, place, drop) {
            Err(reply) => return reply,
            Ok(mailbox) => mailbox,
        };
        let found = mailbox.boxes.get_mut(&drop).unwrap();
        let told = |putting| KeeperReply::Put(List::new(vec![putting]).unwrap());
        if found.records.values().any(|held| *held == record) {
            return told(Putting::Known);
        }
        if found.records.len() >= DROP_RECORDS {
            return told(Putting::Full);
        }
        found.newest += 1;
        let cursor = Cursor(found.newest);
        found.records.insert(found.newest, record);
        mailbox.drops += 1;
        self.done.push(if of_member { "answers in drop-boxes" } else { "letters in drop-boxes" });
        told(Putting::Stored(cursor))
    }
}

fn given((cursor, held): (&u64, &Held)) -> HeldRecord {
    HeldRecord { cursor: Cursor(*cursor), bytes: Bytes::new(held.bytes.clone()).unwrap() }
}
