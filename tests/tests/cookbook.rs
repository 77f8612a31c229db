//! The manual runs: every chapter of `tests/cookbook`, each with people and homes of its own.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use cairn_tests::cookbook::{Block, STOP, Step, matches, only_looks, parse};
use cairn_tests::patience::until;
use cairn_tests::person::{LOOPBACK_KEEPER, Person};
use cairn_tests::place::Place;
use cairn_tests::program::{Ran, cairn};

#[test]
fn every_chapter_of_the_manual_does_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cookbook");
    let mut chapters: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    chapters.sort();
    assert!(chapters.len() >= 3, "chapters are missing");
    for chapter in chapters {
        let text = std::fs::read_to_string(&chapter).unwrap();
        let name = chapter.file_name().unwrap().to_string_lossy().into_owned();
        let mut reading = Reading::default();
        for block in parse(&text) {
            reading.follow(&name, block);
        }
        reading.close();
    }
}

/// One chapter being followed.
#[derive(Default)]
struct Reading {
    place: Place,
    people: BTreeMap<String, Person>,
    known: BTreeMap<String, String>,
    up: Vec<String>,
}

impl Reading {
    fn person(&mut self, name: &str) -> &mut Person {
        let place = &self.place;
        self.people.entry(name.to_owned()).or_insert_with(|| Person::new(place, name))
    }

    fn desk(&self, name: &str) -> PathBuf {
        let desk = self.place.path().join(format!("desk-{name}"));
        std::fs::create_dir_all(&desk).unwrap();
        desk
    }

    fn follow(&mut self, chapter: &str, block: Block) {
        match block {
            Block::File { person, name, text } => {
                std::fs::write(self.desk(&person).join(name), text).unwrap();
            }
            Block::Step(step) if step.command == STOP => {
                self.up.retain(|name| *name != step.person);
                self.person(&step.person).depart();
            }
            Block::Step(step) if step.command == "cairn up" => {
                self.up.push(step.person.clone());
                self.person(&step.person).arrive();
            }
            Block::Step(step) if step.command == "cairn keeper run" => {
                self.up.push(step.person.clone());
                self.person(&step.person).keep(&LOOPBACK_KEEPER);
            }
            Block::Step(step) => self.type_in(chapter, &step),
        }
    }

    fn type_in(&mut self, chapter: &str, step: &Step) {
        let mut found = None;
        let whole = format!("{chapter}:{}: $ {}", step.line, step.command);
        until(&whole, || {
            let ran = self.shell(step);
            let fits = (ran.code == Some(0)) != step.fails;
            let shown = format!("{}{}", ran.stdout, ran.stderr);
            let result = matches(&step.expected, &shown);
            match result {
                Ok(captured) if fits => found = Some(captured),
                _ if only_looks(&step.command) => return None,
                result => panic!("{whole}\n{result:?}\nexit {:?}\n{shown}", ran.code),
            }
            Some(())
        });
        self.known.extend(found.unwrap_or_default());
    }

    fn shell(&mut self, step: &Step) -> Ran {
        let desk = self.desk(&step.person);
        let program = self.person(&step.person).program();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(&step.command).current_dir(desk).env_clear();
        for (name, value) in program.get_envs() {
            if let Some(value) = value {
                shell.env(name, value);
            }
        }
        let beside = cairn().parent().unwrap().display().to_string();
        shell.env("PATH", format!("{beside}:/usr/local/bin:/usr/bin:/bin"));
        shell.envs(&self.known);
        Ran::of(&mut shell, b"")
    }

    fn close(mut self) {
        for name in std::mem::take(&mut self.up) {
            self.person(&name).depart();
        }
    }
}
