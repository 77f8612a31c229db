//! Who writes under which epoch, however entries are delivered (K2, K3, K4).
//!
//! A founder, a moderator, a member and a newcomer. Admissions, removals and writing happen at any
//! time; every entry reaches every replica some time, in any order that keeps each log's own. The
//! choice is the keyring's, the readers and what counts are the evaluation's.

use stateright::{Checker, Model, Property};

use cairn_crdt::capability::rank::Rank;

use crate::replicas::{NEWCOMER, REPLICAS, State, Word, clipped, counts, events, readers};
use crate::views::view;

/// The model: so many entries after those of the beginning.
#[derive(Clone)]
pub(crate) struct Replicas {
    pub(crate) entries: usize,
}

/// What happens next.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub(crate) enum Step {
    Act {
        by: usize,
        word: Word,
    },
    /// A post; an epoch is minted if none will do.
    Write {
        by: usize,
    },
    Deliver {
        to: usize,
        of: usize,
    },
}

impl Model for Replicas {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::empty()]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for to in 0..REPLICAS {
            let lacks = (0..REPLICAS).filter(|of| state.lacks(to, *of));
            steps.extend(lacks.map(|of| Step::Deliver { to, of }));
        }
        if state.written() >= self.entries {
            return;
        }
        for by in 0..REPLICAS {
            let held = view(&state.logs, &state.held[by]);
            let Some(rank) = held.rank(by) else { continue };
            if held.chosen(by).is_none() {
                steps.push(Step::Write { by });
            }
            if rank < Rank::Moderator {
                continue;
            }
            if !held.was_member(NEWCOMER) {
                steps.push(Step::Act { by, word: Word::Admit });
            }
            for whom in (1..REPLICAS).filter(|whom| held.rank(*whom).is_some_and(|of| of < rank)) {
                let whom = u8::try_from(whom).expect("few");
                for keeps in [false, true] {
                    steps.push(Step::Act { by, word: Word::Remove { whom, keeps } });
                }
            }
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        match step {
            Step::Act { by, word } => next.write(by, word),
            Step::Write { by } => next.write(by, Word::Mint),
            Step::Deliver { to, of } => next.deliver(to, of),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("k2: the readers are those of the rules", |_, state: &State| {
                let real = |by| view(&state.logs, &state.held[by]).readers();
                (0..REPLICAS).all(|by| real(by) == readers(&state.view(by)))
            }),
            Property::always("k2: nobody writes to one it knows removed or past a reader", fits),
            Property::always("k2: who hold the same write under the same", |_, s| agree(s)),
            Property::always("k2: nobody mints twice for one change", few),
            Property::always("k4: an epoch is not for whom its minter knew removed", kept_out),
            Property::sometimes("two minted at once, one is used", |_, state: &State| {
                let both = view(&state.logs, &state.whole());
                let plain = events(&state.logs).filter(|(.., event)| event.word == Word::Mint);
                let mut apart = plain.map(|(by, at, event)| (by, at, event.seen));
                let first = apart.next();
                let second = apart.next();
                let ((Some(a), Some(b)), true) = ((first, second), state.quiet()) else {
                    return false;
                };
                let alike = usize::from(b.2[a.0]) <= a.1 && usize::from(a.2[b.0]) <= b.1;
                alike && both.chosen(0).is_some_and(|(minted, _)| minted == Some((b.0, b.1)))
            }),
            Property::sometimes("an epoch falls with its minter's log", |_, state: &State| {
                let mut mints =
                    events(&state.logs).filter(|(.., event)| !matches!(event.word, Word::Admit));
                mints.any(|(by, at, _)| !counts(&state.logs, by, at))
            }),
        ]
    }
}

/// K2: whatever epoch a reader would write under is for the readers that it knows of, no more and
/// no fewer.
fn fits(_: &Replicas, state: &State) -> bool {
    (0..REPLICAS).all(|by| {
        let known = readers(&state.view(by));
        let chosen = view(&state.logs, &state.held[by]).chosen(by);
        !known[by] || chosen.is_none_or(|(_, names)| names == known)
    })
}

/// Once all is delivered all readers write under one epoch; if there is none, then under the one
/// that any of them mints next.
fn agree(state: &State) -> bool {
    if !state.quiet() {
        return true;
    }
    let known = readers(&state.logs);
    let reading = || (0..REPLICAS).filter(|by| known[*by]);
    let choices = |state: &State| -> Vec<_> {
        let held = view(&state.logs, &state.whole());
        reading().map(|by| held.chosen(by).map(|(minted, _)| minted)).collect()
    };
    let now = choices(state);
    if now.windows(2).any(|pair| pair[0] != pair[1]) {
        return false;
    }
    now.iter().any(Option::is_some)
        || reading().all(|by| {
            let mut next = state.clone();
            next.write(by, Word::Mint);
            let minted = Some(Some((by, next.logs[by].len() - 1)));
            choices(&next).iter().all(|choice| *choice == minted)
        })
}

/// Whoever mints because nothing fits has learnt of something since it last did.
fn few(_: &Replicas, state: &State) -> bool {
    (0..REPLICAS).all(|by| {
        let mints = state.logs[by].iter().filter(|event| event.word == Word::Mint).count();
        let held = state.view(by);
        let changes = events(&held).filter(|(.., event)| event.word != Word::Mint).count();
        // The beginning has an epoch that fits.
        mints <= changes
    })
}

/// K4, and of every mint: for nobody whom a removal had ended that its minter knew of.
fn kept_out(_: &Replicas, state: &State) -> bool {
    view(&state.logs, &state.whole()).mints().all(|(minted, names)| {
        let Some((by, at)) = minted else { return true };
        let event = state.logs[by][at];
        let past = clipped(&state.logs, &event.seen);
        let own = match event.word {
            Word::Remove { whom, .. } => Some(usize::from(whom)),
            _ => None,
        };
        let out = events(&past).filter_map(|(author, at, event)| match event.word {
            Word::Remove { whom, .. } if counts(&past, author, at) => Some(usize::from(whom)),
            _ => None,
        });
        out.chain(own).all(|whom| !names[whom])
    })
}

/// Takes every state of the scope. Returns how many there are.
pub(crate) fn check(entries: usize) -> usize {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = Replicas { entries }.checker().threads(threads).spawn_bfs().join();
    checker.assert_properties();
    checker.unique_state_count()
}
