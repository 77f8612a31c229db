//! One act after the other, each chosen by a few bytes.

use cairn_crdt::authority::sign_root;
use cairn_crdt::capability::grant::{Council, Grant, RootAct, RootAction};
use cairn_crdt::capability::rank::{Abilities, Rank};
use cairn_crdt::capability::revocation::{
    ConfirmErase, Cut, CutHead, Erase, Hide, Leave, Pin, PinRight, Remove, Replace, Restore, Revoke,
};
use cairn_crdt::codec::{List, Map};
use cairn_crdt::id::{EntryId, GrantId, PublicKey};
use cairn_crdt::identity::device::{Rotate, Unlink};
use cairn_crdt::log::entry::{Control, Header, Kind, Seen};
use cairn_crdt::log::run::Entry;

use super::super::script::Script;
use super::cast::{COUNCIL, DEVICES, PEOPLE, cast, entry, header};

const RANKS: [Rank; 6] =
    [Rank::Member, Rank::Moderator, Rank::Steward, Rank::Reader, Rank::Founder, Rank::Root];

/// What was written so far.
pub(super) struct Acts {
    /// All entries but the beginnings of the logs.
    pub(super) entries: Vec<Entry>,
    /// The end of each device's log.
    tips: Vec<CutHead>,
    /// Everything that was written, by device, the beginnings included.
    places: Vec<(usize, CutHead)>,
    grants: Vec<GrantId>,
    roots: Vec<EntryId>,
}

fn few<T, const MAX: usize>(values: Vec<T>) -> List<T, MAX> {
    List::new(values).unwrap()
}

impl Acts {
    pub(super) fn new() -> Self {
        let cast = cast();
        let tip = |entry: &Entry| CutHead { seq: entry.header.seq, entry: entry.id };
        let tips: Vec<CutHead> = cast.cards.iter().map(tip).collect();
        let genesis = EntryId::from_bytes(*cast.group.as_bytes());
        Self {
            entries: Vec::new(),
            places: tips.iter().copied().enumerate().collect(),
            tips,
            grants: vec![GrantId::of(genesis)],
            roots: vec![genesis],
        }
    }

    /// The next act of the script: whose device, what, and whether it forks its log before.
    pub(super) fn act(&mut self, script: &mut Script<'_>) {
        let by = script.below(DEVICES.len());
        let choice = script.byte();
        if choice >= 224 {
            self.rewind(by, script);
        }
        let under = match choice % 32 {
            18..21 | 25..27 => GrantId::NONE,
            _ => self.grant(script),
        };
        let control = self.control(by, choice % 32, script);
        let (confers, root) = match &control {
            Some(Control::Grant(_) | Control::Replace(_)) => (true, false),
            Some(Control::Root(_)) => (true, true),
            _ => (false, false),
        };
        let kind = control.as_ref().and_then(Control::kind).unwrap_or(Kind::CONTENT);
        let payload = control.map_or_else(|| b"sealed".to_vec(), |control| control.encode());
        let entry = self.write(by, under, kind, payload);
        if confers {
            self.grants.push(GrantId::of(entry));
        }
        if root {
            self.roots.push(entry);
        }
    }

    /// `None`: content.
    fn control(&self, by: usize, choice: u8, script: &mut Script<'_>) -> Option<Control> {
        let some = |script: &mut Script<'_>| self.place(script).1.entry;
        Some(match choice {
            0..7 => Control::Grant(self.granted(script)),
            7..11 => Control::Remove(self.remove(script)),
            11..13 => {
                let (grant, cut) = (self.grant(script), self.cut(script));
                Control::Revoke(Revoke { grant, cut, epoch: None })
            }
            13..15 => {
                let (grant, cut) = (self.grant(script), self.cut(script));
                Control::Replace(Replace { grant, cut, with: self.granted(script) })
            }
            15..17 => {
                let (of, head) = self.place(script);
                Control::Pin(Pin { device: cast().device(of), head, by: PinRight::Rank })
            }
            17 => self.own_pin(script),
            18 => {
                let grants = few(vec![self.grant(script)]);
                Control::Leave(Leave { grants, cut: self.cut(script) })
            }
            19 => self.unlink(script),
            20 => Control::Root(self.root(script)),
            21 => Control::Hide(Hide { created: some(script) }),
            22 => Control::Restore(Restore { hides: few(vec![some(script), some(script)]) }),
            23 => {
                let created = some(script);
                Control::Erase(Erase { created, changes: few(vec![some(script)]) })
            }
            24 => Control::ConfirmErase(ConfirmErase { erase: some(script) }),
            25 => Control::Rotate(Rotate::Prekey(PublicKey::from_bytes([script.byte(); 32]))),
            26 => cast().other_cards[by].clone(),
            _ => return None,
        })
    }

