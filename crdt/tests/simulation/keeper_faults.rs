//! What goes wrong with keepers, through nobody's fault or by theirs: they are down, full, busy, set
//! back, lose records, hide them, forget what they said they hold, and answer with nonsense.

use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::id::{ControlKey, RecordId};
use cairn_crdt::mailbox::message::{HeldRecord, KeeperReply, MailboxState, Putting};
use cairn_crdt::mailbox::{Cursor, Generation, record_id};
use cairn_crdt::replica::input::Command;
use cairn_crdt::replica::keepers::KeeperEvent;
use rand_core::Rng as _;

use crate::acts::of;
use crate::keeper::Kind;
use crate::mailbox::{Disk, QUOTA};
use crate::plan::Act;
use crate::world::World;

/// Copies of one keeper's disk that are kept.
const COPIES: usize = 3;
/// Of a thousand answers, how many of a keeper that talks nonsense are nonsense.
const NONSENSE: u64 = 250;

/// What is done to keepers and by them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeeperAct {
    Add {
        by: u32,
        which: u32,
    },
    Dismiss {
        by: u32,
        which: u32,
    },
    Down {
        which: u32,
    },
    Up {
        which: u32,
    },
    HangUp {
        who: u32,
        which: u32,
    },
    Full {
        which: u32,
    },
    Room {
        which: u32,
    },
    Busy {
        which: u32,
    },
    /// Everybody's machine is off for so many hours, and keepers go on.
    Sleep {
        hours: u32,
    },
    /// From here on nobody meets anybody but at keepers, all having agreed before.
    Scatter,
    /// They agree once more, by keepers alone.
    Apart,
    Copy {
        which: u32,
    },
    SetBack {
        which: u32,
        to: u32,
    },
    Loses {
        which: u32,
        part: u32,
    },
    Hides {
        which: u32,
        what: u32,
        from: u32,
    },
    Forgets {
        which: u32,
    },
    Nonsense {
        which: u32,
    },
    Reforms {
        which: u32,
    },
}

/// What a keeper does that no honest one does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vices {
    hides: Option<Hidden>,
    /// It says that it holds what it is given, and does not.
    forgets: bool,
    nonsense: bool,
}

#[derive(Clone, Copy, Debug)]
struct Hidden {
    /// Records of this quarter.
    what: u32,
    /// From the people whose bit is set.
    from: u32,
    /// Whether it names them all the same when records are compared.
    named: bool,
}

impl Hidden {
    fn hides(&self, record: &RecordId) -> bool {
        u32::from(record.as_bytes()[0]) % 4 == self.what % 4
    }

    fn is_from(&self, who: usize) -> bool {
        (self.from >> (who % 32)) & 1 == 1
    }
}

