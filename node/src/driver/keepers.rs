//! A persona's side of its keepers: what its replica asks of them is put into the client's words, and
//! what the client says into the replica's.
//!
//! Nothing here waits for a keeper. Questions are answered in the order in which they were asked.

use std::collections::{BTreeMap, VecDeque};

use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::id::{GroupId, RecordId, TransportKey};
use cairn_crdt::limits::REKEY_BYTES;
use cairn_crdt::mailbox::Generation;
use cairn_crdt::mailbox::deposit::{Deposit, Packed};
use cairn_crdt::mailbox::message::{HeldRecord, KeeperReply, KeeperRequest};
use cairn_crdt::mailbox::shelf::Kept;
use cairn_crdt::replica::effect::KeeperAsk;
use cairn_crdt::replica::keepers::{Deposited, KeeperEvent};
use cairn_crdt::time::Timestamp;
use libp2p::Multiaddr;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use zeroize::Zeroizing;

use super::incoming::NetworkId;
use crate::keeper::client::{Access, Ask, ClientEvent, Failure, Told, Wish};
use crate::network::KeeperContact;
use crate::storage::{StorageError, Store};

/// One keeper, with the client that speaks to it.
struct Courier {
    id: NetworkId,
    asks: mpsc::Sender<Ask>,
    /// Questions that the client has no room for yet.
    outbox: VecDeque<Ask>,
    asked: BTreeMap<u64, Asked>,
    next: u64,
    up: bool,
    /// What followed the generation whose key was shown last.
    ended: Option<(Generation, Vec<u8>)>,
}

/// What becomes of an answer.
enum Asked {
    /// It is passed on.
    Plain,
    /// It is what became of these records.
    Deposit(Vec<(RecordId, Kept)>),
}

/// All keepers of one persona.
#[derive(Default)]
pub(super) struct Keepers {
    couriers: BTreeMap<TransportKey, Courier>,
    /// Keepers for which a client is to be started, and where they are.
    wanted: BTreeMap<TransportKey, Vec<Vec<u8>>>,
    /// Where all of them are.
    places: BTreeMap<TransportKey, Vec<Vec<u8>>>,
    moved: bool,
}

impl Keepers {
    /// Keepers for which clients are to be started now.
    pub(super) fn wanted(&mut self) -> BTreeMap<TransportKey, Vec<Vec<u8>>> {
        std::mem::take(&mut self.wanted)
    }

    /// A client was started.
    pub(super) fn started(&mut self, keeper: TransportKey, id: NetworkId, asks: mpsc::Sender<Ask>) {
        let courier = Courier {
            id,
            asks,
            outbox: VecDeque::new(),
            asked: BTreeMap::new(),
            next: 0,
            up: false,
            ended: None,
        };
        self.couriers.insert(keeper, courier);
    }

    /// Who they are and where, for the network, which uses them as relays; `None` if that is as it
    /// was when this was asked last.
    pub(super) fn moved(&mut self) -> Option<Vec<KeeperContact>> {
        std::mem::take(&mut self.moved).then(|| self.contacts())
    }

    /// Who they are and where.
    pub(super) fn contacts(&self) -> Vec<KeeperContact> {
        let read = |bytes: &Vec<u8>| Multiaddr::try_from(bytes.clone()).ok();
        let contact = |(keeper, places): (&TransportKey, &Vec<Vec<u8>>)| KeeperContact {
            transport: *keeper,
            addresses: places.iter().filter_map(read).collect(),
        };
        self.places.iter().map(contact).collect()
    }

    /// The clients that have questions waiting for room.
    pub(super) fn crowded(&self) -> impl Iterator<Item = &mpsc::Sender<Ask>> {
        let crowded = self.couriers.values().filter(|courier| !courier.outbox.is_empty());
        crowded.map(|courier| &courier.asks)
    }

    /// Sends what waits for room.
    pub(super) fn send_waiting(&mut self) {
        for courier in self.couriers.values_mut() {
            courier.send_waiting();
        }
    }

    /// The replica was thrown away: nobody waits for an answer any more.
    pub(super) fn quiet(&mut self) {
        for courier in self.couriers.values_mut() {
            courier.asked.clear();
        }
    }

    /// The keepers with a connection, for a replica that was just read.
    pub(super) fn up(&self) -> impl Iterator<Item = TransportKey> {
        self.couriers.iter().filter(|(_, courier)| courier.up).map(|(keeper, _)| *keeper)
    }

