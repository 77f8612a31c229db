//! Playing conversations: who says which line, and what a line needs before it can be said.

use std::collections::BTreeMap;

use cairn_node::api::command::{ImportLine, Request};

use super::company::{Company, until};
use crate::conversation::Conversations;
use crate::error::Failure;
use crate::output::answer;

/// The lines in the order in which they are said, dealt to people.
pub(super) struct Script {
    lines: Vec<(usize, ImportLine)>,
}

/// Where what was said stands: threads by conversation, posts by conversation and id.
#[derive(Default)]
pub(super) struct Stage {
    threads: BTreeMap<String, Place>,
    posts: BTreeMap<(String, String), Place>,
    /// Posts that everyone will see.
    pub(super) said: usize,
}

/// An id, and who holds it while somebody is away.
#[derive(Clone)]
struct Place {
    /// `None`: the opening, which a post answers by answering nothing else.
    id: Option<String>,
    away: Away,
}

/// Who wrote something while one person was away; everyone holds what was written before.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Away {
    Before,
    ByThem,
    ByOthers,
}

impl Script {
    /// Deals each author to the next person, in the order in which they first speak.
    pub(super) fn deal(conversations: Conversations, people: usize) -> Self {
        // Conversations are interleaved by time; within each the order of the file stands, even
        // where its times do not follow it: a line never comes before one that it answers.
        let mut timed: Vec<(String, ImportLine)> = Vec::new();
        for conversation in conversations {
            let mut latest = String::new();
            for line in conversation {
                latest = latest.max(line.at.clone());
                timed.push((latest.clone(), line));
            }
        }
        timed.sort_by(|a, b| a.0.cmp(&b.0));
        let mut dealt: BTreeMap<String, usize> = BTreeMap::new();
        let lines = timed
            .into_iter()
            .map(|(_, line)| {
                let next = dealt.len().checked_rem(people).unwrap_or_default();
                (*dealt.entry(line.author.clone()).or_insert(next), line)
            })
            .collect();
        Self { lines }
    }

    /// Takes the first `many` lines off.
    pub(super) fn take(&mut self, many: usize) -> Self {
        let rest = self.lines.split_off(many.min(self.lines.len()));
        Self { lines: std::mem::replace(&mut self.lines, rest) }
    }

    /// Puts lines back before the others.
    pub(super) fn put_back(&mut self, mut earlier: Self) {
        earlier.lines.append(&mut self.lines);
        self.lines = earlier.lines;
    }

    /// Lines left.
    pub(super) const fn len(&self) -> usize {
        self.lines.len()
    }
}

impl Stage {
    /// Everyone says their lines, the person numbered `away` from their store alone. Lines that
    /// answer what their author cannot have read yet come back.
    pub(super) async fn play(
        &mut self,
        company: &Company,
        script: Script,
        away: Option<usize>,
        mut said: impl FnMut(),
    ) -> Result<Script, Failure> {
        let mut later = Script { lines: Vec::new() };
        for (who, line) in script.lines {
            let side = match away {
                None => Away::Before,
                Some(away) if away == who => Away::ByThem,
                Some(_) => Away::ByOthers,
            };
            if self.can_say(&line, side) {
                self.say(company, who, line, side).await?;
                said();
            } else {
                later.lines.push((who, line));
            }
        }
        Ok(later)
    }

    /// Whoever was away is back, and all is with all.
    pub(super) fn reunite(&mut self) {
        for place in self.threads.values_mut().chain(self.posts.values_mut()) {
            place.away = Away::Before;
        }
    }

    /// Any thread that everyone holds.
    pub(super) fn thread(&self) -> Result<String, Failure> {
        self.threads
            .values()
            .filter(|place| place.away == Away::Before)
            .find_map(|place| place.id.clone())
            .ok_or_else(|| Failure::new("No thread was started."))
    }

    fn can_say(&self, line: &ImportLine, side: Away) -> bool {
        let with = |place: &Place| place.away == Away::Before || place.away == side;
        let thread = self.threads.get(&line.conversation).is_none_or(with);
        let answered = line.reply_to.as_ref().is_none_or(|id| {
            self.posts.get(&(line.conversation.clone(), id.clone())).is_some_and(with)
        });
        thread && answered
    }

