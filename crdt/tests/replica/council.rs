//! The council acts through whole replicas (A10): succession, a larger council, a frozen root.

use cairn_crdt::capability::draft::Draft;
use cairn_crdt::capability::rank::Rank;
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

/// Hands over to a council of persons 0, 1 and 2, of whom two must sign.
fn three(c: &mut Community) {
    let keys = (0..3).map(|who| key(c, who).verifying_key()).collect();
    let act = CouncilAct::Rotate { keys, threshold: 2 };
    let draft = c.people[0].replica.draft(&key(c, 0), &act).unwrap();
    assert!(carry(c, 0, draft).is_ok());
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
    let one = c.people[1].replica.draft(&key(&c, 1), &remove).unwrap();
    assert!(carry(&mut c, 1, one.clone()).is_err(), "one is not enough");
    let stranger = c.people[3].replica.cosign(&key(&c, 3), one.clone());
    assert!(matches!(stranger, Err(Refused::Conflict(_))));
    let two = Draft::from_text(&one.to_text()).unwrap();
    let two = c.people[2].replica.cosign(&key(&c, 2), two).unwrap();
    // Whoever has the text may carry it.
    assert!(carry(&mut c, 3, two).is_ok());
    c.settle();
    let appoint = CouncilAct::Appoint { member: c.member(3), rank: Rank::Founder };
    let draft = c.people[2].replica.draft(&key(&c, 2), &appoint).unwrap();
    let draft = c.people[1].replica.cosign(&key(&c, 1), draft).unwrap();
    assert!(carry(&mut c, 2, draft).is_ok());
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
        let act = CouncilAct::Appoint { member: c.member(whom), rank: Rank::Steward };
        c.people[0].replica.draft(&key(c, 0), &act).unwrap()
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
