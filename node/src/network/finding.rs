//! Finding members whose addresses have all changed: small sealed records in a table that keepers
//! hold (M5).
//!
//! What the records are and under which keys they stand is the core's to say
//! ([`cairn_crdt::discovery`]); here bytes are put and looked for. It happens in bursts: when there is
//! something to do, a Swarm with an identity drawn for it connects to the keepers, does it, and is
//! thrown away. So the table sees neither a persona's peer id, nor that two bursts are of one node.
//! Within a burst it does see that somebody asks for these keys together.
//!
//! With relays only, no server but the group's own keepers is asked: a member could run one that
//! stands near a key, to learn who calls at it.

mod burst;

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;

use cairn_crdt::limits::WHEREABOUTS_BYTES;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::reconnect::{self, until};
use super::{KeeperContact, policy};
use crate::config::Way;
use burst::{Burst, Outcome};

/// What the driver asks for.
#[derive(Debug)]
pub enum FindingCommand {
    /// From now on these keepers hold the table. Without any, what is asked for waits.
    Keepers(Vec<KeeperContact>),
    /// Put a record now and every few hours from now on, in place of an earlier one under the same
    /// key. It is forgotten after a day, or when more than a few are put.
    Publish {
        /// Under which key.
        key: [u8; 32],
        /// `limits::WHEREABOUTS_BYTES` bytes.
        value: Vec<u8>,
    },
    /// Look once for what stands under a key.
    Look {
        /// The key.
        key: [u8; 32],
    },
    /// Stop.
    Shutdown,
}

/// What came of it.
#[derive(Debug, Eq, PartialEq)]
pub enum FindingEvent {
    /// Something stands under a key: whether it is what it should be, the core says. There may be
    /// several, each told once.
    Found {
        /// The key.
        key: [u8; 32],
        /// `limits::WHEREABOUTS_BYTES` bytes.
        value: Vec<u8>,
    },
    /// All that was to be learnt of a key has been told.
    Looked {
        /// The key.
        key: [u8; 32],
    },
    /// A record was put, at one keeper at least.
    Published {
        /// The key.
        key: [u8; 32],
    },
}

/// What finding needs to start.
#[derive(Debug)]
pub struct FindingConfig {
    /// How this node reaches others.
    pub way: Way,
    /// Seed of identities and pauses; random.
    pub random: [u8; 32],
}

/// Finding, for one group.
#[derive(Debug)]
pub struct Finding;

impl Finding {
    /// Nothing happens until the returned future is polled; it ends after
    /// [`FindingCommand::Shutdown`], or when the other end of either channel is gone. To be called
    /// inside a Tokio runtime.
    pub fn start(
        config: FindingConfig,
        events: mpsc::Sender<FindingEvent>,
    ) -> (mpsc::Sender<FindingCommand>, impl Future<Output = ()> + Send + use<>) {
        let (sender, commands) = mpsc::channel(policy::COMMANDS);
        let finding = Loop {
            way: config.way,
            chance: ChaCha20Rng::from_seed(config.random),
            commands,
            events,
            outbox: VecDeque::new(),
            keepers: Vec::new(),
            jobs: VecDeque::new(),
            published: BTreeMap::new(),
            burst: None,
            failures: 0,
            rests_until: None,
        };
        (sender, finding.run())
    }
}

/// One thing to do.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Job {
    Put([u8; 32]),
    Look([u8; 32]),
}

struct Kept {
    value: Vec<u8>,
    since: Instant,
    again: Instant,
}

struct Loop {
    way: Way,
    chance: ChaCha20Rng,
    commands: mpsc::Receiver<FindingCommand>,
    events: mpsc::Sender<FindingEvent>,
    outbox: VecDeque<FindingEvent>,
    keepers: Vec<KeeperContact>,
    jobs: VecDeque<Job>,
    published: BTreeMap<[u8; 32], Kept>,
    burst: Option<Burst>,
    failures: u32,
    rests_until: Option<Instant>,
}

impl Loop {
    async fn run(mut self) {
        loop {
            self.prepare().await;
            let keeps_up = self.outbox.len() < policy::EVENTS_WAITING;
            let wake = self.wake();
            let events = self.events.clone();
            tokio::select! {
                command = self.commands.recv() => match command {
                    None | Some(FindingCommand::Shutdown) => return,
                    Some(command) => self.command(command),
                },
                room = events.reserve(), if !self.outbox.is_empty() => match room {
                    Ok(room) => {
                        if let Some(event) = self.outbox.pop_front() {
                            room.send(event);
                        }
                    }
                    Err(_) => return,
                },
                () = events.closed() => return,
                outcome = next(&mut self.burst), if keeps_up => self.came(outcome),
                () = until(wake) => {}
            }
        }
    }

