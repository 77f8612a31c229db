//! A group as its people see it: founding and joining, writing and reading, and being the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::patience::until;
use crate::person::Person;

/// The name of the group that [`gather`] founds.
pub const GROUP: &str = "Thursday circle";

/// A post as one person reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Post {
    /// The thread's id.
    pub thread: String,
    /// The thread's title.
    pub title: String,
    /// The author's member id.
    pub author: String,
    /// The text.
    pub body: String,
    /// `shown`, `hidden` or `erased`.
    pub state: String,
}

/// Everything that one person can read, by the posts' ids.
pub type View = BTreeMap<String, Post>;

/// The first of these founds [`GROUP`]; the others ask to join and are admitted. The group's id.
///
/// # Panics
/// When that does not come about.
pub fn gather(founder: &Person, others: &[&Person]) -> String {
    gather_through(founder, others, |code| code.to_owned())
}

/// As [`gather`]; each newcomer is handed what `hand_over` makes of the code.
///
/// # Panics
/// When that does not come about.
pub fn gather_through(
    founder: &Person,
    others: &[&Person],
    hand_over: impl Fn(&str) -> String + Sync,
) -> String {
    let founded = founder.ask(&["group", "create", GROUP, "--as", &founder.name]);
    let group = string(&founded, "group");
    let code = founder.invite(&group, others.len());
    std::thread::scope(|scope| {
        for person in others {
            scope.spawn(|| {
                let joined = person.join(&hand_over(&code));
                assert_eq!((string(&joined, "group"), string(&joined, "state")), (
                    group.clone(),
                    "waiting".to_owned()
                ));
            });
        }
    });
    founder.admit(&group, others.len());
    for person in others {
        person.until_state(&group, "member");
    }
    let everyone: Vec<&Person> = std::iter::once(founder).chain(others.iter().copied()).collect();
    until("everyone knows what everyone is called", || {
        let knows = |person: &&Person| {
            let members = person.ask(&["members", &group]);
            let named = |member: &Value| member["pseudonym"].is_string();
            let members = members.as_array().unwrap();
            members.len() == everyone.len() && members.iter().all(named)
        };
        everyone.iter().all(knows).then_some(())
    });
    until_equal(&group, &everyone);
    group
}

/// Waits until these people's replicas hold the same set and miss nothing of it; the digest.
///
/// # Panics
/// When they do not become equal.
pub fn until_equal(group: &str, people: &[&Person]) -> String {
    let names: Vec<&str> = people.iter().map(|person| person.name.as_str()).collect();
    until(&format!("{} hold the same", names.join(", ")), || {
        let mut digests = BTreeSet::new();
        for person in people {
            let status = person.standing(group);
            if status["missing"] != 0 {
                return None;
            }
            digests.insert(string(&status, "digest"));
        }
        let only = digests.pop_first();
        only.filter(|_| digests.is_empty())
    })
}

/// A field of an answer that is a text.
///
/// # Panics
/// When it is not.
#[must_use]
pub fn string(answer: &Value, field: &str) -> String {
    let text = answer[field].as_str();
    text.unwrap_or_else(|| panic!("no \"{field}\" in {answer}")).to_owned()
}

impl Person {
    /// Makes a code for so many newcomers.
    #[must_use]
    pub fn invite(&self, group: &str, uses: usize) -> String {
        string(&self.ask(&["invite", group, "--uses", &uses.to_string()]), "code")
    }

    /// Asks to join with a code, under the person's name.
    #[must_use]
    pub fn join(&self, code: &str) -> Value {
        self.ask(&["join", code, "--as", &self.name])
    }

    /// Admits so many people, as their requests come.
    pub fn admit(&self, group: &str, many: usize) {
        let mut admitted = BTreeSet::new();
        until(&format!("{many} requests reach {}", self.name), || {
            for request in self.ask(&["requests", group]).as_array().unwrap() {
                let request = string(request, "request");
                if admitted.insert(request.clone()) {
                    drop(self.ask(&["admit", group, &request]));
                }
            }
            (admitted.len() >= many).then_some(())
        });
    }

    /// How this person stands with a group, in the words of `group list`; `None` if it is not there.
    #[must_use]
    pub fn state(&self, group: &str) -> Option<String> {
        let groups = self.ask(&["group", "list"]);
        let found = groups.as_array().unwrap().iter().find(|found| found["group"] == group);
        found.map(|found| string(found, "state"))
    }

    /// Waits until this person's own node says that they stand so.
    pub fn until_state(&self, group: &str, state: &str) {
        until(&format!("the node of {} says \"{state}\"", self.name), || {
            (self.state(group).as_deref() == Some(state)).then_some(())
        });
    }

    /// What `status` says of a group.
    ///
    /// # Panics
    /// When the group is not there.
    #[must_use]
    pub fn standing(&self, group: &str) -> Value {
        let status = self.ask(&["status"]);
        let groups = status["groups"].as_array().unwrap();
        let found = groups.iter().find(|found| found["group"] == group);
        found.unwrap_or_else(|| panic!("{} has no such group: {status}", self.name)).clone()
    }

    /// This person's member id.
    ///
    /// # Panics
    /// When they are not among the members.
    #[must_use]
    pub fn member(&self, group: &str) -> String {
        let members = self.ask(&["members", group]);
        let you = members.as_array().unwrap().iter().find(|member| member["you"] == true);
        string(you.expect("a member finds itself"), "member")
    }

    /// The ranks of all members, by what this person knows them by: a pseudonym, or else an id.
    #[must_use]
    pub fn ranks(&self, group: &str) -> BTreeMap<String, String> {
        let members = self.ask(&["members", group]);
        let known = |member: &Value| match member["pseudonym"].as_str() {
            Some(name) => name.to_owned(),
            None => string(member, "member"),
        };
        let members = members.as_array().unwrap().iter();
        members.map(|member| (known(member), string(member, "rank"))).collect()
    }

    /// Starts a thread; its id.
    #[must_use]
    pub fn start(&self, group: &str, title: &str, body: &str) -> String {
        string(&self.tell(&["thread", "start", group, "--title", title], body), "thread")
    }

    /// Writes a post; its id.
    #[must_use]
    pub fn post(&self, group: &str, thread: &str, body: &str) -> String {
        string(&self.tell(&["post", group, thread], body), "post")
    }

    /// All that this person can read, by reading thread for thread.
    ///
    /// # Panics
    /// When a post is there twice.
    #[must_use]
    pub fn view(&self, group: &str) -> View {
        let mut view = View::new();
        for page in self.pages(group) {
            for post in page["posts"].as_array().unwrap() {
                let read = Post {
                    thread: string(&page, "thread"),
                    title: page["title"].as_str().unwrap_or_default().to_owned(),
                    author: string(&post["author"], "member"),
                    body: string(post, "body"),
                    state: string(post, "state"),
                };
                let twice = view.insert(string(post, "post"), read);
                assert!(twice.is_none(), "a post stands there twice: {post}");
            }
        }
        view
    }

    /// The answers of `read` for every thread.
    #[must_use]
    pub fn pages(&self, group: &str) -> Vec<Value> {
        let threads = self.ask(&["threads", group]);
        let read = |thread: &Value| {
            self.ask(&["read", group, &string(thread, "thread"), "--keep-unread"])
        };
        threads.as_array().unwrap().iter().map(read).collect()
    }

    /// Waits until this person can read a post.
    pub fn until_read(&self, group: &str, post: &str) {
        until(&format!("{} can read a post", self.name), || {
            self.view(group).contains_key(post).then_some(())
        });
    }
}
