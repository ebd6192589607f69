//! What was measured: kept between runs under `target/`, so that one row can be measured again alone, and written down as
//! `docs/benchmarks.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::aws;
use super::build;
use super::registry;
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
    #[serde(default)]
    registry: Option<registry::Measured>,
    #[serde(default)]
    kills: Option<registry::Kills>,
    #[serde(default)]
    aws: Option<aws::Measured>,
    #[serde(default)]
    build: Option<build::Measured>,
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
        self.keep(root)
    }

    /// Adds the registry's result and keeps it.
    pub(crate) fn put_registry(&mut self, root: &Path, measured: registry::Measured) -> Result<()> {
        self.registry = Some(measured);
        self.keep(root)
    }

    /// Adds what came of many kills and keeps it.
    pub(crate) fn put_kills(&mut self, root: &Path, kills: registry::Kills) -> Result<()> {
        self.kills = Some(kills);
        self.keep(root)
    }

    /// Adds the result of the instance on AWS and keeps it.
    pub(crate) fn put_aws(&mut self, root: &Path, measured: aws::Measured) -> Result<()> {
        self.aws = Some(measured);
        self.keep(root)
    }

    /// Adds the result of the builds and keeps it.
    pub(crate) fn put_build(&mut self, root: &Path, measured: build::Measured) -> Result<()> {
        self.build = Some(measured);
        self.keep(root)
    }

    fn keep(&self, root: &Path) -> Result<()> {
        let file = file(root);
        fs::create_dir_all(file.parent().context("the file has a directory")?)?;
        fs::write(&file, serde_json::to_vec_pretty(self)?).with_context(|| format!("writing {}", file.display()))
    }

    /// Writes `docs/benchmarks.md`. Of what a checkout has not measured (the rows, the registry, the instance on AWS, the build) what the
    /// page says stays; so does where the rows were measured, when `facts` don't say it.
    pub(crate) fn write(&self, root: &Path, facts: Option<&[String]>) -> Result<()> {
        let file = root.join("docs/benchmarks.md");
        let old = fs::read_to_string(&file).unwrap_or_default();
        fs::write(&file, self.document(facts, &old)).with_context(|| format!("writing {}", file.display()))
    }

    fn document(&self, facts: Option<&[String]>, old: &str) -> String {
        let mut text = String::from(INTRODUCTION);
        match between(old, ROWS_BEGIN, &[REGISTRY_BEGINS, AWS_BEGINS, BUILD_BEGINS, LIMITS_BEGIN]) {
            Some(rows) if self.rows.is_empty() => text.push_str(rows),
            _ => {
                let kept = between(old, WHERE_BEGINS, &[HOW_BEGINS]).unwrap_or_default();
                let told = |facts: &[String]| facts.iter().map(|fact| format!("- {fact}\n")).collect();
                let place = facts.map_or_else(|| kept.replacen(WHERE_BEGINS, "", 1), told);
                self.rows_section(&mut text, &place);
            }
        }
        match (&self.registry, between(old, REGISTRY_BEGINS, &[AWS_BEGINS, BUILD_BEGINS, LIMITS_BEGIN])) {
            (None, Some(registry)) => text.push_str(registry),
            (registry, _) => registry_section(&mut text, registry.as_ref(), self.kills.as_ref()),
        }
        match (&self.aws, between(old, AWS_BEGINS, &[BUILD_BEGINS, LIMITS_BEGIN])) {
            (None, Some(aws)) => text.push_str(aws),
            (aws, _) => text.push_str(&aws::section(aws.as_ref())),
        }
        match (&self.build, between(old, BUILD_BEGINS, &[LIMITS_BEGIN])) {
            (None, Some(build)) => text.push_str(build),
            (build, _) => text.push_str(&build::section(build.as_ref())),
        }
        text.push('\n');
        text.push_str(LIMITS);
        text
    }

    fn rows_section(&self, text: &mut String, place: &str) {
        text.push_str("\n| row | what | bound | measured | |\n|---|---|---|---|---|\n");
        for row in ROWS {
            let (figure, verdict) = match self.rows.get(row.name) {
                Some(it) => (it.figure.as_str(), if it.met { "met" } else { "**missed**" }),
                None => ("not yet", ""),
            };
            text.push_str(&format!("| `{}` | {} | {} | {figure} | {verdict} |\n", row.name, row.what, row.bound));
        }
        text.push_str(WHERE_BEGINS);
        text.push_str(place);
        text.push_str(HOW_BEGINS);
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
    }
}

