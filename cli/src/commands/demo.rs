mod company;
mod person;
mod script;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cairn_node::api::command::{CutSpec, Request};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use self::company::{Company, GROUP};
use self::script::{Script, Stage, post};
use super::Setting;
use crate::conversation::{self, Conversations};
use crate::error::Failure;
use crate::output::{Output, Paint, answer, counted};

/// A conversation of our own.
const CIRCLE: &str = include_str!("demo/circle.jsonl");
/// Lines that are said while one person is away, at most: that person's store is opened for each.
const AWAY_LINES: usize = 40;
/// The longest temporary folder under which the path of a socket is short enough everywhere.
const FOLDER_BYTES: usize = 56;

const WRITTEN_AWAY: &str = "No signal up here, but the hut is warm. I write this down for later.";
const WRITTEN_MEANWHILE: &str =
    "Quiet evening here. We keep a chair free for whoever is on the way.";
const WRITTEN_LATE: &str = "A later word of somebody who was removed a while ago.";
const WRITTEN_AFTER: &str = "The group is smaller tonight. Thank you all for staying gentle.";
const WRITTEN_LAST: &str = "Good night, everyone. Until Monday.";

/// Show a whole community on this machine
///
/// Starts a node for each of several people, in processes and temporary homes of their own, and
/// plays a conversation through them: a group is founded, people are admitted, somebody is away
/// and comes back, somebody is removed. Then it is checked that all hold the same. Needs no set-up,
/// touches nothing of yours, and takes everything away again.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Play these conversations, JSON lines {conversation, id, reply_to, author, at, body}
    #[arg(long, value_name = "FILE")]
    conversations: Option<PathBuf>,
    /// How many people there are, each with a node
    #[arg(long, value_name = "N", default_value_t = 5,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(4..=32))]
    people: usize,
    /// Leave the nodes running at the end, until Ctrl-C, and the homes in place
    #[arg(long)]
    keep: bool,
}

pub(crate) async fn run(setting: &Setting, args: DemoArgs) -> Result<(), Failure> {
    let conversations = match &args.conversations {
        Some(path) => conversation::read(path)?,
        None => conversation::parse(CIRCLE.as_bytes())?,
    };
    let out = setting.out;
    let root = folder()?;
    let mut company = Company::default();
    let outcome = tokio::select! {
        biased;
        () = interrupted() => Err(Failure::new("The demo was stopped; its nodes have ended.")),
        outcome = play(out, &mut company, root.path(), conversations, args.people) => outcome,
    };
    if args.keep && outcome.is_ok() {
        show_homes(out, &company, root.path());
        interrupted().await;
        company.end().await;
        drop(root.keep());
        return Ok(());
    }
    company.end().await;
    root.close().map_err(|error| {
        Failure::new(format!("The temporary homes could not be removed: {error}."))
    })?;
    outcome
}

/// The whole play, from the first store to the summary.
async fn play(
    out: Output,
    company: &mut Company,
    root: &Path,
    conversations: Conversations,
    many: usize,
) -> Result<(), Failure> {
    let mut clock = Clock::new();
    let mut script = Script::deal(conversations, many);

    out.tell(&format!("{} are setting up, each a node of their own.", count(many, "person")));
    company.settle(many, root).await?;
    clock.lap("set_up");

    let founder = company.person(0)?.pseudonym.clone();
    out.tell(&format!("{founder} founds \"{GROUP}\" and invites the others, who ask to join."));
    company.gather().await?;
    company.until_equal(None).await?;
    clock.lap("joined");
    out.tell(&format!("{founder} has admitted everyone. They begin to talk."));

    let mut stage = Stage::default();
    let first = script.len().saturating_mul(3).div_ceil(5);
    let deferred = say(out, company, &mut stage, script.take(first), None).await?;
    script.put_back(deferred);
    company.until_equal(None).await?;
    clock.lap("conversation");

    be_away(out, company, &mut stage, &mut script, &mut clock).await?;
    let deferred = say(out, company, &mut stage, script, None).await?;
    if deferred.len() > 0 {
        return Err(Failure::new(format!("{} could not be said.", count(deferred.len(), "line"))));
    }
    same_for_all(company, &stage, None).await?;
    clock.lap("conversation_end");

    let (digest, rule) = be_removed(out, company, &mut stage).await?;
    clock.lap("removal");

    let summary = json!({
        "ok": true,
        "people": many,
        "posts": stage.said,
        "digest": digest,
        "late_post_void_by": rule,
        "seconds": clock.laps,
    });
    out.show(&summary, text)
}

