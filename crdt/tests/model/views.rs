//! What a replica makes of what it holds: the real set, its evaluation, and the epoch that the
//! real keyring chooses.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;

use cairn_crdt::authority::Authority;
use cairn_crdt::authority::decision::grant_for;
use cairn_crdt::capability::rank::{Abilities, Rank};
use cairn_crdt::capability::revocation::{Cut, CutHead, Remove};
use cairn_crdt::codec::Map;
use cairn_crdt::crypto::agreement::SecretKey;
use cairn_crdt::epoch::keyring::Keyring;
use cairn_crdt::epoch::secret::{Audience, EpochSecret, Mint};
use cairn_crdt::id::{DeviceId, EntryId, EpochId, GrantId, GroupId, PublicKey};
use cairn_crdt::log::entry::{Control, Header, SUITE, Sealing, VERSION, payload_hash};
use cairn_crdt::log::set::{LogSet, Slot};

use crate::people::{FAY, Group, device, gather, granting, member};
use crate::replicas::{Clock, Event, Logs, NEWCOMER, REPLICAS, Word, clipped, events};

const CAST: [&str; REPLICAS] = [FAY, "ann", "bo", "cleo"];

/// An epoch: who wrote the entry that mints it, and at which place after the beginning. `None`:
/// the one of the beginning.
pub(crate) type Minted = Option<(usize, usize)>;

#[derive(Clone)]
struct Made {
    minted: Minted,
    entry: EntryId,
    mint: Mint,
    secret: EpochSecret,
}

/// What somebody holds, read.
#[derive(Clone)]
pub(crate) struct View {
    set: LogSet,
    authority: Authority,
    mints: Vec<Made>,
    tips: [(u64, EntryId); REPLICAS],
}

thread_local! {
    static OPENING: Rc<View> = Rc::new(opening());
    static VIEWS: RefCell<BTreeMap<(Logs, Clock), Rc<View>>> = const { RefCell::new(BTreeMap::new()) };
}

/// The founder, a moderator and a member with an epoch for the three; and one more card.
fn opening() -> View {
    let mut group = Group::new();
    for (name, rank) in [(CAST[1], Rank::Moderator), (CAST[2], Rank::Member)] {
        group.grant(FAY, group.genesis, name, rank);
    }
    for name in &CAST[1..] {
        group.card(name);
    }
    let authority = Authority::evaluate(&gather(group.id, &group.entries));
    let recipients = authority.readers(Audience::Readers);
    let (secret, mint) = fresh(group.id, 0, &recipients, [0; 32]);
    let entry = group.say(FAY, group.genesis, &Control::Epoch(mint.clone()));
    let set = gather(group.id, &group.entries);
    View {
        authority: Authority::evaluate(&set),
        set,
        mints: vec![Made { minted: None, entry, mint, secret }],
        tips: CAST.map(|name| group.tip(name)),
    }
}

fn fresh(
    group: GroupId,
    by: usize,
    to: &BTreeMap<DeviceId, PublicKey>,
    seed: [u8; 32],
) -> (EpochSecret, Mint) {
    let mut rng = ChaCha20Rng::from_seed(seed);
    Mint::fresh(&mut rng, group, device(CAST[by]), Audience::Readers, to, &[]).expect("few")
}

/// The view of whoever holds so much of these logs.
pub(crate) fn view(logs: &Logs, held: &Clock) -> Rc<View> {
    let past = clipped(logs, &closed(logs, held));
    let key = (past, *held);
    if let Some(known) = VIEWS.with_borrow(|known| known.get(&key).cloned()) {
        return known;
    }
    let mut view = OPENING.with(|opening| View::clone(opening));
    for (by, at, event) in events(&clipped(logs, held)) {
        view.add(&entry(logs, (by, at), event));
    }
    view.authority = Authority::evaluate(&view.set);
    let view = Rc::new(view);
    VIEWS.with_borrow_mut(|known| known.insert(key, Rc::clone(&view)));
    view
}

/// So much, and all that it was written after: an entry is what its author made of its past,
/// whether or not its reader holds that too.
fn closed(logs: &Logs, held: &Clock) -> Clock {
    let mut all = *held;
    loop {
        let before = all;
        for (.., event) in events(&clipped(logs, &before)) {
            for (of, seen) in event.seen.iter().enumerate() {
                all[of] = all[of].max(*seen);
            }
        }
        if all == before {
            return all;
        }
    }
}

/// An entry as its author writes it.
struct Written {
    id: EntryId,
    by: usize,
    device: DeviceId,
    seq: u64,
    slot: Slot,
    control: Control,
    made: Option<Made>,
}

