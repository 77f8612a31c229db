//! Acts that change who stands where: what they would change, said again, extended, made final.

use cairn_crdt::capability::rank::Rank;
use cairn_crdt::capability::revocation::Remove;
use cairn_crdt::id::{DocumentId, EntryId};
use cairn_crdt::log::entry::Control;
use cairn_crdt::replica::effect::{PostState, Refused, Reply};
use cairn_crdt::replica::input::{Command, CutChoice};

use crate::community::Community;
use crate::store::Kept;

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// Person 0 founded; 1 is a moderator; the others are members. All are connected to 0.
fn circle(seed: u64, people: usize) -> (Community, DocumentId) {
    let mut c = Community::with_members(seed, people);
    let thread = c.thread(0, "Evening", "hello");
    grant(&mut c, 1, Rank::Moderator);
    c.settle();
    (c, thread)
}

fn grant(c: &mut Community, whom: usize, rank: Rank) {
    let member = c.member(whom);
    assert!(c.ask(0, Command::Grant { member, rank }).is_ok());
}

fn entry(reply: Result<Reply, Refused>) -> EntryId {
    match reply {
        Ok(Reply::Entry(entry)) => entry,
        Ok(_) => panic!("no entry"),
        Err(why) => panic!("{why}"),
    }
}

fn state(c: &Community, who: usize, post: &DocumentId) -> Option<PostState> {
    let posts = c.people[who].store.posts();
    posts.iter().find(|row| row.document == *post).map(|row| row.state)
}

fn removal(c: &Community, whom: usize, cut: CutChoice) -> Command {
    let (rule, reason) = (String::new(), String::new());
    Command::Remove { member: c.member(whom), cut, rule, reason }
}

#[test]
fn c5_anothers_erasure_can_be_restored_for_a_week_and_is_final_then() {
    let (mut c, thread) = circle(40, 3);
    let (first, second) = (c.post(2, thread, "one"), c.post(2, thread, "two"));
    c.settle();
    for post in [first, second] {
        entry(c.ask(1, Command::Erase { document: post }));
    }
    c.settle();
    assert!(matches!(state(&c, 2, &first), Some(PostState::Hidden(_))));
    let created = c.people[0].replica.created(&first).unwrap();
    // Until then whoever ranks as high brings it back.
    assert!(c.ask(1, Command::Restore { document: first }).is_ok());
    c.settle();
    assert_eq!(state(&c, 2, &first), Some(PostState::Shown));
    entry(c.ask(1, Command::Erase { document: first }));
    c.settle();
    c.now = c.now.after(6 * DAY);
    c.settle();
    assert!(!c.people[0].replica.authority().erased(&created).unwrap().final_);

    // A moderator's node waits; a steward need not.
    let moderator = c.ask(1, Command::ConfirmErase { document: second });
    assert!(matches!(moderator, Err(Refused::NotAllowed { .. })));
    entry(c.ask(0, Command::ConfirmErase { document: second }));
    c.settle();
    assert_eq!(state(&c, 2, &second), Some(PostState::Erased));
    let late = c.ask(0, Command::Restore { document: second });
    assert!(matches!(late, Err(Refused::Conflict(_))));
    assert!(matches!(state(&c, 2, &first), Some(PostState::Hidden(_))));

    c.restart(1);
    c.connect(0, 1);
    c.now = c.now.after(2 * DAY);
    c.settle();
    for who in 0..3 {
        assert_eq!(state(&c, who, &first), Some(PostState::Erased), "{who}");
        let kept = &c.people[who].store.entries[&created];
        assert!(kept.erased && kept.payload.is_none() && kept.envelope.is_none());
    }
}

#[test]
fn a9_a_preview_says_what_happens_then_and_changes_nothing() {
    let (mut c, thread) = circle(41, 4);
    let early = c.post(2, thread, "early");
    c.settle();
    let admitted = entry(c.ask(
        1,
        Command::Hide { document: early, rule: "Be kind".to_owned(), reason: String::new() },
    ));
    let words = c.post(1, thread, "a word of the moderator's");
    c.settle();
    let words = c.people[0].replica.created(&words).unwrap();
    let digest = c.people[0].replica.digest();

    let stands = removal(&c, 1, CutChoice::FromTip);
    let preview = c.people[0].replica.preview(&stands).unwrap();
    assert_eq!(preview.standings, [(c.member(1), Some(Rank::Moderator), None)]);
    assert!(preview.acts.is_empty() && preview.content.is_empty() && preview.again.is_empty());

    let falls = removal(&c, 1, CutChoice::FromStart);
    let preview = c.people[0].replica.preview(&falls).unwrap();
    let acts: Vec<EntryId> = preview.acts.iter().map(|(id, _)| *id).collect();
    assert!(acts.contains(&admitted));
    let content: Vec<EntryId> = preview.content.iter().map(|(id, _)| *id).collect();
    assert!(content.contains(&words));
    assert!(preview.content.iter().all(|(_, why)| why.rule == Some("A4")));
    assert_eq!(c.people[0].replica.digest(), digest, "nothing was written");

    entry(c.ask(0, falls));
    let replica = &c.people[0].replica;
    for id in acts.iter().chain(&content) {
        assert!(!replica.explain(id).counts);
    }
    assert!(replica.authority().hidden(&c.people[0].replica.created(&early).unwrap()).is_none());
}

