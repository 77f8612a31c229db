//! The manual as a test: its chapters are markdown, their examples are run as they stand.
//!
//! - A block with the info string `console ~ana` is ana's terminal. A line `$ …` is typed there (a
//!   line that ends with `\` goes on in the next, after `> `); the lines below are what must appear.
//! - `[..]` stands for any text of a line, `...` alone for any lines. `[CODE]` stands for any text
//!   too, and gives it to `$CODE` for all that is typed later, by anyone.
//! - `(fails)` below means that the exit code is not 0, as it must be everywhere else.
//! - `cairn up` and `cairn keeper run` go on running in the background until a line `^C`.
//! - A block `text ~ana words.txt` is a file in ana's folder.
//!
//! What arrives from other nodes takes its time: a command that only looks is repeated until it
//! shows what the manual says.

use std::collections::BTreeMap;

/// A piece of a chapter that does something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Block {
    /// A file that somebody has.
    File {
        /// Whose.
        person: String,
        /// Its name.
        name: String,
        /// What is in it.
        text: String,
    },
    /// Something typed by somebody.
    Step(Step),
}

/// A command, and what must come of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// Whose terminal.
    pub person: String,
    /// Line of the chapter, from 1.
    pub line: usize,
    /// As it is typed.
    pub command: String,
    /// Lines that must appear.
    pub expected: Vec<String>,
    /// Whether it must fail.
    pub fails: bool,
}

/// What is typed to stop a node.
pub const STOP: &str = "^C";
/// Any lines.
const LINES: &str = "...";

/// Reads a chapter.
///
/// # Panics
/// When an example is put wrongly.
#[must_use]
pub fn parse(chapter: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = chapter.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let mut inside = Vec::new();
        loop {
            match lines.next() {
                Some((_, "```")) => break,
                Some((at, line)) => inside.push((at + 1, line)),
                None => panic!("line {}: this block has no end", number + 1),
            }
        }
        let info: Vec<&str> = info.split_whitespace().collect();
        match info.as_slice() {
            ["text", person, name] => blocks.push(Block::File {
                person: named(person, number),
                name: (*name).to_owned(),
                text: inside.iter().map(|(_, line)| format!("{line}\n")).collect(),
            }),
            ["console", person] => {
                blocks.extend(steps(&named(person, number), &inside).into_iter().map(Block::Step));
            }
            ["console", ..] => panic!("line {}: whose terminal is this?", number + 1),
            _ => {}
        }
    }
    blocks
}

fn named(word: &str, number: usize) -> String {
    let name = word.strip_prefix('~');
    name.unwrap_or_else(|| panic!("line {}: \"{word}\" is no ~person", number + 1)).to_owned()
}

fn steps(person: &str, lines: &[(usize, &str)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, line) in lines {
        let typed = line.strip_prefix("$ ").or((*line == STOP).then_some(STOP));
        if let Some(command) = typed {
            steps.push(Step {
                person: person.to_owned(),
                line: *number,
                command: command.to_owned(),
                expected: Vec::new(),
                fails: false,
            });
            continue;
        }
        let step = steps.last_mut().unwrap_or_else(|| panic!("line {number}: nothing was typed"));
        match line.strip_prefix("> ") {
            Some(more) if step.expected.is_empty() && step.command.ends_with('\\') => {
                step.command.push('\n');
                step.command.push_str(more);
            }
            _ if *line == "(fails)" => step.fails = true,
            _ => step.expected.push((*line).to_owned()),
        }
    }
    for step in &mut steps {
        while step.expected.last().is_some_and(|line| line.trim().is_empty()) {
            step.expected.pop();
        }
    }
    steps
}

/// Compares what appeared with what must. On success, what the named places stand for.
///
/// # Errors
/// The first line that is not as it must be.
pub fn matches(expected: &[String], shown: &str) -> Result<BTreeMap<String, String>, String> {
    let shown: Vec<&str> = shown.lines().map(str::trim_end).collect();
    let expected: Vec<&str> = expected.iter().map(|line| line.trim_end()).collect();
    let mut captured = BTreeMap::new();
    lines_match(&expected, &shown, &mut captured)?;
    Ok(captured)
}

fn lines_match(
    expected: &[&str],
    shown: &[&str],
    captured: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    match (expected.split_first(), shown.split_first()) {
        (None, None) => Ok(()),
        (None, Some((more, _))) => Err(format!("more than expected: {more}")),
        (Some((&LINES, rest)), _) => {
            let ends = (0..=shown.len()).map(|skipped| {
                let mut tried = captured.clone();
                lines_match(rest, &shown[skipped..], &mut tried).map(|()| tried)
            });
            let mut last = Err("nothing".to_owned());
            for end in ends {
                match end {
                    Ok(tried) => {
                        *captured = tried;
                        return Ok(());
                    }
                    Err(why) => last = Err(why),
                }
            }
            last
        }
        (Some((line, _)), None) => Err(format!("missing: {line}")),
        (Some((line, rest)), Some((first, others))) => {
            let found =
                line_matches(line, first).ok_or_else(|| format!("not \"{line}\": {first}"))?;
            captured.extend(found);
            lines_match(rest, others, captured)
        }
    }
}