    async fn say(
        &mut self,
        company: &Company,
        who: usize,
        line: ImportLine,
        side: Away,
    ) -> Result<(), Failure> {
        let thread = self.threads.get(&line.conversation).and_then(|place| place.id.clone());
        let key = (line.conversation.clone(), line.id);
        let id = match thread {
            None => {
                let thread = start_thread(company, who, &line.conversation, &line.body).await?;
                self.threads.insert(line.conversation, Place { id: Some(thread), away: side });
                None
            }
            Some(thread) => {
                let answered = line.reply_to.and_then(|id| {
                    self.posts.get(&(line.conversation, id)).and_then(|place| place.id.clone())
                });
                Some(post(company, who, &thread, answered, &line.body).await?)
            }
        };
        self.posts.insert(key, Place { id, away: side });
        self.said = self.said.saturating_add(1);
        Ok(())
    }
}

async fn start_thread(
    company: &Company,
    who: usize,
    title: &str,
    body: &str,
) -> Result<String, Failure> {
    let person = company.person(who)?;
    let answer = if person.is_here() {
        person
            .ask(Request::ThreadStart {
                group: company.group.clone(),
                title: title.to_owned(),
                body: body.to_owned(),
                note: None,
                wants: None,
            })
            .await?
    } else {
        // An option's value that begins with a hyphen needs the equals sign.
        let title = format!("--title={title}");
        person.command(&["thread", "start", &company.group, &title], body).await?
    };
    Ok(answer::text(&answer, "thread"))
}

/// Posts as a person; a running node first waits for what is answered to reach it.
pub(super) async fn post(
    company: &Company,
    who: usize,
    thread: &str,
    reply_to: Option<String>,
    body: &str,
) -> Result<String, Failure> {
    let person = company.person(who)?;
    if !person.is_here() {
        let mut words = vec!["post", company.group.as_str(), thread];
        if let Some(answered) = &reply_to {
            words.extend(["--reply-to", answered.as_str()]);
        }
        let answer = person.command(&words, body).await?;
        return Ok(answer::text(&answer, "post"));
    }
    let late = format!("A post did not reach {}, who was to answer it", person.pseudonym);
    until(&late, async || {
        let request = Request::Post {
            group: company.group.clone(),
            thread: thread.to_owned(),
            reply_to: reply_to.clone(),
            body: body.to_owned(),
            note: None,
            wants: None,
        };
        match person.ask(request).await {
            Ok(answer) => Ok(Some(answer::text(&answer, "post"))),
            Err(failure) if failure.is("not-found") => Ok(None),
            Err(failure) => Err(failure),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(conversation: &str, id: &str, reply_to: Option<&str>, at: &str) -> ImportLine {
        ImportLine {
            conversation: conversation.to_owned(),
            id: id.to_owned(),
            reply_to: reply_to.map(str::to_owned),
            author: format!("author of {id}"),
            at: at.to_owned(),
            body: "words".to_owned(),
        }
    }

    #[test]
    fn conversations_interleave_and_no_answer_comes_before_its_question() {
        let script = Script::deal(
            vec![
                // The second line claims to be older than the one that it answers.
                vec![line("a", "1", None, "2025-06-03"), line("a", "2", Some("1"), "2025-06-01")],
                vec![line("b", "3", None, "2025-06-02"), line("b", "4", None, "2025-06-04")],
            ],
            3,
        );
        let order: Vec<&str> = script.lines.iter().map(|(_, line)| line.id.as_str()).collect();
        assert_eq!(order, ["3", "1", "2", "4"]);
        let dealt: Vec<usize> = script.lines.iter().map(|(who, _)| *who).collect();
        assert_eq!(dealt, [0, 1, 2, 0]);
    }

    #[test]
    fn while_apart_nobody_answers_what_they_cannot_have_read() {
        let place = |away| Place { id: Some("id".to_owned()), away };
        let mut stage = Stage::default();
        stage.threads.insert("c".to_owned(), place(Away::Before));
        stage.posts.insert(("c".to_owned(), "theirs".to_owned()), place(Away::ByThem));
        stage.threads.insert("new".to_owned(), place(Away::ByOthers));
        let answer = line("c", "5", Some("theirs"), "");
        assert!(stage.can_say(&answer, Away::ByThem));
        assert!(!stage.can_say(&answer, Away::ByOthers));
        assert!(!stage.can_say(&line("c", "6", Some("not yet said"), ""), Away::ByOthers));
        assert!(!stage.can_say(&line("new", "7", None, ""), Away::ByThem));
        assert!(stage.can_say(&line("another", "8", None, ""), Away::ByThem));
        stage.reunite();
        assert!(stage.can_say(&answer, Away::Before));
    }
}
