//! Keepers, and the connections of people's machines to them: questions take time, answers come in
//! order, lines break and are made again, and whoever waits for news is told.

use std::collections::{BTreeMap, VecDeque};

use cairn_crdt::capability::invite::Contact;
use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::id::{AccessKey, DropBoxId, MemberId, TransportKey};
use cairn_crdt::mailbox::message::{KeeperReply, KeeperRequest};
use cairn_crdt::mailbox::{Cursor, KeeperCode};
use cairn_crdt::replica::ReplicaState;
use cairn_crdt::replica::effect::{Effect, KeeperAsk};
use cairn_crdt::replica::input::Input;
use cairn_crdt::replica::keepers::KeeperEvent;

use crate::keeper_faults::Vices;
use crate::mailbox::{Disk, Place, QUOTA, Question};
use crate::network::Origin;
use crate::world::{Coming, World};

/// Milliseconds after which whoever waits for news is answered though there are none.
const WATCH: u64 = 30_000;
/// Questions of one machine to one keeper within a minute, at most: more is a loop.
const A_MINUTE: u64 = 240;

/// One keeper.
pub struct Keeper {
    pub key: TransportKey,
    pub disk: Disk,
    pub copies: Vec<Disk>,
    pub up: bool,
    /// Whether it never did what no honest keeper does.
    pub honest: bool,
    /// Whether it ever went on from an older copy of its disk.
    pub went_back: bool,
    pub vices: Vices,
    /// Bytes that a mailbox may hold: less than there are if it is to be full.
    pub quota: u64,
    /// Of a thousand questions, how many it has no time for.
    pub busy: u64,
    /// What it was shown since that was looked through last.
    pub seen: Vec<u8>,
}

/// The line of one machine to one keeper, or the wish for one.
pub struct Call {
    number: u64,
    up: bool,
    place: Place,
    tries: u32,
    /// When what is on its way arrives there, and back.
    there: u64,
    back: u64,
    /// Questions that are not answered, besides the wait for news.
    asked: usize,
    watch: Option<(u64, Cursor, u64)>,
    /// When it asked lately.
    lately: VecDeque<u64>,
}

/// What comes of a keeper or goes to it.
pub enum Visiting {
    /// Another attempt at a connection.
    Dial,
    /// It arrives at the keeper.
    Ask(Question),
    /// It arrives at the machine, as the answer to what was asked or without having been asked for.
    Tell { event: KeeperEvent, answers: bool },
    /// Somebody has waited for news long enough.
    Waited { watch: u64 },
}

/// A record that somebody put, and whom its writer counted as members.
pub struct Put {
    pub by: usize,
    pub at: u64,
    /// Whether the writer had left.
    pub farewell: bool,
    pub readers: Vec<MemberId>,
}

#[derive(Default)]
pub struct Keepers {
    pub all: Vec<Keeper>,
    pub calls: BTreeMap<(usize, usize), Call>,
    /// By record.
    pub put: BTreeMap<[u8; 32], Put>,
    /// Questions that ever arrived.
    pub questions: u64,
    /// Whom those who began generations counted as members.
    pub begun: Vec<Vec<MemberId>>,
    /// Who accused whom, and when.
    pub accused: std::collections::BTreeSet<(usize, usize, u64)>,
    invited: u8,
}

fn key_of(number: usize) -> TransportKey {
    TransportKey::from_bytes([200 + u8::try_from(number).unwrap(); 32])
}

impl Keepers {
    /// The keeper with this number, made if there is none yet, and an invitation of its operator.
    pub fn code(&mut self, number: usize) -> KeeperCode {
        while self.all.len() <= number {
            self.all.push(Keeper {
                key: key_of(self.all.len()),
                disk: Disk::default(),
                copies: Vec::new(),
                up: true,
                honest: true,
                went_back: false,
                vices: Vices::default(),
                quota: QUOTA,
                busy: 0,
                seen: Vec::new(),
            });
        }
        self.invited += 1;
        let secret = [self.invited; 32];
        self.all[number].disk.invitations.insert(secret, None);
        let address = Bytes::new(vec![4, u8::try_from(number).unwrap()]).unwrap();
        let addresses = List::new(vec![address]).unwrap();
        KeeperCode { keeper: Contact { transport: key_of(number), addresses }, secret }
    }

