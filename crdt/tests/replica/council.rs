//! The council acts through whole replicas (A10): succession, a larger council, a frozen root.

use cairn_crdt::capability::draft::Draft;
use cairn_crdt::capability::grant::{Grant, RootAction};
use cairn_crdt::capability::rank::{Abilities, Rank};
use cairn_crdt::codec::List;
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::identity::seed::Seed;
use cairn_crdt::replica::council::CouncilAct;
use cairn_crdt::replica::effect::{Refused, Reply};
use cairn_crdt::replica::input::{Command, CutChoice};

use crate::community::Community;

/// A person's council key: as the community derives member keys, from the number's seed.
fn key(c: &Community, who: usize) -> SigningKey {
    let seed = Seed::from_bytes([u8::try_from(who).unwrap(); 32]);
    seed.council_key(&c.people[who].replica.salt().unwrap())
}

fn carry(c: &mut Community, who: usize, draft: Draft) -> Result<Reply, Refused> {
    c.ask(who, Command::Carry { act: Box::new(draft.act) })
}

/// Drafts an act and signs it: what the next has to sign.
fn draft(c: &mut Community, who: usize, act: &CouncilAct) -> Result<Draft, Refused> {
    let signed = c.people[who].replica.draft(&key(c, who), act)?;
    handed_on(c.ask(who, signed)?)
}

fn cosign(c: &mut Community, who: usize, draft: Draft) -> Result<Reply, Refused> {
    let signed = c.people[who].replica.cosign(&key(c, who), draft)?;
    c.ask(who, signed)
}

fn handed_on(reply: Reply) -> Result<Draft, Refused> {
    match reply {
        Reply::Draft(draft) => Ok(*draft),
        _ => panic!("it was enough"),
    }
}

/// What a program of their own making signs, whatever was signed before.
fn forced(c: &Community, who: usize, action: RootAction) -> Draft {
    let authority = c.people[who].replica.authority();
    let (group, last) = (c.people[who].replica.group(), authority.last_root_act());
    let draft = Draft::new(group, last.unwrap(), action);
    draft.sign(&key(c, who), group, authority.council().unwrap(), last).unwrap()
}

/// Hands over to a council of persons 0, 1 and 2, of whom two must sign.
fn three(c: &mut Community) {
    let keys = (0..3).map(|who| key(c, who).verifying_key()).collect();
    let act = CouncilAct::Rotate { keys, threshold: 2 };
    let signed = c.people[0].replica.draft(&key(c, 0), &act).unwrap();
    assert!(matches!(c.ask(0, signed), Ok(Reply::Entry(_))), "one of one is enough");
    c.settle();
}

#[test]
fn a10_two_of_three_replace_a_founder_who_is_gone() {
    let mut c = Community::with_members(60, 4);
    three(&mut c);
    c.connect(1, 2);
    c.connect(2, 3);
    c.unplug(0);
    let founder = c.member(0);
    let remove = CouncilAct::Remove { member: founder, cut: CutChoice::FromTip };
    let one = draft(&mut c, 1, &remove).unwrap();
    assert!(carry(&mut c, 1, one.clone()).is_err(), "one is not enough");
    let stranger = cosign(&mut c, 3, one.clone());
    assert!(matches!(stranger, Err(Refused::Conflict(_))));
    let two = Draft::from_text(&one.to_text()).unwrap();
    let (group, last) = (two.group, Some(two.act.previous));
    let council = c.people[2].replica.authority().council().unwrap().clone();
    let two = two.sign(&key(&c, 2), group, &council, last).unwrap();
    // Whoever has the text may carry it.
    assert!(carry(&mut c, 3, two).is_ok());
    c.settle();
    let appoint = CouncilAct::Appoint { member: c.member(3), rank: Rank::Founder };
    let one = draft(&mut c, 2, &appoint).unwrap();
    assert!(matches!(cosign(&mut c, 1, one), Ok(Reply::Entry(_))), "enough have signed");
    c.connect(0, 3);
    c.settle();
    for who in 0..4 {
        let authority = c.people[who].replica.authority();
        assert_eq!(authority.rank_of(&founder), None, "{who}");
        assert_eq!(authority.rank_of(&c.member(3)), Some(Rank::Founder), "{who}");
    }
    assert!(c.ask(3, Command::Grant { member: c.member(1), rank: Rank::Steward }).is_ok());
}

