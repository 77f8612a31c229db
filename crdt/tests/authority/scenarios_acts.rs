//! Acts on documents (C5), devices (I2), and what may be done and served.

use cairn_crdt::authority::Rule;
use cairn_crdt::authority::decision::{Denied, Scope, grant_for, read_grant};
use cairn_crdt::capability::keeper::{Dismiss, Keeper};
use cairn_crdt::capability::rank::Abilities;
use cairn_crdt::capability::rank::Rank::{Member, Moderator, Reader, Steward};
use cairn_crdt::capability::revocation::{
    ConfirmErase, CutHead, Erase, Hide, Pin, PinRight, Restore,
};
use cairn_crdt::codec::{self, List};
use cairn_crdt::crypto::domain;
use cairn_crdt::epoch::secret::Audience;
use cairn_crdt::id::{EntryId, GrantId, MailboxId, PublicKey, TransportKey};
use cairn_crdt::identity::device::{Rotate, Unlink};
use cairn_crdt::identity::member::MemberKey;
use cairn_crdt::limits::KEEPERS;
use cairn_crdt::log::entry::Control;
use cairn_crdt::log::run::{Entry, Verified};
use cairn_crdt::log::set::{EntryRefused, LogSet};

use crate::people::{FAY, Group, device, granting, key, member};

struct Stage {
    group: Group,
    cleo: GrantId,
    ann: GrantId,
    bo: GrantId,
    /// By Bo.
    post: EntryId,
}

/// Cleo is a steward, Ann a moderator, Bo a member who has posted.
fn stage() -> Stage {
    let mut group = Group::new();
    let cleo = group.grant(FAY, group.genesis, "cleo", Steward);
    let ann = group.grant(FAY, group.genesis, "ann", Moderator);
    let bo = group.grant("ann", ann, "bo", Member);
    let post = group.post("bo", bo);
    Stage { group, cleo, ann, bo, post }
}

fn hide(group: &mut Group, by: &str, under: GrantId, created: EntryId) -> EntryId {
    group.say(by, under, &Control::Hide(Hide { created }))
}

fn restore(group: &mut Group, by: &str, under: GrantId, hides: &[EntryId]) -> EntryId {
    let hides = List::new(hides.to_vec()).unwrap();
    group.say(by, under, &Control::Restore(Restore { hides }))
}

fn erase(group: &mut Group, by: &str, under: GrantId, created: EntryId) -> EntryId {
    group.say(by, under, &Control::Erase(Erase { created, changes: List::default() }))
}

#[test]
fn c5_a_hide_needs_a_strictly_higher_rank_and_the_ability() {
    let Stage { mut group, ann, bo, post, .. } = stage();
    let dan = group.grant("ann", ann, "dan", Member);
    hide(&mut group, "dan", dan, post);
    let own = group.post("ann", ann);
    let other = group.grant(FAY, group.genesis, "max", Moderator);
    hide(&mut group, "max", other, own);
    hide(&mut group, "bo", bo, post);
    let mut powerless = granting("sam", Steward, &[]);
    powerless.abilities = Abilities::usual(Member);
    let sam = GrantId::of(group.say(FAY, group.genesis, &Control::Grant(powerless)));
    hide(&mut group, "sam", sam, post);
    let answer = group.answer();
    assert_eq!((answer.authority.hidden(&post), answer.authority.hidden(&own)), (None, None));
    let hidden = hide(&mut group, "ann", ann, post);
    assert_eq!(group.answer().authority.hidden(&post), Some(hidden));
}

#[test]
fn c5_a_restore_lifts_what_it_cites_and_nothing_of_higher_rank() {
    let Stage { mut group, cleo, ann, post, .. } = stage();
    let low = hide(&mut group, "ann", ann, post);
    let high = hide(&mut group, "cleo", cleo, post);
    restore(&mut group, "ann", ann, &[low, high]);
    assert_eq!(group.answer().authority.hidden(&post), Some(high));
    restore(&mut group, "cleo", cleo, &[high]);
    assert_eq!(group.answer().authority.hidden(&post), None);
    let again = hide(&mut group, "ann", ann, post);
    assert_eq!(group.answer().authority.hidden(&post), Some(again));
}

