//! The inputs that the fuzz targets start from and those that once broke something (`fuzz/corpus`), run as plain tests.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

/// Runs a target on every input of its corpus, in the order of their names.
///
/// # Panics
/// When the target does, after the input's name is printed; when there is no corpus of that name, or nothing in it.
pub fn replay(target: &str, run: impl Fn(&[u8])) {
    let inputs = inputs(target);
    assert!(!inputs.is_empty(), "the corpus of `{target}` is empty");
    for input in inputs {
        let bytes = fs::read(&input).unwrap_or_else(|why| panic!("{}: {why}", input.display()));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&bytes))) {
            #[expect(clippy::print_stderr, reason = "a test says on stderr which input broke it")]
            {
                eprintln!("the input {} breaks the target `{target}`", input.display());
            }
            resume_unwind(panic);
        }
    }
}

fn inputs(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut inputs: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder can be listed").path()).collect();
    inputs.sort();
    inputs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_is_run_and_a_broken_one_is_told() {
        let seen = std::cell::RefCell::new(Vec::new());
        replay("digest", |bytes| seen.borrow_mut().push(bytes.to_vec()));
        assert_eq!(seen.borrow().len(), inputs("digest").len());
        assert!(seen.borrow().iter().any(|input| input.starts_with(b"sha256:")));
        assert!(catch_unwind(|| replay("digest", |_| panic!("broken"))).is_err());
        assert!(catch_unwind(|| replay("no such target", |_| {})).is_err());
    }
}
