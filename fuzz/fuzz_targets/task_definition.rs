//! Task definition documents.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| layer0_fuzz::bounded(16, || layer0_domain::fuzzing::task_definition(input)));