#[test]
fn a10_a_council_that_contradicts_itself_is_frozen_and_the_group_goes_on() {
    let mut c = Community::with_members(61, 3);
    let appoint = |c: &Community, whom: usize| {
        let rank = Rank::Steward;
        let abilities = Abilities::usual(rank);
        let (subject, cites, invite) = (c.member(whom), List::default(), None);
        forced(c, 0, RootAction::Grant(Grant { subject, rank, abilities, cites, invite }))
    };
    let (one, other) = (appoint(&c, 1), appoint(&c, 2));
    c.unplug(2);
    assert!(carry(&mut c, 0, one).is_ok());
    assert!(carry(&mut c, 2, other).is_ok(), "it has not heard of the first");
    c.connect(0, 2);
    c.settle();
    assert_eq!(c.people[0].replica.authority().last_root_act(), None);
    let third = CouncilAct::Appoint { member: c.member(1), rank: Rank::Member };
    let why = c.people[0].replica.draft(&key(&c, 0), &third);
    assert!(matches!(why, Err(Refused::Conflict(_))));
    assert!(c.ask(0, Command::Grant { member: c.member(1), rank: Rank::Moderator }).is_ok());
}

#[test]
fn a10_a_draft_that_was_given_up_cannot_be_completed_beside_another() {
    let mut c = Community::with_members(63, 4);
    three(&mut c);
    let appoint = |c: &Community, whom: usize| CouncilAct::Appoint {
        member: c.member(whom),
        rank: Rank::Steward,
    };
    let (given_up, instead) = (appoint(&c, 1), appoint(&c, 3));
    let one = draft(&mut c, 0, &given_up).unwrap();
    assert_eq!(c.people[0].replica.signed_act().as_ref(), Some(&one));
    // It is remembered before the signature is anywhere else, and so after a crash.
    c.reconnect(0);
    let other = draft(&mut c, 2, &instead).unwrap();
    let refused = [
        c.people[0].replica.draft(&key(&c, 0), &instead).err(),
        c.people[0].replica.cosign(&key(&c, 0), other.clone()).err(),
    ];
    let signed = Refused::SignedAnother(Box::new(one.act.action.clone()));
    assert_eq!(refused, [Some(signed.clone()), Some(signed)]);
    let again = draft(&mut c, 0, &given_up);
    assert_eq!(again.ok().as_ref(), Some(&one), "the same act can be signed again");
    // Whoever was offline completes one of the two; nobody is left who signs the other.
    assert!(cosign(&mut c, 1, other).is_ok());
    assert!(c.people[1].replica.cosign(&key(&c, 1), one.clone()).is_err());
    c.settle();
    assert!(c.people[0].replica.signed_act().is_none(), "another act has followed");
    assert!(c.people[0].replica.authority().last_root_act().is_some(), "nothing is frozen");
    assert!(draft(&mut c, 0, &given_up).is_ok(), "in its new place");
}

#[test]
fn a10_of_two_acts_that_are_signed_at_once_one_goes_out() {
    let mut c = Community::with_members(64, 3);
    three(&mut c);
    let act = |rank| CouncilAct::Appoint { member: c.member(1), rank };
    let replica = &c.people[0].replica;
    let (one, other) = (act(Rank::Steward), act(Rank::Moderator));
    let signed = [&one, &other].map(|act| replica.draft(&key(&c, 0), act).unwrap());
    let replies = signed.map(|command| c.ask(0, command));
    assert!(matches!(replies, [Ok(Reply::Draft(_)), Err(Refused::SignedAnother(_))]));
}

#[test]
fn a10_a_council_that_could_not_act_is_not_drafted() {
    let c = Community::with_members(62, 2);
    let own = key(&c, 0);
    let keys = vec![own.verifying_key(), key(&c, 1).verifying_key()];
    for (keys, threshold) in [(keys.clone(), 1), (keys, 3), (vec![[1; 32]; 3], 2)] {
        let act = CouncilAct::Rotate { keys, threshold };
        let why = c.people[0].replica.draft(&own, &act);
        assert!(matches!(why, Err(Refused::Conflict(_))));
    }
}
