//! Devices that show two histories (A6, A7).

use cairn_crdt::authority::Rule;
use cairn_crdt::capability::rank::Rank::{Member, Moderator, Steward};

use crate::people::{FAY, device};
use crate::scenarios::with;

#[test]
fn scenario_11_a_moderators_fork_keeps_its_removals_and_suspends_its_grants_until_a_pin() {
    let (mut group, ann) = with(Moderator);
    let eve = group.grant(FAY, group.genesis, "eve", Member);
    let before = group.post("ann", ann);
    let removal = group.remove("ann", ann, "eve", &[]);
    let dan = group.grant("ann", ann, "dan", Member);
    group.rewind("ann", before);
    let sibling = group.post("ann", ann);
    let answer = group.in_every_order();
    assert!(!answer.live(eve) && !answer.live(dan) && answer.live(ann));
    assert!(answer.suspended(removal) && answer.suspended(sibling) && answer.counts(before));
    assert!(answer.authority.forks().contains_key(&device("ann")));
    group.pin(FAY, group.genesis, "ann", dan.entry());
    let answer = group.in_every_order();
    assert!(!answer.live(eve) && answer.live(dan) && answer.counts(removal));
    assert_eq!(answer.void(sibling).map(|(rule, _)| rule), Some(Rule::A6));
}

#[test]
fn scenario_12_who_was_removed_stays_out_when_the_appointers_log_is_forked() {
    let (mut group, ann) = with(Steward);
    let eve = group.grant(FAY, group.genesis, "eve", Member);
    let before = group.post("ann", ann);
    let bo = group.grant("ann", ann, "bo", Moderator);
    let removal = group.remove("bo", bo, "eve", &[]);
    // The same from another device of the one who forks.
    let mallory = group.grant(FAY, group.genesis, "mallory", Member);
    let second = group.remove("ann/2", ann, "mallory", &[]);
    group.rewind("ann", before);
    group.post("ann", ann);
    let answer = group.in_every_order();
    assert!(!answer.live(bo) && answer.suspended(removal));
    assert!(!answer.live(eve) && !answer.live(mallory) && answer.counts(second));
}