    /// Does what the replica asks. An answer that can be given at once comes back.
    ///
    /// # Errors
    /// When entries cannot be read.
    pub(super) fn ask(
        &mut self,
        now: Timestamp,
        (store, group): (&dyn Store, GroupId),
        keeper: TransportKey,
        ask: KeeperAsk,
    ) -> Result<Option<KeeperEvent>, StorageError> {
        match ask {
            KeeperAsk::Reach { addresses } => {
                let before = self.places.insert(keeper, addresses.clone());
                self.moved |= before.as_ref() != Some(&addresses);
                match self.couriers.get_mut(&keeper) {
                    Some(courier) => courier.send(Wish::Addresses(addresses), None),
                    None => {
                        self.wanted.insert(keeper, addresses);
                    }
                }
                return Ok(None);
            }
            KeeperAsk::Leave => {
                // The client ends when nobody can ask it anything.
                self.couriers.remove(&keeper);
                self.moved |= self.places.remove(&keeper).is_some();
                self.wanted.remove(&keeper);
                return Ok(None);
            }
            _ => {}
        }
        let Some(courier) = self.couriers.get_mut(&keeper) else { return Ok(None) };
        match ask {
            KeeperAsk::Reach { .. } | KeeperAsk::Leave => {}
            KeeperAsk::Open { mailbox, key } => {
                let access = Access::Mailbox { mailbox, key: *key };
                courier.send(Wish::Use(access, None), Some(Asked::Plain));
            }
            KeeperAsk::Drop { key } => {
                courier.send(Wish::Use(Access::Drop(*key), None), Some(Asked::Plain));
            }
            KeeperAsk::Compare { held } => courier.send(Wish::Compare(held), Some(Asked::Plain)),
            KeeperAsk::Request(request) => courier.send(wish(*request), Some(Asked::Plain)),
            KeeperAsk::Deposit(deposit) => {
                let packed = pack(now, store, group, &deposit)?;
                if packed.is_empty() {
                    return Ok(Some(KeeperEvent::Deposited(Vec::new())));
                }
                let mut kept = Vec::with_capacity(packed.len());
                let mut records = Vec::with_capacity(packed.len());
                for one in packed {
                    kept.push((one.id, one.kept));
                    records.push(one.record);
                }
                courier.send(Wish::Put(records), Some(Asked::Deposit(kept)));
            }
        }
        Ok(None)
    }

    /// What a client says, in the replica's words.
    pub(super) fn heard(
        &mut self,
        keeper: TransportKey,
        id: NetworkId,
        event: ClientEvent,
    ) -> Option<KeeperEvent> {
        let courier = self.couriers.get_mut(&keeper).filter(|courier| courier.id == id)?;
        match event {
            ClientEvent::Up(_) => {
                courier.up = true;
                courier.asked.clear();
                Some(KeeperEvent::Up)
            }
            ClientEvent::Down { why } => {
                courier.up = false;
                courier.asked.clear();
                Some(KeeperEvent::Down { why })
            }
            ClientEvent::Ended { generation, rekey } => {
                courier.ended = Some((generation, rekey));
                None
            }
            // Whoever asks to open something is answered.
            ClientEvent::Refused => None,
            ClientEvent::Answer { tag, result } => {
                let asked = courier.asked.remove(&tag)?;
                courier.answered(asked, result)
            }
        }
    }
}

impl Courier {
    fn send(&mut self, wish: Wish, asked: Option<Asked>) {
        self.next = self.next.wrapping_add(1);
        let tag = self.next;
        if let Some(asked) = asked {
            self.asked.insert(tag, asked);
        }
        self.outbox.push_back(Ask { tag, wish });
        self.send_waiting();
    }

    fn send_waiting(&mut self) {
        while let Some(ask) = self.outbox.pop_front() {
            match self.asks.try_send(ask) {
                Ok(()) => {}
                Err(TrySendError::Full(ask)) => {
                    self.outbox.push_front(ask);
                    return;
                }
                // Its end is told as an event.
                Err(TrySendError::Closed(_)) => self.outbox.clear(),
            }
        }
    }

