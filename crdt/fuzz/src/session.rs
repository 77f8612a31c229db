//! What peers say to a replica (S1, S2, J2): a script of streams, messages and gossip.
//!
//! A member, a newcomer and a stranger may say anything in any order: real messages, real ones with
//! bytes changed, and any bytes. Nothing panics; what is sent back can be read; what a stranger says
//! changes nothing; and whatever happened, the replica comes back from its store as it is.

mod pair;

#[path = "../../tests/replica/store.rs"]
#[expect(dead_code, reason = "tests use the rest")]
mod store;

use cairn_crdt::replica::Replica;
use cairn_crdt::replica::effect::Effect;
use cairn_crdt::replica::input::{
    Command, CommandId, GossipToken, Input, Protocol, SessionEvent, SessionId, Timer,
};
use cairn_crdt::sync::message::{JoinMessage, Message};
use cairn_crdt::time::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::script::Script;
use pair::{START, pair};
use store::Store;

/// Most acts of one script.
const ACTS: usize = 48;
/// Streams that a script speaks on.
const STREAMS: usize = 4;

/// A replica under its peers.
struct Host {
    replica: Replica,
    store: Store,
    now: Timestamp,
    rng: ChaCha20Rng,
    gossiped: u64,
}

impl Host {
    fn new() -> Self {
        let store = pair().store.clone();
        let (replica, effects) = Replica::restore(START, store.snapshot(pair().group)).unwrap();
        let rng = ChaCha20Rng::seed_from_u64(1);
        let mut host = Self { replica, store, now: START, rng, gossiped: 0 };
        host.perform(effects);
        host
    }

    /// Hands an input over, and all that the store answers.
    fn handle(&mut self, input: Input) {
        let effects = self.replica.handle(self.now, &mut self.rng, input);
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist(writes) => self.store.write(writes),
                Effect::Send { message, .. } => {
                    let read = Message::from_bytes(&message).is_ok();
                    assert!(read || JoinMessage::from_bytes(&message).is_ok());
                }
                Effect::Serve { serve, .. } => drop(self.store.serve(serve)),
                Effect::Load(load) => {
                    let entries = self.store.load(&load);
                    self.handle(Input::Loaded { load, entries });
                }
                _ => {}
            }
        }
    }

    fn event(&mut self, session: SessionId, event: SessionEvent) {
        self.handle(Input::Session { session, event });
    }

    /// One act of the script. Whose it was.
    fn act(&mut self, script: &mut Script<'_>) -> usize {
        let who = script.below(pair().peers.len());
        let peer = pair().peers[who];
        // A stream belongs to one peer for good.
        let session = SessionId((who * STREAMS + script.below(STREAMS)) as u64);
        match script.byte() % 12 {
            0 | 1 => self.open(session, who, Protocol::Sync, script),
            2 => self.open(session, who, Protocol::Join, script),
            3..6 => {
                let Some(message) = script.pick(&pair().said) else { return who };
                self.event(session, SessionEvent::Message(message.clone()));
            }
            6 => {
                let Some(message) = script.pick(&pair().said) else { return who };
                let message = changed(message, script);
                self.event(session, SessionEvent::Message(message));
            }
            7 => {
                let message = taken(script);
                self.event(session, SessionEvent::Message(message));
            }
            8 => {
                let Some(run) = script.pick(&pair().runs) else { return who };
                let bytes = match script.byte() % 3 {
                    0 => changed(run, script),
                    1 => taken(script),
                    _ => run.clone(),
                };
                self.gossiped += 1;
                self.handle(Input::Gossip { token: GossipToken(self.gossiped), from: peer, bytes });
            }
            9 => {
                self.now = self.now.after(u64::from(script.byte()) * 500);
                self.handle(Input::Timer(Timer::Tick));
            }
            10 => self.event(session, SessionEvent::Closed),
            _ => match script.byte() % 3 {
                0 => self.handle(Input::Connected { peer }),
                1 => self.handle(Input::Disconnected { peer }),
                _ => self.handle(Input::Command { id: CommandId(1), command: Command::Sync }),
            },
        }
        who
    }

    fn open(&mut self, session: SessionId, who: usize, protocol: Protocol, s: &mut Script<'_>) {
        let initiated = s.byte() % 2 == 1;
        let peer = pair().peers[who];
        self.event(session, SessionEvent::Opened { peer, protocol, initiated });
    }
}

/// A message with one to four bytes changed.
fn changed(message: &[u8], script: &mut Script<'_>) -> Vec<u8> {
    let mut bytes = message.to_vec();
    for _ in 0..=script.below(4) {
        let place = script.below(bytes.len().max(257));
        let to = script.byte();
        if let Some(byte) = bytes.get_mut(place) {
            *byte = to;
        }
    }
    bytes
}

/// So many bytes of the script as the next says.
fn taken(script: &mut Script<'_>) -> Vec<u8> {
    let length = script.below(1024).min(script.rest().len());
    (0..length).map(|_| script.byte()).collect()
}

/// The target.
pub fn session(data: &[u8]) {
    let mut script = Script::new(data);
    let mut host = Host::new();
    let before = host.replica.digest();
    let mut heard = false;
    for _ in 0..ACTS {
        if script.is_over() {
            break;
        }
        heard |= host.act(&mut script) != pair::STRANGER;
    }
    assert!(heard || host.replica.digest() == before, "a stranger was heard");
    let held = host.store.snapshot(pair().group);
    assert_eq!(host.replica.held(), held.entries.len() as u64, "held and stored differ");
    let (again, _) = Replica::restore(host.now, held).unwrap();
    assert_eq!(again.digest(), host.replica.digest(), "another set after coming back");
    assert_eq!(again.authority().digest(), host.replica.authority().digest());
    assert_eq!(again.state(), host.replica.state());
    assert_eq!(again.missing(), host.replica.missing());
}