    pub fn position(&self, key: &TransportKey) -> Option<usize> {
        self.all.iter().position(|keeper| keeper.key == *key)
    }
}

impl World {
    /// What a replica asks about a keeper.
    pub fn ask_keeper(&mut self, who: usize, key: TransportKey, ask: KeeperAsk) {
        let Some(keeper) = self.keepers.position(&key) else { return };
        let question = match ask {
            KeeperAsk::Reach { .. } => return self.reach(who, keeper),
            KeeperAsk::Leave => {
                self.keepers.calls.remove(&(who, keeper));
                return;
            }
            KeeperAsk::Open { mailbox, key } => {
                Question::Open(mailbox, AccessKey::from_bytes(key.verifying_key()))
            }
            KeeperAsk::Drop { key } => Question::Drop(DropBoxId::from_bytes(key.verifying_key())),
            KeeperAsk::Compare { held } => Question::Compare(held),
            KeeperAsk::Request(request) => Question::Plain(*request),
            KeeperAsk::Deposit(deposit) => {
                let person = &self.people[who];
                let mut packed = Vec::new();
                let read = |ids: &[_]| Ok::<_, std::convert::Infallible>(person.store.read(ids));
                let give = |one| {
                    packed.push(one);
                    Ok(())
                };
                deposit.pack(person.clock(self.now), read, give).unwrap();
                Question::Put(packed)
            }
        };
        self.question(who, keeper, question);
    }

    fn question(&mut self, who: usize, keeper: usize, question: Question) {
        let latency = self.roll(self.network.delay + 1);
        let lost = self.roll(1000) < self.network.loss;
        let now = self.now;
        let Some(call) = self.keepers.calls.get_mut(&(who, keeper)).filter(|call| call.up) else {
            return;
        };
        let waits = matches!(question, Question::Plain(KeeperRequest::Watch { .. }));
        call.asked += usize::from(!waits);
        call.lately.push_back(now);
        while call.lately.front().is_some_and(|at| at + 60_000 < now) {
            call.lately.pop_front();
        }
        let (asked, lately) = (call.asked, call.lately.len() as u64);
        if asked > 1 {
            self.fail("M1", format!("person {who} asks {asked} things at once"));
        }
        if lately > A_MINUTE {
            self.fail("7", format!("person {who} asks a keeper {lately} things in a minute"));
        }
        // Nothing is put: the machine knows that by itself.
        if matches!(&question, Question::Put(packed) if packed.is_empty()) {
            let event = KeeperEvent::Deposited(Vec::new());
            return self.tell_after(0, who, keeper, event, true);
        }
        if lost {
            self.count("a question to a keeper that was lost");
            return self.hang_up_call(who, keeper);
        }
        self.remember_put(who, &question);
        let Some(call) = self.keepers.calls.get_mut(&(who, keeper)) else { return };
        call.there = call.there.max(now + latency);
        let (there, number) = (call.there, call.number);
        self.at(there, Coming::Visit { who, keeper, number, what: Visiting::Ask(question) });
    }

    /// Who the writer of a record took for a member when it was put.
    fn remember_put(&mut self, who: usize, question: &Question) {
        let ids: Vec<[u8; 32]> = match question {
            Question::Put(packed) => packed.iter().map(|packed| *packed.id.as_bytes()).collect(),
            Question::Plain(KeeperRequest::Put(records)) => {
                let bytes = records.iter().map(|record| record.bytes.as_slice());
                bytes.map(|bytes| *cairn_crdt::mailbox::record_id(bytes).as_bytes()).collect()
            }
            Question::Plain(KeeperRequest::Rotate(_)) => Vec::new(),
            _ => return,
        };
        let Some(replica) = self.people[who].replica.as_ref() else { return };
        let farewell = replica.state() == ReplicaState::Left;
        let authority = replica.authority();
        let mut readers: Vec<MemberId> = authority.members().keys().copied().collect();
        // Who left of their own accord is trusted until a moderator comes (M2).
        let left = |member: &MemberId| authority.has_left(member);
        readers.extend(authority.devices().values().map(|device| device.member).filter(left));
        if ids.is_empty() {
            self.keepers.begun.push(readers);
            return;
        }
        for id in ids {
            let put = Put { by: who, at: self.now, farewell, readers: readers.clone() };
            self.keepers.put.entry(id).or_insert(put);
        }
    }

