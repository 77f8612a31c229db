//! Finding what a person means: by its id, by a name, or by an unambiguous beginning of the id.
//!
//! An exact id wins over a name, a name as written over one in other letters, and a name over the
//! beginning of an id. More than one match at the same step is never guessed about.

use crate::api::command::ApiError;

/// Letters of an id from which on its beginning is accepted.
pub const PREFIX_LETTERS: usize = 4;
/// Letters of an id that are shown where several fit.
const SHOWN_LETTERS: usize = 10;
/// How many of those that fit are shown.
const SHOWN: usize = 5;

/// Something that can be meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Candidate<T> {
    /// What is handed back.
    pub value: T,
    /// Its id, as written.
    pub id: String,
    /// Its name, if it has one.
    pub name: Option<String>,
}

/// Finds the one candidate that is meant. `what` is the word for it, `list` says where its kind is
/// listed.
///
/// # Errors
/// `not-found` or `ambiguous`, with a hint.
pub fn find<T: Clone>(
    what: &str,
    list: &str,
    wanted: &str,
    candidates: &[Candidate<T>],
) -> Result<T, ApiError> {
    let wanted = wanted.trim();
    let lower = wanted.to_lowercase();
    let fits = |candidate: &Candidate<T>, step: u8| match step {
        0 => candidate.id.to_lowercase() == lower,
        1 => candidate.name.as_deref() == Some(wanted),
        2 => candidate.name.as_ref().is_some_and(|name| name.to_lowercase() == lower),
        _ => lower.len() >= PREFIX_LETTERS && candidate.id.to_lowercase().starts_with(&lower),
    };
    for step in 0..4 {
        let candidates = candidates.iter().filter(|_| !wanted.is_empty());
        let found: Vec<&Candidate<T>> = candidates.filter(|one| fits(one, step)).collect();
        match found.as_slice() {
            [] => {}
            [only] => return Ok(only.value.clone()),
            several => return Err(ambiguous(what, wanted, several)),
        }
    }
    Err(ApiError::not_found(what, wanted).hinted(list))
}

fn ambiguous<T>(what: &str, wanted: &str, several: &[&Candidate<T>]) -> ApiError {
    let mut ids: Vec<String> = several
        .iter()
        .take(SHOWN)
        .map(|candidate| candidate.id.chars().take(SHOWN_LETTERS).collect())
        .collect();
    if several.len() > SHOWN {
        ids.push("…".to_owned());
    }
    let missing = ApiError::not_found("", wanted).message;
    let named = missing.strip_prefix("There is no  ").and_then(|rest| rest.strip_suffix(" here."));
    let message = format!("{} {}s fit {}", several.len(), what, named.unwrap_or(wanted));
    ApiError::new("ambiguous", message)
        .hinted(format!("Say which by the beginning of its id: {}", ids.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates() -> Vec<Candidate<u8>> {
        let all = [
            (1, "abcdefgh", Some("Evenings")),
            (2, "abcdwxyz", Some("evenings")),
            (3, "qrstuvwx", Some("abcd")),
            (4, "mnopqrst", None),
            (5, "mnopzzzz", Some("Heron")),
            (6, "12D3KooWMZAz", None),
        ];
        all.into_iter()
            .map(|(value, id, name)| Candidate {
                value,
                id: id.to_owned(),
                name: name.map(str::to_owned),
            })
            .collect()
    }

    fn found(wanted: &str) -> Result<u8, String> {
        find("thread", "List them.", wanted, &candidates()).map_err(|error| error.kind)
    }

    #[test]
    fn an_id_a_name_or_the_beginning_of_an_id_finds() {
        assert_eq!(found("abcdefgh"), Ok(1));
        assert_eq!(found(" ABCDEFGH "), Ok(1));
        assert_eq!(found("Evenings"), Ok(1));
        assert_eq!(found("evenings"), Ok(2));
        assert_eq!(found("HERON"), Ok(5));
        assert_eq!(found("qrst"), Ok(3));
        assert_eq!(found("12D3KooWMZAz"), Ok(6), "an id may have capital letters");
        assert_eq!(found("12D3KooWM"), Ok(6));
    }

    #[test]
    fn a_name_wins_over_the_beginning_of_an_id() {
        assert_eq!(found("abcd"), Ok(3));
    }

    #[test]
    fn what_fits_several_is_not_guessed() {
        assert_eq!(found("EVENINGS"), Err("ambiguous".to_owned()));
        assert_eq!(found("mnop"), Err("ambiguous".to_owned()));
        let error = find("thread", "List them.", "mnop", &candidates()).unwrap_err();
        assert_eq!(error.message, "2 threads fit \"mnop\".");
        assert!(error.hint.is_some_and(|hint| hint.contains("mnopqrst, mnopzzzz")));
    }

    #[test]
    fn too_short_a_beginning_and_nothing_at_all_find_nothing() {
        for wanted in ["qrs", "", "  ", "zzzz"] {
            assert_eq!(found(wanted), Err("not-found".to_owned()), "{wanted}");
        }
        let error = find("thread", "List them.", "qrs", &candidates()).unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("List them."));
    }
}
