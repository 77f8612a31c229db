//! All people of the demo and their group: set up, brought together, looked at.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use cairn_node::api::command::{HistoryChoice, Request};
use serde_json::Value;
use tokio::task::JoinSet;

use super::person::Person;
use crate::error::Failure;
use crate::output::answer;

/// How long a condition may take on a slow machine. It is waited for, not slept for.
const PATIENCE: Duration = Duration::from_secs(240);
/// How often it is looked at.
const GLANCE: Duration = Duration::from_millis(60);

/// What the people are called.
const NAMES: [&str; 16] = [
    "heron", "lantern", "moss", "juniper", "wren", "alder", "pebble", "thistle", "otter", "maple",
    "finch", "harbour", "clover", "rowan", "lark", "meadow",
];
/// What their group is called.
pub(super) const GROUP: &str = "The chair by the window";

/// The people; the first founds the group.
#[derive(Default)]
pub(super) struct Company {
    pub(super) people: Vec<Person>,
    /// The group's id.
    pub(super) group: String,
    /// Those who are not ready yet.
    settling: JoinSet<Result<(usize, Person), Failure>>,
}

/// One post as a person sees it: thread, post, author, text.
pub(super) type Seen = (String, String, String, String);

impl Company {
    /// Makes everyone's store and starts everyone's node, at the same time.
    pub(super) async fn settle(&mut self, many: usize, root: &Path) -> Result<(), Failure> {
        for (number, pseudonym) in names().take(many).enumerate() {
            let home = root.join(pseudonym.replace(' ', "-"));
            let passphrase_file = root.join("passphrase");
            self.settling.spawn(async move {
                let mut person = Person::settle(pseudonym, home, passphrase_file).await?;
                person.arrive().await?;
                Ok::<_, Failure>((number, person))
            });
        }
        let mut settled = Vec::new();
        while let Some(done) = self.settling.join_next().await {
            settled.push(done.map_err(broken)??);
        }
        settled.sort_by_key(|(number, _)| *number);
        self.people = settled.into_iter().map(|(_, person)| person).collect();
        Ok(())
    }

    /// Ends every node, wherever things stand.
    pub(super) async fn end(&mut self) {
        self.settling.shutdown().await;
        for person in &mut self.people {
            person.end().await;
        }
    }

    /// Somebody by number.
    pub(super) fn person(&self, number: usize) -> Result<&Person, Failure> {
        self.people.get(number).ok_or_else(|| Failure::new("There is no such person in the demo."))
    }

    /// Somebody by number, to start or stop their node.
    pub(super) fn person_mut(&mut self, number: usize) -> Result<&mut Person, Failure> {
        let missing = || Failure::new("There is no such person in the demo.");
        self.people.get_mut(number).ok_or_else(missing)
    }

    /// The first founds a group, invites, and admits each of the others.
    pub(super) async fn gather(&mut self) -> Result<(), Failure> {
        let founder = self.person(0)?;
        let name = GROUP.to_owned();
        let pseudonym = founder.pseudonym.clone();
        let history = HistoryChoice::SinceJoining;
        let founded = founder.ask(Request::GroupCreate { name, pseudonym, history }).await?;
        let group = answer::text(&founded, "group");
        let others = self.people.get(1..).unwrap_or_default();
        let invited = founder
            .ask(Request::Invite {
                group: group.clone(),
                rank: "member".to_owned(),
                uses: u16::try_from(others.len()).unwrap_or(u16::MAX),
                expires_in_seconds: Some(3600),
                at_once: false,
            })
            .await?;
        let code = answer::text(&invited, "code");
        let mut joining = JoinSet::new();
        for person in others {
            let words = format!("I am {}. A friend told me of you.", person.pseudonym);
            let pseudonym = person.pseudonym.clone();
            let (client, code) = (person.client()?, code.clone());
            joining
                .spawn(async move { client.call(Request::Join { code, pseudonym, words }).await });
        }
        while let Some(asked) = joining.join_next().await {
            asked.map_err(broken)??;
        }
        let mut admitted = BTreeSet::new();
        until("Not everyone's request reached the founder", async || {
            let waiting = founder.ask(Request::Requests { group: group.clone() }).await?;
            for request in answer::items(&waiting) {
                let request = answer::text(request, "request");
                if admitted.insert(request.clone()) {
                    founder.ask(Request::Admit { group: group.clone(), request }).await?;
                }
            }
            Ok((admitted.len() >= others.len()).then_some(()))
        })
        .await?;
        self.group = group;
        for person in self.people.get(1..).unwrap_or_default() {
            self.until_state(person, "member").await?;
        }
        Ok(())
    }