    fn reach(&mut self, who: usize, keeper: usize) {
        if self.keepers.calls.contains_key(&(who, keeper)) {
            return;
        }
        let number = self.fresh();
        let call = Call {
            number,
            up: false,
            place: Place::Outside,
            tries: 0,
            there: 0,
            back: 0,
            asked: 0,
            watch: None,
            lately: VecDeque::new(),
        };
        self.keepers.calls.insert((who, keeper), call);
        let delay = self.roll(2 * self.network.delay + 1);
        let what = Visiting::Dial;
        self.at(self.now + delay, Coming::Visit { who, keeper, number, what });
    }

    /// Something that was on its way has arrived, if the line still is what it was.
    pub fn visit(&mut self, who: usize, keeper: usize, number: u64, what: Visiting) {
        let Some(call) = self.keepers.calls.get_mut(&(who, keeper)) else { return };
        if call.number != number {
            return;
        }
        match what {
            Visiting::Dial => {
                if !self.keepers.all[keeper].up {
                    return self.not_reached(who, keeper);
                }
                (call.up, call.place, call.tries, call.asked) = (true, Place::Outside, 0, 0);
                self.tell(who, keeper, KeeperEvent::Up, false);
            }
            Visiting::Ask(question) => self.asked_at(who, keeper, question),
            Visiting::Tell { event, answers } => {
                call.asked -= usize::from(answers);
                let lied = matches!(event, KeeperEvent::Lied { .. });
                if matches!(event, KeeperEvent::Up | KeeperEvent::Down { .. }) {
                    self.forget_questions(who, keeper);
                }
                let input = Input::Keeper { keeper: self.keepers.all[keeper].key, event };
                self.handle(who, input, Origin::Keeper(keeper));
                self.nobody_honest_is_accused(who, keeper);
                if lied {
                    self.hang_up_call(who, keeper);
                }
            }
            Visiting::Waited { watch } => {
                let current = call.watch.is_some_and(|(current, ..)| current == watch);
                if current {
                    self.news_for(who, keeper);
                }
            }
        }
    }

    fn tell(&mut self, who: usize, keeper: usize, event: KeeperEvent, answers: bool) {
        let latency = self.roll(self.network.delay + 1);
        self.tell_after(latency, who, keeper, event, answers);
    }

    fn tell_after(
        &mut self,
        latency: u64,
        who: usize,
        keeper: usize,
        event: KeeperEvent,
        answers: bool,
    ) {
        let now = self.now;
        let Some(call) = self.keepers.calls.get_mut(&(who, keeper)) else { return };
        call.back = call.back.max(now + latency);
        let (back, number) = (call.back, call.number);
        let what = Visiting::Tell { event, answers };
        self.at(back, Coming::Visit { who, keeper, number, what });
    }

