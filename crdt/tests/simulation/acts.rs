//! What people do: a step's numbers become a person, a post, a request that is there, and a
//! command to a replica.

use std::collections::BTreeSet;

use cairn_crdt::capability::invite::{Code, Contact};
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::id::{DeviceId, DocumentId, EntryId, RequestId};
use cairn_crdt::identity::seed::Seed;
use cairn_crdt::replica::input::{
    Body, Command, CommandId, CutChoice, ImportedPost, Input, ResponseWord,
};
use cairn_crdt::replica::{Joining, Replica};
use cairn_crdt::time::Timestamp;

use crate::network::Origin;
use crate::person::Person;
use crate::plan::{Act, Step};
use crate::record::{Asked, text};
use crate::world::World;

/// People in one group, at most.
const PEOPLE: usize = 7;
const RANKS: [Rank; 8] = [
    Rank::Member,
    Rank::Member,
    Rank::Moderator,
    Rank::Steward,
    Rank::Member,
    Rank::Reader,
    Rank::Moderator,
    Rank::Founder,
];

pub fn of<T: Copy>(all: &[T], number: u32) -> Option<T> {
    let index = usize::try_from(number).unwrap().checked_rem(all.len())?;
    all.get(index).copied()
}

impl World {
    /// Does one step and lets its time pass.
    pub fn step(&mut self, step: &Step) {
        self.turn(step.number);
        let said = text(&step.number.to_string());
        self.act(&step.act, &said);
        self.look();
        self.pass(u64::from(step.then));
        self.look();
    }

    fn act(&mut self, act: &Act, said: &str) {
        match *act {
            Act::Join { code } => self.join(code),
            Act::Sync { who } => self.ask(act, Some(self.anyone(who)), Command::Sync),
            Act::Leave { who } => self.ask(act, Some(self.anyone(who)), Command::Leave),
            Act::Listen { who } => {
                let address = said.as_bytes().to_vec();
                let input = Input::Listening { addresses: vec![address] };
                self.count("Listen");
                self.handle(self.anyone(who), input, Origin::Own);
            }
            Act::Invite { by, .. }
            | Act::Grant { by, .. }
            | Act::Revoke { by, .. }
            | Act::Remove { by, .. }
            | Act::Admit { by, .. }
            | Act::Decline { by, .. }
            | Act::Hide { by, .. }
            | Act::Restore { by, .. }
            | Act::ConfirmErase { by, .. }
            | Act::Reissue { by, .. }
            | Act::Extend { by, .. }
            | Act::Pin { by, .. }
            | Act::Agreement { by } => {
                let by = self.leader(by);
                match self.command(act, by, said) {
                    Some(command) => self.ask(act, Some(by), command),
                    None => self.count("nothing to act on"),
                }
            }
            Act::Thread { by }
            | Act::Post { by, .. }
            | Act::Import { by }
            | Act::Respond { by, .. }
            | Act::Edit { by, .. }
            | Act::Erase { by, .. }
            | Act::Unlink { by, .. }
            | Act::Profile { by } => {
                let by = self.anyone(by);
                match self.command(act, by, said) {
                    Some(command) => self.ask(act, Some(by), command),
                    None => self.count("nothing to act on"),
                }
            }
            Act::Keeper(act) => self.keeper_act(&act),
            _ => self.fault(act),
        }
    }

    pub fn ask(&mut self, act: &Act, by: Option<usize>, command: Command) {
        let Some(who) = by.filter(|who| self.people[*who].is_up()) else { return };
        let id = CommandId(self.fresh());
        self.asked.insert(id, Asked { who, word: act.word(), written: Vec::new() });
        self.handle(who, Input::Command { id, command }, Origin::Own);
    }

    /// Someone whose machine runs.
    pub fn anyone(&self, number: u32) -> usize {
        let up: Vec<usize> = (0..self.people.len()).filter(|p| self.people[*p].is_up()).collect();
        of(&up, number).unwrap_or_default()
    }

