//! A keeper in memory: as honest, or as bad, as a test wants it.

use std::collections::{BTreeMap, BTreeSet};

use cairn_crdt::capability::invite::Contact;
use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::id::{AccessKey, ControlKey, DropBoxId, MailboxId, RecordId, TransportKey};
use cairn_crdt::mailbox::access::{SignedBy, SignedGeneration};
use cairn_crdt::mailbox::message::{
    HeldRecord, KeeperReply, KeeperRequest, MailboxState, NewRecord, Putting,
};
use cairn_crdt::mailbox::{Cursor, Generation, KeeperCode, erase_hash, record_id};
use cairn_crdt::replica::effect::KeeperAsk;
use cairn_crdt::replica::input::Input;
use cairn_crdt::replica::keepers::{Deposited, KeeperEvent};

use crate::community::Community;

pub const RETENTION: u64 = 400 * 86_400_000;

#[derive(Clone, Default)]
pub struct Mailbox {
    pub generations: Vec<(AccessKey, ControlKey, Vec<u8>)>,
    pub records: BTreeMap<u64, (RecordId, NewRecord)>,
    pub newest: u64,
    pub store: [u8; 32],
    pub boxes: BTreeMap<DropBoxId, Vec<Vec<u8>>>,
    pub drops: u64,
    pub room: Option<usize>,
    /// Records that one drop-box takes.
    pub box_room: Option<usize>,
    /// Records that somebody wants to be held longer.
    pub renewed: BTreeSet<RecordId>,
}

#[derive(Clone, Default)]
pub struct Keeper {
    pub mailboxes: BTreeMap<MailboxId, Mailbox>,
    pub secrets: BTreeSet<[u8; 32]>,
    pub down: bool,
    /// Records that it says nothing of.
    pub withheld: BTreeSet<RecordId>,
    /// Records that it names in a comparison and never gives.
    pub named_only: BTreeSet<RecordId>,
    /// Whether it says of every comparison that nothing differs.
    pub agrees: bool,
    /// Whether it never waits for news before it answers.
    pub restless: bool,
    /// How often somebody waited for news.
    pub watched: usize,
    /// How often records were asked for by name.
    pub fetches: usize,
    /// Records that it leaves out of one comparison.
    pub left_out: BTreeSet<RecordId>,
    /// Everything that it was ever shown.
    pub seen: Vec<u8>,
    /// Who is connected, and what they opened.
    pub open: BTreeMap<usize, Option<Open>>,
    waiting: Vec<(usize, Cursor, u64)>,
}

#[derive(Clone, Copy)]
pub enum Open {
    Mailbox(MailboxId, usize),
    Drop(DropBoxId),
}

pub fn key_of(number: u8) -> TransportKey {
    TransportKey::from_bytes([number; 32])
}

pub fn code(number: u8, secret: u8) -> KeeperCode {
    let address = Bytes::new(vec![4, number]).unwrap();
    let addresses = List::new(vec![address]).unwrap();
    KeeperCode { keeper: Contact { transport: key_of(number), addresses }, secret: [secret; 32] }
}

impl Keeper {
    pub fn one(&self) -> &Mailbox {
        self.mailboxes.values().next().unwrap()
    }

    pub fn one_mut(&mut self) -> &mut Mailbox {
        self.mailboxes.values_mut().next().unwrap()
    }

    fn answer(&mut self, who: usize, request: KeeperRequest) -> Option<KeeperReply> {
        self.seen.extend(request.to_bytes());
        if let KeeperRequest::Create { secret, owner, access, control } = request {
            if self.mailboxes.contains_key(&owner) || !self.secrets.remove(&secret) {
                return Some(KeeperReply::Refused);
            }
            let store = [u8::try_from(self.mailboxes.len()).unwrap(); 32];
            let generations = vec![(access, control, Vec::new())];
            self.mailboxes.insert(owner, Mailbox { generations, store, ..Mailbox::default() });
            return Some(KeeperReply::Created);
        }
        let Some(Some(open)) = self.open.get(&who).copied() else { panic!("{who} opened nothing") };
        match open {
            Open::Mailbox(mailbox, at) => match self.mailboxes[&mailbox].generations.get(at + 1) {
                Some((_, _, rekey)) => Some(ended(at, rekey)),
                None => self.of_member(who, mailbox, request),
            },
            Open::Drop(drop) => {
                let holds = |m: &&mut Mailbox| m.boxes.contains_key(&drop);
                let mailbox = self.mailboxes.values_mut().find(holds);
                Some(mailbox.map_or(KeeperReply::Refused, |mailbox| mailbox.dropped(request)))
            }
        }
    }

