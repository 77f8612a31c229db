//! Looking ahead: what an act would change is shown before it is done.

use std::io::{BufRead, IsTerminal, Write};

use cairn_node::api::command::Request;
use serde_json::Value;

use super::Setting;
use crate::door::Door;
use crate::error::Failure;
use crate::output::{Output, Paint, answer, counted, short};

/// Entries that are listed one by one.
const LISTED: usize = 20;

/// Whether to look ahead, and whether to ask.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct PreviewArgs {
    /// Only say what it would change: who stands where, and what would stop counting
    #[arg(long)]
    preview: bool,
    /// Do not ask on a terminal whether to go on
    #[arg(long, short)]
    yes: bool,
}

impl PreviewArgs {
    /// Shows what `look` foresees, if that is wanted, and whether to go on: not after a preview, and
    /// on a terminal only with a yes.
    pub(crate) async fn go_on(
        self,
        setting: &Setting,
        door: &mut Door,
        look: Request,
    ) -> Result<bool, Failure> {
        if self.preview {
            let foreseen = door.call(look).await?;
            setting.out.show(&foreseen, text)?;
            return Ok(false);
        }
        let asks = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if self.yes || !asks || setting.out.json() || setting.out.quiet() {
            return Ok(true);
        }
        let foreseen = door.call(look).await?;
        setting.out.remark(&text(Paint::PLAIN, &foreseen));
        agreed(setting.out)
    }
}

fn agreed(out: Output) -> Result<bool, Failure> {
    let failed = |error| Failure::new(format!("The answer could not be read: {error}."));
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "Go on? [y/N] ").and_then(|()| stderr.flush()).map_err(failed)?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
    let yes = matches!(line.trim().to_lowercase().as_str(), "y" | "yes");
    if !yes {
        out.remark("Nothing was changed.");
    }
    Ok(yes)
}

fn text(paint: Paint, foreseen: &Value) -> String {
    let mut lines = Vec::new();
    for standing in answer::list(foreseen, "standings") {
        let who = answer::some_text(standing, "pseudonym")
            .unwrap_or_else(|| short(&answer::text(standing, "member")));
        let rank = |field| answer::some_text(standing, field).unwrap_or("no member".to_owned());
        lines.push(format!("{}: {} → {}", paint.strong(&who), rank("before"), rank("after")));
    }
    let (acts, posts) = (answer::list(foreseen, "acts"), answer::list(foreseen, "posts"));
    for (stops, what) in [(acts, "act"), (posts, "entry")] {
        if !stops.is_empty() {
            let many = counted(u64::try_from(stops.len()).unwrap_or(u64::MAX), what);
            let of = if what == "act" { "" } else { " of what was written" };
            lines.push(format!("{many}{of} would stop counting:"));
        }
        lines.extend(stops.iter().take(LISTED).map(|stop| one(paint, stop)));
        if stops.len() > LISTED {
            lines.push("  … and more: `--preview --json` names all of them".to_owned());
        }
    }
    let again = answer::list(foreseen, "again").len();
    if again > 0 {
        let many = counted(u64::try_from(again).unwrap_or(u64::MAX), "entry");
        lines.push(format!("{many} would count again."));
    }
    if acts.is_empty() && posts.is_empty() {
        lines.push("Nothing that counts now would stop counting.".to_owned());
    }
    lines.join("\n")
}

fn one(paint: Paint, stop: &Value) -> String {
    let id = answer::some_text(stop, "post").unwrap_or_else(|| answer::text(stop, "entry"));
    let mark = format!("{} · {}", answer::time(stop, "written"), short(&id));
    let (kind, author) = (answer::text(stop, "kind"), answer::person(stop, "author"));
    format!("  {kind} by {author}: {}  {}", answer::text(stop, "why"), paint.faint(&mark))
}