    /// Mostly someone who may moderate, in their own view; sometimes anyone.
    pub fn leader(&self, number: u32) -> usize {
        let rank = |who: usize| {
            let person = &self.people[who];
            person.replica.as_ref().and_then(|r| r.authority().rank_of(&person.member))
        };
        let leaders: Vec<usize> =
            (0..self.people.len()).filter(|who| rank(*who) >= Some(Rank::Moderator)).collect();
        if number.is_multiple_of(5) {
            return self.anyone(number / 5);
        }
        of(&leaders, number / 5).unwrap_or_else(|| self.anyone(number))
    }

    fn threads(&self, who: usize) -> Vec<DocumentId> {
        let posts = self.people[who].store.posts();
        posts.iter().filter(|post| post.title.is_some()).map(|post| post.document).collect()
    }

    fn posts(&self, who: usize, own: bool) -> Vec<DocumentId> {
        let member = self.people[who].member;
        let posts = self.people[who].store.posts();
        let wanted = posts.iter().filter(|post| !own || post.author == member);
        wanted.map(|post| post.document).collect()
    }

    fn requests(&self, who: usize) -> Vec<RequestId> {
        self.people[who].store.requests.keys().copied().collect()
    }

    fn cut_of(&self, by: usize, whom: usize, number: u32) -> CutChoice {
        let device = self.people[whom].device;
        let log = self.people[by].replica.as_ref().and_then(|r| r.set().log(&device));
        let logged: Vec<EntryId> =
            log.map(|log| log.iter().map(|(_, id, _)| id).collect()).unwrap_or_default();
        match number % 4 {
            0 | 1 => CutChoice::FromTip,
            2 => CutChoice::FromStart,
            _ => of(&logged, number / 4).map_or(CutChoice::FromTip, CutChoice::At),
        }
    }