    /// A question has come to a keeper.
    fn asked_at(&mut self, who: usize, keeper: usize, question: Question) {
        self.keepers.questions += 1;
        // Whoever waits for news and asks something else is answered first.
        self.news_for(who, keeper);
        self.keepers.all[keeper].note(&question);
        if self.roll(1000) < self.keepers.all[keeper].busy {
            self.count("a keeper that has no time");
            let later = KeeperReply::Later { millis: 500 };
            let reply = if self.roll(2) == 0 { later } else { KeeperReply::Unavailable };
            let event = KeeperEvent::Answer(reply);
            let waits = matches!(question, Question::Plain(KeeperRequest::Watch { .. }));
            return self.tell(who, keeper, event, !waits);
        }
        if let Question::Plain(KeeperRequest::Watch { after, drops }) = question {
            return self.watch(who, keeper, after, drops);
        }
        let kind = question_kind(&question);
        let mut shown = self.shown_to(who, keeper, kind);
        if shown.is_some() {
            self.count("records that a keeper hid");
        }
        let Some(call) = self.keepers.calls.get_mut(&(who, keeper)) else { return };
        let it = &mut self.keepers.all[keeper];
        let before = call.place;
        let disk = shown.as_mut().unwrap_or(&mut it.disk);
        let event = disk.answer((self.now, it.quota), &mut call.place, question);
        let place = if call.place == Place::Outside { before } else { call.place };
        for done in std::mem::take(&mut disk.done) {
            self.count(done);
        }
        let event = self.falsified(keeper, kind, event);
        self.count_answer(&event);
        if self.roll(1000) < self.network.loss {
            self.count("an answer of a keeper that was lost");
            self.hang_up_call(who, keeper);
        } else {
            self.tell(who, keeper, event, true);
        }
        self.spread_news(keeper, place);
    }

    fn count_answer(&mut self, event: &KeeperEvent) {
        match event {
            KeeperEvent::Answer(KeeperReply::Ended { .. }) => self.count("generations met ended"),
            KeeperEvent::Answer(KeeperReply::Records { .. }) => self.count("records given"),
            KeeperEvent::Answer(KeeperReply::Created) => self.count("mailboxes made"),
            KeeperEvent::Deposited(_) => self.count("deposits"),
            KeeperEvent::Compared { there, here } if !there.is_empty() || !here.is_empty() => {
                self.count("comparisons that found a difference");
            }
            _ => {}
        }
    }

    /// Someone waits for news at a keeper.
    fn watch(&mut self, who: usize, keeper: usize, after: Cursor, drops: u64) {
        let watch = self.fresh();
        let now = self.now;
        let Some(call) = self.keepers.calls.get_mut(&(who, keeper)) else { return };
        call.watch = Some((watch, after, drops));
        let number = call.number;
        if self.has_news(who, keeper) {
            return self.news_for(who, keeper);
        }
        let what = Visiting::Waited { watch };
        self.at(now + WATCH, Coming::Visit { who, keeper, number, what });
    }

    fn has_news(&self, who: usize, keeper: usize) -> bool {
        let call = &self.keepers.calls[&(who, keeper)];
        let Some((_, after, drops)) = call.watch else { return false };
        let Place::Mailbox(mailbox, access) = call.place else { return true };
        let mailbox = self.keepers.all[keeper].disk.mailboxes.get(&mailbox);
        mailbox.is_none_or(|m| m.access() != access || m.has_news(after, drops))
    }

    /// Answers a wait for news, if there is one.
    fn news_for(&mut self, who: usize, keeper: usize) {
        let now = self.now;
        let Some(call) = self.keepers.calls.get_mut(&(who, keeper)) else { return };
        if call.watch.take().is_none() {
            return;
        }
        let disk = &self.keepers.all[keeper].disk;
        let reply = match call.place {
            Place::Mailbox(mailbox, access) => match disk.mailboxes.get(&mailbox) {
                Some(mailbox) if mailbox.access() == access => mailbox.newest(),
                Some(mailbox) => {
                    call.place = Place::Outside;
                    mailbox.ended(now, access)
                }
                None => KeeperReply::Refused,
            },
            _ => KeeperReply::Refused,
        };
        let event = self.falsified(keeper, Kind::News, KeeperEvent::Answer(reply));
        self.tell(who, keeper, event, false);
    }

    /// Whoever waits for news of what has changed is told.
    pub fn spread_news(&mut self, keeper: usize, of: Place) {
        let waiting: Vec<usize> = self
            .keepers
            .calls
            .iter()
            .filter(|((_, at), call)| *at == keeper && call.watch.is_some())
            .map(|((who, _), _)| *who)
            .collect();
        for who in waiting {
            if of != Place::Outside && self.has_news(who, keeper) {
                self.news_for(who, keeper);
            }
        }
    }

