//! Four replicas in short: what each has written, and how much of every log each holds.

/// The founder, a moderator, a member, and one who is not admitted yet. Each has one device.
pub(crate) const REPLICAS: usize = 4;
/// The one who is not admitted yet.
pub(crate) const NEWCOMER: usize = 3;

/// How much of every log: the number of entries after those of the beginning.
pub(crate) type Clock = [u8; REPLICAS];

/// An entry after those of the beginning, and what its author held when writing it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub(crate) struct Event {
    pub(crate) word: Word,
    pub(crate) seen: Clock,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub(crate) enum Word {
    /// A grant for the newcomer.
    Admit,
    /// With a fresh epoch in the same entry (K4). The cut: up to what the remover holds, or nothing.
    Remove { whom: u8, keeps: bool },
    /// An epoch for all readers that its author knows of.
    Mint,
}

/// All logs.
pub(crate) type Logs = [Vec<Event>; REPLICAS];

/// What everybody has written and holds. Two ways to get there are one state.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub(crate) struct State {
    pub(crate) logs: Logs,
    pub(crate) held: [Clock; REPLICAS],
}

impl State {
    pub(crate) fn empty() -> Self {
        Self { logs: Logs::default(), held: [[0; REPLICAS]; REPLICAS] }
    }

    /// What a replica holds.
    pub(crate) fn view(&self, of: usize) -> Logs {
        clipped(&self.logs, &self.held[of])
    }

    pub(crate) fn write(&mut self, by: usize, word: Word) {
        self.logs[by].push(Event { word, seen: self.held[by] });
        self.held[by][by] += 1;
    }

    /// The next entry of one log reaches a replica.
    pub(crate) fn deliver(&mut self, to: usize, of: usize) {
        self.held[to][of] += 1;
    }

    /// How long all logs are.
    pub(crate) fn whole(&self) -> Clock {
        self.logs.each_ref().map(|log| u8::try_from(log.len()).expect("few"))
    }

    pub(crate) fn written(&self) -> usize {
        self.logs.iter().map(Vec::len).sum()
    }

    pub(crate) fn lacks(&self, who: usize, of: usize) -> bool {
        usize::from(self.held[who][of]) < self.logs[of].len()
    }

    /// Whether everybody holds everything.
    pub(crate) fn quiet(&self) -> bool {
        (0..REPLICAS).all(|who| (0..REPLICAS).all(|of| !self.lacks(who, of)))
    }
}

/// The beginning of all logs.
pub(crate) fn clipped(logs: &Logs, to: &Clock) -> Logs {
    let mut view = logs.clone();
    for (log, length) in view.iter_mut().zip(to) {
        log.truncate(usize::from(*length));
    }
    view
}

/// All events with who wrote them and at which place.
pub(crate) fn events(logs: &Logs) -> impl Iterator<Item = (usize, usize, &Event)> {
    let logs = logs.iter().enumerate();
    logs.flat_map(|(by, log)| log.iter().enumerate().map(move |(at, event)| (by, at, event)))
}

/// Whether the event of `by` at `at` counts for whoever holds these logs, by the text of the rules:
/// a moderator's does unless the founder has removed it with a cut below, or with one that is not
/// held. Nobody removes the founder.
pub(crate) fn counts(logs: &Logs, by: usize, at: usize) -> bool {
    removals(logs, by).all(|(remover, place, event)| {
        let Word::Remove { keeps, .. } = event.word else { return true };
        let head = usize::from(event.seen[by]);
        let kept = keeps && at < head && head <= logs[by].len();
        // A removal that does not count itself ends nothing.
        kept || (remover != 0 && !counts(logs, remover, place))
    })
}

fn removals(logs: &Logs, whom: usize) -> impl Iterator<Item = (usize, usize, &Event)> {
    events(logs).filter(
        move |(.., event)| matches!(event.word, Word::Remove { whom: of, .. } if usize::from(of) == whom),
    )
}

/// Who may read, by the text of the rules.
pub(crate) fn readers(logs: &Logs) -> [bool; REPLICAS] {
    let admitted =
        events(logs).any(|(by, at, event)| event.word == Word::Admit && counts(logs, by, at));
    let mut reads = [true, true, true, admitted];
    for (by, at, event) in events(logs) {
        if let Word::Remove { whom, .. } = event.word
            && counts(logs, by, at)
        {
            reads[usize::from(whom)] = false;
        }
    }
    reads
}
