//! What happens in one run, a line each: for whoever looks into a seed that fails.

use cairn_crdt::log::run::Run;
use cairn_crdt::mailbox::message::{KeeperReply, Putting};
use cairn_crdt::replica::effect::{Effect, KeeperAsk, Write};
use cairn_crdt::replica::input::{Input, Protocol, SessionEvent};
use cairn_crdt::replica::keepers::KeeperEvent;
use cairn_crdt::sync::message::{JoinMessage, Message};

use crate::world::World;

fn short(shown: &str) -> String {
    shown.chars().take(160).collect()
}

pub fn message(protocol: Protocol, bytes: &[u8]) -> String {
    match protocol {
        Protocol::Join => match JoinMessage::from_bytes(bytes) {
            Ok(JoinMessage::Request(_)) => "Request".to_owned(),
            Ok(other) => format!("{other:?}"),
            Err(_) => "nonsense".to_owned(),
        },
        Protocol::Sync => match Message::from_bytes(bytes) {
            Ok(Message::Run(run)) => format!("Run of {}", run_of(run)),
            Ok(Message::Want { wants, content }) => {
                format!("Want {} logs, content {content}", wants.len())
            }
            Ok(Message::Payloads(payloads)) => format!("{} payloads", payloads.len()),
            Ok(Message::Frontier(frontier)) => format!("Frontier of {}", frontier.0.iter().count()),
            Ok(Message::Receipt(receipt)) => {
                format!("Receipt {} of {:?}", receipt.count, receipt.device)
            }
            Ok(Message::Passport(_)) => "Passport".to_owned(),
            Ok(other) => short(&format!("{other:?}")),
            Err(_) => "nonsense".to_owned(),
        },
    }
}

fn run_of(run: Run) -> String {
    // Version, suite, then the group: what a run begins with.
    let bytes = run.to_bytes();
    let group = bytes.get(2..34).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
    let Ok(entries) = run.verify(cairn_crdt::id::GroupId::from_bytes(group)) else {
        return "genesis or nonsense".to_owned();
    };
    let shown = entries.iter().map(|entry| {
        let entry = entry.get();
        let payload = if entry.payload.is_some() { "" } else { " bare" };
        format!("{:?}:{} {:?}{payload}", entry.header.device, entry.header.seq, entry.header.kind)
    });
    shown.collect::<Vec<_>>().join(", ")
}

impl World {
    pub fn trace_input(&self, who: usize, input: &Input) {
        if !self.tracing {
            return;
        }
        let shown = match input {
            Input::Session { session, event: SessionEvent::Message(bytes) } => {
                let protocol = self.network.protocol(*session);
                format!("{session:?} {}", message(protocol.unwrap_or(Protocol::Sync), bytes))
            }
            Input::Gossip { bytes, .. } => match Run::from_bytes(bytes) {
                Ok(run) => format!("Gossip of {}", run_of(run)),
                Err(_) => "Gossip: nonsense".to_owned(),
            },
            Input::Loaded { entries, .. } => format!("Loaded {} entries", entries.len()),
            Input::Timer(_) => return,
            Input::Keeper { event, .. } => shown_event(event),
            other => short(&format!("{other:?}")),
        };
        println!("{:>9} {who} <- {shown}", self.now - crate::world::START);
    }

    pub fn trace_effects(&self, who: usize, effects: &[Effect]) {
        if !self.tracing {
            return;
        }
        for effect in effects {
            let shown = match effect {
                Effect::Persist(writes) => {
                    let all: Vec<String> = writes.iter().map(shown_write).collect();
                    format!("Persist {}", all.join(", "))
                }
                Effect::Send { session, message: bytes } => {
                    let protocol = self.network.protocol(*session).unwrap_or(Protocol::Sync);
                    format!("{session:?} {}", message(protocol, bytes))
                }
                Effect::Open { protocol, .. } => format!("Open {protocol:?}"),
                Effect::Close { session } => format!("Close {session:?}"),
                Effect::Disconnect { .. } => "Disconnect".to_owned(),
                Effect::Publish(_) => "Publish".to_owned(),
                Effect::Load(load) => short(&format!("Load {load:?}")),
                Effect::Reply { reply, .. } => match reply {
                    Ok(_) => "Reply".to_owned(),
                    Err(why) => format!("Reply: {why}"),
                },
                Effect::Notify(event) => short(&format!("{event:?}")),
                Effect::Verdict { verdict, .. } => format!("{verdict:?}"),
                Effect::Keeper { ask, .. } => shown_ask(ask),
                _ => continue,
            };
            println!("{:>9} {who}    -> {shown}", self.now - crate::world::START);
        }
    }
}

fn shown_event(event: &KeeperEvent) -> String {
    match event {
        KeeperEvent::Answer(KeeperReply::Records { records, more }) => {
            let places: Vec<u64> = records.iter().map(|record| record.cursor.0).collect();
            format!("Keeper: records {places:?}, more {more}")
        }
        KeeperEvent::Compared { there, here } => {
            format!("Keeper: compared, {} there, {} here", there.len(), here.len())
        }
        KeeperEvent::Deposited(all) => {
            let puttings: Vec<Putting> = all.iter().map(|one| one.putting).collect();
            format!("Keeper: deposited {puttings:?}")
        }
        other => short(&format!("Keeper: {other:?}")),
    }
}

fn shown_ask(ask: &KeeperAsk) -> String {
    match ask {
        KeeperAsk::Reach { .. } => "Keeper: Reach".to_owned(),
        KeeperAsk::Leave => "Keeper: Leave".to_owned(),
        KeeperAsk::Open { .. } => "Keeper: Open".to_owned(),
        KeeperAsk::Drop { .. } => "Keeper: Drop".to_owned(),
        KeeperAsk::Deposit(deposit) => format!("Keeper: Deposit {} paths", deposit.paths.len()),
        KeeperAsk::Compare { held } => format!("Keeper: Compare {}", held.len()),
        KeeperAsk::Request(request) => short(&format!("Keeper: {request:?}")),
    }
}

fn shown_write(write: &Write) -> String {
    match write {
        Write::Entry { id, header, .. } => {
            format!("{id:?} = {:?}:{} {:?}", header.device, header.seq, header.kind)
        }
        Write::Persona(_) => "Persona".to_owned(),
        other => format!("{other:?}").chars().take(70).collect(),
    }
}