    /// The line breaks; it is made again after a while.
    pub fn hang_up_call(&mut self, who: usize, keeper: usize) {
        let up = self.keepers.calls.get(&(who, keeper)).is_some_and(|call| call.up);
        if up {
            self.not_reached(who, keeper);
        }
    }

    fn not_reached(&mut self, who: usize, keeper: usize) {
        let number = self.fresh();
        let Some(call) = self.keepers.calls.get_mut(&(who, keeper)) else { return };
        call.number = number;
        (call.up, call.watch, call.asked) = (false, None, 0);
        call.tries = (call.tries + 1).min(6);
        let longest = 1_000 << call.tries;
        let why = "the line to the keeper is down".to_owned();
        self.tell(who, keeper, KeeperEvent::Down { why }, false);
        self.dial_again(who, keeper, longest);
    }

    fn dial_again(&mut self, who: usize, keeper: usize, longest: u64) {
        let pause = longest / 2 + self.roll(longest / 2);
        let Some(call) = self.keepers.calls.get(&(who, keeper)) else { return };
        let (time, number) = (call.back.max(self.now) + pause, call.number);
        self.at(time, Coming::Visit { who, keeper, number, what: Visiting::Dial });
    }

    /// What a replica wanted to ask on the line as it was, and that still waits for its disk, is asked
    /// no more: nobody would expect the answer.
    fn forget_questions(&mut self, who: usize, keeper: usize) {
        let key = self.keepers.all[keeper].key;
        self.people[who].outbox.retain(|effect| {
            let Effect::Keeper { keeper, ask } = effect else { return true };
            *keeper != key || matches!(ask, KeeperAsk::Reach { .. } | KeeperAsk::Leave)
        });
    }

    /// A keeper goes down: everybody's line breaks.
    pub fn keeper_down(&mut self, keeper: usize) {
        self.keepers.all[keeper].up = false;
        for who in 0..self.people.len() {
            self.hang_up_call(who, keeper);
        }
    }

    /// A machine stopped. If its network went with it no line is left; otherwise nobody waits for
    /// what was asked on them.
    pub fn drop_calls_of(&mut self, who: usize, unplugged: bool) {
        if unplugged || self.people[who].store.persona.is_empty() {
            self.keepers.calls.retain(|(of, _), _| *of != who);
            return;
        }
        for keeper in 0..self.keepers.all.len() {
            let number = self.fresh();
            let Some(call) = self.keepers.calls.get_mut(&(who, keeper)) else { continue };
            (call.number, call.watch, call.asked) = (number, None, 0);
            if !call.up {
                self.dial_again(who, keeper, 2_000);
            }
        }
    }

    /// A machine that was read from its disk again finds its lines as they were.
    pub fn replay_calls(&mut self, who: usize) {
        for keeper in 0..self.keepers.all.len() {
            if self.keepers.calls.get(&(who, keeper)).is_some_and(|call| call.up) {
                self.tell(who, keeper, KeeperEvent::Up, false);
            }
        }
    }
}

/// What a question is about, for whoever answers it wrongly.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Get,
    Fetch,
    Compare,
    Put,
    News,
    Other,
}

fn question_kind(question: &Question) -> Kind {
    match question {
        Question::Plain(KeeperRequest::Get { .. }) => Kind::Get,
        Question::Plain(KeeperRequest::Fetch(_)) => Kind::Fetch,
        Question::Plain(KeeperRequest::Put(_)) | Question::Put(_) => Kind::Put,
        Question::Compare(_) => Kind::Compare,
        _ => Kind::Other,
    }
}

impl Keeper {
    /// Notes everything that a question shows to the keeper.
    fn note(&mut self, question: &Question) {
        match question {
            Question::Open(mailbox, access) => {
                self.seen.extend(mailbox.as_bytes());
                self.seen.extend(access.as_bytes());
            }
            Question::Drop(drop) => self.seen.extend(drop.as_bytes()),
            Question::Compare(_) => {}
            Question::Put(packed) => {
                for packed in packed {
                    self.seen.extend(packed.record.bytes.as_slice());
                }
            }
            Question::Plain(request) => self.seen.extend(request.to_bytes()),
        }
    }
}