#[test]
fn a9_a_preview_is_refused_for_what_the_act_would_be() {
    let (c, _) = circle(42, 3);
    let above = removal(&c, 0, CutChoice::FromTip);
    let why = c.people[1].replica.preview(&above);
    assert!(matches!(why, Err(Refused::NotAllowed { .. })));
}

#[test]
fn a9_an_orphaned_removal_is_said_again_in_one_step() {
    let (mut c, _) = circle(43, 4);
    let said = entry(c.ask(1, removal(&c, 3, CutChoice::FromTip)));
    c.settle();
    entry(c.ask(0, removal(&c, 1, CutChoice::FromStart)));
    c.settle();
    let back = c.member(3);
    assert!(c.people[2].replica.authority().rank_of(&back).is_some(), "not removed any more");
    assert!(c.people[0].replica.authority().orphaned().contains(&said));
    entry(c.ask(0, Command::Reissue { entry: said }));
    c.settle();
    assert!(c.people[2].replica.authority().rank_of(&back).is_none());
    let what_counts = c.ask(0, Command::Reissue { entry: EntryId::NONE });
    assert!(matches!(what_counts, Err(Refused::Conflict(_))));
}

#[test]
fn a5_a_cut_is_extended_and_the_member_stays_out() {
    let (mut c, thread) = circle(44, 3);
    c.post(2, thread, "months of kindness");
    c.settle();
    let whom = c.member(2);
    entry(c.ask(0, removal(&c, 2, CutChoice::FromStart)));
    c.settle();
    assert!(!c.reads(1, "months of kindness"));
    let cut = CutChoice::FromTip;
    let not_theirs = c.ask(1, Command::Extend { member: whom, cut });
    assert!(matches!(not_theirs, Err(Refused::Conflict(_))));
    entry(c.ask(0, Command::Extend { member: whom, cut }));
    c.settle();
    assert!(c.reads(1, "months of kindness"));
    assert!(c.people[1].replica.authority().rank_of(&whom).is_none());
}

#[test]
fn a6_a_founder_selects_the_branch_that_counts() {
    let (mut c, thread) = circle(45, 4);
    c.connect(2, 3);
    c.settle();
    let before = c.people[2].store.clone();
    c.disconnect(2, 3);
    c.disconnect(0, 3);
    let one = c.post(2, thread, "one branch");
    c.settle();
    let one = c.people[0].replica.created(&one).unwrap();
    // The same log goes on elsewhere from before that, and only person 3 hears of it.
    c.unplug(2);
    c.people[2].store = before;
    c.restart(2);
    c.post(2, thread, "another branch");
    c.connect(2, 3);
    c.settle();
    c.unplug(2);
    c.connect(0, 3);
    c.settle();
    assert_eq!(c.people[0].replica.authority().forks().len(), 1);
    assert!(!c.reads(1, "one branch") && !c.reads(1, "another branch"));
    let lower = c.ask(3, Command::Pin { entry: one });
    assert!(matches!(lower, Err(Refused::NotAllowed { .. })));
    entry(c.ask(0, Command::Pin { entry: one }));
    c.settle();
    assert!(c.reads(1, "one branch") && !c.reads(1, "another branch"));
    let unforked = c.people[0].replica.created(&thread).unwrap();
    assert!(matches!(c.ask(0, Command::Pin { entry: unforked }), Err(Refused::Conflict(_))));
}

#[test]
fn a8_only_another_device_of_ones_own_can_be_ended() {
    let (mut c, _) = circle(46, 3);
    for of in [0, 1] {
        let device = c.people[of].replica.device();
        let reply = c.ask(0, Command::Unlink { device, last: None });
        assert!(matches!(reply, Err(Refused::Conflict(_))));
    }
}

/// The texts that a person reads, in order.
fn texts(c: &Community, who: usize) -> Vec<String> {
    let posts = c.people[who].store.posts().into_iter();
    let mut texts: Vec<String> = posts
        .filter(|post| post.state == PostState::Shown && !post.body.is_empty())
        .map(|post| post.body.clone())
        .collect();
    texts.sort();
    texts
}

