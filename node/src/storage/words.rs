//! What a person types into a search box, as terms. Both stores split it here.

/// Terms of one search that are looked at.
const TERMS: usize = 32;

/// Splits at white space and control characters. A term without any letter or digit finds nothing
/// by itself and is left out.
pub(super) fn terms(words: &str) -> Vec<&str> {
    words
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|term| term.chars().any(char::is_alphanumeric))
        .take(TERMS)
        .collect()
}

/// The terms as an FTS5 query: each a quoted string, in which nothing but the quote is special; the
/// last may be the beginning of a word. `None` if there is nothing to search for.
pub(super) fn query(words: &str) -> Option<String> {
    let terms = terms(words);
    if terms.is_empty() {
        return None;
    }
    let quoted: Vec<String> =
        terms.iter().map(|term| format!("\"{}\"", term.replace('"', "\"\""))).collect();
    Some(format!("{} *", quoted.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_typed_has_a_special_meaning() {
        assert_eq!(query("a OR b*").as_deref(), Some("\"a\" \"OR\" \"b*\" *"));
        assert_eq!(
            query("say \"hi\" NEAR(x)\0y").as_deref(),
            Some("\"say\" \"\"\"hi\"\"\" \"NEAR(x)\" \"y\" *")
        );
        assert_eq!(query(" !? \0 ( "), None);
    }
}