    /// From here on the device writes after an entry of its own again: a fork, unless it is the
    /// last.
    fn rewind(&mut self, by: usize, script: &mut Script<'_>) {
        let own: Vec<CutHead> =
            self.places.iter().filter(|(of, _)| *of == by).map(|(_, head)| *head).collect();
        if let Some(head) = script.pick(&own) {
            self.tips[by] = *head;
        }
    }

    fn write(&mut self, by: usize, grant: GrantId, kind: Kind, payload: Vec<u8>) -> EntryId {
        let cast = cast();
        let tip = self.tips[by];
        let header = Header {
            seq: tip.seq + 1,
            prev: tip.entry,
            grant,
            // Makes entries that are otherwise alike different.
            seen: Seen { count: self.entries.len() as u32, digest: [0; 16] },
            ..header(cast.group, cast.device(by), kind)
        };
        let entry = entry(header, payload);
        let head = CutHead { seq: entry.header.seq, entry: entry.id };
        self.tips[by] = head;
        self.places.push((by, head));
        self.entries.push(entry);
        head.entry
    }

    fn grant(&self, script: &mut Script<'_>) -> GrantId {
        script.pick(&self.grants).copied().unwrap_or(GrantId::NONE)
    }

    fn place(&self, script: &mut Script<'_>) -> (usize, CutHead) {
        script.pick(&self.places).copied().unwrap_or((0, self.tips[0]))
    }

    fn granted(&self, script: &mut Script<'_>) -> Grant {
        let subject = cast().member(script.below(PEOPLE));
        let rank = RANKS[script.below(RANKS.len())];
        let abilities = match script.byte() % 4 {
            0 => Abilities::usual(rank),
            1 => Abilities::READ.and(Abilities::REMOVE),
            _ => Abilities::ALL,
        };
        let cited = script.below(4);
        let cites = (0..cited).map(|_| self.place(script).1.entry).collect();
        Grant { subject, rank, abilities, cites: few(cites), invite: None }
    }

    /// Up to three heads, each under the device whose it is but for one in eight.
    fn cut(&self, script: &mut Script<'_>) -> Cut {
        let heads = (0..script.below(4)).map(|_| {
            let (of, head) = self.place(script);
            let wrong = script.byte();
            let of = if wrong % 8 == 7 { usize::from(wrong) % DEVICES.len() } else { of };
            (cast().device(of), head)
        });
        Cut(Map::new(heads.collect()).unwrap())
    }

    fn remove(&self, script: &mut Script<'_>) -> Remove {
        let subject = cast().member(script.below(PEOPLE));
        Remove { subject, cut: self.cut(script), epoch: None }
    }

    fn own_pin(&self, script: &mut Script<'_>) -> Control {
        let (of, head) = self.place(script);
        let (device, member) = (cast().device(of), &cast().people[DEVICES[of]]);
        let signature = member.sign_pin(cast().group, device, head.seq, head.entry);
        Control::Pin(Pin { device, head, by: PinRight::Member(member.id(), signature) })
    }

    fn unlink(&self, script: &mut Script<'_>) -> Control {
        let (of, CutHead { seq, entry }) = self.place(script);
        let (device, member) = (cast().device(of), &cast().people[DEVICES[of]]);
        let signature = member.sign_unlink(cast().group, device, seq, entry);
        Control::Unlink(Unlink { member: member.id(), device, seq, entry, signature })
    }

    fn root(&self, script: &mut Script<'_>) -> RootAct {
        let previous = script.pick(&self.roots).copied().unwrap_or(EntryId::NONE);
        let action = match script.byte() % 4 {
            0 => RootAction::Grant(self.granted(script)),
            1 => RootAction::Remove(self.remove(script)),
            2 => RootAction::Raise { version: u16::from(script.byte()) },
            _ => {
                let keys = cast().council.iter().skip(script.below(COUNCIL));
                let keys = few(keys.map(|key| key.verifying_key()).collect());
                RootAction::Rotate(Council { keys, threshold: script.byte() % 4 })
            }
        };
        let signers = script.byte();
        let signatures =
            (0..COUNCIL as u8).filter(|index| signers >> index & 1 == 1).map(|index| {
                let key = &cast().council[usize::from(index)];
                (index, sign_root(key, cast().group, previous, &action))
            });
        let signatures = few(signatures.collect());
        RootAct { previous, action, signatures }
    }
}