#[test]
fn a7_a_suspended_hide_hides_and_a_suspended_restore_does_not_restore() {
    let Stage { mut group, ann, post, .. } = stage();
    let before = group.post("ann", ann);
    let hidden = hide(&mut group, "ann", ann, post);
    restore(&mut group, "ann", ann, &[hidden]);
    assert_eq!(group.answer().authority.hidden(&post), None);
    group.rewind("ann", before);
    group.post("ann", ann);
    assert_eq!(group.answer().authority.hidden(&post), Some(hidden));
}

#[test]
fn c5_a_hide_waits_for_its_document() {
    let Stage { mut group, ann, post, .. } = stage();
    let hidden = hide(&mut group, "ann", ann, post);
    let mut fewer = group.clone();
    fewer.entries = group.without(&[post]);
    let answer = fewer.answer();
    assert_eq!(answer.authority.hidden(&post), None);
    let mut set = answer.set;
    for entry in &group.entries {
        set.insert(entry).unwrap();
    }
    assert!(answer.authority.is_stale_after(&set, &post));
    assert_eq!(group.answer().authority.hidden(&post), Some(hidden));
}

#[test]
fn c5_the_owner_erases_at_once_even_past_a_cut() {
    let Stage { mut group, ann, post, .. } = stage();
    group.remove("ann", ann, "bo", &[("bo", post)]);
    let erased = erase(&mut group, "bo", GrantId::NONE, post);
    let answer = group.answer();
    let found = answer.authority.erased(&post).unwrap();
    assert_eq!((found.by, found.author, found.final_), (erased, member("bo"), true));
    assert!(answer.counts(erased));
}

#[test]
fn c5_under_no_grant_only_the_owner_erases_and_not_from_an_unlinked_device() {
    let Stage { mut group, post, .. } = stage();
    let not_own = erase(&mut group, "ann", GrantId::NONE, post);
    group.unlink("bo/2", "bo", post);
    let stolen = erase(&mut group, "bo", GrantId::NONE, post);
    let answer = group.answer();
    assert_eq!(answer.authority.erased(&post), None);
    assert_eq!(answer.void(not_own), Some((Rule::C5, post)));
    assert_eq!(answer.void(stolen).map(|(rule, _)| rule), Some(Rule::A8));
}

#[test]
fn c5_anothers_erasure_is_final_once_confirmed() {
    let Stage { mut group, cleo, ann, post, .. } = stage();
    let by_ann = erase(&mut group, "ann", ann, post);
    let found = group.answer().authority.erased(&post).cloned().unwrap();
    assert_eq!((found.by, found.final_), (by_ann, false));
    let mut restored = group.clone();
    restore(&mut restored, "cleo", cleo, &[by_ann]);
    assert_eq!(restored.answer().authority.erased(&post), None);
    group.say("cleo", cleo, &Control::ConfirmErase(ConfirmErase { erase: by_ann }));
    assert!(group.answer().authority.erased(&post).unwrap().final_);
    // It stands, whatever becomes of Ann.
    group.remove(FAY, group.genesis, "ann", &[]);
    assert!(!group.answer().counts(by_ann));
    assert!(group.answer().authority.erased(&post).is_none_or(|found| found.final_));
}