    fn answered(&mut self, asked: Asked, result: Result<Told, Failure>) -> Option<KeeperEvent> {
        let reply = match (asked, result) {
            (Asked::Deposit(kept), Ok(Told::Put(puttings))) => {
                let told = kept.into_iter().zip(puttings);
                let told =
                    told.map(|((record, kept), putting)| Deposited { record, kept, putting });
                return Some(KeeperEvent::Deposited(told.collect()));
            }
            (_, Ok(Told::Compared { lacks, holds })) => {
                return Some(KeeperEvent::Compared { there: holds, here: lacks });
            }
            (_, Ok(told)) => reply(told).unwrap_or(KeeperReply::Unavailable),
            (_, Err(Failure::Lie(lie))) => {
                return Some(KeeperEvent::Lied { how: lie.to_string() });
            }
            // The loss of the connection is told besides.
            (_, Err(Failure::Lost)) => return None,
            (_, Err(Failure::Ended)) => {
                let ended = self.ended.clone().and_then(|(generation, rekey)| {
                    let rekey = Bytes::<REKEY_BYTES>::new(rekey).ok()?;
                    Some(KeeperReply::Ended { generation, rekey })
                });
                ended.unwrap_or(KeeperReply::Refused)
            }
            (_, Err(Failure::Conflict(generation))) => KeeperReply::Conflict(generation),
            (_, Err(Failure::Full)) => KeeperReply::Full,
            (_, Err(Failure::Refused)) => KeeperReply::Refused,
            (_, Err(Failure::Unavailable | Failure::TooLarge)) => KeeperReply::Unavailable,
        };
        Some(KeeperEvent::Answer(reply))
    }
}

fn pack(
    now: Timestamp,
    store: &dyn Store,
    group: GroupId,
    deposit: &Deposit,
) -> Result<Vec<Packed>, StorageError> {
    let mut packed = Vec::new();
    let read = |ids: &[_]| store.entries(group, ids, deposit.content);
    deposit.pack(now, read, |one| {
        packed.push(one);
        Ok(())
    })?;
    Ok(packed)
}

fn wish(request: KeeperRequest) -> Wish {
    match request {
        KeeperRequest::Create { secret, owner, access, control } => {
            Wish::Create { secret: Zeroizing::new(secret), owner, access, control }
        }
        KeeperRequest::Put(records) => Wish::Put(records.into_vec()),
        KeeperRequest::Get { after, bytes } => Wish::Get { after, bytes },
        KeeperRequest::Watch { after, drops } => Wish::Watch { after, drops },
        KeeperRequest::Renew(ids) => Wish::Renew(ids.into_vec()),
        KeeperRequest::Fetch(ids) => Wish::Fetch(ids.into_vec()),
        KeeperRequest::Erase(named) => Wish::Erase(named.into_vec()),
        KeeperRequest::Rotate(signed) => Wish::Rotate(signed),
        KeeperRequest::OpenDrop { drop, expires } => Wish::OpenDrop(drop, expires),
        KeeperRequest::CloseDrop(drop) => Wish::CloseDrop(drop),
        KeeperRequest::DropGet { drop, after } => Wish::DropGet(drop, after),
        KeeperRequest::DropPut { drop, record } => Wish::DropPut(drop, record.into_vec()),
        // These need what only the client has, and are asked for by names of their own.
        KeeperRequest::Open { .. }
        | KeeperRequest::Drop { .. }
        | KeeperRequest::Reconcile { .. } => Wish::Renew(Vec::new()),
    }
}

fn reply(told: Told) -> Option<KeeperReply> {
    Some(match told {
        Told::Created => KeeperReply::Created,
        Told::Opened(Some(state)) => KeeperReply::Opened(state),
        Told::Opened(None) | Told::Done => KeeperReply::Done,
        Told::Put(puttings) => KeeperReply::Put(List::new(puttings).ok()?),
        Told::Records { records, more } => {
            let held = records.into_iter().filter_map(|record| {
                Some(HeldRecord { cursor: record.cursor, bytes: Bytes::new(record.bytes).ok()? })
            });
            KeeperReply::Records { records: List::new(held.collect()).ok()?, more }
        }
        Told::Newest { cursor, drops } => KeeperReply::Newest { cursor, drops },
        Told::Unknown(ids) => KeeperReply::Unknown(List::new(ids).ok()?),
        Told::NotErased(ids) => KeeperReply::NotErased(List::new(ids).ok()?),
        Told::Compared { .. } => return None,
        Told::Rotated => KeeperReply::Rotated,
    })
}
