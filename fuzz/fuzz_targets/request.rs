//! Whole requests to the registry, several in a row.
#![no_main]

use std::sync::{Arc, LazyLock};

use layer0_registry::fuzzing::World;
use layer0_store::SqliteStore;

// Its directory stays when the fuzzer ends the process; `scripts/fuzz.sh` removes it.
static WORLD: LazyLock<World> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory can be made").keep();
    World::new(Arc::new(SqliteStore::in_memory()), &directory)
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    LazyLock::force(&WORLD);
    layer0_fuzz::bounded(64, || WORLD.run(input));
});