/// Whichever of two erasures comes first in order, and whatever the other takes besides.
#[test]
fn c5_what_is_final_outweighs_what_is_not() {
    for confirmed in [0, 1] {
        let Stage { mut group, cleo, ann, post, .. } = stage();
        let erasures = [erase(&mut group, "ann", ann, post), erase(&mut group, "cleo", cleo, post)];
        let erase = erasures[confirmed];
        group.say(FAY, group.genesis, &Control::ConfirmErase(ConfirmErase { erase }));
        let found = group.answer().authority.erased(&post).cloned().unwrap();
        assert_eq!((found.by, found.final_), (erase, true));
    }
    let Stage { mut group, ann, bo, post, .. } = stage();
    let changed = group.post("bo", bo);
    let changes = List::new(vec![changed]).unwrap();
    group.say("ann", ann, &Control::Erase(Erase { created: post, changes }));
    let erased = |group: &Group| group.answer().authority.erased(&post).cloned().unwrap();
    assert_eq!(erased(&group).changes.len(), 1);
    let own = erase(&mut group, "bo", GrantId::NONE, post);
    assert_eq!((erased(&group).by, erased(&group).changes.len()), (own, 0));
}

/// Whoever ranks high enough and lacks the ability: their acts count and do nothing (A1).
#[test]
fn c5_who_lacks_the_ability_neither_restores_nor_erases_nor_confirms() {
    let Stage { mut group, cleo, ann, bo, post } = stage();
    let mut powerless = granting("sam", Steward, &[]);
    powerless.abilities = Abilities::usual(Member);
    let sam = GrantId::of(group.say(FAY, group.genesis, &Control::Grant(powerless)));
    let hidden = hide(&mut group, "ann", ann, post);
    restore(&mut group, "sam", sam, &[hidden]);
    let other = group.post("bo", bo);
    erase(&mut group, "sam", sam, other);
    let third = group.post("bo", bo);
    let erased = erase(&mut group, "ann", ann, third);
    let confirm = |group: &mut Group, by: &str, under| {
        group.say(by, under, &Control::ConfirmErase(ConfirmErase { erase: erased }))
    };
    confirm(&mut group, "sam", sam);
    // Every member could confirm, if the ability were enough.
    let mut able = granting("eve", Member, &[]);
    able.abilities = Abilities::ALL;
    let eve = GrantId::of(group.say(FAY, group.genesis, &Control::Grant(able)));
    let reader = group.grant("ann", ann, "rob", Reader);
    let of_reader = group.post("rob", reader);
    let by_eve = erase(&mut group, "eve", eve, of_reader);
    group.say("eve", eve, &Control::ConfirmErase(ConfirmErase { erase: by_eve }));
    let answer = group.answer();
    assert_eq!(answer.authority.hidden(&post), Some(hidden));
    assert_eq!(answer.authority.erased(&other), None);
    assert!(!answer.authority.erased(&third).unwrap().final_);
    assert!(!answer.authority.erased(&of_reader).unwrap().final_);
    confirm(&mut group, "cleo", cleo);
    // A moderator is high enough.
    let by_ann = erase(&mut group, "ann", ann, of_reader);
    group.say("ann", ann, &Control::ConfirmErase(ConfirmErase { erase: by_ann }));
    let answer = group.answer();
    assert!(answer.authority.erased(&third).unwrap().final_);
    assert!(answer.authority.erased(&of_reader).unwrap().final_);
}

/// What a suspended or void act of erasure or restoring does: nothing. A suspended hide holds (A7).
#[test]
fn c5_only_a_hide_holds_from_a_fork_on() {
    let Stage { mut group, cleo, ann, bo, post } = stage();
    let [other, third, fourth] = [(); 3].map(|()| group.post("bo", bo));
    let by_cleo = hide(&mut group, "cleo", cleo, other);
    let erased = erase(&mut group, "ann", ann, fourth);
    group.post("cleo", cleo);
    group.rewind("cleo", by_cleo);
    let hidden = hide(&mut group, "cleo", cleo, post);
    restore(&mut group, "cleo", cleo, &[by_cleo]);
    erase(&mut group, "cleo", cleo, third);
    group.say("cleo", cleo, &Control::ConfirmErase(ConfirmErase { erase: erased }));
    let answer = group.answer();
    assert_eq!(answer.authority.hidden(&post), Some(hidden));
    assert_eq!(answer.authority.hidden(&other), Some(by_cleo), "not restored");
    assert_eq!(answer.authority.erased(&third), None);
    assert!(!answer.authority.erased(&fourth).unwrap().final_);
}

