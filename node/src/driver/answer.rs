//! From a question of the API to its answer: at once from the rows of the store, or by way of a
//! command to the replica.

use std::path::PathBuf;

use cairn_crdt::id::{GroupId, MemberId};
use cairn_crdt::replica::effect::Reply;
use cairn_crdt::replica::input::Command;
use cairn_crdt::time::Timestamp;
use serde_json::json;

use super::Driver;
use super::desk::Desk;
use super::incoming::Answering;
use super::persona::Persona;
use crate::api::command::{Answer, ApiError, Request};
use crate::api::lookup;
use view::View;

mod council;
mod doctor;
pub(super) mod groups;
mod import;
mod keepers;
mod members;
mod moderation;
pub(super) mod network;
mod posts;
mod preview;
mod threads;
mod view;

/// What is to be done about a question.
enum Outcome {
    /// This is the answer.
    Answer(Answer),
    /// Ask the replica of this group, and make the answer of its reply.
    Command(GroupId, Command, Then),
    /// Ask the replica of this group for an invitation, once the code can say where this node is.
    Invite(GroupId, Command),
    /// Synchronise this group, and answer when that is done.
    Sync(GroupId),
    /// Answer when the request to join this group was heard.
    Join(GroupId),
    /// Answer, and come to an end.
    Stop,
}

/// What is made of a replica's reply.
pub(super) enum Then {
    /// The document, under this name.
    Document(&'static str),
    /// The control entry that was written, if one was.
    Entry,
    /// The code, with this node's addresses.
    Invite,
    /// This member, who was admitted.
    Admitted(Option<MemberId>),
    /// The threads of an import of so many posts.
    Imported(usize),
    /// What was packed, in this folder, at this time.
    Bundle(Timestamp, PathBuf),
    /// The act of the council for the next to sign: what it does, and how many have to sign.
    Draft { does: String, threshold: Option<u8> },
    /// Nothing.
    Done,
}

impl Driver {
    /// Answers a question, now or later.
    pub(super) fn ask(&mut self, now: Timestamp, request: Request, answer: Answering) {
        match self.outcome(now, request) {
            Ok(Outcome::Answer(value)) => drop(answer.send(Ok(value))),
            Err(error) => drop(answer.send(Err(error))),
            Ok(Outcome::Command(group, command, then)) => {
                self.command(now, group, command, then, answer);
            }
            Ok(Outcome::Invite(group, command)) => self.invite(now, group, command, answer),
            Ok(Outcome::Sync(group)) => {
                self.desk.waits.for_sync(group, now, answer);
                self.synchronise(now, group);
            }
            Ok(Outcome::Join(group)) => self.desk.waits.for_join(group, now, answer),
            Ok(Outcome::Stop) => {
                drop(answer.send(Ok(json!({}))));
                self.stop();
            }
        }
    }

    /// Asks the replica of a group.
    pub(super) fn command(
        &mut self,
        now: Timestamp,
        group: GroupId,
        command: Command,
        then: Then,
        answer: Answering,
    ) {
        let input = self.desk.command(group, command, then, answer);
        if let Some(persona) = self.personas.get_mut(&group) {
            persona.give(input);
            persona.run(&mut self.desk, now);
        }
    }

