//! The short form: JSON, read strictly.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use cairn_crdt::capability::rank::Rank;

/// What an entry names that the founder exercises the genesis with.
pub(crate) const GENESIS: &str = "genesis";

type Fields = Map<String, Value>;

/// One entry as it is written.
pub(crate) struct Written<'line> {
    pub(crate) id: &'line str,
    pub(crate) device: &'line str,
    /// `None`: it follows the device's card.
    pub(crate) prev: Option<&'line str>,
    pub(crate) grant: &'line str,
    pub(crate) act: Act<'line>,
}

/// What an entry does.
pub(crate) enum Act<'line> {
    Grant { subject: &'line str, rank: Rank, cites: Vec<&'line str> },
    Remove { subject: &'line str, cuts: BTreeMap<&'line str, Option<&'line str>> },
    Pin { target: &'line str },
    Post,
}

/// The entries of a set.
pub(crate) fn entries(set: &Value) -> Result<Vec<Written<'_>>, String> {
    let set = set.as_object().ok_or("a set is not an object")?;
    only(set, &["entries"])?;
    let entries = set.get("entries").ok_or("a set needs \"entries\"")?;
    let entries = entries.as_array().ok_or("\"entries\" is not a list")?;
    entries
        .iter()
        .enumerate()
        .map(|(index, value)| {
            let named = value.get("id").and_then(Value::as_str);
            let name = || match named {
                Some(id) => format!("entry {id:?}"),
                None => format!("entry number {}", index.saturating_add(1)),
            };
            Written::read(value).map_err(|message| format!("{}: {message}", name()))
        })
        .collect()
}

impl<'line> Written<'line> {
    fn read(value: &'line Value) -> Result<Self, String> {
        const OWN: [&str; 5] = ["id", "device", "prev", "grant", "kind"];
        let entry = value.as_object().ok_or("it is not an object")?;
        let prev = match entry.get("prev") {
            Some(Value::Null) => None,
            Some(Value::String(prev)) => Some(prev.as_str()),
            _ => return Err("it needs \"prev\": an id or null".to_owned()),
        };
        let (kind, inside) = kind_of(entry)?;
        let wanted = Act::fields(kind)?;
        let act = match inside {
            Some(fields) => {
                only(entry, &OWN)?;
                only(fields, wanted)?;
                Act::read(kind, fields)?
            }
            None => {
                only(entry, &[&OWN, wanted].concat())?;
                Act::read(kind, entry)?
            }
        };
        let (id, device, grant) =
            (text(entry, "id")?, text(entry, "device")?, text(entry, "grant")?);
        Ok(Self { id, device, prev, grant, act })
    }
}

impl<'line> Act<'line> {
    fn fields(kind: &str) -> Result<&'static [&'static str], String> {
        Ok(match kind {
            "grant" => &["subject", "rank", "cites"],
            "remove" => &["subject", "cuts"],
            "pin" => &["target"],
            "post" => &[],
            other => return Err(format!("there is no kind {other:?}")),
        })
    }

    fn read(kind: &str, fields: &'line Fields) -> Result<Self, String> {
        Ok(match kind {
            "grant" => Self::Grant {
                subject: text(fields, "subject")?,
                rank: rank(text(fields, "rank")?)?,
                cites: cites(fields)?,
            },
            "remove" => Self::Remove { subject: text(fields, "subject")?, cuts: cuts(fields)? },
            "pin" => Self::Pin { target: text(fields, "target")? },
            _ => Self::Post,
        })
    }
}

/// The kind, and the object that holds its fields if they stand inside.
fn kind_of(entry: &Fields) -> Result<(&str, Option<&Fields>), String> {
    match entry.get("kind") {
        Some(Value::String(kind)) => Ok((kind, None)),
        Some(Value::Object(object)) => {
            let mut pairs = object.iter();
            match (pairs.next(), pairs.next()) {
                (Some((kind, Value::Object(fields))), None) => Ok((kind, Some(fields))),
                (Some((kind, Value::Null)), None) => Ok((kind, None)),
                _ => Err("its \"kind\" is not one kind with its fields".to_owned()),
            }
        }
        _ => Err("it needs a \"kind\"".to_owned()),
    }
}

fn only(object: &Fields, known: &[&str]) -> Result<(), String> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("there is no field {key:?} here")),
        None => Ok(()),
    }
}

fn text<'line>(fields: &'line Fields, name: &str) -> Result<&'line str, String> {
    fields.get(name).and_then(Value::as_str).ok_or_else(|| format!("it needs a text {name:?}"))
}

fn rank(word: &str) -> Result<Rank, String> {
    let rank = word.parse::<Rank>().ok().filter(|rank| *rank < Rank::Founder);
    rank.ok_or_else(|| format!("there is no rank {word:?} to grant"))
}

fn cites(fields: &Fields) -> Result<Vec<&str>, String> {
    let Some(cites) = fields.get("cites") else { return Ok(Vec::new()) };
    let cites = cites.as_array().ok_or("\"cites\" is not a list")?;
    let ids = cites.iter().map(|id| id.as_str().ok_or("\"cites\" holds something else than ids"));
    Ok(ids.collect::<Result<_, _>>()?)
}

fn cuts(fields: &Fields) -> Result<BTreeMap<&str, Option<&str>>, String> {
    let Some(cuts) = fields.get("cuts") else { return Ok(BTreeMap::new()) };
    let cuts = cuts.as_object().ok_or("\"cuts\" is not an object")?;
    let heads = cuts.iter().map(|(device, head)| match head {
        Value::Null => Ok((device.as_str(), None)),
        Value::String(id) => Ok((device.as_str(), Some(id.as_str()))),
        _ => Err("\"cuts\" holds something else than ids and null".to_owned()),
    });
    heads.collect()
}