#[test]
fn c5_nobody_erases_what_is_no_content() {
    let Stage { mut group, bo, .. } = stage();
    let first = |entry: &&Verified<Entry>| {
        let header = &entry.get().header;
        header.device == device("bo") && header.seq == 0
    };
    let card = group.entries.iter().find(first).unwrap().get().id;
    for created in [card, bo.entry()] {
        erase(&mut group, "bo", GrantId::NONE, created);
    }
    let created = group.post("bo", bo);
    let changes = List::new(vec![card]).unwrap();
    group.say("bo", GrantId::NONE, &Control::Erase(Erase { created, changes }));
    let answer = group.answer();
    assert_eq!(answer.authority.erased(&card), None);
    assert_eq!(answer.authority.erasures().len(), 1);
    assert!(answer.authority.erased(&created).unwrap().changes.is_empty());
}

#[test]
fn c5_an_erasure_takes_only_changes_that_its_author_could_erase() {
    let Stage { mut group, ann, bo, post, .. } = stage();
    let later = group.post("bo", bo);
    let of_ann = group.post("ann", ann);
    let changes = List::new(vec![later, of_ann]).unwrap();
    group.say("bo", GrantId::NONE, &Control::Erase(Erase { created: post, changes }));
    let answer = group.answer();
    assert_eq!(answer.authority.erased(&post).unwrap().changes, [later].into());
}

#[test]
fn i2_rotation_changes_keys_and_a_shared_transport_key_is_nobodys() {
    let Stage { mut group, bo, .. } = stage();
    let fresh = PublicKey::from_bytes([9; 32]);
    group.say("bo", GrantId::NONE, &Control::Rotate(Rotate::Prekey(fresh)));
    group.card_for("bo/2", "bo", "bo");
    let transport = |name: &str| TransportKey::from_bytes(key("transport", name).verifying_key());
    let answer = group.answer();
    let authority = &answer.authority;
    assert_eq!(authority.device(&device("bo")).unwrap().prekeys.last(), Some(&fresh));
    assert_eq!(authority.readers(Audience::Readers)[&device("bo")], fresh);
    assert_eq!(authority.device_of_transport(&transport("bo")), None);
    assert_eq!(authority.known_transport(&transport("bo")), None);
    let new = key("transport", "bo, new");
    let message = codec::encode(&(group.id, device("bo/2")));
    let rotate = Rotate::Transport {
        key: TransportKey::from_bytes(new.verifying_key()),
        signature: new.sign(domain::SIGN_TRANSPORT, &message),
    };
    group.say("bo/2", GrantId::NONE, &Control::Rotate(rotate));
    let answer = group.answer();
    assert_eq!(answer.authority.device_of_transport(&transport("bo")), Some(device("bo")));
    assert_eq!(answer.authority.device_of_transport(&transport("bo, new")), Some(device("bo/2")));
    assert_eq!(answer.authority.members()[&member("bo")].devices.len(), 2);
    assert!(answer.live(bo));
}

#[test]
fn a7_a_rotation_after_a_fork_does_not_hold() {
    let Stage { mut group, bo, post, .. } = stage();
    let before = PublicKey::from_bytes([8; 32]);
    group.say("bo", GrantId::NONE, &Control::Rotate(Rotate::Prekey(before)));
    let at = group.tip("bo").1;
    let after = PublicKey::from_bytes([9; 32]);
    group.say("bo", GrantId::NONE, &Control::Rotate(Rotate::Prekey(after)));
    group.rewind("bo", at);
    group.post("bo", bo);
    let answer = group.answer();
    assert!(answer.counts(post));
    assert_eq!(answer.authority.readers(Audience::Readers)[&device("bo")], before);
}

