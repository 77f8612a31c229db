//! The entries of a state as devices write them, and the set that they make.

use std::cell::RefCell;

use cairn_crdt::capability::rank::Rank;
use cairn_crdt::capability::revocation::{
    Cut, CutHead, Leave, Pin, PinRight, Remove, Replace, Revoke,
};
use cairn_crdt::codec::{List, Map};
use cairn_crdt::id::{EntryId, GrantId};
use cairn_crdt::identity::member::MemberKey;
use cairn_crdt::log::entry::{Control, Header, SUITE, Sealing, Seen, VERSION, payload_hash};
use cairn_crdt::log::run::{Entry, Verified};
use cairn_crdt::log::set::{LogSet, Slot};

use crate::acts::{Act, PEOPLE, Ref, State, Word, each};
use crate::parts::{Part, Parts};
use crate::people::{FAY, Group, device, gather, granting, key, member};

/// The founder first.
pub(crate) const CAST: [&str; 4] = [FAY, "ann", "bo", "cleo"];

/// The group before anything has been said in it: its cards take longer to sign than all the
/// rest.
#[derive(Clone)]
struct Opening {
    group: Group,
    set: LogSet,
    parts: Parts,
}

thread_local! {
    static OPENING: RefCell<Option<Opening>> = const { RefCell::new(None) };
}

fn opening() -> Opening {
    OPENING.with_borrow_mut(|known| {
        known
            .get_or_insert_with(|| {
                let mut group = Group::new();
                for name in &CAST[1..] {
                    group.card(name);
                }
                let set = gather(group.id, &group.entries);
                let parts = Parts::of(&group, set.clone());
                Opening { group, set, parts }
            })
            .clone()
    })
}

/// A state written down.
pub(crate) struct Written {
    /// The set with the genesis and the cards only.
    pub(crate) opened: LogSet,
    /// All entries, those of the opening first.
    pub(crate) parts: Parts,
    /// How many of them are of the opening.
    pub(crate) before: usize,
    headers: Vec<(usize, Header, Control)>,
    entries: Vec<Verified<Entry>>,
}

impl Written {
    pub(crate) fn of(state: &State) -> Self {
        let Opening { group, set, parts } = opening();
        let before = parts.all.len();
        let mut written = Self {
            opened: set,
            parts,
            before,
            headers: Vec::new(),
            entries: group.entries.clone(),
        };
        for act in state.acts() {
            written.write(&group, act);
        }
        written
    }

    fn write(&mut self, group: &Group, act: &Act) {
        let control = self.control(group, act);
        let payload = control.encode();
        let by = CAST[usize::from(act.by)];
        let under = match act.word {
            Word::Leave { .. } => GrantId::NONE,
            _ => self.grant(group, act.under),
        };
        let (prev, seq) = self.place(group, act.after);
        let header = Header {
            version: VERSION,
            suite: SUITE,
            group: group.id,
            device: device(by),
            seq: seq + 1,
            prev,
            grant: under,
            kind: control.kind().expect("a kind that is known"),
            payload: payload_hash(&payload),
            size: u32::try_from(payload.len()).expect("a short payload"),
            sealing: Sealing::Clear,
            seen: Seen::default(),
        };
        let slot = Slot { prev, grant: under, kind: header.kind, seen: 0 };
        let (id, seq) = (header.id(), header.seq);
        let part = Part { id, device: header.device, seq, slot, control: Some(control.clone()) };
        self.headers.push((usize::from(act.by), header, control));
        self.parts.all.push(part);
    }

    /// As they come from the network: signed, to be checked by whoever takes them.
    pub(crate) fn signed(&self) -> Vec<Verified<Entry>> {
        let mut all = self.entries.clone();
        for (by, header, control) in &self.headers {
            let key = key("device", CAST[*by]);
            all.push(Entry::author(&key, header.clone(), control.encode()));
        }
        all
    }

    /// The entry that is referred to.
    pub(crate) fn entry(&self, named: Ref) -> &Part {
        &self.parts.all[self.before + usize::from(named - PEOPLE)]
    }

    fn place(&self, group: &Group, named: Ref) -> (EntryId, u64) {
        if named < PEOPLE {
            let (seq, id) = group.tip(CAST[usize::from(named)]);
            return (id, seq);
        }
        let part = self.entry(named);
        (part.id, part.seq)
    }

    fn grant(&self, group: &Group, named: Ref) -> GrantId {
        if named < PEOPLE { group.genesis } else { GrantId::of(self.entry(named).id) }
    }

    fn head(&self, group: &Group, named: Ref) -> CutHead {
        let (entry, seq) = self.place(group, named);
        CutHead { seq, entry }
    }

    fn cut(&self, group: &Group, whom: &str, head: Option<Ref>) -> Cut {
        let head = head.map(|head| (device(whom), self.head(group, head)));
        Cut(Map::new(head.into_iter().collect()).expect("one device"))
    }

    /// Whose grant it is.
    fn subject(&self, named: Ref) -> &'static str {
        let subject = match self.entry(named).control.as_ref() {
            Some(Control::Grant(grant)) => grant.subject,
            Some(Control::Replace(replace)) => replace.with.subject,
            _ => member(FAY),
        };
        CAST.into_iter().find(|name| member(name) == subject).expect("one of the four")
    }

    fn control(&self, group: &Group, act: &Act) -> Control {
        match act.word {
            Word::Grant { to, rank, cites } => {
                let cites: Vec<EntryId> = each(cites).map(|named| self.entry(named).id).collect();
                Control::Grant(granting(CAST[usize::from(to)], rank.rank(), &cites))
            }
            Word::Remove { whom, cut } => {
                let whom = CAST[usize::from(whom)];
                let cut = self.cut(group, whom, cut);
                Control::Remove(Remove { subject: member(whom), cut, epoch: None })
            }
            Word::Revoke { grant, cut } => {
                let whom = if grant < PEOPLE { FAY } else { self.subject(grant) };
                let cut = self.cut(group, whom, cut);
                Control::Revoke(Revoke { grant: self.grant(group, grant), cut, epoch: None })
            }
            Word::Replace { grant, cut } => {
                let whom = if grant < PEOPLE { FAY } else { self.subject(grant) };
                let cut = self.cut(group, whom, cut);
                let with = granting(whom, Rank::Member, &[]);
                Control::Replace(Replace { grant: self.grant(group, grant), cut, with })
            }
            Word::Pin { head } => {
                let device = self.entry(head).device;
                let head = self.head(group, head);
                Control::Pin(Pin { device, head, by: PinRight::Rank })
            }
            Word::OwnPin { head } => {
                let device = self.entry(head).device;
                let head = self.head(group, head);
                let key = MemberKey::new(key("member", CAST[usize::from(act.by)]));
                let signature = key.sign_pin(group.id, device, head.seq, head.entry);
                Control::Pin(Pin { device, head, by: PinRight::Member(key.id(), signature) })
            }
            Word::Leave { grants, cut } => {
                let mut named: Vec<GrantId> =
                    each(grants).map(|grant| GrantId::of(self.entry(grant).id)).collect();
                if act.by == 0 {
                    named.push(group.genesis);
                }
                let cut = self.cut(group, CAST[usize::from(act.by)], cut);
                Control::Leave(Leave { grants: List::new(named).expect("few"), cut })
            }
        }
    }
}
