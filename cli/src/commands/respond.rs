use cairn_node::api::command::Request;
use clap::ValueEnum;

use super::Setting;
use crate::args::GroupArg;
use crate::error::Failure;
use crate::output::posts::response_words;

/// Respond to a post in words
#[derive(Debug, clap::Args)]
pub(crate) struct RespondArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The post
    post: String,
    /// The words; a later response replaces an earlier one
    #[arg(value_enum)]
    word: Word,
}

/// What can be said without writing.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Word {
    /// I hear you
    Hear,
    /// Same here
    Same,
    /// Thank you
    Thanks,
    /// Thinking of you
    Thinking,
}

pub(crate) async fn run(setting: &Setting, args: RespondArgs) -> Result<(), Failure> {
    let word = match args.word {
        Word::Hear => "hear",
        Word::Same => "same",
        Word::Thanks => "thanks",
        Word::Thinking => "thinking",
    };
    let (group, post) = (args.group.group, args.post);
    let answer = setting.ask(Request::Respond { group, post, word: word.to_owned() }).await?;
    setting.out.show(&answer, |_, _| format!("You said: {}.", response_words(word)))
}