#[test]
fn i2_an_entry_whose_inner_signature_does_not_hold_is_in_no_set() {
    let mut group = Group::new();
    let mut other = Group::with_council(cairn_crdt::capability::grant::Council {
        keys: List::new(vec![[1; 32]]).unwrap(),
        threshold: 1,
    });
    // A card for another group: the member's signature is over that one.
    other.card("ann");
    let card = other.entries.last().unwrap().get().payload.clone().unwrap();
    let control = Control::decode(cairn_crdt::log::entry::Kind::CARD, &card).unwrap();
    group.say("ann", GrantId::NONE, &control);
    let mut set = LogSet::new(group.id);
    let refused = set.insert(group.entries.last().unwrap());
    assert_eq!(refused, Err(EntryRefused::BadInnerSignature));
    // Another key of a device, the end of a device and the choice of a branch: each with a signature
    // by the right key, of something else.
    let Stage { group, .. } = stage();
    let (of, (seq, entry)) = (device("bo"), group.tip("bo"));
    let (owner, next) = (MemberKey::new(key("member", "bo")), key("transport", "next"));
    let elsewhere = codec::encode(&(group.id, device("cleo")));
    let signature = next.sign(domain::SIGN_TRANSPORT, &elsewhere);
    let transport = TransportKey::from_bytes(next.verifying_key());
    let pin = owner.sign_pin(group.id, of, seq, entry);
    let unlink = owner.sign_unlink(group.id, of, seq, entry);
    let ended = |signature| Unlink { member: owner.id(), device: of, seq, entry, signature };
    let chosen = |signature| {
        let by = PinRight::Member(owner.id(), signature);
        Pin { device: of, head: CutHead { seq, entry }, by }
    };
    for (holds, control) in [
        (false, Control::Rotate(Rotate::Transport { key: transport, signature })),
        (false, Control::Unlink(ended(pin))),
        (true, Control::Unlink(ended(unlink))),
        (false, Control::Pin(chosen(unlink))),
        (true, Control::Pin(chosen(pin))),
    ] {
        let mut group = group.clone();
        group.say("ann", GrantId::NONE, &control);
        let mut set = LogSet::new(group.id);
        let done: Vec<_> = group.entries.iter().map(|entry| set.insert(entry)).collect();
        let (last, before) = done.split_last().unwrap();
        assert!(before.iter().all(Result::is_ok));
        assert_eq!(last.is_ok(), holds, "{control:?}");
    }
}

#[test]
fn k9_an_audience_is_who_may_read() {
    let Stage { mut group, ann, bo, .. } = stage();
    group.post("ann", ann);
    group.card("cleo");
    let all = |group: &Group, audience| {
        let answer = group.answer();
        answer.authority.readers(audience).into_keys().collect::<std::collections::BTreeSet<_>>()
    };
    let named = |names: &[&str]| names.iter().map(|name| device(name)).collect();
    assert_eq!(all(&group, Audience::Readers), named(&[FAY, "ann", "bo", "cleo"]));
    assert_eq!(all(&group, Audience::Moderators), named(&[FAY, "ann", "cleo"]));
    let private = Audience::ModeratorsAnd(member("bo"));
    assert_eq!(all(&group, private), named(&[FAY, "ann", "cleo", "bo"]));
    group.revoke("ann", ann, bo, &[]);
    assert_eq!(all(&group, Audience::Readers), named(&[FAY, "ann", "cleo"]));
    assert_eq!(all(&group, private), named(&[FAY, "ann", "cleo", "bo"]));
}

#[test]
fn s1_what_a_peer_is_served_follows_from_its_standing() {
    let Stage { mut group, ann, .. } = stage();
    group.card("stranger");
    let transport = |name: &str| TransportKey::from_bytes(key("transport", name).verifying_key());
    let served = |group: &Group, name: &str| {
        read_grant(&group.answer().authority, &transport(name)).map(|grant| grant.scope())
    };
    assert_eq!(served(&group, "bo"), Ok(Scope::Everything));
    assert_eq!(served(&group, "stranger"), Err(Denied::UnknownDevice));
    assert_eq!(served(&group, "nobody"), Err(Denied::UnknownDevice));
    let act = group.remove("ann", ann, "bo", &[]);
    assert_eq!(served(&group, "bo"), Ok(Scope::ControlOnly { act: Some(act) }));
}