/// One line; what its named places stand for.
fn line_matches(expected: &str, shown: &str) -> Option<BTreeMap<String, String>> {
    let Some((before, name, after)) = place(expected) else {
        return (expected == shown).then(BTreeMap::new);
    };
    let rest = shown.strip_prefix(before)?;
    // The shortest text that lets the rest of the line fit.
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    for end in ends.skip(usize::from(name != "..")) {
        if let Some(mut found) = line_matches(after, &rest[end..]) {
            if name != ".." {
                found.insert(name.to_owned(), rest[..end].to_owned());
            }
            return Some(found);
        }
    }
    None
}

/// The first place of a line: what stands before it, its name, what stands after it.
fn place(line: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(open) = line[from..].find('[').map(|at| at + from) {
        let close = line[open..].find(']').map(|at| at + open)?;
        let name = &line[open + 1..close];
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        if name == ".." || is_name {
            return Some((&line[..open], name, &line[close + 1..]));
        }
        from = open + 1;
    }
    None
}

/// Whether a command only looks, so that it may be repeated.
#[must_use]
pub fn only_looks(command: &str) -> bool {
    const LOOKING: [&str; 13] = [
        "acts",
        "doctor",
        "explain",
        "group agreement",
        "group keeper list",
        "group list",
        "group show",
        "members",
        "peers",
        "read",
        "requests",
        "search",
        "threads",
    ];
    let looks = |words: &str| {
        LOOKING.iter().any(|looking| words == *looking || words.starts_with(&format!("{looking} ")))
    };
    let set = command.contains("--set");
    !set && command.strip_prefix("cairn ").is_some_and(|words| looks(words) || words == "status")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(expected: &[&str], shown: &str) -> Result<BTreeMap<String, String>, String> {
        matches(&expected.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>(), shown)
    }

    #[test]
    fn places_stand_for_text_and_lines() {
        assert!(fit(&["one", "two"], "one\ntwo  \n").is_ok());
        assert!(fit(&["one [..] three"], "one two three").is_ok());
        assert!(fit(&["one [..] three"], "one two four").is_err());
        assert!(fit(&["...", "last"], "a\nb\nlast\n").is_ok());
        assert!(fit(&["first", "..."], "first\n").is_ok());
        assert!(fit(&["...", "last"], "a\nb\n").is_err());
        assert!(fit(&["one"], "one\ntwo").is_err());
        assert!(fit(&["one", "two"], "one").is_err());
        let found = fit(&["id [ID], code cairn:[CODE]."], "id a b, code cairn:xyz.").unwrap();
        assert_eq!((found["ID"].as_str(), found["CODE"].as_str()), ("a b", "xyz"));
        assert!(fit(&["code [CODE]"], "code ").is_err());
        assert!(fit(&["[y/N] [..]"], "[y/N] y").is_ok());
    }

    #[test]
    fn a_chapter_is_read() {
        let chapter = "# Title\n\n```text ~ana words.txt\nHello.\n```\n\n```console ~ana\n$ cairn a \\\n>   b\nout\n\n$ false\n(fails)\n^C\n```\n\n```sh\n$ not run\n```\n";
        let step = |line, command: &str, expected: &[&str], fails| {
            let expected = expected.iter().map(|line| (*line).to_owned()).collect();
            let (person, command) = ("ana".to_owned(), command.to_owned());
            Block::Step(Step { person, line, command, expected, fails })
        };
        assert_eq!(
            parse(chapter),
            [
                Block::File {
                    person: "ana".to_owned(),
                    name: "words.txt".to_owned(),
                    text: "Hello.\n".to_owned()
                },
                step(8, "cairn a \\\n  b", &["out"], false),
                step(12, "false", &[], true),
                step(14, "^C", &[], false),
            ]
        );
    }

    #[test]
    fn only_looking_is_repeated() {
        assert!(only_looks("cairn read \"Thursday circle\" Evenings"));
        assert!(only_looks("cairn group list"));
        assert!(only_looks("cairn status"));
        assert!(only_looks("cairn group keeper list x"));
        for acts in [
            "cairn post x y",
            "cairn group keeper add x y",
            "cairn group leave x",
            "cairn group agreement x --set",
            "rm",
        ] {
            assert!(!only_looks(acts), "{acts}");
        }
    }
}
