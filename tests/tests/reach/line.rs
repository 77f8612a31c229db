//! On a bad line.

use serde_json::json;

use cairn_tests::circle::{gather, until_equal};
use cairn_tests::net::{Mapping, Net};
use cairn_tests::person::{Person, text};
use cairn_tests::place::Place;

use super::OPEN;

/// Posts that are caught up with.
const POSTS: usize = 400;

/// A text that does not compress well.
fn noise(number: usize) -> String {
    let mut state = u64::try_from(number).unwrap();
    let letters = std::iter::repeat_with(|| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from(state >> 60).unwrap())
    });
    letters.take(1500).collect()
}

#[test]
fn loss_and_cuts_in_mid_transfer_lose_nothing() {
    let Some(net) = Net::new("loss_and_cuts_in_mid_transfer_lose_nothing") else { return };
    let place = Place::new();
    let home = net.home("home", Mapping::Steady);
    let line = home.machine("ben");
    let mut ana = Person::at(&place, "ana", &net.machine("ana"));
    let mut ben = Person::at(&place, "ben", &line);
    ana.arrive_with(&OPEN);
    ben.arrive_with(&OPEN);
    let group = gather(&ana, &[&ben]);
    let thread = ana.start(&group, "Evenings", "How was your day?");
    until_equal(&group, &[&ana, &ben]);

    ben.depart();
    let conversation: String = (0..POSTS)
        .map(|number| {
            let line = json!({
                "conversation": "late",
                "id": number.to_string(),
                "reply_to": null,
                "author": "ana",
                "at": "2025-03-03",
                "body": format!("{number} {}", noise(number)),
            });
            format!("{line}\n")
        })
        .collect();
    let file = ana.file("conversation", conversation.as_bytes());
    drop(ana.ask(&["import", &group, text(&file)]));
    let own = ben.post(&group, &thread, "Written while away.");

    line.lose(5);
    ben.arrive_with(&OPEN);
    let mut stored = ben.stored();
    for _ in 0..3 {
        stored += 60_000;
        ben.until_stored(stored, || {
            ben.standing(&group)["missing"] == 0 && ben.standing(&group)["peers"] != 0
        });
        line.cut();
        // Longer than a segment's first repetition: the connection notices.
        std::thread::sleep(std::time::Duration::from_secs(1));
        line.mend();
    }
    until_equal(&group, &[&ana, &ben]);
    assert_eq!(ana.view(&group), ben.view(&group));
    assert!(ana.view(&group).contains_key(&own));
    assert!(ben.view(&group).len() > POSTS);
}