fn registry_section(text: &mut String, measured: Option<&registry::Measured>, kills: Option<&registry::Kills>) {
    text.push_str(REGISTRY);
    let Some(it) = measured else {
        text.push_str("\nNot measured yet.\n");
        return;
    };
    text.push_str(&format!(
        "\n{} UTC, {}; right before, others kept {:.0} % of the machine busy; load average at the end: {}.\n\n",
        it.at, it.source, it.busy_percent, it.load
    ));
    let verdict = match it.comparison.faults.len() {
        0 => "clean: nothing corrupt was served, nothing that was acknowledged is lost".to_owned(),
        count => format!("**not clean**, faults: {count}"),
    };
    text.push_str(&format!("Layer0 is {verdict}.\n\n"));
    for fault in &it.comparison.faults {
        text.push_str(&format!("- {}\n", wrapped(&format!("Fault: {fault}"))));
    }
    if !it.comparison.faults.is_empty() {
        text.push('\n');
    }
    text.push_str(&it.comparison.tables());
    if let Some(kills) = kills {
        let verdict = if kills.clean { "clean" } else { "**not clean**" };
        let said =
            format!("killed many times under load ({} UTC, {}), {verdict}: {}", kills.at, kills.source, kills.line);
        text.push_str(&format!("\n{}\n", wrapped(&sentence(&said))));
    }
    text.push('\n');
    for note in &it.comparison.notes {
        text.push_str(&format!("- {}\n", wrapped(&sentence(note))));
    }
    text.push_str(HOW_THE_REGISTRY);
}

/// How the parts of the page begin.
const ROWS_BEGIN: &str = "\n| row | what |";
const WHERE_BEGINS: &str = "\n## Where\n\n";
const HOW_BEGINS: &str = "\n## How each row was measured\n";
const REGISTRY_BEGINS: &str = "\n## Registry\n";
const AWS_BEGINS: &str = "\n## An instance on AWS\n";
const BUILD_BEGINS: &str = "\n## Building\n";
const LIMITS_BEGIN: &str = "\n## What this does not show\n";

/// The part of a page from where one begins up to the first of the others that follows.
fn between<'a>(text: &'a str, begin: &str, ends: &[&str]) -> Option<&'a str> {
    let part = &text[text.find(begin)?..];
    let end = ends.iter().filter_map(|end| part.find(end)).min()?;
    Some(&part[..end])
}

