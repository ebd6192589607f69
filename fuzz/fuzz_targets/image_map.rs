//! Rules of the image map, and an image that they are applied to.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| layer0_fuzz::bounded(4, || layer0_domain::fuzzing::image_map(input)));
