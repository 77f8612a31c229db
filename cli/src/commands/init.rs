use std::path::Path;

use cairn_node::runtime;
use serde_json::{Value, json};

use super::Setting;
use crate::error::Failure;
use crate::output::{Paint, answer};
use crate::{home, passphrase};

/// Make your store and show its recovery words
///
/// The store is one encrypted file that only your passphrase opens. The 24 words are your identity:
/// with them you can come back on another machine. Write them on paper; they are shown once.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {}

pub(crate) fn run(setting: &Setting, _args: &InitArgs) -> Result<(), Failure> {
    if home::has_store(&setting.home) {
        return Err(Failure::new(format!(
            "There is a store in {} already. Nothing was changed.",
            setting.home.display()
        ))
        .hinted("Start your node with `cairn up`, or name another folder with --home."));
    }
    setting.out.show(&make(&setting.home, &passphrase::new()?)?, text)?;
    setting.out.remark("Next: `cairn up` runs your node, `cairn join CODE` joins a group.");
    Ok(())
}

/// Makes the store; the answer holds the words.
pub(super) fn make(home: &Path, passphrase: &str) -> Result<Value, Failure> {
    let words = runtime::init(home, passphrase)?;
    let words: Vec<&str> = words.iter().map(|word| word.as_str()).collect();
    Ok(json!({ "recovery": words }))
}

pub(super) fn text(paint: Paint, answer: &Value) -> String {
    let words: Vec<String> = answer::list(answer, "recovery")
        .iter()
        .zip(1..)
        .map(|(word, number)| format!("{number:2}. {:<10}", word.as_str().unwrap_or_default()))
        .collect();
    let rows: Vec<String> =
        words.chunks(4).map(|row| row.join(" ").trim_end().to_owned()).collect();
    format!(
        "Your store is made. These are your recovery words:\n\n{}\n\n{}",
        paint.strong(&rows.join("\n")),
        "Write them on paper and keep it where only you find it. They are not shown again, and\n\
         whoever has them can be you."
    )
}
