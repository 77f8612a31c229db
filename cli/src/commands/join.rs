use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;

use cairn_node::api::command::Request;

use super::Setting;
use crate::door::Door;
use crate::editor::TextArgs;
use crate::error::Failure;
use crate::output::answer;
use crate::pseudonym;

/// Characters that a code has at most, with room for the line ends of a letter.
const CODE_CHARS: u64 = 32 * 1024;

/// Ask to join a group with a code
///
/// Your node hands the request to a member's node, or leaves it with a keeper of the group; somebody
/// there admits you. Until then the group is listed as waiting. Needs a running node (`cairn up`).
#[derive(Debug, clap::Args)]
pub(crate) struct JoinArgs {
    /// The code that you were given; asked for, or read from stdin, if left out
    code: Option<String>,
    /// How you want to be called in this group [default: a suggestion]
    #[arg(long = "as", value_name = "PSEUDONYM")]
    pseudonym: Option<String>,
    /// Introduce yourself with the words in this file (`-` for stdin)
    #[arg(long, value_name = "FILE")]
    words_file: Option<PathBuf>,
}

pub(crate) async fn run(setting: &Setting, args: JoinArgs) -> Result<(), Failure> {
    let client = Door::node(&setting.home, "joining a group").await?;
    let from_stdin = args.words_file.as_ref().is_some_and(|path| path.as_os_str() == "-");
    let code = match args.code {
        Some(code) => code,
        None if from_stdin => {
            return Err(Failure::usage("Stdin cannot give both the code and the introduction."));
        }
        None => ask_code()?,
    };
    let words = match args.words_file {
        Some(file) => TextArgs { file: Some(file) }.read(setting.out, "", "")?,
        None => String::new(),
    };
    let pseudonym = pseudonym::choose(setting.out, args.pseudonym)?;
    let answer = client.call(Request::Join { code, pseudonym, words }).await?;
    setting.out.show(&answer, |_, answer| match answer::text(answer, "state").as_str() {
        "member" => "You are in the group. `cairn group list` shows it.".to_owned(),
        _ => "You have asked to join. Somebody in the group will look at it; \
              `cairn group list` shows when you are in."
            .to_owned(),
    })?;
    if answer.get("reached").is_some_and(|reached| reached == &serde_json::Value::Bool(false)) {
        setting.out.warn(if answer::flag(&answer, "with_keeper") {
            "Nobody of the group has answered yet. Your request lies with the group's keeper until \
             somebody does; you can stop your node and look again later."
        } else {
            "Nobody of the group was reached yet. Your node keeps trying for as long as it runs."
        });
    }
    Ok(())
}

fn ask_code() -> Result<String, Failure> {
    let mut code = String::new();
    let mut read = || {
        if std::io::stdin().is_terminal() {
            let mut stderr = std::io::stderr().lock();
            write!(stderr, "Code: ").and_then(|()| stderr.flush())?;
            return std::io::stdin().read_line(&mut code);
        }
        std::io::stdin().lock().take(CODE_CHARS).read_to_string(&mut code)
    };
    read().map_err(|error| Failure::new(format!("The code could not be read: {error}.")))?;
    Ok(code)
}