#[test]
fn a2_what_only_a_demotion_voided_is_written_again_once() {
    let (mut c, thread) = circle(47, 3);
    let early = c.post(1, thread, "early");
    c.settle();
    c.unplug(1);
    let mine = c.thread(1, "Of my own", "opening");
    let post = c.post(1, mine, "one");
    let reply =
        Command::Post { thread: mine, reply_to: Some(post), body: crate::community::body("two") };
    assert!(c.ask(1, reply).is_ok());
    c.post(1, thread, "three");
    let text = "early, edited".to_owned();
    assert!(c.ask(1, Command::Edit { document: early, text }).is_ok());
    grant(&mut c, 1, Rank::Member);
    c.settle();
    c.connect(0, 1);
    c.settle();
    c.settle();
    let all = ["early, edited", "hello", "one", "opening", "three", "two"];
    for who in 0..3 {
        assert_eq!(texts(&c, who), all, "{who}");
    }
    // The post is the one that it was.
    let posts = c.people[2].store.posts();
    let find = |body: &str| posts.iter().find(|post| post.body == body).unwrap();
    assert_eq!(find("two").reply_to, Some(find("one").document));
    assert_eq!(find("two").thread, find("opening").thread);
    assert_eq!(find("one").document, post);

    let held = c.people[1].replica.held();
    c.restart(1);
    c.connect(0, 1);
    c.settle();
    assert_eq!(c.people[1].replica.held(), held, "once is enough");
}

#[test]
fn a3_what_fell_with_a_demotion_that_came_to_nothing_is_written_again() {
    let (mut c, thread) = circle(49, 3);
    let member = c.member(1);
    grant(&mut c, 2, Rank::Steward);
    c.settle();
    c.unplug(1);
    let early = c.post(1, thread, "before");
    assert!(c.ask(2, Command::Grant { member, rank: Rank::Member }).is_ok());
    c.settle();
    c.connect(0, 1);
    c.settle();
    // Said again under the rank of member, and so is what follows.
    c.post(1, thread, "since");
    c.settle();
    assert_eq!(texts(&c, 0), ["before", "hello", "since"]);
    // Nothing that the steward did counts: the demotion never was.
    entry(c.ask(0, removal(&c, 2, CutChoice::FromStart)));
    c.settle();
    c.settle();
    let authority = c.people[0].replica.authority();
    assert_eq!(authority.rank_of(&member), Some(Rank::Moderator));
    for who in 0..2 {
        assert_eq!(texts(&c, who), ["before", "hello", "since"], "{who}");
    }
    let posts = c.people[0].store.posts();
    assert!(posts.iter().any(|post| post.body == "before" && post.document == early));
    let of = |kept: &&Kept| kept.document.is_some_and(|(document, _)| document == early);
    let said = c.people[0].store.entries.values().filter(of).count();
    assert_eq!(said, 2, "what counts again is not said a third time");
    let held = c.people[1].replica.held();
    c.restart(1);
    c.connect(0, 1);
    c.settle();
    assert_eq!(c.people[1].replica.held(), held, "once is enough");
}

#[test]
fn k4_a_removal_mints_for_who_reads_when_it_is_in_force() {
    let (mut c, thread) = circle(50, 3);
    let code = c.invite(1, Rank::Member, 2, true);
    let late = c.join(code);
    c.connect(1, late);
    c.settle();
    c.settle();
    c.assert_same(&[0, 1, 2, late]);
    // Whom the moderator admitted falls with the moderator.
    let by = entry(c.ask(0, removal(&c, 1, CutChoice::FromStart)));
    let Some(Control::Remove(Remove { epoch: Some(mint), .. })) =
        c.people[0].replica.set().control().get(&by)
    else {
        panic!("no epoch");
    };
    assert!(mint.names(c.people[2].replica.device()));
    assert!(!mint.names(c.people[late].replica.device()));
    let before = crate::prekeys::mints(&c, 0);
    c.post(0, thread, "after");
    assert_eq!(crate::prekeys::mints(&c, 0), before, "the epoch of the removal is used");
}

#[test]
fn a2_what_a_removal_voided_stays_void() {
    let (mut c, thread) = circle(48, 3);
    c.unplug(1);
    c.post(1, thread, "too late");
    entry(c.ask(0, removal(&c, 1, CutChoice::FromTip)));
    let member = c.member(1);
    c.settle();
    assert!(c.ask(0, Command::Grant { member, rank: Rank::Member }).is_ok());
    c.connect(0, 1);
    c.settle();
    assert!(!texts(&c, 0).contains(&"too late".to_owned()));
}