fn entry(logs: &Logs, (by, at): (usize, usize), event: &Event) -> Written {
    let before = view(logs, &event.seen);
    let mut minted = None;
    let mut mint = |to: &BTreeMap<DeviceId, PublicKey>| {
        // Alike entries of different pasts have different epochs.
        let mut seed = before.authority.digest().0;
        seed[0] ^= u8::try_from(by).expect("few");
        let (secret, mint) = fresh(before.set.group(), by, to, seed);
        minted = Some((mint.clone(), secret));
        mint
    };
    let mut readers = before.authority.readers(Audience::Readers);
    let control = match event.word {
        Word::Admit => Control::Grant(granting(CAST[NEWCOMER], Rank::Member, &[])),
        Word::Mint => Control::Epoch(mint(&readers)),
        Word::Remove { whom, keeps } => {
            let whom = usize::from(whom);
            let (seq, entry) = before.tips[whom];
            let head = keeps.then(|| (device(CAST[whom]), CutHead { seq, entry }));
            readers.remove(&device(CAST[whom]));
            Control::Remove(Remove {
                subject: member(CAST[whom]),
                cut: Cut(Map::new(head.into_iter().collect()).expect("one device")),
                epoch: Some(mint(&readers)),
            })
        }
    };
    let payload = control.encode();
    let (seq, prev) = before.tips[by];
    let header = Header {
        version: VERSION,
        suite: SUITE,
        group: before.set.group(),
        device: device(CAST[by]),
        seq: seq + 1,
        prev,
        grant: before.grant(by),
        kind: control.kind().expect("known"),
        payload: payload_hash(&payload),
        size: u32::try_from(payload.len()).expect("short"),
        sealing: Sealing::Clear,
        seen: before.set.seen(),
    };
    let slot = Slot { prev, grant: header.grant, kind: header.kind, seen: header.seen.count };
    let id = header.id();
    let made =
        minted.map(|(mint, secret)| Made { minted: Some((by, at)), entry: id, mint, secret });
    Written { id, by, device: header.device, seq: header.seq, slot, control, made }
}

impl View {
    fn add(&mut self, written: &Written) {
        let Written { id, by, device, seq, slot, control, made } = written;
        self.set.restore(*id, *device, *seq, *slot, Some(control.clone()));
        self.tips[*by] = (*seq, *id);
        self.mints.extend(made.clone());
    }

    /// Whom the evaluation counts among the readers.
    pub(crate) fn readers(&self) -> [bool; REPLICAS] {
        let readers = self.authority.readers(Audience::Readers);
        CAST.map(|name| readers.contains_key(&device(name)))
    }

    pub(crate) fn rank(&self, who: usize) -> Option<Rank> {
        self.authority.rank_of(&member(CAST[who]))
    }

    /// The grant under which one writes.
    fn grant(&self, who: usize) -> GrantId {
        let grant = grant_for(&self.authority, &member(CAST[who]), Abilities::READ, None);
        grant.expect("only members write")
    }

    pub(crate) fn was_member(&self, who: usize) -> bool {
        self.authority.was_member(&member(CAST[who]))
    }

    /// The epoch that a replica would write under (K2).
    pub(crate) fn chosen(&self, by: usize) -> Option<(Minted, [bool; REPLICAS])> {
        let readers: BTreeSet<DeviceId> =
            self.authority.readers(Audience::Readers).into_keys().collect();
        let mut keyring = Keyring::new(SecretKey::from_bytes(&[1; 32]));
        for made in self.mints.iter().filter(|made| made.mint.names(device(CAST[by]))) {
            keyring.learn_epoch(self.set.group(), made.secret.clone());
        }
        let counted = self.mints.iter().filter_map(|made| {
            let counts = self.authority.counting(&self.set, &made.entry).counts();
            counts.then_some((&made.mint, self.set.slot(&made.entry)?.seen))
        });
        let epoch: EpochId = keyring.choose(counted, Audience::Readers, &readers)?;
        let made = self.mints.iter().find(|made| made.mint.epoch == epoch)?;
        Some((made.minted, CAST.map(|name| made.mint.names(device(name)))))
    }

    /// All epochs with those whom they were minted for.
    pub(crate) fn mints(&self) -> impl Iterator<Item = (Minted, [bool; REPLICAS])> {
        let names = |made: &Made| CAST.map(|name| made.mint.names(device(name)));
        self.mints.iter().map(move |made| (made.minted, names(made)))
    }
}
