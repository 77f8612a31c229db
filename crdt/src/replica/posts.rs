//! What a member writes: profile, threads, posts, responses, edits, the agreement.

use rand_core::CryptoRng;

use crate::codec::{Bytes, List, Text};
use crate::document::change::{Actor, CheckedChange};
use crate::document::kinds::profile::Pseudonym;
use crate::document::kinds::{
    CannotWrite, Content, DocumentKind, agreement, post, profile, response, thread,
};
use crate::document::rebuild;
use crate::document::sealing::{DocumentKey, Envelope};
use crate::epoch::secret::Audience;
use crate::id::{DocumentId, EntryId};
use crate::limits;
use crate::replica::Replica;
use crate::replica::effect::{Refused, Reply};
use crate::replica::input::{Body, CommandId, ImportedPost, ResponseWord};
use crate::replica::outcome::Outcome;
use crate::replica::persona::ReplicaState;
use crate::time::Timestamp;

/// A change of a document that waits until the document has been read from the store.
pub(crate) struct PendingEdit {
    /// Who is to hear of it, if a person asked.
    pub(crate) command: Option<CommandId>,
    pub(crate) edit: Edit,
}

/// What an edit rests on: the changes that stand, and the keys that they carried.
pub(crate) struct Ground {
    pub(crate) standing: Vec<(EntryId, CheckedChange)>,
    pub(crate) envelopes: Vec<(EntryId, Envelope)>,
}

/// What is to be changed.
pub(crate) enum Edit {
    /// The text of a post or thread.
    Text(String),
    /// Name (if given) and addresses of the own profile.
    Profile { pseudonym: Option<String>, addresses: Vec<Vec<u8>> },
    /// Name and text of the agreement.
    Agreement { name: String, text: String },
}

