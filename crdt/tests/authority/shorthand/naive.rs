//! The rules A1-A7 over the short form, as plainly as they can be written: every question is asked
//! of every entry, paths are lists, and nothing is shared with the crate.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Void,
    Suspended,
    Counts,
}

enum Kind {
    Grant { subject: String, rank: u8, cites: Vec<usize> },
    Remove { subject: String, cuts: BTreeMap<String, Option<usize>> },
    Pin { target: usize },
    Post,
}

struct Item {
    id: String,
    device: String,
    prev: Option<usize>,
    /// `None`: the genesis.
    grant: Option<usize>,
    kind: Kind,
}

const RANKS: [&str; 6] = ["", "reader", "member", "moderator", "steward", "founder"];

struct Naive {
    items: Vec<Item>,
    worth: RefCell<BTreeMap<usize, Worth>>,
}

pub(crate) fn answer(set: &Value) -> Value {
    let naive = Naive { items: read(set), worth: RefCell::default() };
    let all = || 0..naive.items.len();
    let ids = |wanted: &dyn Fn(usize) -> bool| -> BTreeSet<&str> {
        all().filter(|at| wanted(*at)).map(|at| naive.items[at].id.as_str()).collect()
    };
    let removes = |at: usize| matches!(naive.items[at].kind, Kind::Remove { .. });
    let mut members: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    members.entry("F").or_default().insert("founder");
    for at in all() {
        if let Kind::Grant { subject, rank, .. } = &naive.items[at].kind
            && naive.worth(at) == Worth::Counts
            && naive.ends(Some(at)).is_empty()
        {
            members.entry(subject).or_default().insert(RANKS[usize::from(*rank)]);
        }
    }
    json!({
        "members": members,
        "counts": ids(&|at| naive.worth(at) == Worth::Counts),
        "suspended_denials": ids(&|at| removes(at) && naive.worth(at) == Worth::Suspended),
        "orphaned": ids(&|at| {
            let fell = || naive.items[at].grant.is_some_and(|grant| naive.worth(grant) == Worth::Void);
            removes(at) && naive.keeps_a1(at) && !naive.within_cut(at) && !fell()
        }),
    })
}

fn read(set: &Value) -> Vec<Item> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut items = Vec::new();
    for entry in set["entries"].as_array().unwrap() {
        let place = |id: &Value| id.as_str().map(|id| places[id]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (kind, fields) = match &entry["kind"] {
            Value::String(kind) => (kind.clone(), entry),
            Value::Object(kind) => {
                let (kind, fields) = kind.iter().next().unwrap();
                (kind.clone(), fields)
            }
            _ => unreachable!(),
        };
        let kind = match kind.as_str() {
            "grant" => Kind::Grant {
                subject: text(&fields["subject"]),
                rank: (1..5).find(|rank| RANKS[usize::from(*rank)] == fields["rank"]).unwrap(),
                cites: fields["cites"].as_array().into_iter().flatten().filter_map(place).collect(),
            },
            "remove" => Kind::Remove {
                subject: text(&fields["subject"]),
                cuts: fields["cuts"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(device, head)| (device.clone(), place(head)))
                    .collect(),
            },
            "pin" => Kind::Pin { target: place(&fields["target"]).unwrap() },
            _ => Kind::Post,
        };
        let grant = match entry["grant"].as_str().unwrap() {
            "genesis" => None,
            id => Some(places[id]),
        };
        let (id, device) = (text(&entry["id"]), text(&entry["device"]));
        let prev = place(&entry["prev"]);
        places.insert(id.clone(), items.len());
        items.push(Item { id, device, prev, grant, kind });
    }
    items
}

impl Naive {
    /// Rank and subject of a grant, if it is one.
    fn grant(&self, grant: Option<usize>) -> Option<(u8, &str)> {
        match grant.map(|at| &self.items[at].kind) {
            None => Some((5, "F")),
            Some(Kind::Grant { subject, rank, .. }) => Some((*rank, subject)),
            Some(_) => None,
        }
    }

    /// Rank of the grant that an entry is exercised under.
    fn rank(&self, at: usize) -> u8 {
        self.grant(self.items[at].grant).map_or(0, |(rank, _)| rank)
    }

