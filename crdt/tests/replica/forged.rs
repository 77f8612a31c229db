//! What a member's own device may not do with another's documents, though its entries count (C1).

use cairn_crdt::capability::rank::Rank;
use cairn_crdt::capability::revocation::Erase;
use cairn_crdt::codec;
use cairn_crdt::crypto::aead::{Nonce, SymmetricKey};
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::document::change::Actor;
use cairn_crdt::document::kinds::{Content, response};
use cairn_crdt::document::sealing::{self, DocumentKey, ENVELOPE_BYTES, Envelope};
use cairn_crdt::epoch::secret::EpochSecret;
use cairn_crdt::id::{DocumentId, EntryId, EpochId, GrantId, PayloadHash};
use cairn_crdt::log::entry::{Control, Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};
use cairn_crdt::log::run::{Entry, Run};
use cairn_crdt::replica::effect::{PostState, Row};
use cairn_crdt::replica::input::{Command, GossipToken, ImportedPost, Input, ResponseWord};

use crate::community::Community;

/// Signs entries as a person's device, one after the other, behind its replica's back.
struct Forger {
    key: SigningKey,
    header: Header,
}

impl Forger {
    fn new(c: &Community, who: usize) -> Self {
        let seed: [u8; 32] = c.people[who].store.persona[78..110].try_into().unwrap();
        let replica = &c.people[who].replica;
        let (seq, prev) = *replica.set().log(&replica.device()).unwrap().heads().last().unwrap();
        let header = Header {
            version: VERSION,
            suite: SUITE,
            group: replica.group(),
            device: replica.device(),
            seq,
            prev,
            grant: GrantId::NONE,
            kind: Kind::CONTENT,
            payload: PayloadHash::from_bytes([0; 32]),
            size: 0,
            sealing: Sealing::Clear,
            seen: Seen::default(),
        };
        Self { key: SigningKey::from_seed(&seed), header }
    }

    fn sign(&mut self, header: Header, payload: Vec<u8>) -> (EntryId, Vec<u8>) {
        let entry = Entry::author(&self.key, header, payload).into_inner();
        self.header.seq += 1;
        self.header.prev = entry.id;
        (entry.id, Run::new(&[entry], true).unwrap().to_bytes())
    }

    fn control(&mut self, control: &Control) -> (EntryId, Vec<u8>) {
        let payload = control.encode();
        let header = Header {
            kind: control.kind().unwrap(),
            seq: self.header.seq + 1,
            payload: payload_hash(&payload),
            size: u32::try_from(payload.len()).unwrap(),
            ..self.header.clone()
        };
        self.sign(header, payload)
    }

    fn content(
        &mut self,
        c: &mut Community,
        grant: GrantId,
        (epoch, secret): &(EpochId, EpochSecret),
        envelope: &Envelope,
        change: &[u8],
    ) -> (EntryId, Vec<u8>) {
        let DocumentKey::Fresh(key) = &envelope.key else { panic!("no key") };
        let sealing = Sealing::Sealed { epoch: *epoch, nonce: Nonce::generate(&mut c.rng) };
        let header = Header { grant, seq: self.header.seq + 1, sealing, ..self.header.clone() };
        let sealed = sealing::seal(&mut c.rng, header, secret, envelope, key, change).unwrap();
        self.sign(sealed.0, sealed.1)
    }
}

/// Hands gossip in as if it came from this person.
fn hand_in(c: &mut Community, to: usize, from: usize, bytes: Vec<u8>) {
    let input = Input::Gossip { token: GossipToken(u64::MAX), from: c.key(from), bytes };
    let mut effects = c.people[to].replica.handle(c.now, &mut c.rng, input);
    effects.retain(|e| !matches!(e, cairn_crdt::replica::effect::Effect::Verdict { .. }));
    c.perform(to, effects);
    c.run();
}