    fn command(&mut self, command: FindingCommand) {
        let now = Instant::now();
        match command {
            FindingCommand::Keepers(mut keepers) => {
                keepers.truncate(policy::KEEPERS);
                if keepers != self.keepers {
                    (self.keepers, self.failures, self.rests_until) = (keepers, 0, None);
                    self.end_burst();
                }
            }
            FindingCommand::Publish { key, value } if value.len() == WHEREABOUTS_BYTES => {
                self.published.insert(key, Kept { value, since: now, again: now });
                while self.published.len() > policy::PUBLISHED {
                    let oldest = self.published.iter().min_by_key(|(_, kept)| kept.since);
                    let Some((oldest, _)) = oldest else { break };
                    let oldest = *oldest;
                    self.published.remove(&oldest);
                }
            }
            FindingCommand::Look { key } => self.add(Job::Look(key)),
            FindingCommand::Publish { .. } | FindingCommand::Shutdown => {}
        }
    }

    fn add(&mut self, job: Job) {
        let runs = self.burst.as_ref().is_some_and(|burst| burst.does(&job));
        if !runs && !self.jobs.contains(&job) && self.jobs.len() < policy::FINDING_JOBS {
            self.jobs.push_back(job);
        }
    }

    /// Takes up what is due, and begins or ends a burst.
    async fn prepare(&mut self) {
        let now = Instant::now();
        let day = policy::PUBLISHED_FOR;
        self.published.retain(|_, kept| now.duration_since(kept.since) < day);
        let due = self.published.iter().filter(|(_, kept)| kept.again <= now);
        for key in due.map(|(key, _)| *key).collect::<Vec<_>>() {
            let pause =
                policy::REPUBLISH.mul_f64(0.75 + f64::from(self.chance.next_u32() % 512) / 1024.0);
            if let Some(kept) = self.published.get_mut(&key) {
                kept.again = now.checked_add(pause).unwrap_or(now);
            }
            self.add(Job::Put(key));
        }
        if self.burst.as_ref().is_some_and(|burst| burst.is_over(now)) {
            self.end_burst();
        }
        if self.jobs.is_empty() || self.keepers.is_empty() || !self.is_rested(now) {
            return;
        }
        if self.burst.is_none() {
            let mut seed = [0; 32];
            self.chance.fill_bytes(&mut seed);
            match Burst::begin(self.way, &self.keepers, seed).await {
                Ok(burst) => self.burst = Some(burst),
                Err(error) => {
                    tracing::warn!(%error, "members cannot be looked for");
                    self.rest();
                    return;
                }
            }
        }
        let Some(burst) = &mut self.burst else { return };
        while burst.has_room()
            && let Some(job) = self.jobs.pop_front()
        {
            match &job {
                Job::Look(key) => burst.look(*key),
                Job::Put(key) => {
                    if let Some(kept) = self.published.get(key) {
                        burst.put(*key, kept.value.clone());
                    }
                }
            }
        }
    }

    fn came(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Found(key, value) => {
                self.outbox.push_back(FindingEvent::Found { key, value });
            }
            Outcome::Looked(key) => self.outbox.push_back(FindingEvent::Looked { key }),
            Outcome::Put(key) => {
                self.failures = 0;
                self.outbox.push_back(FindingEvent::Published { key });
            }
            Outcome::NotPut(key) => {
                self.add(Job::Put(key));
                self.end_burst();
                self.rest();
            }
            Outcome::Nothing => {}
        }
    }

    /// Ends a burst; what it has not done is done by the next.
    fn end_burst(&mut self) {
        if let Some(burst) = self.burst.take() {
            for job in burst.into_unfinished() {
                self.add(job);
            }
        }
    }

    fn rest(&mut self) {
        let pause = reconnect::pause(self.failures, self.chance.next_u32());
        self.failures = self.failures.saturating_add(1);
        self.rests_until = Instant::now().checked_add(pause);
    }

    fn is_rested(&self, now: Instant) -> bool {
        self.rests_until.is_none_or(|until| until <= now)
    }

    fn wake(&self) -> Option<Instant> {
        let now = Instant::now();
        let again = self.published.values().map(|kept| kept.again).min();
        let rest = self.rests_until.filter(|until| *until > now && !self.jobs.is_empty());
        let over = self.burst.as_ref().and_then(Burst::ends_at);
        [again, rest, over].into_iter().flatten().min()
    }
}

async fn next(burst: &mut Option<Burst>) -> Outcome {
    match burst {
        Some(burst) => burst.next().await,
        None => std::future::pending().await,
    }
}
