//! What happens in one run, as a list of steps that a seed expands into.
//!
//! Operands are symbolic: a number is taken modulo what there is when the step is done, so that a
//! plan stays meaningful when steps are left out of it. Each step has its own stream of
//! randomness, named by its number: leaving one out changes nothing of the luck of the others.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use crate::keeper_faults::KeeperAct;
use crate::keeper_plan::Visits;

/// Which sorts of fault a run may have besides those of the network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Faults {
    /// Older copies of a disk are put back.
    pub rollback: bool,
    /// Members equivocate, withhold, and send what is no message.
    pub malice: bool,
    /// Half of the groups use keepers, and half of those keepers are good for nothing.
    pub keepers: bool,
}

/// One step: an act, and how long to wait after it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Step {
    /// Its place in the plan as it was made.
    pub number: u32,
    /// What is done.
    pub act: Act,
    /// Milliseconds until the next step.
    pub then: u32,
}

/// Everything that a person, the network, a disk or an enemy may do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Act {
    Invite {
        by: u32,
        rank: u32,
        uses: u32,
        at_once: bool,
        brief: bool,
    },
    Join {
        code: u32,
    },
    Admit {
        by: u32,
        request: u32,
    },
    Decline {
        by: u32,
        request: u32,
    },
    Thread {
        by: u32,
    },
    Post {
        by: u32,
        thread: u32,
        reply: u32,
    },
    Import {
        by: u32,
    },
    Respond {
        by: u32,
        post: u32,
    },
    Edit {
        by: u32,
        post: u32,
    },
    Erase {
        by: u32,
        post: u32,
    },
    Hide {
        by: u32,
        post: u32,
    },
    Restore {
        by: u32,
        post: u32,
    },
    Profile {
        by: u32,
    },
    Agreement {
        by: u32,
    },
    Grant {
        by: u32,
        whom: u32,
        rank: u32,
    },
    Revoke {
        by: u32,
        whom: u32,
        cut: u32,
    },
    Remove {
        by: u32,
        whom: u32,
        cut: u32,
    },
    ConfirmErase {
        by: u32,
        post: u32,
    },
    Reissue {
        by: u32,
        act: u32,
    },
    Extend {
        by: u32,
        whom: u32,
        cut: u32,
    },
    Pin {
        by: u32,
        log: u32,
        branch: u32,
    },
    Unlink {
        by: u32,
        device: u32,
    },
    Leave {
        who: u32,
    },
    Sync {
        who: u32,
    },
    Listen {
        who: u32,
    },
    Connect {
        a: u32,
        b: u32,
    },
    Cut {
        a: u32,
        b: u32,
    },
    Partition {
        sides: u32,
    },
    Heal,
    Weather {
        delay: u32,
        loss: u32,
    },
    Crash {
        who: u32,
    },
    Restart {
        who: u32,
    },
    DiskFails {
        who: u32,
    },
    Copy {
        who: u32,
    },
    Rollback {
        who: u32,
        to: u32,
    },
    Skew {
        who: u32,
        millis: i32,
    },
    Withhold {
        who: u32,
        whose: u32,
        from: u32,
    },
    Equivocate {
        who: u32,
    },
    Hostile {
        at: u32,
        as_whom: u32,
        what: u32,
    },
    Quiet,
    /// What befalls keepers.
    Keeper(KeeperAct),
}

impl Act {
    /// The word for it: its name without operands.
    pub fn word(&self) -> String {
        if let Self::Keeper(act) = self {
            let shown = format!("{act:?}");
            return format!("keeper: {}", shown.split(' ').next().unwrap_or_default());
        }
        let shown = format!("{self:?}");
        shown.split(' ').next().unwrap_or_default().to_owned()
    }
}

/// Random choices for a plan.
pub struct Dice(pub ChaCha20Rng);

impl Dice {
    pub fn roll(&mut self, below: u32) -> u32 {
        self.0.next_u32() % below.max(1)
    }

    pub fn any(&mut self) -> u32 {
        self.0.next_u32() % 10_000
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        self.roll(100) < percent
    }
}

/// How large a plan is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// People at the beginning, besides the founder: at least this many and up to two more.
    pub people: u32,
    /// Steps: at least this many and up to as many again.
    pub steps: u32,
}