    /// Waits until somebody's own node says that they stand so with the group.
    pub(super) async fn until_state(&self, person: &Person, state: &str) -> Result<(), Failure> {
        let late = format!("The node of {} does not say \"{state}\"", person.pseudonym);
        until(&late, async || {
            let groups = person.ask(Request::GroupList).await?;
            let group = answer::items(&groups)
                .iter()
                .find(|group| answer::text(group, "group") == self.group);
            Ok(group.filter(|group| answer::text(group, "state") == state).map(|_| ()))
        })
        .await
    }

    /// Waits until all whose node runs, but `without`, hold the same set; its digest.
    pub(super) async fn until_equal(&self, without: Option<usize>) -> Result<String, Failure> {
        until("The replicas did not become equal", async || {
            let mut digests = BTreeSet::new();
            for (number, person) in self.people.iter().enumerate() {
                if person.is_here() && Some(number) != without {
                    digests.insert(self.digest(person).await?);
                }
            }
            let only = digests.pop_first().flatten();
            Ok(only.filter(|_| digests.is_empty()))
        })
        .await
    }

    /// The digest of somebody's replica; `None` while something is known to be missing.
    async fn digest(&self, person: &Person) -> Result<Option<String>, Failure> {
        let status = person.ask(Request::Status).await?;
        let group = answer::list(&status, "groups")
            .iter()
            .find(|group| answer::text(group, "group") == self.group);
        Ok(group
            .filter(|group| answer::number(group, "missing") == 0)
            .and_then(|group| answer::some_text(group, "digest")))
    }

    /// All that somebody can read.
    pub(super) async fn view(&self, person: &Person) -> Result<BTreeSet<Seen>, Failure> {
        let group = || self.group.clone();
        let mut view = BTreeSet::new();
        let threads = person.ask(Request::Threads { group: group() }).await?;
        for thread in answer::items(&threads) {
            let id = answer::text(thread, "thread");
            let read = Request::Read { group: group(), thread: id.clone(), mark: false };
            let page = person.ask(read).await?;
            view.extend(answer::list(&page, "posts").iter().map(|post| {
                let author = post.get("author").unwrap_or(&Value::Null);
                (
                    id.clone(),
                    answer::text(post, "post"),
                    answer::text(author, "member"),
                    answer::long_text(post, "body"),
                )
            }));
        }
        Ok(view)
    }

    /// Somebody's member id.
    pub(super) async fn member(&self, number: usize) -> Result<String, Failure> {
        let members =
            self.person(number)?.ask(Request::Members { group: self.group.clone() }).await?;
        answer::items(&members)
            .iter()
            .find(|member| answer::flag(member, "you"))
            .map(|member| answer::text(member, "member"))
            .ok_or_else(|| Failure::new("A node does not list its own person as a member."))
    }
}

fn broken(error: tokio::task::JoinError) -> Failure {
    Failure::new(format!("A part of the demo broke: {error}."))
}

/// Names without end: the second round has a number.
fn names() -> impl Iterator<Item = String> {
    (1_usize..).flat_map(|round| {
        NAMES.into_iter().map(move |name| match round {
            1 => name.to_owned(),
            round => format!("{name} {round}"),
        })
    })
}

/// Looks again and again until there is a result; `late` says what did not happen.
pub(super) async fn until<T>(
    late: &str,
    mut attempt: impl AsyncFnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let begun = Instant::now();
    loop {
        if let Some(result) = attempt().await? {
            return Ok(result);
        }
        if begun.elapsed() > PATIENCE {
            return Err(Failure::new(format!("{late}, after {} seconds.", PATIENCE.as_secs())));
        }
        tokio::time::sleep(GLANCE).await;
    }
}
