//! Content digests.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| layer0_fuzz::bounded(1, || layer0_domain::fuzzing::digest(input)));