    fn of_member(
        &mut self,
        who: usize,
        id: MailboxId,
        request: KeeperRequest,
    ) -> Option<KeeperReply> {
        let mut withheld = self.withheld.clone();
        withheld.extend(&self.named_only);
        self.watched += usize::from(matches!(request, KeeperRequest::Watch { .. }));
        let restless = self.restless;
        self.fetches += usize::from(matches!(request, KeeperRequest::Fetch(_)));
        let mailbox = self.mailboxes.get_mut(&id).unwrap();
        let shown = |record: &RecordId| !withheld.contains(record);
        Some(match request {
            KeeperRequest::Put(records) => {
                let put = records.into_vec().into_iter().map(|record| mailbox.put(record));
                KeeperReply::Put(List::new(put.collect()).unwrap())
            }
            KeeperRequest::Get { after, .. } => {
                let records = mailbox.records.range(after.0 + 1..);
                let records = records.filter(|(_, (id, _))| shown(id)).map(held).take(8);
                let records: Vec<HeldRecord> = records.collect();
                let more = records.len() == 8;
                KeeperReply::Records { records: List::new(records).unwrap(), more }
            }
            KeeperRequest::Fetch(ids) => {
                let records = mailbox.records.iter();
                let records =
                    records.filter(|(_, (id, _))| ids.iter().any(|i| i == id) && shown(id));
                let mut records: Vec<HeldRecord> = records.map(held).collect();
                let more = records.len() > 4;
                records.truncate(4);
                KeeperReply::Records { records: List::new(records).unwrap(), more }
            }
            KeeperRequest::Watch { after, drops } => {
                if restless || mailbox.newest > after.0 || mailbox.drops != drops {
                    return Some(KeeperReply::Newest {
                        cursor: Cursor(mailbox.newest),
                        drops: mailbox.drops,
                    });
                }
                self.waiting.push((who, after, drops));
                return None;
            }
            KeeperRequest::Renew(records) => {
                mailbox.renewed.extend(records.into_vec());
                KeeperReply::Done
            }
            KeeperRequest::Erase(tokens) => {
                for (record, token) in tokens.into_vec() {
                    mailbox
                        .records
                        .retain(|_, (id, held)| *id != record || held.erase != erase_hash(&token));
                }
                KeeperReply::Done
            }
            KeeperRequest::Rotate(signed) => mailbox.rotate(*signed),
            KeeperRequest::OpenDrop { drop, .. } => {
                mailbox.boxes.entry(drop).or_default();
                KeeperReply::Done
            }
            KeeperRequest::CloseDrop(drop) => {
                mailbox.boxes.remove(&drop);
                KeeperReply::Done
            }
            other => mailbox.dropped(other),
        })
    }
}

fn ended(at: usize, rekey: &[u8]) -> KeeperReply {
    let generation = Generation(u64::try_from(at).unwrap() + 2);
    KeeperReply::Ended { generation, rekey: Bytes::new(rekey.to_vec()).unwrap() }
}

fn held((cursor, (_, record)): (&u64, &(RecordId, NewRecord))) -> HeldRecord {
    HeldRecord { cursor: Cursor(*cursor), bytes: record.bytes.clone() }
}

impl Mailbox {
    pub fn put(&mut self, record: NewRecord) -> Putting {
        let id = record_id(record.bytes.as_slice());
        if self.records.values().any(|(held, _)| *held == id) {
            return Putting::Known;
        }
        if !record.priority && self.room.is_some_and(|room| self.records.len() >= room) {
            return Putting::Full;
        }
        self.newest += 1;
        self.records.insert(self.newest, (id, record));
        Putting::Stored(Cursor(self.newest))
    }

    pub fn rotate(&mut self, signed: SignedGeneration) -> KeeperReply {
        let current = u64::try_from(self.generations.len()).unwrap();
        let (_, control, _) = self.generations.last().unwrap();
        let Ok(by) = signed.signer(*control) else { return KeeperReply::Refused };
        let next = signed.new.generation.0;
        let fits = next == current + 1 || (by == SignedBy::Owner && next == current);
        if !fits {
            return KeeperReply::Conflict(Generation(current));
        }
        self.generations.truncate(usize::try_from(next - 1).unwrap());
        let new = signed.new;
        self.generations.push((new.access, new.control, new.rekey.into_vec()));
        KeeperReply::Rotated
    }