impl Replica {
    pub(crate) fn start_thread<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        title: &str,
        body: &Body,
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let (needed, words) = Self::ability_for(DocumentKind::Thread);
        let grant = self.grant_with(needed, None, words)?;
        not_empty("the title", title)?;
        not_empty("the text", &body.text)?;
        // The title has a document of its own: whoever may know that a thread is open may still
        // not read what was written in it before they came (K6).
        let content = Content::Thread(thread::Thread {
            title: text("the title", title)?,
            body: Text::default(),
            note: Text::default(),
            wants: None,
        });
        let opening = self.post_content(None, None, body)?;
        let thread = self.create(now, rng, grant, Audience::Readers, &content, out)?;
        let opening = Content::Post(post::Post { thread, ..opening });
        self.create(now, rng, grant, Audience::Readers, &opening, out)?;
        Ok(Reply::Document(thread))
    }

    pub(crate) fn post<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        (thread, reply_to): (DocumentId, Option<DocumentId>),
        body: &Body,
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let (needed, words) = Self::ability_for(DocumentKind::Post);
        let grant = self.grant_with(needed, None, words)?;
        not_empty("the text", &body.text)?;
        self.must_be(&thread, DocumentKind::Thread, "thread")?;
        if let Some(reply_to) = reply_to {
            self.must_be(&reply_to, DocumentKind::Post, "post")?;
        }
        let content = Content::Post(self.post_content(Some(thread), reply_to, body)?);
        self.create(now, rng, grant, Audience::Readers, &content, out).map(Reply::Document)
    }

    pub(crate) fn import<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        posts: &[ImportedPost],
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let (needed, words) = Self::ability_for(DocumentKind::Post);
        let grant = self.grant_with(needed, None, words)?;
        // All is checked before anything is written: an import is whole or not at all.
        for post in posts {
            not_empty("the text", &post.text)?;
            let _: Text<{ limits::BODY_BYTES }> = text("the text", &post.text)?;
            let _: Text<{ limits::TITLE_BYTES }> = text("the title", &post.thread)?;
        }
        let mut threads = std::collections::BTreeMap::new();
        let mut written: Vec<DocumentId> = Vec::with_capacity(posts.len());
        let mut documents = Vec::new();
        for imported in posts {
            let thread = match threads.get(&imported.thread) {
                Some(thread) => *thread,
                None => {
                    let content = Content::Thread(thread::Thread {
                        title: text("the title", &imported.thread)?,
                        body: Text::default(),
                        note: Text::default(),
                        wants: None,
                    });
                    let made = self.create(now, rng, grant, Audience::Readers, &content, out)?;
                    threads.insert(imported.thread.clone(), made);
                    documents.push(made);
                    made
                }
            };
            let label: String = imported.author.chars().take(20).collect();
            let content = Content::Post(post::Post {
                thread,
                reply_to: imported.reply_to.and_then(|index| written.get(index).copied()),
                body: text("the text", &imported.text)?,
                note: Text::default(),
                wants: None,
                imported: Some(post::Imported {
                    label: Text::new(label).unwrap_or_default(),
                    at: imported.at,
                    id: Text::default(),
                }),
            });
            written.push(self.create(now, rng, grant, Audience::Readers, &content, out)?);
        }
        Ok(Reply::Documents(documents))
    }

    pub(crate) fn respond<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        post: DocumentId,
        word: ResponseWord,
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let (needed, words) = Self::ability_for(DocumentKind::Response);
        let grant = self.grant_with(needed, None, words)?;
        self.must_be(&post, DocumentKind::Post, "post")?;
        let content = Content::Response(response::Response { post, word });
        self.create(now, rng, grant, Audience::Readers, &content, out).map(Reply::Document)
    }

    pub(crate) fn edit_text(
        &mut self,
        id: CommandId,
        document: DocumentId,
        text: String,
    ) -> Result<(), Refused> {
        let (needed, words) = Self::ability_for(DocumentKind::Post);
        self.grant_with(needed, None, words)?;
        not_empty("the text", &text)?;
        let known = self.documents.get(&document).and_then(|known| known.created);
        let Some((created, DocumentKind::Post | DocumentKind::Thread)) = known else {
            return Err(Refused::Unknown { what: "post" });
        };
        if self.owner_of(&document) != Some(self.member()) {
            let needs = "to have written it: nobody can change another's words".to_owned();
            return Err(Refused::NotAllowed { needs });
        }
        if self.authority.erased(&created).is_some() {
            return Err(Refused::Conflict("the post was erased".to_owned()));
        }
        self.later(document, PendingEdit { command: Some(id), edit: Edit::Text(text) });
        Ok(())
    }

    /// Writes or renews the own profile: the name if given, and where this node listens.
    pub(crate) fn publish_profile<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        pseudonym: Option<String>,
        command: Option<CommandId>,
        out: &mut Outcome,
    ) {
        if self.persona.state != ReplicaState::Member {
            if let Some(id) = command {
                out.reply(id, Err(Refused::NotAMember { removed: false }));
            }
            return;
        }
        let own = self.member();
        let document = self
            .documents
            .of_kind(DocumentKind::Profile)
            .map(|(id, _)| id)
            .find(|id| self.owner_of(id) == Some(own));
        if let Some(document) = document {
            let addresses = self.addresses.clone();
            let edit = Edit::Profile { pseudonym, addresses };
            self.later(document, PendingEdit { command, edit });
            return;
        }
        let name = pseudonym.unwrap_or_else(|| self.persona.pseudonym.clone());
        let result = self.write_profile(now, rng, &name, out);
        if let Some(id) = command {
            out.reply(id, result.map(|()| Reply::Done));
        }
    }

    fn write_profile<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        name: &str,
        out: &mut Outcome,
    ) -> Result<(), Refused> {
        let (needed, words) = Self::ability_for(DocumentKind::Profile);
        let grant = self.grant_with(needed, None, words)?;
        let content = Content::Profile(profile_of(name, &self.addresses)?);
        self.create(now, rng, grant, Audience::Readers, &content, out).map(|_| ())
    }

    pub(crate) fn set_agreement<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        id: CommandId,
        (name, agreement): (String, String),
        out: &mut Outcome,
    ) -> Result<Option<Reply>, Refused> {
        let (needed, words) = Self::ability_for(DocumentKind::Agreement);
        let grant = self.grant_with(needed, None, words)?;
        not_empty("the name", &name)?;
        let first = self.documents.of_kind(DocumentKind::Agreement).map(|(id, _)| id).next();
        if let Some(document) = first {
            let edit = Edit::Agreement { name, text: agreement };
            self.later(document, PendingEdit { command: Some(id), edit });
            return Ok(None);
        }
        let content = agreement_of(&name, &agreement)?;
        self.create(now, rng, grant, Audience::Readers, &content, out)
            .map(|document| Some(Reply::Document(document)))
    }

    fn later(&mut self, document: DocumentId, edit: PendingEdit) {
        self.edits.entry(document).or_default().push(edit);
        self.documents.touch(document);
    }

    /// The document was read: what was to be changed in it is changed.
    pub(crate) fn continue_edits<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        document: DocumentId,
        edits: Vec<PendingEdit>,
        ground: &Ground,
        out: &mut Outcome,
    ) {
        let mut edits = edits.into_iter();
        let Some(PendingEdit { command, edit }) = edits.next() else { return };
        let result = self.apply_edit(now, rng, document, edit, ground, out);
        if let Some(id) = command {
            out.reply(id, result.map(|()| Reply::Document(document)));
        }
        // The next one is made on what this one leaves, so the document is read once more.
        for edit in edits {
            self.later(document, edit);
        }
    }

    /// The document was erased before what was to be changed in it could be: whoever asked is told.
    pub(crate) fn refuse_edits(&mut self, document: DocumentId, out: &mut Outcome) {
        for edit in self.edits.remove(&document).unwrap_or_default() {
            if let Some(id) = edit.command {
                out.reply(id, Err(Refused::Conflict("the post was erased".to_owned())));
            }
        }
    }

    fn apply_edit<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        document: DocumentId,
        edit: Edit,
        ground: &Ground,
        out: &mut Outcome,
    ) -> Result<(), Refused> {
        let Ground { standing, envelopes } = ground;
        let known = self.documents.get(&document).and_then(|known| known.created);
        let (_, kind) = known.ok_or(Refused::Unknown { what: "document" })?;
        let view = rebuild::rebuild(kind, standing).view;
        let view = view.ok_or(Refused::Unknown { what: "document" })?;
        let content = match (view.content, edit) {
            (Content::Post(post), Edit::Text(new)) => {
                Content::Post(post::Post { body: text("the text", &new)?, ..post })
            }
            (Content::Thread(thread), Edit::Text(new)) => {
                Content::Thread(thread::Thread { title: text("the title", &new)?, ..thread })
            }
            (Content::Profile(profile), Edit::Profile { pseudonym, addresses }) => {
                let name = pseudonym.unwrap_or_else(|| profile.pseudonym.as_str().to_owned());
                Content::Profile(profile_of(&name, &addresses)?)
            }
            (Content::Agreement(_), Edit::Agreement { name, text }) => agreement_of(&name, &text)?,
            _ => return Err(Refused::Unknown { what: "post" }),
        };
        let (needed, words) = Self::ability_for(kind);
        let grant = self.grant_with(needed, None, words)?;
        let written = self.next_time(now, out);
        let change = match content.edit(standing, Actor::of(self.device(), document), written) {
            Ok(change) => change,
            Err(CannotWrite::NothingChanged) => return Ok(()),
            Err(why) => return Err(Refused::Conflict(why.to_string())),
        };
        // A document that was last written before a removal gets a new key (K5). One that every
        // current reader can open keeps its own.
        let epoch = self.epoch_for(now, rng, Audience::Readers, out)?;
        let fresh =
            |(_, envelope): &&(EntryId, Envelope)| matches!(envelope.key, DocumentKey::Fresh(_));
        let place = |(id, _): &&(EntryId, Envelope)| self.set.place_of(id).map(|(_, seq)| seq);
        let last = envelopes.iter().filter(fresh).max_by_key(place);
        let last = last.and_then(|(id, envelope)| {
            self.keyring.learn_envelope(*id, envelope);
            Some((*id, *self.sealed_under.get(id)?))
        });
        let (carried, key) = self.keyring.key_to_write(rng, epoch, last);
        // Document keys live in the store; in memory only while one is written with.
        self.keyring.forget_document(document);
        let envelope = Envelope { document, creation: None, key: carried };
        self.write_content(now, rng, grant, Audience::Readers, &envelope, &key, &change, out)?;
        Ok(())
    }

    fn post_content(
        &self,
        thread: Option<DocumentId>,
        reply_to: Option<DocumentId>,
        body: &Body,
    ) -> Result<post::Post, Refused> {
        let note = body.note.as_deref().unwrap_or_default();
        Ok(post::Post {
            thread: thread.unwrap_or(DocumentId::from_bytes([0; 32])),
            reply_to,
            body: text("the text", &body.text)?,
            note: text("the content note", note)?,
            wants: body.wants,
            imported: None,
        })
    }

    fn must_be(
        &self,
        document: &DocumentId,
        kind: DocumentKind,
        what: &'static str,
    ) -> Result<(), Refused> {
        let known = self.documents.get(document).and_then(|known| known.created);
        let (created, _) = known.filter(|(_, is)| *is == kind).ok_or(Refused::Unknown { what })?;
        if self.authority.erased(&created).is_some() && kind == DocumentKind::Post {
            return Err(Refused::Conflict(format!("the {what} was erased")));
        }
        Ok(())
    }
}

fn profile_of(name: &str, addresses: &[Vec<u8>]) -> Result<profile::Profile, Refused> {
    let pseudonym = Pseudonym::new(name).map_err(|why| Refused::Conflict(why.to_string()))?;
    let addresses: Vec<Bytes<{ limits::ADDRESS_BYTES }>> = addresses
        .iter()
        .filter_map(|address| Bytes::new(address.clone()).ok())
        .take(limits::ADDRESSES)
        .collect();
    Ok(profile::Profile { pseudonym, addresses: List::new(addresses).unwrap_or_default() })
}

pub(crate) fn agreement_of(name: &str, agreement: &str) -> Result<Content, Refused> {
    Ok(Content::Agreement(agreement::Agreement {
        name: text("the name", name)?,
        text: text("the agreement", agreement)?,
    }))
}

pub(crate) fn text<const MAX: usize>(what: &'static str, text: &str) -> Result<Text<MAX>, Refused> {
    Text::new(text).map_err(|_| Refused::TooLong { what, limit: MAX })
}

fn not_empty(what: &'static str, text: &str) -> Result<(), Refused> {
    if text.trim().is_empty() { Err(Refused::Empty { what }) } else { Ok(()) }
}
