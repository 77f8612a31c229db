#![no_main]

libfuzzer_sys::fuzz_target!(
    init: cairn_fuzz::let_automerge_panic(),
    |data: &[u8]| cairn_fuzz::decoders::keeper(data)
);
