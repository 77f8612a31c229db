//! What befalls keepers in a plan, and when people are apart: from luck of its own, so that a plan
//! without keepers is what it would be if there were none.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use crate::keeper_faults::KeeperAct;
use crate::plan::{Act, Dice, Faults, choose};

/// Of a hundred steps, before how many something befalls a keeper.
const BEFALLS: u32 = 25;

/// The luck of a group with keepers; of one without, nothing.
pub struct Visits {
    dice: Option<Dice>,
    /// Whether keepers do what no honest one does.
    wicked: bool,
}

impl Visits {
    pub fn of(seed: u64, faults: Faults) -> Self {
        if !faults.keepers || !seed.is_multiple_of(2) {
            return Self { dice: None, wicked: false };
        }
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        rng.set_stream(u64::MAX);
        Self { dice: Some(Dice(rng)), wicked: seed.is_multiple_of(4) }
    }

    /// Mostly the founder adds a keeper early.
    pub fn begin(&mut self, acts: &mut Vec<(Act, u32)>) {
        let Some(dice) = &mut self.dice else { return };
        if dice.chance(85) {
            acts.push((Act::Keeper(KeeperAct::Add { by: 0, which: 0 }), 5_000));
        }
        if self.wicked && dice.chance(50) {
            acts.push((Act::Keeper(KeeperAct::Add { by: 0, which: 1 }), 5_000));
        }
    }

    /// Sometimes something befalls a keeper.
    pub fn befall(&mut self, acts: &mut Vec<(Act, u32)>) {
        let Some(dice) = &mut self.dice else { return };
        if dice.chance(BEFALLS) {
            let act = befalls(dice, self.wicked);
            acts.push((Act::Keeper(act), dice.roll(10_000)));
        }
    }

    /// Sometimes people go on apart from each other for a while, and agree by keepers alone.
    pub fn apart(&mut self, acts: &mut Vec<(Act, u32)>, faults: Faults) {
        let wicked = self.wicked;
        let Some(dice) = &mut self.dice else { return };
        if !dice.chance(50) {
            return;
        }
        acts.push((Act::Keeper(KeeperAct::Scatter), 0));
        for _ in 0..4 + dice.roll(8) {
            let act = match dice.roll(10) {
                0..2 => Act::Keeper(befalls(dice, wicked)),
                2 => Act::Join { code: dice.any() },
                3 => Act::Remove { by: dice.any(), whom: dice.any(), cut: dice.any() },
                4 => Act::Post { by: dice.any(), thread: dice.any(), reply: dice.any() },
                5 => Act::Erase { by: dice.any(), post: dice.any() },
                _ => match choose(dice, faults) {
                    // These would bring them together again, or are no matter of keepers.
                    Act::Heal | Act::Rollback { .. } | Act::Equivocate { .. } => Act::Heal,
                    act => act,
                },
            };
            if act == Act::Heal {
                continue;
            }
            let then = if dice.chance(20) { dice.roll(200_000) } else { dice.roll(5_000) };
            acts.push((act, then));
        }
        acts.push((Act::Keeper(KeeperAct::Apart), 0));
    }
}

fn befalls(dice: &mut Dice, wicked: bool) -> KeeperAct {
    let (which, other, third) = (dice.any(), dice.any(), dice.any());
    match dice.roll(if wicked { 66 } else { 40 }) {
        0..4 => KeeperAct::Add { by: other, which },
        4..6 => KeeperAct::Dismiss { by: other, which },
        6..11 => KeeperAct::Down { which },
        11..18 => KeeperAct::Up { which },
        18..23 => KeeperAct::HangUp { who: other, which },
        23..26 => KeeperAct::Full { which },
        26..30 => KeeperAct::Room { which },
        30..33 => KeeperAct::Busy { which },
        33..38 => KeeperAct::Copy { which },
        38..40 => KeeperAct::Sleep { hours: 1 + dice.roll(110) },
        40..45 => KeeperAct::SetBack { which, to: other },
        45..49 => KeeperAct::Loses { which, part: other },
        49..54 => KeeperAct::Hides { which, what: other, from: third },
        54..58 => KeeperAct::Forgets { which },
        58..62 => KeeperAct::Nonsense { which },
        _ => KeeperAct::Reforms { which },
    }
}