    fn outcome(&mut self, now: Timestamp, request: Request) -> Result<Outcome, ApiError> {
        use Outcome::{Answer as Now, Command as Ask};
        Ok(match request {
            Request::GroupCreate { name, pseudonym, history } => {
                let group = self.found(now, name, pseudonym, history)?;
                Now(json!({ "group": group.to_string() }))
            }
            Request::Join { code, pseudonym, words } => {
                let group = self.join(now, &code, pseudonym, words)?;
                match (&self.connections, self.personas.get(&group).and_then(Persona::replica)) {
                    (None, Some(replica)) => Now(groups::joined(replica, false)),
                    _ => Outcome::Join(group),
                }
            }
            Request::GroupList => Now(groups::list(self, now)?),
            Request::Status => Now(network::status(self, now)?),
            Request::Doctor => Now(doctor::checks(self, now)),
            Request::Shutdown => Outcome::Stop,
            Request::GroupShow { group } => Now(groups::show(&self.shown(now, &group)?)?),
            Request::GroupLeave { group } => {
                Ask(self.inside(now, &group)?.group, Command::Leave, Then::Done)
            }
            Request::Agreement { group } => Now(groups::agreement(&self.legible(now, &group)?)?),
            Request::SetAgreement { group, text } => {
                let view = self.inside(now, &group)?;
                Ask(view.group, groups::set_agreement(&view, text)?, Then::Done)
            }
            Request::SetPseudonym { group, pseudonym } => {
                let group = self.inside(now, &group)?.group;
                Ask(group, Command::SetProfile { pseudonym }, Then::Done)
            }
            Request::Invite { group, rank, uses, expires_in_seconds, at_once } => {
                let group = self.inside(now, &group)?.group;
                let invite = members::invite(now, &rank, uses, expires_in_seconds, at_once)?;
                Outcome::Invite(group, invite)
            }
            Request::Requests { group } => Now(members::requests(&self.legible(now, &group)?)?),
            Request::Admit { group, request } => {
                let view = self.inside(now, &group)?;
                let request = members::request(&view, &request)?;
                let then = Then::Admitted(view.replica.requester(&request));
                Ask(view.group, Command::Admit { request }, then)
            }
            Request::Decline { group, request } => {
                let view = self.inside(now, &group)?;
                let request = members::request(&view, &request)?;
                Ask(view.group, Command::Decline { request }, Then::Done)
            }
            Request::Members { group } => Now(members::list(&self.legible(now, &group)?)?),
            Request::Grant { group, member, rank, preview } => {
                let view = self.inside(now, &group)?;
                ask_or_look(&view, members::grant(&view, &member, &rank)?, preview)?
            }
            Request::Revoke { group, member, grant, cut, preview } => {
                let view = self.inside(now, &group)?;
                let command = members::revoke(&view, &member, grant.as_deref(), &cut)?;
                ask_or_look(&view, command, preview)?
            }
            Request::Remove { group, member, cut, rule, reason, preview } => {
                let view = self.inside(now, &group)?;
                let command = members::remove(&view, &member, &cut, rule, reason)?;
                ask_or_look(&view, command, preview)?
            }
            Request::Extend { group, member, cut } => {
                let view = self.inside(now, &group)?;
                Ask(view.group, members::extend(&view, &member, &cut)?, Then::Entry)
            }
            Request::Reissue { group, entry } => {
                let view = self.inside(now, &group)?;
                let entry = view.entry(&entry)?;
                Ask(view.group, Command::Reissue { entry }, Then::Entry)
            }
            Request::Pin { group, entry } => {
                let view = self.inside(now, &group)?;
                let entry = moderation::entry_of(&view, &entry)?;
                Ask(view.group, Command::Pin { entry }, Then::Entry)
            }
            Request::Unlink { group, device, last } => {
                let view = self.inside(now, &group)?;
                let device = preview::device(&view, &device)?;
                let last = last.map(|last| moderation::entry_of(&view, &last)).transpose()?;
                Ask(view.group, Command::Unlink { device, last }, Then::Entry)
            }
            Request::ThreadStart { group, title, body, note, wants } => {
                let group = self.inside(now, &group)?.group;
                let body = posts::body(body, note, wants.as_deref())?;
                Ask(group, Command::StartThread { title, body }, Then::Document("thread"))
            }
            Request::Post { group, thread, reply_to, body, note, wants } => {
                let view = self.inside(now, &group)?;
                let body = posts::body(body, note, wants.as_deref())?;
                let command = posts::post(&view, &thread, reply_to.as_deref(), body)?;
                Ask(view.group, command, Then::Document("post"))
            }
            Request::Threads { group } => Now(threads::list(&self.legible(now, &group)?)?),
            Request::Read { group, thread, mark } => {
                let view = self.legible(now, &group)?;
                let (group, thread) = (view.group, posts::thread(&view, &thread)?);
                let page = threads::read(&view, thread)?;
                if mark && let Err(error) = self.desk.store.mark_read(group, thread) {
                    tracing::warn!(%error, "a thread stays unread");
                }
                Now(page)
            }
            Request::Search { group, words } => {
                Now(threads::search(&self.legible(now, &group)?, &words)?)
            }
            Request::Respond { group, post, word } => {
                let view = self.inside(now, &group)?;
                Ask(view.group, posts::respond(&view, &post, &word)?, Then::Done)
            }
            Request::Edit { group, post, body } => {
                let view = self.inside(now, &group)?;
                let document = posts::document(&view, &post)?;
                Ask(view.group, Command::Edit { document, text: body }, Then::Done)
            }
            Request::Erase { group, post } => {
                let view = self.inside(now, &group)?;
                let document = posts::document(&view, &post)?;
                Ask(view.group, Command::Erase { document }, Then::Entry)
            }
            Request::ConfirmErase { group, post } => {
                let view = self.inside(now, &group)?;
                let document = posts::document(&view, &post)?;
                Ask(view.group, Command::ConfirmErase { document }, Then::Entry)
            }
            Request::Hide { group, post, rule, reason } => {
                let view = self.inside(now, &group)?;
                let document = posts::document(&view, &post)?;
                Ask(view.group, Command::Hide { document, rule, reason }, Then::Entry)
            }
            Request::Restore { group, post } => {
                let view = self.inside(now, &group)?;
                let document = posts::document(&view, &post)?;
                Ask(view.group, Command::Restore { document }, Then::Entry)
            }
            Request::Council { group } => {
                let seed = self.seed()?;
                Now(council::show(&self.legible(now, &group)?, &seed)?)
            }
            Request::CouncilDraft { group, act } => {
                let seed = self.seed()?;
                council::draft(&self.inside(now, &group)?, &seed, act)?
            }
            Request::CouncilSign { group, act, preview } => {
                let seed = self.seed()?;
                council::sign(&self.inside(now, &group)?, &seed, &act, preview)?
            }
            Request::Acts { group } => Now(moderation::acts(&self.legible(now, &group)?)?),
            Request::Explain { group, id } => {
                Now(moderation::explain(&self.legible(now, &group)?, &id)?)
            }
            Request::Import { group, posts } => {
                let group = self.inside(now, &group)?.group;
                let count = posts.len();
                let posts = import::posts(posts)?;
                Ask(group, Command::Import { posts }, Then::Imported(count))
            }
            Request::Export { group } => Now(import::export(&self.legible(now, &group)?)?),
            Request::BundleWrite { group } => {
                let group = self.inside(now, &group)?.group;
                Ask(group, Command::Bundle, Then::Bundle(now, self.home.clone()))
            }
            Request::BundleRead { group, file } => {
                let group = self.inside(now, &group)?.group;
                Now(self.read_bundle(now, group, &file)?)
            }
            Request::KeeperAdd { group, code } => {
                let group = self.inside(now, &group)?.group;
                let command = keepers::add(self.connections.is_some(), &code)?;
                Ask(group, command, Then::Entry)
            }
            Request::Keepers { group } => Now(keepers::list(&self.legible(now, &group)?)),
            Request::KeeperRemove { group, keeper } => {
                let view = self.inside(now, &group)?;
                Ask(view.group, keepers::remove(&view, &keeper)?, Then::Entry)
            }
            Request::Peers { group } => Now(network::peers(&self.shown(now, &group)?)?),
            Request::Sync { group, wait } => {
                let view = self.inside(now, &group)?;
                let (group, answer) = (view.group, network::synced(view.persona, view.replica));
                if self.connections.is_none() {
                    return Err(ApiError::unavailable("this needs a running node")
                        .hinted("Start it with `cairn up`."));
                }
                if wait {
                    return Ok(Outcome::Sync(group));
                }
                self.synchronise(now, group);
                Now(answer)
            }
        })
    }

