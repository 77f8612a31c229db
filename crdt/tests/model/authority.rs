//! All sets of a few control entries, up to the names of the three who are not the founder, each
//! evaluated as it is (A1-A9, A11).
//!
//! The founder, and three who can be granted a rank; each with one device. Whoever was granted
//! anything grants, removes, revokes, replaces, pins, leaves, and perhaps forks its log; with
//! cuts at nothing, at the first entry or at the newest. A state is a set, so every order in which
//! its entries can be written leads to the same one.

use stateright::{Checker, Model, Property};

use crate::acts::{Act, State};
use crate::alphabet::{Scope, next};
use crate::laws_explained::LAW as EXPLAINED;
use crate::laws_standing::{REVIVAL, STANDING};
use crate::verdict::{DENIED, FOUNDER, ORACLE, ORDER, TAKES, ask};

/// The model.
#[derive(Clone)]
pub(crate) struct Groups(pub(crate) Scope);

impl Model for Groups {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        vec![State::empty()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Act>) {
        if state.acts().len() < self.0.entries {
            actions.extend(next(state, self.0));
        }
    }

    fn next_state(&self, state: &State, act: Act) -> Option<State> {
        state.with(act)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let holds = [
            Property::always(ORDER, |_, state| holds(state, ORDER)),
            Property::always(ORACLE, |_, state| holds(state, ORACLE)),
            Property::always(REVIVAL, |_, state| holds(state, REVIVAL)),
            Property::always(STANDING, |_, state| holds(state, STANDING)),
            Property::always(EXPLAINED, |_, state| holds(state, EXPLAINED)),
            Property::always(FOUNDER, |_, state| holds(state, FOUNDER)),
            Property::always(DENIED, |_, state| holds(state, DENIED)),
            Property::always(TAKES, |_, state| holds(state, TAKES)),
        ];
        let mut all = Vec::from(holds);
        if self.0.entries >= 3 {
            all.extend([
                Property::sometimes("orphaned", |_, s| happens(s, "an orphaned denial")),
                Property::sometimes("back", |_, s| happens(s, "a member who was removed is back")),
                Property::sometimes("empty", |_, s| happens(s, "a group without members")),
                Property::sometimes("revived", |_, s| happens(s, "revived from above")),
            ]);
        }
        if self.0.entries >= 4 && self.0.forks > 0 {
            all.extend([
                Property::sometimes("parked", |_, s| happens(s, "parked")),
                Property::sometimes("suspended", |_, s| happens(s, "a suspended denial")),
                Property::sometimes("selected", |_, s| happens(s, "a branch selected")),
            ]);
        }
        all
    }
}

fn holds(state: &State, law: &str) -> bool {
    ask(state, |report| !report.broken.contains(law))
}

fn happens(state: &State, what: &str) -> bool {
    ask(state, |report| report.coverage.0.contains(what))
}

/// Takes every state of a scope, and panics with the shortest way to one where a law does not
/// hold. Returns how many states there are.
pub(crate) fn check(scope: Scope) -> usize {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = Groups(scope).checker().threads(threads).spawn_bfs().join();
    checker.assert_properties();
    checker.unique_state_count()
}
