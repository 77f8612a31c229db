//! The short form of `examples/evaluate.rs`: corner cases, bad input, and thousands of random sets
//! against an evaluator of its own that knows nothing but the text of the rules.

use serde_json::{Value, json};

use self::evaluate::run;

#[expect(dead_code, reason = "its main")]
#[path = "../../examples/evaluate.rs"]
mod evaluate;
mod naive;
mod sets;

/// What the example prints for one line.
fn answer(set: &Value) -> Value {
    let mut out = Vec::new();
    run(format!("{set}\n").as_bytes(), &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

/// The sets by which implementations would differ, each with the answer that the rules give.
fn check(
    name: &str,
    entries: Value,
    members: Value,
    counts: Value,
    suspended: Value,
    orphaned: Value,
) {
    let set = json!({ "entries": entries });
    let expected = json!({
        "members": members,
        "counts": counts,
        "suspended_denials": suspended,
        "orphaned": orphaned,
    });
    assert_eq!(answer(&set), expected, "{name}");
    assert_eq!(naive::answer(&set), expected, "{name}, by the naive evaluator");
}

fn grant(id: &str, by: &str, prev: Value, under: &str, to: &str, rank: &str) -> Value {
    json!({"id": id, "device": by, "prev": prev, "grant": under,
        "kind": "grant", "subject": to, "rank": rank, "cites": []})
}

fn remove(id: &str, by: &str, prev: Value, under: &str, whom: &str, cuts: Value) -> Value {
    json!({"id": id, "device": by, "prev": prev, "grant": under,
        "kind": {"remove": {"subject": whom, "cuts": cuts}}})
}

fn post(id: &str, by: &str, prev: Value, under: &str) -> Value {
    json!({"id": id, "device": by, "prev": prev, "grant": under, "kind": "post"})
}

fn pin(id: &str, by: &str, prev: Value, under: &str, target: &str) -> Value {
    json!({"id": id, "device": by, "prev": prev, "grant": under, "kind": {"pin": {"target": target}}})
}

const NONE: Value = Value::Null;

#[test]
fn a9_the_founder_alone_is_a_member_of_an_empty_set() {
    check("empty", json!([]), json!({"F": ["founder"]}), json!([]), json!([]), json!([]));
}

#[test]
fn a1_ranks_are_listed_once_and_sorted_as_text() {
    let entries = json!([
        grant("g1", "F", NONE, "genesis", "A", "steward"),
        grant("g2", "F", json!("g1"), "genesis", "A", "member"),
        grant("g3", "F", json!("g2"), "genesis", "A", "member"),
        grant("g10", "F", json!("g3"), "genesis", "F", "reader"),
        // To oneself, below what one has.
        grant("a", "A", NONE, "g1", "A", "moderator"),
        // Not below it, and under a grant that is another's: void.
        grant("b", "A", json!("a"), "g1", "B", "steward"),
        grant("c", "A", json!("b"), "genesis", "B", "member"),
        // Under an entry that is no grant.
        post("p", "A", json!("c"), "g1"),
        post("q", "A", json!("p"), "p"),
        // Under a grant that breaks A1, and one below it.
        post("r", "B", NONE, "b"),
        grant("s", "B", json!("r"), "b", "C", "reader"),
    ]);
    let members = json!({"A": ["member", "moderator", "steward"], "F": ["founder", "reader"]});
    let counts = json!(["a", "g1", "g10", "g2", "g3", "p"]);
    check("ranks", entries, members, counts, json!([]), json!([]));
}

#[test]
fn a2_nobody_removes_the_founder_or_an_equal_and_the_entry_counts_all_the_same() {
    let entries = json!([
        grant("a", "F", NONE, "genesis", "A", "steward"),
        grant("b", "F", json!("a"), "genesis", "B", "steward"),
        remove("x", "A", NONE, "a", "F", json!({"F": null})),
        remove("y", "A", json!("x"), "a", "B", json!({})),
        // The founder removes itself: no grant of it is below the founder's.
        remove("z", "F", json!("b"), "genesis", "F", json!({})),
    ]);
    let members = json!({"A": ["steward"], "B": ["steward"], "F": ["founder"]});
    check("equals", entries, members, json!(["a", "b", "x", "y", "z"]), json!([]), json!([]));
}

#[test]
fn a3_a_dead_grant_is_an_entry_that_counts_and_a_citation_saves_it() {
    let entries = json!([
        remove("r", "F", NONE, "genesis", "A", json!({})),
        grant("dead", "F", json!("r"), "genesis", "A", "member"),
        {"id": "live", "device": "F", "prev": "dead", "grant": "genesis",
            "kind": {"grant": {"subject": "A", "rank": "member", "cites": ["r", "r", "dead"]}}},
        post("p", "A", NONE, "dead"),
        post("q", "A", json!("p"), "live"),
    ]);
    let members = json!({"A": ["member"], "F": ["founder"]});
    check("cites", entries, members, json!(["dead", "live", "q", "r"]), json!([]), json!([]));
}

#[test]
fn a4_a_cut_on_another_devices_entry_is_as_null() {
    let entries = json!([
        grant("a", "F", NONE, "genesis", "A", "moderator"),
        grant("b", "F", json!("a"), "genesis", "B", "member"),
        remove("out", "A", NONE, "a", "B", json!({})),
        post("p", "A", json!("out"), "a"),
        // "a" stands in the founder's log; the cut of B's device says nothing about A's.
        remove("r", "F", json!("b"), "genesis", "A", json!({"A": "a", "B": "p"})),
    ]);
    // The removal of B lies beyond A's cut: B is back, and it is orphaned.
    let members = json!({"B": ["member"], "F": ["founder"]});
    check("foreign", entries, members, json!(["a", "b", "r"]), json!([]), json!(["out"]));
}

#[test]
fn a7_two_entries_after_no_entry_are_a_fork_at_the_beginning() {
    let entries = json!([
        grant("a", "F", NONE, "genesis", "A", "steward"),
        grant("b", "F", json!("a"), "genesis", "B", "member"),
        remove("x", "A", NONE, "a", "B", json!({})),
        grant("c", "A", NONE, "a", "C", "member"),
        remove("y", "C", NONE, "c", "B", json!({})),
        post("p", "C", json!("y"), "c"),
    ]);
    // A stays a steward; its removal stands, its grant does not.
    let members = json!({"A": ["steward"], "F": ["founder"]});
    check("fork", entries, members, json!(["a", "b"]), json!(["x", "y"]), json!([]));
}

#[test]
fn a7_under_a_null_cut_a_forked_removal_is_orphaned_and_not_suspended() {
    let entries = json!([
        grant("a", "F", NONE, "genesis", "A", "steward"),
        grant("b", "F", json!("a"), "genesis", "B", "member"),
        remove("x", "A", NONE, "a", "B", json!({})),
        post("p", "A", NONE, "a"),
        remove("r", "F", json!("b"), "genesis", "A", json!({"A": null})),
    ]);
    let members = json!({"B": ["member"], "F": ["founder"]});
    check("null cut", entries, members, json!(["a", "b", "r"]), json!([]), json!(["x"]));
}

#[test]
fn a4_off_the_path_of_a_cut_is_orphaned_and_fallen_with_an_issuer_is_not() {
    let entries = json!([
        grant("a", "F", NONE, "genesis", "A", "steward"),
        grant("d", "F", json!("a"), "genesis", "D", "member"),
        post("p", "A", NONE, "a"),
        remove("off", "A", json!("p"), "a", "D", json!({})),
        grant("b", "A", json!("p"), "a", "B", "moderator"),
        post("head", "A", json!("b"), "a"),
        remove("above", "A", json!("head"), "a", "D", json!({})),
        grant("c", "A", json!("above"), "a", "C", "moderator"),
        // Under a grant on the path, and under one that fell.
        remove("kept", "B", NONE, "b", "E", json!({})),
        remove("fallen", "C", NONE, "c", "D", json!({})),
        remove("r", "F", json!("d"), "genesis", "A", json!({"A": "head"})),
    ]);
    let members = json!({"B": ["moderator"], "D": ["member"], "F": ["founder"]});
    let counts = json!(["a", "b", "d", "head", "kept", "p", "r"]);
    check("orphans", entries, members, counts, json!([]), json!(["above", "off"]));
}

#[test]
fn a6_a_pin_selects_for_grants_below_its_rank_its_own_log_included() {
    let entries = json!([
        grant("a", "F", NONE, "genesis", "A", "steward"),
        grant("m", "F", json!("a"), "genesis", "A", "member"),
        post("low", "A", NONE, "m"),
        post("high", "A", json!("low"), "a"),
        post("other", "A", json!("low"), "m"),
        // From an unforked place of its own log it would select; from a forked one it is suspended.
        pin("own", "A", json!("high"), "a", "high"),
        grant("b", "F", json!("m"), "genesis", "B", "moderator"),
        pin("up", "B", NONE, "b", "other"),
    ]);
    let members = json!({"A": ["member", "steward"], "B": ["moderator"], "F": ["founder"]});
    // The moderator's pin decides for what stands under the member's grant, not the steward's.
    let counts = json!(["a", "b", "low", "m", "other", "up"]);
    check("pins", entries, members, counts, json!([]), json!([]));
}

#[test]
fn a6_under_an_ended_grant_a_pin_voids_the_other_branch_and_lifts_nothing() {
    let entries = json!([
        grant("a", "F", NONE, "genesis", "A", "moderator"),
        post("p", "A", NONE, "a"),
        remove("left", "A", json!("p"), "a", "B", json!({})),
        remove("right", "A", json!("p"), "a", "C", json!({})),
        remove("r", "F", json!("a"), "genesis", "A", json!({"A": "right"})),
        pin("s", "F", json!("r"), "genesis", "left"),
    ]);
    // Off the cut's path is orphaned; off the pin's branch is void only.
    let counts = json!(["a", "p", "r", "s"]);
    check("pin and cut", entries, json!({"F": ["founder"]}), counts, json!([]), json!(["left"]));
}

#[test]
fn a5_the_highest_rank_decides_and_later_words_take_the_place_of_earlier_ones() {
    let entries = json!([
        grant("s", "F", NONE, "genesis", "S", "steward"),
        grant("t", "F", json!("s"), "genesis", "T", "steward"),
        grant("m", "F", json!("t"), "genesis", "M", "moderator"),
        post("p1", "M", NONE, "m"),
        post("p2", "M", json!("p1"), "m"),
        post("p3", "M", json!("p2"), "m"),
        remove("s1", "S", NONE, "s", "M", json!({"M": "p1"})),
        remove("s2", "S", json!("s1"), "s", "M", json!({"M": "p3"})),
        remove("t1", "T", NONE, "t", "M", json!({"M": "p2"})),
    ]);
    let members = json!({"F": ["founder"], "S": ["steward"], "T": ["steward"]});
    let counts = json!(["m", "p1", "p2", "s", "s1", "s2", "t", "t1"]);
    check("meet", entries.clone(), members.clone(), counts, json!([]), json!([]));
    let mut more = entries;
    more.as_array_mut().unwrap().push(remove("f", "F", json!("m"), "genesis", "M", json!({})));
    let counts = json!(["f", "m", "s", "s1", "s2", "t", "t1"]);
    check("founder", more, members, counts, json!([]), json!([]));
}

#[test]
fn bad_lines_end_the_program_and_name_the_line_and_keep_what_was_answered() {
    let good = json!({"entries": [grant("a", "F", NONE, "genesis", "A", "member")]});
    let entry = |change: &dyn Fn(&mut Value)| {
        let mut entry = grant("b", "F", json!("a"), "genesis", "A", "member");
        change(&mut entry);
        json!({"entries": [grant("a", "F", NONE, "genesis", "A", "member"), entry]}).to_string()
    };
    let set = |key: &'static str, value: Value| entry(&move |entry| entry[key] = value.clone());
    let without =
        |key: &'static str| entry(&move |entry| drop(entry.as_object_mut().unwrap().remove(key)));
    let bad = [
        ("{".to_owned(), "EOF"),
        ("[]".to_owned(), "not an object"),
        ("{}".to_owned(), "\"entries\""),
        (r#"{"entries":{}}"#.to_owned(), "not a list"),
        (r#"{"entries":[1]}"#.to_owned(), "not an object"),
        (r#"{"entries":[],"more":1}"#.to_owned(), "no field \"more\""),
        (set("id", json!("a")), "taken"),
        (set("id", json!("genesis")), "taken"),
        (set("id", json!(7)), "\"id\""),
        (set("prev", json!("z")), "\"z\" is not defined"),
        (set("prev", json!("b")), "\"b\" is not defined"),
        (set("device", json!("A")), "another device"),
        (set("grant", json!("z")), "\"z\" is not defined"),
        (set("grant", NONE), "\"grant\""),
        (set("rank", json!("founder")), "no rank \"founder\""),
        (set("rank", json!("Member")), "no rank \"Member\""),
        (set("cites", json!(["z"])), "\"z\" is not defined"),
        (set("cites", json!("a")), "not a list"),
        (set("target", json!("a")), "no field \"target\""),
        (set("colour", json!("red")), "no field \"colour\""),
        (set("kind", json!("unlink")), "no kind \"unlink\""),
        (set("kind", json!("pin")), "no field"),
        (set("kind", json!({"grant": {}, "post": {}})), "not one kind"),
        (set("kind", json!({"post": {}})), "no field"),
        (without("prev"), "\"prev\""),
        (without("device"), "\"device\""),
        (without("kind"), "\"kind\""),
        (without("subject"), "\"subject\""),
        (without("rank"), "\"rank\""),
    ];
    for (line, says) in bad {
        let mut out = Vec::new();
        let input = format!("{good}\n\n{line}\n{good}\n");
        let message = run(input.as_bytes(), &mut out).unwrap_err();
        assert!(message.starts_with("line 3: ") && message.contains(says), "{line}: {message}");
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1, "{line}");
    }
    let not_text = [good.to_string().as_bytes(), b"\n\xff\n"].concat();
    assert!(run(not_text.as_slice(), Vec::new()).unwrap_err().starts_with("line 2: "));
}

#[test]
fn every_way_to_write_a_kind_means_the_same() {
    let under = |kind: Value, beside: Value| {
        let mut entry = json!({"id": "x", "device": "F", "prev": "g", "grant": "genesis"});
        entry["kind"] = kind;
        entry.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
        answer(&json!({"entries": [grant("g", "F", NONE, "genesis", "A", "member"), entry]}))
    };
    let fields = json!({"subject": "A", "cuts": {"A": null}});
    let inside = under(json!({"remove": fields}), json!({}));
    assert_eq!(inside, under(json!("remove"), fields));
    assert_eq!(inside["members"], json!({"F": ["founder"]}));
    let posts = [json!("post"), json!({"post": {}}), json!({"post": null})];
    for post in posts {
        assert_eq!(under(post, json!({}))["counts"], json!(["g", "x"]));
    }
}

#[test]
fn a9_the_naive_evaluator_agrees_on_random_sets() {
    let mut seen = sets::Seen::default();
    let sets = sets::asked();
    for seed in 0..sets {
        let set = sets::random(seed);
        let expected = naive::answer(&set);
        assert_eq!(answer(&set), expected, "set {seed}: {set}");
        seen.take(&set, &expected);
    }
    seen.is_wide(sets);
}