    /// The command that an act comes to, if there is something for it to act on.
    fn command(&self, act: &Act, by: usize, said: &str) -> Option<Command> {
        let body = Body { text: said.to_owned(), ..Body::default() };
        let reason = || (text("rule"), said.to_owned());
        let whom = |number: u32| of(&(0..self.people.len()).collect::<Vec<_>>(), number);
        // Mostly an own post, for what only owners may do.
        let own = |number: u32| of(&self.posts(by, !number.is_multiple_of(8)), number / 8);
        let post = |number: u32| of(&self.posts(by, false), number);
        Some(match *act {
            Act::Thread { .. } => Command::StartThread { title: said.to_owned(), body },
            Act::Post { thread, reply, .. } => {
                let reply_to = if reply % 3 == 0 { post(reply / 3) } else { None };
                Command::Post { thread: of(&self.threads(by), thread)?, reply_to, body }
            }
            Act::Import { .. } => {
                let posts = (0..20).map(|number| ImportedPost {
                    thread: format!("{said} thread {}", number % 2),
                    reply_to: None,
                    author: text("guest"),
                    at: Timestamp::from_millis(number),
                    text: format!("{said} import {number}"),
                });
                Command::Import { posts: posts.collect() }
            }
            Act::Respond { post: number, .. } => {
                Command::Respond { post: post(number)?, word: ResponseWord::Hear }
            }
            Act::Edit { post, .. } => Command::Edit { document: own(post)?, text: said.to_owned() },
            Act::Erase { post, .. } => Command::Erase { document: own(post)? },
            Act::Hide { post: number, .. } => {
                let (rule, reason) = reason();
                Command::Hide { document: post(number)?, rule, reason }
            }
            Act::Restore { post: number, .. } => Command::Restore { document: post(number)? },
            Act::Profile { .. } => Command::SetProfile { pseudonym: said.to_owned() },
            Act::Agreement { .. } => {
                Command::SetAgreement { name: said.to_owned(), text: format!("{said} be kind") }
            }
            Act::Invite { rank, uses, at_once, brief, .. } => Command::Invite {
                rank: of(&RANKS, rank)?,
                uses: u16::try_from(uses).ok()?,
                expires: brief.then(|| self.people[by].clock(self.now).after(20_000)),
                at_once,
            },
            Act::Admit { request, .. } => {
                Command::Admit { request: of(&self.requests(by), request)? }
            }
            Act::Decline { request, .. } => {
                Command::Decline { request: of(&self.requests(by), request)? }
            }
            Act::Grant { whom: number, rank, .. } => {
                let member = self.people[whom(number)?].member;
                Command::Grant { member, rank: of(&RANKS, rank)? }
            }
            Act::Revoke { whom: number, cut, .. } => {
                let whom = whom(number)?;
                let member = self.people[whom].member;
                Command::Revoke { member, grant: None, cut: self.cut_of(by, whom, cut) }
            }
            Act::Remove { whom: number, cut, .. } => {
                let whom = whom(number)?;
                let (rule, reason) = reason();
                let member = self.people[whom].member;
                Command::Remove { member, cut: self.cut_of(by, whom, cut), rule, reason }
            }
            Act::ConfirmErase { post: number, .. } => {
                Command::ConfirmErase { document: post(number)? }
            }
            Act::Reissue { act: number, .. } => {
                let authority = self.people[by].replica.as_ref()?.authority();
                let orphaned: Vec<EntryId> = authority.orphaned().iter().copied().collect();
                Command::Reissue { entry: of(&orphaned, number)? }
            }
            Act::Extend { whom: number, cut, .. } => {
                let whom = whom(number)?;
                let member = self.people[whom].member;
                Command::Extend { member, cut: self.cut_of(by, whom, cut) }
            }
            Act::Pin { log, branch, .. } => {
                let forks = self.people[by].replica.as_ref()?.authority().forks();
                let forks: Vec<&BTreeSet<(u64, EntryId)>> = forks.values().collect();
                let branches: Vec<EntryId> = of(&forks, log)?.iter().map(|(_, id)| *id).collect();
                Command::Pin { entry: of(&branches, branch)? }
            }
            Act::Unlink { device: number, .. } => {
                let member = self.people[by].member;
                let devices = self.people[by].replica.as_ref()?.authority().devices().iter();
                let own: Vec<DeviceId> =
                    devices.filter(|(_, d)| d.member == member).map(|(id, _)| *id).collect();
                Command::Unlink { device: of(&own, number)?, last: None }
            }
            _ => return None,
        })
    }

    /// An invitation was written; whoever wrote it is the one to ask.
    pub fn invited(&mut self, by: usize, mut code: Code) {
        let addresses = List::new(vec![Bytes::new(vec![1]).unwrap()]).unwrap();
        let contact = Contact { transport: self.people[by].key, addresses };
        code.contacts = List::new(vec![contact]).unwrap();
        self.codes.push((code, by));
    }

    fn join(&mut self, number: u32) {
        let codes: Vec<usize> = (0..self.codes.len()).collect();
        let Some((code, by)) = of(&codes, number).map(|index| self.codes[index].clone()) else {
            return;
        };
        let at_keepers =
            !code.keepers.is_empty() && (self.network.scattered || number.is_multiple_of(3));
        if self.people.len() >= PEOPLE {
            return;
        }
        let who = self.people.len();
        let recovery = Seed::from_bytes([u8::try_from(who).unwrap(); 32]);
        let (pseudonym, words) = (text(&format!("person {who}")), text("let me in"));
        let joining = Joining { seed: &recovery, code, pseudonym, words };
        let now = Timestamp::from_millis(self.now);
        let (replica, effects) = Replica::join(now, &mut self.rng, joining).unwrap();
        self.add(Person::new(replica), effects);
        self.count("Join");
        if at_keepers {
            self.count("someone who asks to join at a keeper");
        } else {
            self.connect(by, who);
        }
    }
}