    fn dropped(&mut self, request: KeeperRequest) -> KeeperReply {
        match request {
            KeeperRequest::DropPut { drop, .. } | KeeperRequest::DropGet { drop, .. }
                if !self.boxes.contains_key(&drop) =>
            {
                KeeperReply::Refused
            }
            KeeperRequest::DropPut { drop, record } => {
                let lie_there = self.boxes.get(&drop).map_or(0, Vec::len);
                if self.box_room.is_some_and(|room| lie_there >= room) {
                    return KeeperReply::Put(List::new(vec![Putting::Full]).unwrap());
                }
                self.drops += 1;
                self.boxes.entry(drop).or_default().push(record.into_vec());
                KeeperReply::Put(List::new(vec![Putting::Stored(Cursor(self.drops))]).unwrap())
            }
            KeeperRequest::DropGet { drop, after } => {
                let records = self.boxes.get(&drop).cloned().unwrap_or_default();
                let records = records.into_iter().enumerate().map(|(at, bytes)| HeldRecord {
                    cursor: Cursor(u64::try_from(at).unwrap() + 1),
                    bytes: Bytes::new(bytes).unwrap(),
                });
                let records = records.filter(|record| record.cursor > after).collect();
                KeeperReply::Records { records: List::new(records).unwrap(), more: false }
            }
            _ => KeeperReply::Refused,
        }
    }
}

impl Community {
    /// A keeper that can be added with this secret.
    pub fn keeper(&mut self, number: u8, secret: u8) -> TransportKey {
        let keeper = self.keepers.entry(key_of(number)).or_default();
        keeper.secrets.insert([secret; 32]);
        key_of(number)
    }

    fn told(&mut self, who: usize, keeper: TransportKey, event: KeeperEvent) {
        self.inputs.push_back((who, Input::Keeper { keeper, event }));
    }

    /// Everyone loses the connection to a keeper.
    pub fn hang_up(&mut self, key: TransportKey) {
        let keeper = self.keepers.get_mut(&key).unwrap();
        keeper.waiting.clear();
        let people: Vec<usize> = std::mem::take(&mut keeper.open).into_keys().collect();
        keeper.down = true;
        for who in people {
            let why = "the keeper could not be reached".to_owned();
            self.told(who, key, KeeperEvent::Down { why });
        }
        self.run();
    }

    /// These people find the keeper again.
    pub fn call(&mut self, key: TransportKey, people: &[usize]) {
        for who in people {
            let keeper = self.keepers.get_mut(&key).unwrap();
            keeper.down = false;
            keeper.open.insert(*who, None);
            self.told(*who, key, KeeperEvent::Up);
        }
        self.run();
    }

