//! A persona's network and a keeper's relay, each alone at a machine of a small internet.

use std::collections::VecDeque;
use std::future::Future;
use std::net::Ipv4Addr;

use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::TransportKey;
use cairn_crdt::replica::input::{Protocol, SessionId};
use cairn_node::config::Way;
use cairn_node::network::{
    KeeperContact, Network, NetworkCommand, NetworkConfig, NetworkEvent, Reachability,
};
use cairn_tests::net::Machine;
use cairn_tests::patience::until;
use futures::StreamExt as _;
use libp2p::autonat::v2::server;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{Multiaddr, Swarm, SwarmBuilder, identify, noise, relay, tcp, yamux};
use tokio::sync::mpsc;

/// The port of a relay.
const PORT: u16 = 4001;

/// Runs something asynchronous at a machine, for as long as the test runs.
fn run<F: Future<Output = ()>>(machine: &Machine, work: impl FnOnce() -> F + Send + 'static) {
    drop(machine.inside(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { work().await });
    }));
}

#[derive(NetworkBehaviour)]
struct Keeper {
    relay: relay::Behaviour,
    probes: server::Behaviour,
    identify: identify::Behaviour,
}

/// How a relay is called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Tcp,
    Quic,
}

/// Starts a relay that also calls back; how to call it.
pub(crate) fn relay(machine: &Machine, call: Call) -> KeeperContact {
    let (tell, told) = std::sync::mpsc::channel();
    let host = machine.address;
    run(machine, move || async move {
        let config = relay::Config { max_circuit_bytes: 0, ..relay::Config::default() };
        let mut swarm: Swarm<Keeper> = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_quic()
            .with_behaviour(|key| Keeper {
                relay: relay::Behaviour::new(key.public().to_peer_id(), config),
                probes: server::Behaviour::default(),
                identify: identify::Behaviour::new(identify::Config::new(
                    String::new(),
                    key.public(),
                )),
            })
            .unwrap()
            .build();
        for call in [Call::Tcp, Call::Quic] {
            swarm.listen_on(address(host, call)).unwrap();
            swarm.add_external_address(address(host, call));
        }
        let key = *swarm.local_peer_id();
        let key = libp2p::identity::PublicKey::try_decode_protobuf(key.as_ref().digest()).unwrap();
        let key = TransportKey::from_bytes(key.try_into_ed25519().unwrap().to_bytes());
        tell.send(key).unwrap();
        loop {
            swarm.select_next_some().await;
        }
    });
    let transport = told.recv().unwrap();
    KeeperContact { transport, addresses: vec![address(host, call)] }
}

fn address(host: Ipv4Addr, call: Call) -> Multiaddr {
    match call {
        Call::Tcp => format!("/ip4/{host}/tcp/{PORT}"),
        Call::Quic => format!("/ip4/{host}/udp/{PORT}/quic-v1"),
    }
    .parse()
    .unwrap()
}

/// A persona's network.
pub(crate) struct Bare {
    pub(crate) key: TransportKey,
    commands: mpsc::Sender<NetworkCommand>,
    events: mpsc::Receiver<NetworkEvent>,
    backlog: VecDeque<NetworkEvent>,
}

impl Bare {
    /// Starts one; it knows these keepers.
    pub(crate) fn at(machine: &Machine, seed: u8, way: Way, keepers: &[KeeperContact]) -> Self {
        let key = SigningKey::from_seed(&[seed; 32]);
        let public = TransportKey::from_bytes(key.verifying_key());
        let (sender, events) = mpsc::channel(1000);
        let (tell, told) = std::sync::mpsc::channel();
        let listen = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"];
        run(machine, move || async move {
            let config = NetworkConfig {
                key,
                topic: [9; 32],
                listen: listen.iter().map(|address| address.parse().unwrap()).collect(),
                mdns: false,
                upnp: false,
                way,
                jitter: [seed; 32],
            };
            let (commands, network) = Network::start(config, sender).unwrap();
            tell.send(commands).unwrap();
            network.await;
        });
        let commands = told.recv().unwrap();
        let bare = Self { key: public, commands, events, backlog: VecDeque::new() };
        bare.command(NetworkCommand::Keepers(keepers.to_vec()));
        bare
    }