impl World {
    pub fn keeper_act(&mut self, act: &KeeperAct) {
        let number = |which: u32| {
            let all: Vec<usize> = (0..self.keepers.all.len()).collect();
            of(&all, which)
        };
        match *act {
            KeeperAct::Add { by, which } => {
                let code = Box::new(self.keepers.code(usize::try_from(which % 2).unwrap()));
                let by = self.leader(by);
                return self.ask(&Act::Keeper(*act), Some(by), Command::AddKeeper { code });
            }
            KeeperAct::Dismiss { by, which } => {
                let by = self.leader(by);
                let views = self.people[by].replica.as_ref().map(|r| r.keepers());
                let entries: Vec<_> =
                    views.unwrap_or_default().iter().filter_map(|view| view.entry).collect();
                let Some(entry) = of(&entries, which) else { return };
                return self.ask(&Act::Keeper(*act), Some(by), Command::DismissKeeper { entry });
            }
            KeeperAct::Sleep { hours } => return self.sleep(hours),
            KeeperAct::Scatter => return self.scatter(),
            KeeperAct::Apart => return self.agree_apart(),
            _ => {}
        }
        let which = match *act {
            KeeperAct::Down { which }
            | KeeperAct::Up { which }
            | KeeperAct::HangUp { which, .. }
            | KeeperAct::Full { which }
            | KeeperAct::Room { which }
            | KeeperAct::Busy { which }
            | KeeperAct::Copy { which }
            | KeeperAct::SetBack { which, .. }
            | KeeperAct::Loses { which, .. }
            | KeeperAct::Hides { which, .. }
            | KeeperAct::Forgets { which }
            | KeeperAct::Nonsense { which }
            | KeeperAct::Reforms { which } => which,
            _ => return,
        };
        let Some(keeper) = number(which) else { return };
        self.count(&Act::Keeper(*act).word());
        let it = &mut self.keepers.all[keeper];
        let before = it.honest;
        it.honest = false;
        match *act {
            KeeperAct::SetBack { to, .. } => {
                let copies: Vec<usize> = (0..it.copies.len()).collect();
                match of(&copies, to) {
                    Some(copy) => {
                        it.disk = it.copies[copy].clone();
                        self.keeper_down(keeper);
                        self.keepers.all[keeper].up = true;
                        self.keepers.all[keeper].went_back = true;
                    }
                    None => it.honest = before,
                }
            }
            KeeperAct::Loses { part, .. } => {
                for mailbox in it.disk.mailboxes.values_mut() {
                    let lost = |id: &RecordId| u32::from(id.as_bytes()[1]) % 3 == part % 3;
                    mailbox.records.retain(|_, held| !lost(&held.id));
                }
            }
            KeeperAct::Hides { what, from, .. } => {
                it.vices.hides = Some(Hidden { what, from, named: false });
            }
            KeeperAct::Forgets { .. } => it.vices.forgets = true,
            KeeperAct::Nonsense { .. } => it.vices.nonsense = true,
            KeeperAct::Reforms { .. } => {
                (it.vices, it.honest) = (Vices::default(), before);
            }
            _ => {
                it.honest = before;
                self.misfortune(keeper, act);
            }
        }
    }

    /// What may befall the best of keepers.
    fn misfortune(&mut self, keeper: usize, act: &KeeperAct) {
        let it = &mut self.keepers.all[keeper];
        match *act {
            KeeperAct::Down { .. } => self.keeper_down(keeper),
            KeeperAct::Up { .. } => it.up = true,
            KeeperAct::HangUp { who, .. } => self.hang_up_call(self.anyone(who), keeper),
            KeeperAct::Full { .. } => it.quota = 4096,
            KeeperAct::Room { .. } => it.quota = QUOTA,
            KeeperAct::Busy { .. } => it.busy = if it.busy == 0 { 200 } else { 0 },
            KeeperAct::Copy { .. } if it.copies.len() < COPIES => it.copies.push(it.disk.clone()),
            _ => {}
        }
    }

    /// All that ails keepers through nobody's fault is over.
    pub fn mend_keepers(&mut self) {
        for keeper in &mut self.keepers.all {
            (keeper.up, keeper.quota, keeper.busy) = (true, QUOTA, 0);
        }
    }

    /// Everyone is away for a while. Nobody's clock is set meanwhile.
    fn sleep(&mut self, hours: u32) {
        if self.keepers.all.is_empty() {
            return;
        }
        self.count("a long sleep");
        let awake: Vec<usize> =
            (0..self.people.len()).filter(|who| self.people[*who].is_up()).collect();
        // Whatever was being written is written.
        self.pass(10_000);
        for who in &awake {
            self.crash(*who, true);
        }
        self.pass(u64::from(hours) * 3_600_000);
        for who in awake {
            self.restart(who);
        }
    }

    /// The disk as a keeper shows it to someone, if it shows them less than there is.
    pub fn shown_to(&self, who: usize, keeper: usize, kind: Kind) -> Option<Disk> {
        let it = &self.keepers.all[keeper];
        let hidden = it.vices.hides.filter(|hidden| hidden.is_from(who))?;
        let shows = match kind {
            Kind::Get | Kind::Fetch => false,
            Kind::Compare => hidden.named,
            _ => true,
        };
        if shows {
            return None;
        }
        let mut disk = it.disk.clone();
        for mailbox in disk.mailboxes.values_mut() {
            mailbox.records.retain(|_, held| !hidden.hides(&held.id));
        }
        Some(disk)
    }

