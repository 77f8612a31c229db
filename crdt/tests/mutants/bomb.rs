//! Few bytes that claim many operations (C3).

use cairn_crdt::document::change::{ChangeRefused, check};
use cairn_crdt::document::kinds::DocumentKind;

use crate::targets::changes::{author, chunk};

#[test]
fn c3_few_bytes_cannot_claim_many_operations() {
    // 2^40 operations in runs: each column says its one value so many times.
    let many = [0x80, 0x80, 0x80, 0x80, 0x80, 0x20];
    let run = |value: &[u8]| [many.as_slice(), value].concat();
    let columns = [
        (0x15, run(&[4, b'b', b'o', b'd', b'y'])),
        (0x34, many.to_vec()),
        (0x42, run(&[1])),
        (0x56, run(&[0])),
        (0x70, run(&[0])),
    ];
    let who = author(1);
    let bomb = |only: Option<usize>| {
        let mut inside = vec![0, 32];
        inside.extend(who.as_bytes());
        inside.extend([1, 1, 0, 0, 0, columns.len() as u8]);
        let data: Vec<Vec<u8>> = columns
            .iter()
            .enumerate()
            .map(|(place, (_, run))| match only {
                Some(only) if only != place => [&[1], &run[many.len()..]].concat(),
                _ => run.clone(),
            })
            .collect();
        for ((specification, _), data) in columns.iter().zip(&data) {
            inside.extend([*specification, data.len() as u8]);
        }
        inside.extend(data.concat());
        chunk(&inside)
    };
    for only in [None, Some(0), Some(1), Some(2), Some(3), Some(4)] {
        let refused = check(DocumentKind::Post, true, &bomb(only), who).err();
        assert_eq!(refused, Some(ChangeRefused::OutOfBounds), "{only:?}");
    }
}
