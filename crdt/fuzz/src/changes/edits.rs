//! What a script does to a change.

use std::panic::catch_unwind;

use automerge::legacy::{ElementId, Key, MarkData, ObjectId, OpId, OpType, SortedVec};
use automerge::{ActorId, Change, ChangeHash, ExpandedChange, ObjType, ScalarValue};
use sha2::{Digest as _, Sha256};

use super::super::script::Script;
use super::story::author;

/// Most edits of one change.
const EDITS: usize = 16;

/// Puts header and checksum around the contents of a change chunk.
pub fn chunk(contents: &[u8]) -> Vec<u8> {
    let mut length = Vec::new();
    let mut rest = contents.len();
    while rest >= 0x80 {
        length.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    length.push(rest as u8);
    let sum =
        Sha256::new().chain_update([1]).chain_update(&length).chain_update(contents).finalize();
    let mut bytes = vec![0x85, 0x6f, 0x4a, 0x83, sum[0], sum[1], sum[2], sum[3], 1];
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(contents);
    bytes
}

/// The contents of a change chunk.
fn contents(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().skip(9).position(|byte| byte & 0x80 == 0).unwrap_or(0);
    &bytes[10 + length..]
}

/// Changes bytes anywhere, then repairs length and checksum.
pub(super) fn flipped(script: &mut Script<'_>, bytes: &[u8]) -> Vec<u8> {
    let mut inside = contents(bytes).to_vec();
    for edit in 0..EDITS {
        if edit > 0 && script.is_over() {
            break;
        }
        let act = script.byte();
        let place = script.below(inside.len());
        if inside.is_empty() {
            break;
        }
        match act % 7 {
            0 => inside[place] ^= 1 << (act >> 5),
            1 => inside[place] = script.byte(),
            2 => inside[place] = inside[place].wrapping_add(1),
            3 => inside.insert(place, script.byte()),
            4 => drop(inside.remove(place)),
            5 => {
                let other = script.below(inside.len());
                inside.swap(place, other);
            }
            _ => inside[place] = inside[place].wrapping_sub(1),
        }
    }
    chunk(&inside)
}

fn some_id(script: &mut Script<'_>) -> OpId {
    let who = author(1 + (script.byte() % 3));
    OpId(script.number(), ActorId::from(who.as_bytes().as_slice()))
}

fn some_value(script: &mut Script<'_>) -> ScalarValue {
    match script.byte() % 7 {
        0 => ScalarValue::Uint(script.number()),
        1 => ScalarValue::Str("xy".into()),
        2 => ScalarValue::Str(char::from(script.byte()).to_string().into()),
        3 => ScalarValue::Null,
        4 => ScalarValue::Bytes(vec![script.byte(); script.below(40)]),
        5 => ScalarValue::Int(-1),
        _ => ScalarValue::F64(f64::NAN),
    }
}

/// Changes the meaning of a change; `None` if Automerge cannot write it down.
pub(super) fn twisted(script: &mut Script<'_>, change: &ExpandedChange) -> Option<Vec<u8>> {
    let mut change = change.clone();
    for edit in 0..EDITS {
        if (edit > 0 && script.is_over()) || change.operations.is_empty() {
            break;
        }
        let act = script.byte() % 26;
        let place = script.below(change.operations.len());
        let operation = &mut change.operations[place];
        match act {
            0 => operation.obj = ObjectId::Id(some_id(script)),
            1 => operation.obj = ObjectId::Root,
            2 => operation.key = Key::Map("body".into()),
            3 => operation.key = Key::Map("unknown".into()),
            4 => operation.key = Key::Seq(ElementId::Head),
            5 => operation.key = Key::Seq(ElementId::Id(some_id(script))),
            6 => operation.insert = !operation.insert,
            7 => operation.pred = SortedVec::from(vec![some_id(script)]),
            8 => operation.pred = SortedVec::from(vec![some_id(script), some_id(script)]),
            9 => operation.pred = SortedVec::new(),
            10 => operation.action = OpType::Delete,
            11 => {
                let made = [ObjType::Map, ObjType::Text, ObjType::List, ObjType::Table];
                operation.action = OpType::Make(made[script.below(4)]);
            }
            12 => operation.action = OpType::Increment(1),
            13..16 => operation.action = OpType::Put(some_value(script)),
            16 => {
                let data = MarkData { name: "m".into(), value: true.into(), expand: false };
                let marks = [OpType::MarkBegin(data), OpType::MarkEnd(true)];
                operation.action = marks[script.below(2)].clone();
            }
            17 => change.seq = script.number(),
            18 => change.start_op = script.number().max(1).try_into().ok()?,
            19 => change.deps = vec![ChangeHash([script.byte(); 32])],
            20 => change.deps.clear(),
            21 => {
                let other = change.operations[script.below(change.operations.len())].clone();
                change.operations.push(other);
            }
            22 => {
                let other = script.below(change.operations.len());
                change.operations.swap(place, other);
            }
            23 => drop(change.operations.remove(place)),
            24 => change.time = script.number() as i64,
            _ => match script.below(3) {
                0 => change.time = -1,
                1 => change.message = Some("hello".into()),
                _ => change.extra_bytes = vec![1, 2, 3],
            },
        }
    }
    catch_unwind(|| Change::from(change).raw_bytes().to_vec()).ok()
}
