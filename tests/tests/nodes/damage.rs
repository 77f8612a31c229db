//! A store that is not what was written to it, and a disk without room: said in a sentence, nothing
//! made worse, nothing lost that was acknowledged.

use std::fs;
use std::process::Command;

use cairn_tests::circle::string;
use cairn_tests::person::{LOOPBACK, Person};
use cairn_tests::place::Place;
use cairn_tests::program::{Ran, cairn};

/// Bytes of a page of the store.
const PAGE: usize = 4096;

/// The same bytes with one bit of each of these turned over.
fn flipped(bytes: &[u8], places: impl Iterator<Item = usize>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for place in places {
        bytes[place] ^= 1;
    }
    bytes
}

#[test]
fn a_damaged_store_is_named_as_damaged_and_left_as_it_is() {
    let place = Place::new();
    let [mut ana] = Person::settle(&place, ["ana"]);
    let group = string(&ana.ask(&["group", "create", "Quiet hour", "--as", "ana"]), "group");
    let thread = ana.start(&group, "Evenings", "How was your day?");
    for number in 0..20 {
        drop(ana.post(&group, &thread, &format!("Post {number}, with some words in it.")));
    }
    let before = ana.view(&group);
    ana.depart();
    let store = fs::read(ana.home.join("store.db")).unwrap();
    let salt = fs::read(ana.home.join("salt")).unwrap();
    assert!(store.len() > 8 * PAGE);

    let up = [&["up"], LOOPBACK.as_slice()].concat();
    let damages = [
        ("salt", flipped(&salt, [salt.len() / 2].into_iter())),
        ("salt", salt[..salt.len() / 2].to_vec()),
        ("store.db", flipped(&store, [100].into_iter())),
        ("store.db", flipped(&store, (PAGE + 50..store.len()).step_by(PAGE))),
        ("store.db", store[..store.len() / 2].to_vec()),
        ("store.db", Vec::new()),
    ];
    for (number, (file, bytes)) in damages.iter().enumerate() {
        let path = ana.home.join(file);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        for command in [&["read", &group, &thread][..], &up] {
            let ran = ana.run(command, "");
            let said = ran.refusal();
            assert!(said.contains("damaged"), "damage {number}, {command:?}: {said}");
            assert!(said.contains("Hint: ") && said.contains("recovery words"), "{said}");
        }
        let doctor = ana.run(&["doctor"], "");
        assert_eq!(doctor.code, Some(1), "{doctor:?}");
        assert_eq!(&fs::read(&path).unwrap(), bytes, "damage {number}: it was made worse");
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(ana.view(&group), before, "with the files put back, everything is there");
}

/// What is done on a small disk, in a mount namespace of its own so that nothing is left mounted.
/// Arguments: the program, the folder of the disk, a folder for what was said.
const FULL: &str = r#"
set -eu
cairn=$1 disk=$2 said=$3
mount -t tmpfs -o size=24m,mode=700 cairn-test "$disk"
export CAIRN_HOME=$disk/home
$cairn init --json > "$said/init"
group=$($cairn group create Quiet --as ana --json | sed 's/.*"group":"\([a-z0-9]*\)".*/\1/')
thread=$(echo 'How was your day?' | $cairn thread start "$group" --title Evenings --json |
    sed 's/.*"thread":"\([a-z0-9]*\)".*/\1/')
head -c 30000 /dev/zero | tr '\0' 'x' > "$said/long"
# Fill the disk to the last byte, but for the post that is just being written.
dd if=/dev/zero of="$disk/fill" bs=4096 2>/dev/null || true
code=0
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    if $cairn post "$group" "$thread" --json < "$said/long" >> "$said/acknowledged" 2> "$said/refused"
    then :; else code=$?; break; fi
done
echo "$code" > "$said/code"
rm "$disk/fill"
$cairn read "$group" "$thread" --json > "$said/read"
$cairn post "$group" "$thread" --json < "$said/long" > "$said/after"
"#;

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let place = Place::new();
    let ana = Person::new(&place, "ana");
    let (disk, said) = (place.path().join("disk"), place.path().join("said"));
    fs::create_dir(&disk).unwrap();
    fs::create_dir(&said).unwrap();
    let inside = |options: &[&str], script: &str| {
        let mut command = Command::new("unshare");
        command.args(options).args(["sh", "-c", script, "sh"]).arg(cairn()).args([&disk, &said]);
        command
    };
    // As root, or in a user namespace of one's own where the system allows that.
    let may_mount = |options: &&&[&str]| {
        let tried = inside(options, "mount -t tmpfs cairn-test \"$2\"").output();
        tried.is_ok_and(|output| output.status.success())
    };
    let ways: [&[&str]; 2] = [&["-m"], &["-U", "-r", "-m"]];
    let Some(options) = ways.iter().find(may_mount) else {
        cairn_tests::skipped(
            "a_full_disk_loses_nothing_that_was_acknowledged",
            "a small disk cannot be mounted here (it needs root, or user namespaces)",
        );
        return;
    };
    let mut command = inside(options, FULL);
    command.env("CAIRN_PASSPHRASE_FILE", &ana.passphrase_file);
    let ran = Ran::of(&mut command, b"");
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let file = |name: &str| fs::read_to_string(said.join(name)).unwrap();
    assert_eq!(file("code").trim(), "1", "it was to be refused: {}", file("refused"));
    let refused = file("refused");
    assert!(refused.contains("Error: The disk is full"), "{refused}");
    assert!(refused.contains("Hint: "), "{refused}");
    let page: serde_json::Value = serde_json::from_str(&file("read")).unwrap();
    let read: Vec<String> =
        page["posts"].as_array().unwrap().iter().map(|post| string(post, "post")).collect();
    let acknowledged = file("acknowledged");
    for line in acknowledged.lines() {
        let post = string(&serde_json::from_str(line).unwrap(), "post");
        assert!(read.contains(&post), "an acknowledged post is lost");
    }
    assert_eq!(read.len(), 1 + acknowledged.lines().count(), "and nothing is there half");
    let after: serde_json::Value = serde_json::from_str(&file("after")).unwrap();
    assert!(after["post"].is_string(), "with room again, it goes on");
}
