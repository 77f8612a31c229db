//! Pseudonyms: a suggestion on the spot, and a warning if one looks like a name, a birth year or
//! an address. A warning only: it is the person's choice.

use std::io::{IsTerminal, Write};

use crate::error::Failure;
use crate::output::Output;

const MANNERS: [&str; 32] = [
    "amber", "autumn", "brave", "bright", "calm", "clear", "cloudy", "early", "evening", "gentle",
    "golden", "green", "kind", "late", "little", "lunar", "mellow", "misty", "morning", "patient",
    "plain", "quiet", "rainy", "silver", "slow", "soft", "spring", "steady", "summer", "sunny",
    "warm", "winter",
];
const THINGS: [&str; 32] = [
    "alder", "badger", "birch", "brook", "cedar", "clover", "crane", "fern", "finch", "harbour",
    "hazel", "heron", "island", "juniper", "lantern", "lark", "maple", "meadow", "moss", "otter",
    "pebble", "plover", "poppy", "river", "robin", "rowan", "sparrow", "thistle", "thrush",
    "willow", "wren", "yarrow",
];
const STREETS: [&str; 14] = [
    "street", "st", "road", "rd", "avenue", "ave", "lane", "drive", "square", "rue", "via",
    "calle", "platz", "weg",
];

/// The pseudonym given, or one that the person chooses from suggestions. Without a terminal the
/// first suggestion is taken, and said. What looks like a real name gets a warning.
pub(crate) fn choose(out: Output, given: Option<String>) -> Result<String, Failure> {
    let pseudonym = match given {
        Some(given) => given,
        None if std::io::stdin().is_terminal() => ask()?,
        None => {
            let suggested = suggest()?;
            out.warn(&format!("You will be called \"{suggested}\" in this group."));
            suggested
        }
    };
    let login = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    if let Some(why) = looks_real(&pseudonym, login.as_deref()) {
        out.warn(&format!(
            "Warning: this pseudonym {why}. Others in the group will see it. \
             You can change it with `cairn group pseudonym`; who has read it may remember."
        ));
    }
    Ok(pseudonym)
}

fn ask() -> Result<String, Failure> {
    let offers = [suggest()?, suggest()?, suggest()?];
    let mut stderr = std::io::stderr().lock();
    let shown = writeln!(stderr, "How do you want to be called in this group? For example:")
        .and_then(|()| offers.iter().try_for_each(|offer| writeln!(stderr, "  {offer}")))
        .and_then(|()| write!(stderr, "Pseudonym (Enter takes the first): "))
        .and_then(|()| stderr.flush());
    let mut line = String::new();
    shown.and_then(|()| std::io::stdin().read_line(&mut line)).map_err(|error| {
        Failure::new(format!("The terminal could not be read: {error}."))
            .hinted("Give a pseudonym with --as.")
    })?;
    let line = line.trim();
    let [first, ..] = offers;
    Ok(if line.is_empty() { first } else { line.to_owned() })
}

/// Two words at random. The lists are of one length, a power of two: each pair is as likely.
fn suggest() -> Result<String, Failure> {
    let mut random = [0_u8; 2];
    getrandom::fill(&mut random).map_err(|error| {
        Failure::new(format!("No pseudonym could be suggested: {error}."))
            .hinted("Give one with --as.")
    })?;
    let [manner, thing] = random;
    let word = |list: &[&'static str; 32], byte: u8| {
        list.get(usize::from(byte & 31)).copied().unwrap_or_default()
    };
    Ok(format!("{} {}", word(&MANNERS, manner), word(&THINGS, thing)))
}

/// What about a pseudonym could tell who someone is, if anything.
fn looks_real(pseudonym: &str, login: Option<&str>) -> Option<&'static str> {
    let words: Vec<&str> =
        pseudonym.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let is_login = |login: &str| {
        let login = login.to_lowercase();
        login.chars().count() > 2 && lower.iter().any(|word| word.contains(&login))
    };
    if pseudonym.contains('@') {
        return Some("looks like an e-mail address or a name used elsewhere");
    }
    if login.is_some_and(is_login) {
        return Some("contains the name of your account on this computer");
    }
    let numbers = || numbers(pseudonym);
    if numbers().any(|number| number.len() >= 7) {
        return Some("looks like it contains a telephone number");
    }
    if numbers().any(|n| n.len() == 4 && (n.starts_with("19") || n.starts_with("20"))) {
        return Some("contains what could be a year of birth");
    }
    let street = lower.iter().any(|word| {
        STREETS.contains(&word.as_str())
            || ["straße", "strasse", "gasse", "gatan", "straat"].iter().any(|s| word.ends_with(s))
    });
    if street && numbers().next().is_some() {
        return Some("looks like an address");
    }
    let capitalised = |word: &&&str| {
        let mut letters = word.chars();
        letters.next().is_some_and(char::is_uppercase)
            && letters.next().is_some_and(char::is_lowercase)
    };
    (words.iter().filter(capitalised).count() >= 2).then_some("looks like a first and a last name")
}

/// The runs of digits in a text.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_who_someone_is_gets_a_warning() {
        for name in [
            "Anna Berg",
            "anna.berg@example.org",
            "@anna",
            "heron1987",
            "moss 2003",
            "12 Oak Street",
            "Lindenstraße 5",
            "jdoe",
            "the_jdoe_99",
            "call 5551234567",
        ] {
            assert!(looks_real(name, Some("jdoe")).is_some(), "{name}");
        }
    }

    #[test]
    fn a_pseudonym_gets_none() {
        for name in ["quiet heron", "Heron", "moss 7", "eleven-oaks", "street cat", "lark 1850"] {
            assert_eq!(looks_real(name, Some("jdoe")), None, "{name}");
        }
        assert_eq!(looks_real("al pine", Some("al")), None);
    }

    #[test]
    fn every_suggestion_is_free_of_warnings() {
        for manner in MANNERS {
            for thing in THINGS {
                assert_eq!(looks_real(&format!("{manner} {thing}"), None), None);
            }
        }
        assert!(suggest().unwrap().contains(' '));
    }
}