    /// An answer as it is given: by a keeper that means no good, another than it should be.
    pub fn falsified(&mut self, keeper: usize, kind: Kind, event: KeeperEvent) -> KeeperEvent {
        let vices = self.keepers.all[keeper].vices;
        if vices.forgets && kind == Kind::Put {
            self.forget(keeper, &event);
        }
        if !vices.nonsense || self.roll(1000) >= NONSENSE {
            return event;
        }
        self.count("nonsense of a keeper");
        match event {
            // Whoever takes the answers compares what can be compared, and ends the connection.
            _ if self.roll(3) == 0 => KeeperEvent::Lied { how: "nonsense".to_owned() },
            KeeperEvent::Answer(KeeperReply::Records { records, more }) if self.roll(3) > 0 => {
                let altered = records.into_vec().into_iter().map(|record| self.altered(record));
                let records = List::new(altered.collect()).unwrap();
                KeeperEvent::Answer(KeeperReply::Records { records, more })
            }
            KeeperEvent::Answer(_) => KeeperEvent::Answer(self.any_reply()),
            KeeperEvent::Compared { there, here } => {
                KeeperEvent::Compared { there: here, here: there }
            }
            other => other,
        }
    }

    /// What was just stored is not.
    fn forget(&mut self, keeper: usize, event: &KeeperEvent) {
        let stored = |putting: &Putting| match putting {
            Putting::Stored(cursor) => Some(cursor.0),
            _ => None,
        };
        let places: Vec<u64> = match event {
            KeeperEvent::Deposited(all) => all.iter().filter_map(|d| stored(&d.putting)).collect(),
            KeeperEvent::Answer(KeeperReply::Put(all)) => all.iter().filter_map(stored).collect(),
            _ => return,
        };
        for mailbox in self.keepers.all[keeper].disk.mailboxes.values_mut() {
            mailbox.records.retain(|place, _| !places.contains(place));
        }
        self.count("records that a keeper forgot");
    }

    fn altered(&mut self, record: HeldRecord) -> HeldRecord {
        let mut bytes = record.bytes.into_vec();
        let at = usize::try_from(self.roll(bytes.len() as u64)).unwrap();
        bytes[at] ^= 1;
        let cursor = match self.roll(4) {
            0 => Cursor(self.rng.next_u64()),
            _ => record.cursor,
        };
        HeldRecord { cursor, bytes: Bytes::new(bytes).unwrap() }
    }

    fn any_reply(&mut self) -> KeeperReply {
        let id = record_id(&self.roll(1000).to_be_bytes());
        match self.roll(14) {
            0 => KeeperReply::Created,
            1 => KeeperReply::Opened(MailboxState {
                generation: Generation(self.roll(9)),
                control: ControlKey::from_bytes([7; 32]),
                newest: Cursor(self.roll(90)),
                drops: self.roll(90),
                store: [9; 32],
                retention: self.roll(3),
                quota: 0,
                used: u64::MAX,
                records: u64::MAX,
            }),
            2 => KeeperReply::Ended {
                generation: Generation(self.roll(9)),
                rekey: Bytes::new(vec![1; 600]).unwrap(),
            },
            3 => KeeperReply::Refused,
            4 => KeeperReply::Conflict(Generation(self.rng.next_u64())),
            5 => KeeperReply::Put(List::default()),
            6 => KeeperReply::Records { records: List::default(), more: false },
            7 => KeeperReply::Newest { cursor: Cursor(self.rng.next_u64()), drops: 7 },
            8 => KeeperReply::Unknown(List::new(vec![id]).unwrap()),
            9 => KeeperReply::NotErased(List::new(vec![id]).unwrap()),
            10 => KeeperReply::Rotated,
            11 => KeeperReply::Done,
            12 => KeeperReply::Full,
            _ => KeeperReply::TooMany(self.rng.next_u64()),
        }
    }
}