/// With a capital letter where it begins with a letter, and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// Broken at spaces, for a list item.
pub(crate) fn wrapped(text: &str) -> String {
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
hand. `cargo xtask bench` measures every row, `cargo xtask bench ROW...` those named, `--list` names them. It drives
`l0` as `make release` makes it, a real Docker engine and the real `docker` client, and cleans up behind itself. `cargo xtask bench
registry` measures the registry, `cargo xtask bench aws` an instance on AWS, `cargo xtask bench build` how long it takes to
build; they have sections of their own below.

Ratios are taken within one run, pair by pair, so that they say something on a slower or faster machine too. The absolute
figures hold for the machine below only.
";

const REGISTRY: &str = "
## Registry

Layer0's registry with authentication on, Debian's docker-registry without, and what the machine itself can do, one after the
other in one run of `cargo xtask bench registry`. The ratios hold elsewhere too. Bounds in absolute figures were set on a machine where
nginx came to 72,280 small answers a second and 3,132 MiB/s, the client to 22,990 requests and 1,240 images a second, and docker-registry
to its first answer in 15 ms: what is missed says what the bound comes to *at the pace* of the machine below, where that is kept. What
must hold everywhere is in the second table: nothing corrupt is served, and nothing that was acknowledged is lost. Where the time goes:
[decision 22](decisions/0022-speed.md).
";

const HOW_THE_REGISTRY: &str = "- More is better in what is counted per second; less is better in times, memory and processor time.
- Nothing of the durability is switched off: Layer0 runs as it comes, with every blob, manifest and tag on the disk before it
  is acknowledged. Whether docker-registry syncs what it acknowledges is up to docker-registry.
- Layer0 checks the admin's token (Basic) in every request, in its first answer after a start too; docker-registry asks for no
  name, keeps no access log, and has the cache in memory that Debian's configuration turns on.
- The limits: nginx with static files for what is read; for pushes of a big blob the disk, written and synced in turns with
  Layer0's uploads; for small images, tags and repositories an nginx that says yes to everything, so what the client can send at
  most. Their bounds were set as numbers (400 images, 8,000 tags, 4,000 repositories of two requests each in a second) on a machine
  whose client came to 1,240 images and 22,990 requests: here they are that part of what the client can send.
- GETs, HEADs and pushes of a big blob that were measured in turns are the middle of the rounds' ratios, for what the limit came to in
  the middle: a disk that becomes another one between two rounds says nothing then. Small writes and passwords are the middle alone.
- HEADs are asked for by the script's client, of nginx in turns too: wrk waits for the body that an answer to HEAD announces.
- A cold blob of a mirror has two rows: by the script's clients over the time that the upstream takes to send it once, and by clients that
  cost less, in turns with nginx, which has as much as a file; its limit is the upstream's time too where nginx is faster than that. The
  script's clients are 64 processes that it makes of itself, and the last one is timed while the others end, so it runs for this alone: with
  the big blobs of other sections in its memory each would take longer to end.
- In the checks, statuses must be 400 to 499, and a digest gives nothing (`absent`) or the right bytes (`ok`). What is not as
  it must be is **bold**.
- The script's own files stay in `target/bench/registry/`: every percentile, and what else was noted.
";

const LIMITS: &str = "## What this does not show

- Everything is on one machine: client, load generator, server, engine and containers share its cores, and there is no
  network between them but loopback and Docker's bridges.
- How busy others kept the machine is known for the two seconds before a row only. Where the load average at its end is
  far above what the row itself causes, or not noted, others may have worked beside it, and times and percentiles are
  worse than they need be.
- The containers are small: images of a megabyte or a few, which start in milliseconds. With slow programs the ratio of
  `create` tends to 1, and the updates take as long as those programs do.
- Images are on the engine already, so the rows measure no pull; the registry alone has a section of its own.
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
        let text = results.document(Some(&["a fact".to_owned()]), "");
        let line = |name: &str| text.lines().find(|line| line.starts_with(&format!("| `{name}`"))).unwrap_or_default();
        assert!(line("create").ends_with("| 1.0× | met |"));
        assert!(line("crash").ends_with("| 1.0× | **missed** |"));
        assert!(line("idle").ends_with("| not yet |  |"));
        assert!(text.contains("- A note.\n") && text.contains("- a fact\n"));
    }

    #[test]
    fn the_registry_comes_after_the_rows_and_says_when_it_is_not_clean() {
        let section = |results: &Results| {
            let text = results.document(Some(&[]), "");
            let after = text.split_once("\n## Registry\n").map(|(_, after)| after.to_owned()).unwrap_or_default();
            assert!(after.contains("\n## What this does not show\n"));
            after.split_once(AWS_BEGINS).map(|(registry, _)| registry.to_owned()).unwrap_or_default()
        };
        let mut results = Results::default();
        assert!(section(&results).contains("\nNot measured yet.\n"));

        let nothing = serde_json::Value::Null;
        let mut comparison = registry::Comparison::of(&nothing, &nothing, &nothing);
        comparison.notes = vec!["a note".to_owned()];
        comparison.faults = vec!["one blob lost".to_owned()];
        results.registry = Some(registry::Measured {
            comparison,
            at: "2026-01-01 00:00".to_owned(),
            source: "commit 0".to_owned(),
            busy_percent: 3.2,
            load: "1.0".to_owned(),
        });
        let text = section(&results);
        assert!(text.contains("2026-01-01 00:00 UTC, commit 0; right before, others kept 3 %"));
        assert!(text.contains("Layer0 is **not clean**, faults: 1.\n\n- Fault: one blob lost\n\n"));
        assert!(text.contains("\n\n| measure | limit |") && text.contains("- A note.\n"));
        if let Some(it) = &mut results.registry {
            it.comparison.faults.clear();
        }
        assert!(section(&results).contains("Layer0 is clean:"));
    }

    #[test]
    fn what_was_measured_elsewhere_stays_on_the_page() {
        let row = Measured {
            figure: "1.0×".to_owned(),
            met: true,
            notes: Vec::new(),
            at: "2026-01-01 00:00".to_owned(),
            source: "commit 0".to_owned(),
            busy_percent: 0.0,
            load: unknown(),
        };
        let nothing = serde_json::Value::Null;
        let registry = registry::Measured {
            comparison: registry::Comparison::of(&nothing, &nothing, &nothing),
            at: "2026-02-02 00:00".to_owned(),
            source: "commit 1".to_owned(),
            busy_percent: 0.0,
            load: unknown(),
        };
        let rows = Results { rows: [("create".to_owned(), row)].into(), ..Results::default() };
        let alone = Results { registry: Some(registry), ..Results::default() };
        let facts = ["a fact".to_owned()];
        let both = alone.document(Some(&["another fact".to_owned()]), &rows.document(Some(&facts), ""));
        assert!(both.contains("2026-01-01") && both.contains("2026-02-02"));
        assert!(both.contains("- a fact\n") && !both.contains("another fact"));
        assert_eq!(rows.document(Some(&facts), &both), both);
        assert_eq!(rows.document(None, &both), both, "where it was stays, when nothing else is said");
        // Each still replaces its own.
        assert!(!rows.document(Some(&[]), &both).contains("- a fact\n"));
        assert_eq!(both.matches(REGISTRY_BEGINS).count(), 1);
        assert_eq!(both.matches(AWS_BEGINS).count(), 1);
        let (before, after) = both.split_once("\nNot measured yet.\n").expect("nothing of AWS was measured");
        let aws = format!("{before}\nIt was measured elsewhere.\n{after}");
        assert_eq!(alone.document(None, &aws), aws);
    }

    #[test]
    fn results_without_the_registry_can_still_be_read() {
        let old: Results = serde_json::from_str(r#"{ "rows": {} }"#).expect("what earlier runs kept");
        assert!(old.registry.is_none());
    }

    #[test]
    fn long_notes_are_wrapped() {
        let text = wrapped(&"word ".repeat(60));
        assert!(text.lines().count() > 1 && text.lines().all(|line| line.len() <= 120));
    }
}