/// Somebody's node stops; they and the others go on writing; it comes back.
async fn be_away(
    out: Output,
    company: &mut Company,
    stage: &mut Stage,
    script: &mut Script,
    clock: &mut Clock,
) -> Result<(), Failure> {
    let away = 1;
    let name = company.person(away)?.pseudonym.clone();
    company.person_mut(away)?.depart().await?;
    out.tell(&format!("{name} goes offline. The others write on, and so does {name}."));
    let thread = stage.thread()?;
    post(company, away, &thread, None, WRITTEN_AWAY).await?;
    post(company, 0, &thread, None, WRITTEN_MEANWHILE).await?;
    stage.said = stage.said.saturating_add(2);
    let many = script.len().div_ceil(2).min(AWAY_LINES);
    let deferred = say(out, company, stage, script.take(many), Some(away)).await?;
    script.put_back(deferred);
    company.until_equal(None).await?;
    clock.lap("apart");

    company.person_mut(away)?.arrive().await?;
    company.until_equal(None).await?;
    stage.reunite();
    same_for_all(company, stage, None).await?;
    let took = clock.lap("back");
    out.tell(&format!(
        "{name} is back. After {took:.1} s everyone, {name} too, holds and reads the same."
    ));
    Ok(())
}

/// Somebody is removed while their node is off, writes on, and comes back. The digest of those
/// who remain, and the rule by which the removed person's node explains that their post is void.
async fn be_removed(
    out: Output,
    company: &mut Company,
    stage: &mut Stage,
) -> Result<(String, String), Failure> {
    let removed = company.people.len().saturating_sub(1);
    let (founder, name) =
        (company.person(0)?.pseudonym.clone(), company.person(removed)?.pseudonym.clone());
    let (thread, group) = (stage.thread()?, company.group.clone());
    let member = company.member(removed).await?;
    company.person_mut(removed)?.depart().await?;
    company
        .person(0)?
        .ask(Request::Remove {
            preview: false,
            group: group.clone(),
            member,
            cut: CutSpec::FromTip,
            rule: "What is said here stays here".to_owned(),
            reason: "Words of this group were passed on outside of it.".to_owned(),
        })
        .await?;
    out.tell(&format!(
        "{founder} removes {name}, who is offline, has not heard of it and writes on."
    ));
    let late = post(company, removed, &thread, None, WRITTEN_LATE).await?;
    post(company, 0, &thread, None, WRITTEN_AFTER).await?;
    stage.said = stage.said.saturating_add(1);
    company.person_mut(removed)?.arrive().await?;
    company.until_state(company.person(removed)?, "removed").await?;
    out.tell(&format!("{name} is back, and {name}'s node has learned of the removal."));

    // Written when the removed person's node is connected again: it must see this no more than
    // what was written while it was off.
    post(company, 1, &thread, None, WRITTEN_LAST).await?;
    stage.said = stage.said.saturating_add(1);
    let digest = same_for_all(company, stage, Some(removed)).await?;
    out.tell(&format!("All who remain hold the same, and nothing that {name} wrote later."));

    let asked = Request::Explain { group: group.clone(), id: late };
    let why = company.person(removed)?.ask(asked).await?;
    if answer::flag(&why, "counts") {
        return Err(Failure::new(format!("The node of {name} counts a post after the removal.")));
    }
    let sight = opened(company, removed).await?;
    if let Some(text) = [WRITTEN_AFTER, WRITTEN_LAST].into_iter().find(|text| sight.contains(*text))
    {
        return Err(Failure::new(format!("{name} can read what came after the removal: {text}")));
    }
    let rule = answer::text(&why, "rule");
    out.tell(&format!(
        "{name} can open nothing that was written after the removal; {name}'s own node says why \
         the later post does not count: rule {rule}."
    ));
    Ok((digest, rule))
}