#[test]
fn c1_nobody_creates_a_document_of_another_nor_erases_it_so() {
    let mut c = Community::with_members(30, 3);
    let thread = c.thread(0, "Evening", "hello");
    let document: DocumentId = c.post(1, thread, "mine");
    c.settle();
    assert!(c.reads(0, "mine"));

    // Person 2 reads the post and so knows what its id is made of.
    let created = c.people[2].replica.created(&document).unwrap();
    let kept = c.people[2].store.entries[&created].clone();
    let stolen: Envelope = codec::decode(&kept.envelope.unwrap(), ENVELOPE_BYTES).unwrap();
    let Sealing::Sealed { epoch, .. } = kept.header.sealing else { panic!("not sealed") };
    let group = c.people[2].replica.group();
    let epochs = c.people[2].store.snapshot(group).epochs;
    let secret = epochs.iter().find(|(id, _)| *id == epoch).unwrap();
    let secret = (epoch, EpochSecret::from_bytes(*secret.1));
    let member = c.member(2);
    let standing = &c.people[2].replica.authority().members()[&member];
    let grant = *standing.grants.keys().next().unwrap();

    let content =
        Content::Response(response::Response { post: document, word: ResponseWord::Hear });
    let change = content.create(Actor::of(c.people[2].replica.device(), document), c.now).unwrap();
    let key = SymmetricKey::generate(&mut c.rng);
    let envelope = Envelope { key: DocumentKey::Fresh(key), ..stolen };
    let mut forger = Forger::new(&c, 2);
    let (forged, bytes) = forger.content(&mut c, grant, &secret, &envelope, &change);
    hand_in(&mut c, 0, 2, bytes);
    let erase = Erase { created: forged, changes: codec::List::default() };
    let (_, bytes) = forger.control(&Control::Erase(erase));
    hand_in(&mut c, 0, 2, bytes);
    c.settle();

    assert!(c.people[0].replica.set().contains(&forged), "it is in the set, and counts");
    let shown = |c: &Community| {
        let posts = c.people[0].store.posts();
        let post = posts.into_iter().find(|post| post.document == document).cloned();
        post.map(|post| (post.body, post.state, post.created))
    };
    assert_eq!(shown(&c), Some(("mine".to_owned(), PostState::Shown, created)));
    assert!(c.people[0].store.entries[&created].payload.is_some());
    c.restart(0);
    assert_eq!(c.people[0].replica.created(&document), Some(created));
    assert_eq!(shown(&c), Some(("mine".to_owned(), PostState::Shown, created)));
}

/// A founder who means ill erases a post of their own and names what it is not made of.
#[test]
fn c5_an_owners_erasure_takes_nothing_of_a_shared_document() {
    for (seed, far) in [(34, 0), (35, 560)] {
        let mut c = Community::with_members(seed, 3);
        let member = c.member(1);
        assert!(c.ask(0, Command::Grant { member, rank: Rank::Moderator }).is_ok());
        for text in ["Be kind", "Be kind. Listen"] {
            let (name, text) = ("Circle".to_owned(), text.to_owned());
            assert!(c.ask(0, Command::SetAgreement { name, text }).is_ok());
            c.settle();
        }
        let thread = c.thread(0, "Evening", "hello");
        c.settle();
        let code = c.invite(1, Rank::Member, 2, true);
        c.connect(1, 2);
        c.unplug(0);
        if far > 0 {
            // Enough that a newcomer is served headers first.
            let posts = (0..far).map(|n| ImportedPost {
                thread: "Old".to_owned(),
                reply_to: None,
                author: "Wren".to_owned(),
                at: c.now,
                text: format!("{n}"),
            });
            let posts = posts.collect();
            assert!(c.ask(1, Command::Import { posts }).is_ok());
            c.settle();
        }

        let agreement = c.people[1].store.rows.values().find_map(|row| match row {
            Row::Agreement { document, .. } => Some(*document),
            _ => None,
        });
        let of = |id: &EntryId| {
            let kept = c.people[1].store.entries[id].envelope.as_deref();
            kept.and_then(|bytes| codec::decode::<Envelope>(bytes, ENVELOPE_BYTES).ok())
        };
        let ids = c.people[1].store.entries.keys();
        let changes: Vec<EntryId> = ids
            .filter(|id| of(id).is_some_and(|envelope| Some(envelope.document) == agreement))
            .copied()
            .collect();
        assert_eq!(changes.len(), 3);
        let whole = c.people[1].replica.created(&agreement.unwrap()).unwrap();
        let created = c.people[1].replica.created(&thread).unwrap();
        let mut forger = Forger::new(&c, 0);
        let named = codec::List::new(changes.clone()).unwrap();
        for erase in
            [Erase { created, changes: named.clone() }, Erase { created: whole, changes: named }]
        {
            let (_, bytes) = forger.control(&Control::Erase(erase));
            hand_in(&mut c, 1, 0, bytes);
        }
        c.settle();
        let newcomer = c.join(code.clone());
        c.connect(1, newcomer);
        c.settle();
        c.assert_same(&[1, 2, newcomer]);
        for who in [1, 2, newcomer] {
            let entries = &c.people[who].store.entries;
            assert!(changes.iter().all(|id| entries[id].payload.is_some()), "{who} lacks some");
            assert!(entries[&created].payload.is_none(), "{who} holds what its owner may erase");
            let says =
                |row: &Row| matches!(row, Row::Agreement { text, .. } if text == "Be kind. Listen");
            assert!(c.people[who].store.rows.values().any(says), "{who}");
        }
    }
}
