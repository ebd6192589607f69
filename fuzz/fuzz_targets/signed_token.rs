//! What a signed token says.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| layer0_fuzz::bounded(2, || layer0_server::fuzzing::signed_token(input)));