/// All that a removed person's node shows, by reading and by searching. That it refuses to show
/// anything is as good as showing nothing; that it cannot be asked is not.
async fn opened(company: &Company, removed: usize) -> Result<String, Failure> {
    let person = company.person(removed)?;
    let mut sight = String::new();
    match company.view(person).await {
        Ok(view) => view.into_iter().for_each(|(.., body)| {
            sight.push_str(&body);
            sight.push('\n');
        }),
        Err(failure) if failure.is("refused") => {}
        Err(failure) => return Err(failure),
    }
    for words in [WRITTEN_AFTER, WRITTEN_LAST] {
        let search = Request::Search { group: company.group.clone(), words: words.to_owned() };
        match person.ask(search).await {
            Ok(found) if answer::items(&found).is_empty() => {}
            Ok(_) => sight.push_str(words),
            Err(failure) if failure.is("refused") => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(sight)
}

/// Everyone but `without` has the same digest, reads the same, and exactly what was said.
async fn same_for_all(
    company: &Company,
    stage: &Stage,
    without: Option<usize>,
) -> Result<String, Failure> {
    let digest = company.until_equal(without).await?;
    let founders = company.view(company.person(0)?).await?;
    if founders.len() != stage.said {
        return Err(Failure::new(format!(
            "{} written, and {} to be read.",
            count(stage.said, "post"),
            founders.len()
        )));
    }
    for (number, person) in company.people.iter().enumerate() {
        if Some(number) != without && company.view(person).await? != founders {
            return Err(Failure::new(format!(
                "{} has the same digest as the founder and reads something else.",
                person.pseudonym
            )));
        }
    }
    if founders.iter().any(|(.., body)| body == WRITTEN_LATE) {
        return Err(Failure::new("A post that was written after a removal is shown."));
    }
    Ok(digest)
}

/// Plays lines behind a bar.
async fn say(
    out: Output,
    company: &Company,
    stage: &mut Stage,
    script: Script,
    away: Option<usize>,
) -> Result<Script, Failure> {
    let bar = out.progress(u64::try_from(script.len()).unwrap_or(u64::MAX), "Talking");
    let later = stage.play(company, script, away, || bar.inc(1)).await;
    bar.finish_and_clear();
    later
}

/// Seconds by what they were spent on.
struct Clock {
    last: Instant,
    laps: Map<String, Value>,
}

impl Clock {
    fn new() -> Self {
        Self { last: Instant::now(), laps: Map::new() }
    }

    /// Ends a part and says how many seconds it took.
    fn lap(&mut self, part: &str) -> f64 {
        let took = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        // Milliseconds are exact enough to print.
        self.laps.insert(part.to_owned(), json!((took * 1000.0).round() / 1000.0));
        took
    }
}

/// A folder for all homes, closed to others, with a passphrase that nobody has to know.
fn folder() -> Result<TempDir, Failure> {
    let failed = |why: String| Failure::new(format!("The temporary homes cannot be made: {why}."));
    let usual = std::env::temp_dir();
    // The path of a socket may have about a hundred bytes.
    let place = if usual.as_os_str().len() > FOLDER_BYTES { Path::new("/tmp") } else { &usual };
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    let root = builder
        .prefix("cairn-demo-")
        .tempdir_in(place)
        .map_err(|error| failed(error.to_string()))?;
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(|error| failed(error.to_string()))?;
    let passphrase: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(root.path().join("passphrase"))
        .and_then(|mut file| writeln!(file, "{passphrase}"))
        .map_err(|error| failed(error.to_string()))?;
    Ok(root)
}

/// Ctrl-C, or the stop signal of a service manager.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut stop) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = stop.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a way to be told, the demo ends by itself only.
        std::future::pending::<()>().await;
    }
}

fn show_homes(out: Output, company: &Company, root: &Path) {
    out.tell("The nodes keep running until Ctrl-C. To look around as one of them:");
    out.tell(&format!("  export CAIRN_PASSPHRASE_FILE={}", root.join("passphrase").display()));
    for person in &company.people {
        out.tell(&format!("  cairn --home {} threads \"{GROUP}\"", person.home().display()));
    }
}

fn count(many: usize, thing: &str) -> String {
    counted(u64::try_from(many).unwrap_or(u64::MAX), thing)
}

fn text(paint: Paint, summary: &Value) -> String {
    let seconds = |part: &str| {
        summary.pointer(&format!("/seconds/{part}")).and_then(Value::as_f64).unwrap_or_default()
    };
    let talking: f64 = ["conversation", "apart", "conversation_end"].map(seconds).iter().sum();
    format!(
        "\n{}\n  {} on separate nodes, {}\n  set up in {:.1} s, joined in {:.1} s, talked for \
         {talking:.1} s\n  back and equal in {:.1} s, removal in force in {:.1} s\n  digest {}",
        paint.strong("All remaining replicas are the same."),
        counted(answer::number(summary, "people"), "person"),
        counted(answer::number(summary, "posts"), "post"),
        seconds("set_up"),
        seconds("joined"),
        seconds("back"),
        seconds("removal"),
        answer::text(summary, "digest"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conversation_of_our_own_is_whole_and_dealt_to_all() {
        let conversations = conversation::parse(CIRCLE.as_bytes()).unwrap();
        assert_eq!(conversations.len(), 2);
        let script = Script::deal(conversations, 5);
        assert_eq!(script.len(), 22);
    }
}
