//! Who can read what is about to be written: by number and by role.

use serde_json::Value;

use super::answer;
use super::counted;

/// Ranks with their words, highest first.
const RANKS: [&str; 5] = ["founder", "steward", "moderator", "member", "reader"];

/// One sentence about everyone in the answer of `members`.
pub(crate) fn sentence(members: &Value) -> String {
    let members = answer::items(members);
    let roles: Vec<String> = RANKS
        .into_iter()
        .filter_map(|rank| {
            let many = members.iter().filter(|member| answer::text(member, "rank") == rank).count();
            (many > 0).then(|| counted(u64::try_from(many).unwrap_or(u64::MAX), rank))
        })
        .collect();
    match members {
        [] => "Nobody can read this yet.".to_owned(),
        [only] if answer::flag(only, "you") => "Only you can read this so far.".to_owned(),
        all => {
            let people = counted(u64::try_from(all.len()).unwrap_or(u64::MAX), "person");
            format!("{people} can read this: {}.", roles.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_audience_is_named_by_number_and_role() {
        let member = |rank: &str| json!({"member": "x", "rank": rank, "you": false});
        let mut all = vec![member("moderator"), member("moderator")];
        all.extend((0..7).map(|_| member("member")));
        assert_eq!(
            sentence(&Value::Array(all)),
            "9 people can read this: 2 moderators, 7 members."
        );
        let alone = json!([{"rank": "founder", "you": true}]);
        assert_eq!(sentence(&alone), "Only you can read this so far.");
    }
}