    /// Asks the replica to synchronise with every connected peer now.
    fn synchronise(&mut self, now: Timestamp, group: GroupId) {
        let (answer, _) = tokio::sync::oneshot::channel();
        self.command(now, group, Command::Sync, Then::Done, answer);
    }
}

/// Does what is asked, or only says what it would change.
fn ask_or_look(view: &View<'_>, command: Command, look: bool) -> Result<Outcome, ApiError> {
    Ok(match look {
        true => Outcome::Answer(preview::preview(view, &command)?),
        false => Outcome::Command(view.group, command, Then::Entry),
    })
}

impl Then {
    /// The answer that a replica's reply makes.
    pub(super) fn answer(
        self,
        persona: &Persona,
        desk: &Desk,
        reply: Reply,
    ) -> Result<Answer, ApiError> {
        Ok(match (self, reply) {
            (Self::Document(name), Reply::Document(id)) => json!({ name: id.to_string() }),
            (Self::Invite, Reply::Invite(code)) => {
                json!({ "code": persona.with_contact(desk, *code).to_text() })
            }
            (Self::Bundle(now, home), Reply::Bundle(bundle)) => {
                let store = (desk.store.as_ref(), persona.group);
                super::bundle::write(now, &home, store, &bundle)?
            }
            (Self::Admitted(member), _) => {
                json!({ "member": member.map(|member| member.to_string()) })
            }
            (Self::Imported(count), Reply::Documents(documents)) => {
                let mut threads = Vec::new();
                for document in documents {
                    let row = desk.store.post(persona.group, document)?;
                    if row.is_none_or(|row| row.thread == document) {
                        threads.push(document.to_string());
                    }
                }
                json!({ "threads": threads, "posts": count })
            }
            (Self::Draft { does, threshold }, Reply::Draft(draft)) => {
                council::handed_on(&draft, &does, threshold)
            }
            (_, Reply::Entry(entry)) => json!({ "entry": entry.to_string() }),
            (_, Reply::Document(document)) => json!({ "document": document.to_string() }),
            (
                _,
                Reply::Documents(_)
                | Reply::Done
                | Reply::Invite(_)
                | Reply::Draft(_)
                | Reply::Bundle(_),
            ) => json!({}),
        })
    }
}

/// Something that goes by its id alone.
const fn candidate<T>(value: T, id: String) -> lookup::Candidate<T> {
    lookup::Candidate { value, id, name: None }
}
