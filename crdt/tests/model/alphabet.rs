//! What may be said next: the acts that the model tries in every state.

use cairn_crdt::capability::rank::Rank;

use crate::acts::{Act, Acts, PEOPLE, Ref, Rung, State, Word};

const RUNGS: [Rung; 3] = [Rung::Member, Rung::Moderator, Rung::Steward];

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// Control entries besides the genesis and the cards.
    pub(crate) entries: usize,
    /// Also what the rules give no effect: to grant as high as one stands, to remove one's like.
    pub(crate) futile: bool,
    /// Logs that may fork, each once.
    pub(crate) forks: usize,
}

/// A grant of a state.
#[derive(Clone, Copy)]
struct Held {
    id: Ref,
    of: u8,
    rank: Rank,
}

fn grants(state: &State) -> Vec<Held> {
    let mut held = vec![Held { id: 0, of: 0, rank: Rank::Founder }];
    for (id, act) in state.named() {
        match act.word {
            Word::Grant { to, rank, .. } => held.push(Held { id, of: to, rank: rank.rank() }),
            Word::Replace { grant, .. } => {
                let of = held.iter().find(|held| held.id == grant).map_or(0, |held| held.of);
                held.push(Held { id, of, rank: Rank::Member });
            }
            _ => {}
        }
    }
    held
}

/// One member's log.
struct Log {
    /// All acts in it.
    written: Vec<(Ref, Ref)>,
    card: Ref,
}

impl Log {
    fn of(state: &State, who: u8) -> Self {
        let written = state.named().filter(|(_, act)| act.by == who);
        Self { written: written.map(|(id, act)| (id, act.after)).collect(), card: who }
    }

    /// Entries that no other follows; none but the card, if there is no more.
    fn heads(&self) -> Vec<Ref> {
        let followed = |id: Ref| self.written.iter().any(|(_, after)| *after == id);
        self.written.iter().map(|(id, _)| *id).filter(|id| !followed(*id)).collect()
    }

    fn forked(&self) -> bool {
        self.heads().len() > 1
    }

    /// Where the next entry may stand: on a head, or beside the only one (A7).
    fn places(&self, may_fork: bool) -> Vec<Ref> {
        let mut places = self.heads();
        if let ([head], true) = (places.as_slice(), may_fork) {
            places.extend(self.written.iter().find(|(id, _)| id == head).map(|(_, after)| *after));
        }
        if places.is_empty() {
            places.push(self.card);
        }
        places
    }

    /// Nothing, the first entry, the newest.
    fn cuts(&self) -> Vec<Option<Ref>> {
        let mut cuts = vec![None];
        let firsts = self.written.iter().filter(|(_, after)| *after == self.card);
        cuts.extend(firsts.map(|(id, _)| Some(*id)));
        cuts.extend(self.heads().into_iter().map(Some));
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }
}

/// All acts that a state may be followed by.
pub(crate) fn next(state: &State, scope: Scope) -> Vec<Act> {
    let held = grants(state);
    let logs: Vec<Log> = (0..PEOPLE).map(|who| Log::of(state, who)).collect();
    let forked = logs.iter().filter(|log| log.forked()).count();
    let mut acts = Vec::new();
    for (by, log) in (0..PEOPLE).zip(&logs) {
        let own: Vec<Held> = held.iter().filter(|held| held.of == by).copied().collect();
        for after in log.places(forked < scope.forks) {
            for under in &own {
                let mut words = Vec::new();
                may_grant(state, *under, scope, &mut words);
                may_deny(&held, &logs, *under, scope, &mut words);
                may_pin(&logs, *under, &mut words);
                acts.extend(words.into_iter().map(|word| Act { by, after, under: under.id, word }));
            }
            let left = |act: &Act| act.by == by && matches!(act.word, Word::Leave { .. });
            if !own.is_empty() && !state.acts().iter().any(left) {
                let grants = own.iter().filter_map(|held| held.id.checked_sub(PEOPLE));
                let grants: Acts = grants.map(|at| 1 << at).fold(0, |all, bit: u8| all | bit);
                let heads = log.heads();
                let cut = heads.first().copied();
                // The founder's own grant is the genesis.
                let word = Word::Leave { grants, cut };
                acts.push(Act { by, after, under: 0, word });
            }
        }
    }
    acts
}

fn may_grant(state: &State, under: Held, scope: Scope, words: &mut Vec<Word>) {
    if under.rank < Rank::Moderator {
        return;
    }
    for rank in RUNGS {
        // A moderator has not the ability to appoint, and so appoints nobody.
        let useful =
            rank.rank() < under.rank && (rank == Rung::Member || under.rank > Rank::Moderator);
        if !useful && !scope.futile {
            continue;
        }
        for to in 1..PEOPLE {
            let removes = |act: &Act| matches!(act.word, Word::Remove { whom, .. } if whom == to);
            let removals = state.named().filter(|(_, act)| removes(act));
            let all = removals.map(|(id, _)| 1 << (id - PEOPLE)).fold(0, |all, bit: u8| all | bit);
            words.push(Word::Grant { to, rank, cites: 0 });
            if all != 0 {
                words.push(Word::Grant { to, rank, cites: all });
            }
        }
    }
}

fn may_deny(held: &[Held], logs: &[Log], under: Held, scope: Scope, words: &mut Vec<Word>) {
    if under.rank < Rank::Moderator {
        return;
    }
    for whom in (0..PEOPLE).filter(|whom| *whom != under.of) {
        let mut ranks = held.iter().filter(|held| held.of == whom).map(|held| held.rank);
        if scope.futile || ranks.all(|rank| rank < under.rank) {
            let cuts = logs[usize::from(whom)].cuts().into_iter();
            words.extend(cuts.map(|cut| Word::Remove { whom, cut }));
        }
    }
    for other in held.iter().filter(|held| held.of != under.of) {
        if scope.futile || other.rank < under.rank {
            for cut in logs[usize::from(other.of)].cuts() {
                words.push(Word::Revoke { grant: other.id, cut });
                // Instead of what one may not end, one cannot confer anything either.
                if other.of != 0 {
                    words.push(Word::Replace { grant: other.id, cut });
                }
            }
        }
    }
}

fn may_pin(logs: &[Log], under: Held, words: &mut Vec<Word>) {
    for (of, log) in (0..).zip(logs).filter(|(_, log)| log.forked()) {
        for head in log.heads() {
            if of == under.of {
                words.push(Word::OwnPin { head });
            } else if under.rank > Rank::Member {
                words.push(Word::Pin { head });
            }
        }
    }
}