    pub fn ask_keeper(&mut self, who: usize, key: TransportKey, ask: KeeperAsk) {
        let Some(keeper) = self.keepers.get_mut(&key) else { return };
        let gone = !keeper.open.contains_key(&who);
        // Whoever waits for news and asks something else is answered first.
        let waits = keeper.waiting.iter().position(|(waiting, ..)| *waiting == who);
        if let Some(at) = waits {
            let (_, cursor, drops) = keeper.waiting.remove(at);
            let event = KeeperEvent::Answer(KeeperReply::Newest { cursor, drops });
            self.inputs.push_back((who, Input::Keeper { keeper: key, event }));
        }
        let event = match ask {
            KeeperAsk::Reach { .. } => {
                if keeper.down {
                    return;
                }
                keeper.open.insert(who, None);
                KeeperEvent::Up
            }
            KeeperAsk::Leave => {
                keeper.open.remove(&who);
                keeper.waiting.retain(|(waiting, ..)| *waiting != who);
                return;
            }
            _ if gone => return,
            KeeperAsk::Open { mailbox, key } => {
                let access = AccessKey::from_bytes(key.verifying_key());
                let reply = keeper.opens(mailbox, access);
                if let KeeperReply::Opened(state) = &reply {
                    let at = usize::try_from(state.generation.0).unwrap() - 1;
                    keeper.open.insert(who, Some(Open::Mailbox(mailbox, at)));
                }
                KeeperEvent::Answer(reply)
            }
            KeeperAsk::Drop { key } => {
                let drop = DropBoxId::from_bytes(key.verifying_key());
                let known = keeper.mailboxes.values().any(|m| m.boxes.contains_key(&drop));
                if known {
                    keeper.open.insert(who, Some(Open::Drop(drop)));
                }
                KeeperEvent::Answer(if known { KeeperReply::Done } else { KeeperReply::Refused })
            }
            KeeperAsk::Compare { held } => {
                let Some(Some(Open::Mailbox(mailbox, at))) = keeper.open.get(&who) else {
                    panic!()
                };
                if let Some((_, _, rekey)) = keeper.mailboxes[mailbox].generations.get(at + 1) {
                    let event = KeeperEvent::Answer(ended(*at, rekey));
                    return self.told(who, key, event);
                }
                if keeper.agrees {
                    let event = KeeperEvent::Compared { there: Vec::new(), here: Vec::new() };
                    return self.told(who, key, event);
                }
                let records = keeper.mailboxes[mailbox].records.values().map(|(id, _)| *id);
                let left_out = std::mem::take(&mut keeper.left_out);
                let shown = |id: &RecordId| !keeper.withheld.contains(id) && !left_out.contains(id);
                let there: BTreeSet<RecordId> = records.filter(shown).collect();
                let held: BTreeSet<RecordId> = held.into_iter().collect();
                KeeperEvent::Compared {
                    there: there.difference(&held).copied().collect(),
                    here: held.difference(&there).copied().collect(),
                }
            }
            KeeperAsk::Deposit(deposit) => {
                let store = &self.people[who].store;
                let mut packed = Vec::new();
                let read = |ids: &[_]| Ok::<_, std::convert::Infallible>(store.read(ids));
                deposit
                    .pack(self.now, read, |one| {
                        packed.push(one);
                        Ok(())
                    })
                    .unwrap();
                let Some(Some(Open::Mailbox(mailbox, at))) = keeper.open.get(&who) else {
                    panic!()
                };
                let mailbox = keeper.mailboxes.get_mut(mailbox).unwrap();
                if let Some((_, _, rekey)) = mailbox.generations.get(at + 1) {
                    let event = KeeperEvent::Answer(ended(*at, rekey));
                    return self.told(who, key, event);
                }
                let mut deposited = Vec::new();
                for packed in packed {
                    keeper.seen.extend(packed.record.bytes.as_slice());
                    let putting = mailbox.put(packed.record);
                    deposited.push(Deposited { record: packed.id, kept: packed.kept, putting });
                }
                KeeperEvent::Deposited(deposited)
            }
            KeeperAsk::Request(request) => match keeper.answer(who, *request) {
                Some(reply) => KeeperEvent::Answer(reply),
                None => return self.tell_news(key),
            },
        };
        self.told(who, key, event);
        self.tell_news(key);
    }

    /// Whoever waits for news hears of it.
    pub fn tell_news(&mut self, key: TransportKey) {
        let keeper = self.keepers.get_mut(&key).unwrap();
        let mut news = Vec::new();
        let open = keeper.open.clone();
        let mailboxes = &keeper.mailboxes;
        keeper.waiting.retain(|(who, after, drops)| {
            let Some(Some(Open::Mailbox(mailbox, _))) = open.get(who) else { return false };
            let mailbox = &mailboxes[mailbox];
            let newer = mailbox.newest > after.0 || mailbox.drops != *drops;
            if newer {
                let cursor = Cursor(mailbox.newest);
                news.push((*who, KeeperReply::Newest { cursor, drops: mailbox.drops }));
            }
            !newer
        });
        for (who, reply) in news {
            self.told(who, key, KeeperEvent::Answer(reply));
        }
    }
}

impl Keeper {
    fn opens(&self, mailbox: MailboxId, access: AccessKey) -> KeeperReply {
        let Some(mailbox) = self.mailboxes.get(&mailbox) else { return KeeperReply::Refused };
        let at = mailbox.generations.iter().rposition(|(key, ..)| *key == access);
        let Some(at) = at else { return KeeperReply::Refused };
        let generation = Generation(u64::try_from(at).unwrap() + 1);
        match mailbox.generations.get(at + 1) {
            Some((_, _, rekey)) => ended(at, rekey),
            None => KeeperReply::Opened(MailboxState {
                generation,
                control: mailbox.generations[at].1,
                newest: Cursor(mailbox.newest),
                drops: mailbox.drops,
                store: mailbox.store,
                retention: RETENTION,
                quota: 1 << 30,
                used: 0,
                records: u64::try_from(mailbox.records.len()).unwrap(),
            }),
        }
    }
}
