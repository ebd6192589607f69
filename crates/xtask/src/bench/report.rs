//! What was measured: kept between runs under `target/`, so that one row can be measured again alone, and written down as
//! `docs/benchmarks.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{ROWS, Row};

/// What became of a row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) figure: String,
    pub(crate) met: bool,
    pub(crate) notes: Vec<String>,
    /// When, in UTC.
    pub(crate) at: String,
    /// The commit, and whether the work tree differed from it.
    pub(crate) source: String,
    /// Which part of the machine others used right before, in per cent.
    pub(crate) busy_percent: f64,
    /// The load average when it ended, what was measured included.
    #[serde(default = "unknown")]
    pub(crate) load: String,
}

/// For results that were kept before this was noted.
fn unknown() -> String {
    "not noted".to_owned()
}

/// All rows' newest results.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    rows: BTreeMap<String, Measured>,
}

fn file(root: &Path) -> PathBuf {
    root.join("target/bench/results.json")
}

impl Results {
    /// Those of earlier runs; none when there were none.
    pub(crate) fn load(root: &Path) -> Self {
        fs::read(file(root)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Adds a row's result and keeps it.
    pub(crate) fn put(&mut self, root: &Path, row: &Row, measured: Measured) -> Result<()> {
        self.rows.insert(row.name.to_owned(), measured);
        let file = file(root);
        fs::create_dir_all(file.parent().context("the file has a directory")?)?;
        fs::write(&file, serde_json::to_vec_pretty(self)?).with_context(|| format!("writing {}", file.display()))
    }

    /// Writes `docs/benchmarks.md`.
    pub(crate) fn write(&self, root: &Path, facts: &[String]) -> Result<()> {
        let file = root.join("docs/benchmarks.md");
        fs::write(&file, self.document(facts)).with_context(|| format!("writing {}", file.display()))
    }

    fn document(&self, facts: &[String]) -> String {
        let mut text = String::from(INTRODUCTION);
        text.push_str("\n| row | what | bound | measured | |\n|---|---|---|---|---|\n");
        for row in ROWS {
            let (figure, verdict) = match self.rows.get(row.name) {
                Some(it) => (it.figure.as_str(), if it.met { "met" } else { "**missed**" }),
                None => ("not yet", ""),
            };
            text.push_str(&format!("| `{}` | {} | {} | {figure} | {verdict} |\n", row.name, row.what, row.bound));
        }
        text.push_str("\n## Where\n\n");
        for fact in facts {
            text.push_str(&format!("- {fact}\n"));
        }
        text.push_str("\n## How each row was measured\n");
        for row in ROWS {
            let Some(it) = self.rows.get(row.name) else { continue };
            text.push_str(&format!(
                "\n### `{}`\n\n{} UTC, {}; right before, others kept {:.0} % of the machine busy; load average at the end: \
                 {}.\n\n",
                row.name, it.at, it.source, it.busy_percent, it.load
            ));
            for note in &it.notes {
                text.push_str(&format!("- {}\n", wrapped(&sentence(note))));
            }
        }
        text.push('\n');
        text.push_str(LIMITS);
        text
    }
}

/// With a capital letter where it begins with a letter, and a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// Broken at spaces, for a list item.
fn wrapped(text: &str) -> String {
    let (mut out, mut width) = (String::new(), 2);
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > 2 && width + 1 + length > 120 {
            out.push_str("\n  ");
            width = 2;
        } else if width > 2 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += length;
    }
    out
}

const INTRODUCTION: &str = "# Benchmarks

What Layer0 must reach on one machine, and what it does. Written by `cargo xtask bench --write`; nothing here is typed in by
hand. `cargo xtask bench` measures every row, `cargo xtask bench ROW...` those named, `--list` names them. It drives the
release build of `l0`, a real Docker engine and the real `docker` client, and cleans up behind itself.

Ratios are taken within one run, pair by pair, so that they say something on a slower or faster machine too. The absolute
figures hold for the machine below only.
";

const LIMITS: &str = "## What this does not show

- Everything is on one machine: client, load generator, server, engine and containers share its cores, and there is no
  network between them but loopback and Docker's bridges.
- How busy others kept the machine is known for the two seconds before a row only. Where the load average at its end is
  far above what the row itself causes, or not noted, others may have worked beside it, and times and percentiles are
  worse than they need be.
- The containers are small: images of a megabyte or a few, which start in milliseconds. With slow programs the ratio of
  `create` tends to 1, and the updates take as long as those programs do.
- Images are on the engine already, so no pull is measured; the registry's own figures are not in this table.
- Nothing runs longer than some minutes, so nothing is said about growth over days.
- Requests of the CLI's other commands, TLS, HTTP/2, WebSockets, large bodies and raw TCP through the load balancer are not
  measured here.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_tells_met_from_missed_and_from_not_measured() {
        let measured = |met| Measured {
            figure: "1.0×".to_owned(),
            met,
            notes: vec!["a note".to_owned()],
            at: "2026-01-01 00:00".to_owned(),
            source: "commit 0".to_owned(),
            busy_percent: 3.2,
            load: "1.0".to_owned(),
        };
        let mut results = Results::default();
        results.rows.insert("create".to_owned(), measured(true));
        results.rows.insert("crash".to_owned(), measured(false));
        let text = results.document(&["a fact".to_owned()]);
        let line = |name: &str| text.lines().find(|line| line.starts_with(&format!("| `{name}`"))).unwrap_or_default();
        assert!(line("create").ends_with("| 1.0× | met |"));
        assert!(line("crash").ends_with("| 1.0× | **missed** |"));
        assert!(line("idle").ends_with("| not yet |  |"));
        assert!(text.contains("- A note.\n") && text.contains("- a fact\n"));
    }

    #[test]
    fn long_notes_are_wrapped() {
        let text = wrapped(&"word ".repeat(60));
        assert!(text.lines().count() > 1 && text.lines().all(|line| line.len() <= 120));
    }
}