    pub(crate) fn command(&self, command: NetworkCommand) {
        self.commands.blocking_send(command).unwrap();
    }

    /// The first event, of those that came and those to come, that `pick` makes something of.
    pub(crate) fn wait<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&NetworkEvent) -> Option<T>,
    ) -> T {
        until(what, || {
            while let Ok(event) = self.events.try_recv() {
                self.backlog.push_back(event);
            }
            let found = self.backlog.iter().enumerate();
            let (at, picked) = found.into_iter().find_map(|(at, e)| Some((at, pick(e)?)))?;
            self.backlog.remove(at);
            Some(picked)
        })
    }

    /// All that it told and nobody waited for.
    pub(crate) fn told(&mut self) -> &VecDeque<NetworkEvent> {
        while let Ok(event) = self.events.try_recv() {
            self.backlog.push_back(event);
        }
        &self.backlog
    }

    /// Where it can be called, as soon as that is through a relay.
    pub(crate) fn circuits(&mut self) -> Vec<Multiaddr> {
        self.wait("a place at a relay", |event| {
            let NetworkEvent::Listening(told) = event else { return None };
            let read = |bytes: &Vec<u8>| Multiaddr::try_from(bytes.clone()).unwrap();
            let told: Vec<Multiaddr> = told.iter().map(read).collect();
            told.iter().any(|a| a.to_string().ends_with("/p2p-circuit")).then_some(told)
        })
    }

    pub(crate) fn reached(&mut self, so: impl Fn(&Reachability) -> bool) {
        self.wait("a judgement of how it is reached", |event| match event {
            NetworkEvent::Reachability(judged) => so(judged).then_some(()),
            _ => None,
        });
    }

    /// Seeks a member where it says that it is.
    pub(crate) fn seek(&self, other: &Self, at: &[Multiaddr]) {
        let addresses = at.iter().map(Multiaddr::to_vec).collect();
        self.command(NetworkCommand::Seek { peer: other.key, addresses });
    }

    /// Waits until it says by which way a member is reached.
    pub(crate) fn until_relayed(&mut self, other: TransportKey, so: bool) {
        self.wait(if so { "a relayed connection" } else { "a direct connection" }, |event| {
            let NetworkEvent::Relayed { peer, relayed } = event else { return None };
            (*peer == other && *relayed == so).then_some(())
        });
    }
}

/// Two who are members of each other's group.
pub(crate) fn befriend(a: &Bare, b: &Bare) {
    a.command(NetworkCommand::Members([b.key].into()));
    b.command(NetworkCommand::Members([a.key].into()));
}

/// Sends messages from one to the other on a new stream and waits for them all; how many bytes.
pub(crate) fn send(a: &mut Bare, b: &mut Bare, messages: usize, bytes: usize) -> usize {
    a.command(NetworkCommand::Open { peer: b.key, protocol: Protocol::Sync });
    let opened = |event: &NetworkEvent| match event {
        NetworkEvent::SessionOpened { session, .. } => Some(*session),
        _ => None,
    };
    let (at_a, at_b): (SessionId, SessionId) =
        (a.wait("a stream", opened), b.wait("the stream's other end", opened));
    for _ in 0..messages {
        a.command(NetworkCommand::Send { session: at_a, message: vec![7; bytes] });
        let message = b.wait("a message", |event| match event {
            NetworkEvent::Message { session, message } if *session == at_b => Some(message.len()),
            _ => None,
        });
        assert_eq!(message, bytes);
        b.command(NetworkCommand::Taken { session: at_b });
        a.wait("the message was written", |event| {
            matches!(event, NetworkEvent::Drained(session) if *session == at_a).then_some(())
        });
    }
    messages * bytes
}