/// The plan of a seed.
pub fn expand(seed: u64, size: Size, faults: Faults) -> Vec<Step> {
    let mut dice = Dice(ChaCha20Rng::seed_from_u64(seed));
    let mut acts: Vec<(Act, u32)> = Vec::new();
    let newcomers = size.people + dice.roll(3);
    let rank = if dice.chance(30) { 2 } else { 1 };
    acts.push((Act::Invite { by: 0, rank, uses: 8, at_once: true, brief: false }, 200));
    for _ in 0..newcomers {
        acts.push((Act::Join { code: 0 }, 300));
    }
    if dice.chance(75) {
        acts.push((Act::Heal, 8_000));
        let whom = 1 + dice.roll(newcomers);
        let rank = 2 + dice.roll(2);
        acts.push((Act::Grant { by: 0, whom, rank }, 2_000));
    }
    let steps = size.steps + dice.roll(size.steps);
    let quiet_at = steps / 2 + dice.roll(steps / 4);
    // The plans of groups without keepers are what they always were.
    let mut keepers = Visits::of(seed, faults);
    keepers.begin(&mut acts);
    for step in 0..steps {
        if step == quiet_at && dice.chance(50) {
            acts.push((Act::Quiet, 0));
        }
        if step == quiet_at {
            keepers.apart(&mut acts, faults);
        }
        keepers.befall(&mut acts);
        let act = choose(&mut dice, faults);
        let then = match dice.roll(10) {
            0..4 => dice.roll(50),
            4..8 => dice.roll(3_000),
            8 => dice.roll(20_000),
            _ => dice.roll(90_000),
        };
        acts.push((act, then));
    }
    keepers.apart(&mut acts, faults);
    let number = |(number, (act, then)): (usize, (Act, u32))| Step {
        number: u32::try_from(number).unwrap() + 1,
        act,
        then,
    };
    acts.into_iter().enumerate().map(number).collect()
}

pub fn choose(dice: &mut Dice, faults: Faults) -> Act {
    let by = dice.any();
    let other = dice.any();
    let third = dice.any();
    match dice.roll(204) {
        0..9 => Act::Thread { by },
        9..34 => Act::Post { by, thread: other, reply: third },
        34..36 => Act::Import { by },
        36..42 => Act::Respond { by, post: other },
        42..52 => Act::Edit { by, post: other },
        52..60 => Act::Erase { by, post: other },
        60..65 => Act::Hide { by, post: other },
        65..68 => Act::Restore { by, post: other },
        68..71 => Act::Profile { by },
        71..75 => Act::Agreement { by },
        75..80 => {
            let (at_once, brief) = (dice.chance(70), dice.chance(15));
            Act::Invite { by, rank: other, uses: 1 + dice.roll(3), at_once, brief }
        }
        80..87 => Act::Join { code: other },
        87..91 => Act::Admit { by, request: other },
        91..93 => Act::Decline { by, request: other },
        93..100 => Act::Grant { by, whom: other, rank: third },
        100..104 => Act::Revoke { by, whom: other, cut: third },
        104..111 => Act::Remove { by, whom: other, cut: third },
        111..113 => Act::Leave { who: by },
        113..115 => Act::Sync { who: by },
        115..117 => Act::Listen { who: by },
        117..125 => Act::Connect { a: by, b: other },
        125..130 => Act::Cut { a: by, b: other },
        130..136 => Act::Partition { sides: by },
        136..141 => Act::Heal,
        141..146 => Act::Weather { delay: dice.roll(4), loss: dice.roll(4) },
        146..154 => Act::Crash { who: by },
        154..158 => Act::Restart { who: by },
        158..161 => Act::DiskFails { who: by },
        161..165 => {
            let hours = i32::try_from(dice.roll(97)).unwrap() - 48;
            Act::Skew { who: by, millis: hours * 450_000 }
        }
        165..170 if faults.rollback => Act::Copy { who: by },
        170..174 if faults.rollback => Act::Rollback { who: by, to: other },
        174..177 if faults.malice => Act::Withhold { who: by, whose: other, from: third },
        177..179 if faults.malice => Act::Equivocate { who: by },
        179..190 if faults.malice => Act::Hostile { at: by, as_whom: other, what: third },
        190..193 => Act::ConfirmErase { by, post: other },
        193..196 => Act::Reissue { by, act: other },
        196..199 => Act::Extend { by, whom: other, cut: third },
        199..202 => Act::Pin { by, log: other, branch: third },
        202..204 => Act::Unlink { by, device: other },
        _ => Act::Post { by, thread: other, reply: third },
    }
}