    /// Its grant exists, is its member's and keeps A1, and so does it if it is a grant.
    fn keeps_a1(&self, at: usize) -> bool {
        let item = &self.items[at];
        let Some((rank, subject)) = self.grant(item.grant) else { return false };
        let weaker = match &item.kind {
            Kind::Grant { rank: conferred, .. } => *conferred < rank,
            _ => true,
        };
        subject == item.device && weaker && item.grant.is_none_or(|grant| self.keeps_a1(grant))
    }

    fn path(&self, at: usize) -> Vec<usize> {
        let mut path = vec![at];
        while let Some(prev) = self.items[path[path.len() - 1]].prev {
            path.push(prev);
        }
        path.reverse();
        path
    }

    /// The removals that touch a grant and that it does not escape (A2, A3).
    fn ends(&self, grant: Option<usize>) -> Vec<usize> {
        let Some((rank, whose)) = self.grant(grant) else { return Vec::new() };
        let escapes = |removal: usize| match grant.map(|at| (at, &self.items[at].kind)) {
            Some((at, Kind::Grant { cites, .. })) => {
                cites.contains(&removal) && self.rank(at) >= self.rank(removal)
            }
            _ => false,
        };
        (0..self.items.len())
            .filter(|at| match &self.items[*at].kind {
                Kind::Remove { subject, .. } => {
                    subject == whose
                        && self.rank(*at) > rank
                        && self.keeps_a1(*at)
                        && self.worth(*at) >= Worth::Suspended
                        && !escapes(*at)
                }
                _ => false,
            })
            .collect()
    }

    /// Of statements those of the highest rank that no later one on their branch follows (A5).
    fn deciding(&self, statements: Vec<usize>) -> Vec<usize> {
        let highest = statements.iter().map(|at| self.rank(*at)).max();
        let left: Vec<usize> =
            statements.into_iter().filter(|at| Some(self.rank(*at)) == highest).collect();
        let followed =
            |at: &usize| left.iter().any(|later| later != at && self.path(*later).contains(at));
        left.iter().filter(|at| !followed(at)).copied().collect()
    }

    /// A4: on the path to the head that every deciding cut names for its device.
    fn within_cut(&self, at: usize) -> bool {
        let device = &self.items[at].device;
        self.deciding(self.ends(self.items[at].grant)).into_iter().all(|removal| {
            let Kind::Remove { cuts, .. } = &self.items[removal].kind else { return false };
            let head = cuts.get(device).copied().flatten();
            head.is_some_and(|head| {
                self.items[head].device == *device && self.path(head).contains(&at)
            })
        })
    }

    /// The longest common prefix of the paths that the deciding pins select for an entry (A5, A6).
    fn pinned(&self, at: usize) -> Option<Vec<usize>> {
        let pins = (0..self.items.len()).filter(|pin| match self.items[*pin].kind {
            Kind::Pin { target } => {
                self.items[target].device == self.items[at].device
                    && self.rank(*pin) > self.rank(at)
                    && self.keeps_a1(*pin)
                    && self.worth(*pin) == Worth::Counts
            }
            _ => false,
        });
        let deciding = self.deciding(pins.collect());
        let paths = deciding.into_iter().map(|pin| match self.items[pin].kind {
            Kind::Pin { target } => self.path(target),
            _ => Vec::new(),
        });
        paths.reduce(|a, b| {
            a.into_iter().zip(b).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
        })
    }

    fn forked(&self, at: usize) -> bool {
        let item = &self.items[at];
        let alike = |other: &Item| other.device == item.device && other.prev == item.prev;
        self.items.iter().filter(|other| alike(other)).count() > 1
    }

    fn worth(&self, at: usize) -> Worth {
        if let Some(worth) = self.worth.borrow().get(&at) {
            return *worth;
        }
        let worth = self.find(at);
        self.worth.borrow_mut().insert(at, worth);
        worth
    }

    fn find(&self, at: usize) -> Worth {
        if !self.keeps_a1(at) || !self.within_cut(at) {
            return Worth::Void;
        }
        let grant = self.items[at].grant;
        let above = grant.map_or(Worth::Counts, |grant| self.worth(grant));
        let path = self.path(at);
        let rest = match self.pinned(at) {
            Some(prefix) if prefix.contains(&at) => Vec::new(),
            Some(prefix) if path.starts_with(&prefix) => path[prefix.len()..].to_vec(),
            Some(_) => return Worth::Void,
            None => path,
        };
        let cut = !self.ends(grant).is_empty();
        if !cut && rest.into_iter().any(|at| self.forked(at)) {
            return above.min(Worth::Suspended);
        }
        above
    }
}
