//! The functions that a program ran through, by what callgrind wrote of it
//! (<https://valgrind.org/docs/manual/cl-format.html>).

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Names of functions, in the order in which they are to lie.
#[derive(Debug, Default)]
pub(super) struct Order {
    names: Vec<String>,
    known: HashSet<String>,
}

impl Order {
    /// Adds what another run went through, behind the rest; what is there stays where it is.
    pub(super) fn add(&mut self, profile: &str) {
        for name in functions(profile) {
            if self.known.insert(name.to_owned()) {
                self.names.push(name.to_owned());
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Writes it as linkers read it, a name in each line, and answers where. The file is named by what is in it: Cargo links anew when it is
    /// told something else, and never looks into the file.
    pub(super) fn write(&self, directory: &Path) -> Result<PathBuf> {
        let text: String = self.names.iter().map(|name| format!("{name}\n")).collect();
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let file = directory.join(format!("functions-{:016x}", hasher.finish()));
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        Ok(file)
    }
}

/// The functions that were entered, by their names as the linker knows them. Which thread was first differs from run to run, so they are
/// sorted, and the same runs give the same executable.
fn functions(profile: &str) -> BTreeSet<&str> {
    let entered = profile.lines().filter_map(|line| line.strip_prefix("fn=("));
    // A name stands behind its number when that comes for the first time, be it where it is called from.
    let called = profile.lines().filter_map(|line| line.strip_prefix("cfn=("));
    let names = entered.chain(called).filter_map(|rest| rest.split_once(") ")).map(|(_, name)| name);
    // Recursion counts the ways in; what has no name is known by its address.
    names.map(|name| name.split_once('\'').map_or(name, |it| it.0)).filter(|name| is_symbol(name)).collect()
}

fn is_symbol(name: &str) -> bool {
    !name.is_empty() && !name.starts_with("0x") && !name.starts_with('(') && !name.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "\
version: 1
ob=(1) /target/release/l0
fl=(1) ???
fn=(7) main
0 12
cfn=(9) _RNvCs1_2l05start
calls=1 0
0 40
fn=(9)
0 3

fn=(3) (below main)
fn=(4) 0x00000000000219c0
fn=(5) sqlite3Walk'2
fn=(6) sqlite3Walk
";

    #[test]
    fn functions_lie_in_the_order_of_the_runs_and_sorted_in_each() {
        let mut order = Order::default();
        order.add(START);
        order.add("fn=(1) main\nfn=(2) push\nfn=(3) after\n");
        assert_eq!(order.names, ["_RNvCs1_2l05start", "main", "sqlite3Walk", "after", "push"]);
        assert_eq!(order.len(), 5);
    }

    #[test]
    fn what_is_no_profile_has_no_functions() {
        assert_eq!(functions("==1== Fatal error\nfn=\nfn=(1)\n").len(), 0);
    }
}