#[test]
fn a1_one_acts_under_the_lowest_grant_that_suffices() {
    let Stage { mut group, ann, .. } = stage();
    let low = group.grant("ann", ann, "eve", Reader);
    let member_grant = group.grant("ann", ann, "eve", Member);
    let high = group.grant(FAY, group.genesis, "eve", Moderator);
    let answer = group.answer();
    let eve = member("eve");
    let lowest = |needed, above| grant_for(&answer.authority, &eve, needed, above);
    assert_eq!(lowest(Abilities::READ, None), Ok(low));
    assert_eq!(lowest(Abilities::POST, None), Ok(member_grant));
    assert_eq!(lowest(Abilities::POST, Some(Member)), Ok(high));
    assert_eq!(lowest(Abilities::APPOINT, None), Err(Denied::NoGrant));
    assert_eq!(
        grant_for(&answer.authority, &member("x"), Abilities::NONE, None),
        Err(Denied::NoGrant)
    );
}

/// What somebody shows of themselves (S1) when nothing of theirs is in force.
#[test]
fn i4_the_highest_grant_that_somebody_ever_had_is_one_of_theirs_that_was_valid() {
    let Stage { mut group, ann, bo, .. } = stage();
    group.grant("bo", bo, "bo", Moderator);
    group.remove(FAY, group.genesis, "bo", &[]);
    let authority = group.answer().authority;
    assert_eq!(authority.highest_ever(&member("bo")), Some(bo));
    assert_eq!(authority.highest_ever(&member("ann")), Some(ann));
    assert_eq!(authority.highest_ever(&member("nobody")), None);
}

#[test]
fn m1_the_keepers_of_a_group_are_those_that_count_from_who_may_edit_the_agreement() {
    let Stage { mut group, cleo, ann, .. } = stage();
    let founding = group.genesis;
    let add = |group: &mut Group, by: &str, under: GrantId, number: u8| {
        let keeper = Keeper {
            keeper: TransportKey::from_bytes([number; 32]),
            mailbox: MailboxId::from_bytes([number; 32]),
            addresses: List::default(),
        };
        group.say(by, under, &Control::Keeper(keeper))
    };
    let used = |group: &Group| -> std::collections::BTreeSet<EntryId> {
        let answer = group.answer();
        answer.authority.keepers(&answer.set).into_values().map(|(entry, _)| entry).collect()
    };
    add(&mut group, "ann", ann, 1);
    assert!(used(&group).is_empty(), "a moderator may not");
    let by_cleo = add(&mut group, "cleo", cleo, 2);
    let by_fay = add(&mut group, FAY, founding, 3);
    assert_eq!(used(&group), [by_cleo, by_fay].into());
    let twice = add(&mut group, FAY, founding, 3);
    assert_eq!(used(&group), [by_cleo, by_fay.min(twice)].into(), "one mailbox at each");
    let dismiss = |of| Control::Dismiss(Dismiss { keepers: List::new(of).unwrap() });
    group.say("ann", ann, &dismiss(vec![by_cleo]));
    assert_eq!(used(&group).len(), 2, "nor take one back");
    let mut without = group.clone();
    without.say(FAY, group.genesis, &dismiss(vec![by_fay, twice]));
    assert_eq!(used(&without), [by_cleo].into());
    group.revoke(FAY, group.genesis, cleo, &[]);
    assert_eq!(used(&group), [by_fay.min(twice)].into(), "what was voided is used no more");
    let more = (10..).take(KEEPERS).map(|number| add(&mut group, FAY, founding, number));
    let mut all: Vec<EntryId> = more.chain([by_fay.min(twice)]).collect();
    all.sort_unstable();
    all.truncate(KEEPERS);
    assert_eq!(used(&group), all.into_iter().collect());
}
