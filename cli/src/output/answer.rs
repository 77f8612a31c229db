//! Reading the fields of an answer for people. Whatever is missing reads as empty: a newer or
//! older node must not make a page unreadable.

use serde_json::Value;

use super::{plain, plain_line};
use crate::moment;

/// A text of one line, cleaned.
pub(crate) fn text(answer: &Value, field: &str) -> String {
    answer.get(field).and_then(Value::as_str).map(plain_line).unwrap_or_default()
}

/// A text that may have several lines, cleaned.
pub(crate) fn long_text(answer: &Value, field: &str) -> String {
    answer.get(field).and_then(Value::as_str).map(plain).unwrap_or_default()
}

/// A text that is there and not empty, cleaned, on one line.
pub(crate) fn some_text(answer: &Value, field: &str) -> Option<String> {
    Some(text(answer, field)).filter(|text| !text.is_empty())
}

/// A count.
pub(crate) fn number(answer: &Value, field: &str) -> u64 {
    answer.get(field).and_then(Value::as_u64).unwrap_or_default()
}

/// A yes or no.
pub(crate) fn flag(answer: &Value, field: &str) -> bool {
    answer.get(field).and_then(Value::as_bool).unwrap_or_default()
}

/// A list.
pub(crate) fn list<'a>(answer: &'a Value, field: &str) -> &'a [Value] {
    answer.get(field).map(items).unwrap_or_default()
}

/// The answer itself as a list.
pub(crate) fn items(answer: &Value) -> &[Value] {
    answer.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A time, as people read it.
pub(crate) fn time(answer: &Value, field: &str) -> String {
    answer.get(field).and_then(Value::as_str).map(moment::readable).unwrap_or_default()
}

/// Who is meant: a pseudonym, given alone or with the member's id.
pub(crate) fn person(answer: &Value, field: &str) -> String {
    match answer.get(field) {
        Some(Value::String(name)) => plain_line(name),
        Some(who) => {
            some_text(who, "pseudonym").unwrap_or_else(|| super::short(&text(who, "member")))
        }
        None => String::new(),
    }
}
