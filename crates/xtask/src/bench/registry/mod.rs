//! The registry beside Debian's docker-registry and the limits of the machine: `cargo xtask bench registry`.
//!
//! It is asked for by name, since it takes long. A script that lies beside the project does the measuring, the same for
//! every registry; it starts and stops the servers itself, because it times their starts and kills them in the middle of
//! uploads. This module gives it something to measure: docker-registry with a configuration of its own, and ours with the
//! admin's token. What it wrote stays in `target/bench/registry`; [`table`] makes numbers and verdicts of it.
//!
//! Nothing is measured a second time when others were busy. The script would keep the quieter of both runs, and with it
//! could lose sight of a crash that lost data.

mod crowd;
mod gets;
mod heads;
mod mirrored;
mod pulls;
mod table;
mod turns;
mod writes;
mod wrk;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use self::table::Comparison;
use super::docker::Docker;
use super::guestbook::run as run_command;
use super::instance::{Engine, Instance, base64_decoded, free_port, sweep_leftovers};
use super::report::Results;
use super::{L0, machine};
use crate::project::Project;

/// Programs that it needs, and the Debian packages they are in.
const NEEDED: &[(&str, &str)] = &[
    ("docker-registry", "docker-registry"),
    ("nginx", "nginx-light"),
    ("openssl", "openssl"),
    ("python3", "python3-minimal"),
    ("sha256sum", "coreutils"),
    ("stat", "coreutils"),
    ("wrk", "wrk"),
];

/// Where the script lies unless `--script` says otherwise, from the project's root.
const SCRIPT: &str = "../shared/bench/registry_bench.py";

/// Before each section the script waits up to two minutes for the others on the machine to become quiet.
const FULL: &[&str] = &["--wait-idle", "2"];

/// So many servers are killed at a time: each is alone with its clients, and they have the machine's cores among them.
const KILLED_AT_ONCE: u32 = 3;

/// So many kills on one data directory.
const KILLS_AT_A_TIME: u32 = 100;

/// The script's section on pull-through caches.
const MIRROR: &str = "proxy";

/// The repository that the script asks a pull-through cache for.
const MIRRORED: &str = "bench/proxied";

/// Just enough that every figure comes out. Chunks keep their size, which is part of a figure's name.
const QUICK: &[&str] = &[
    "--seconds",
    "1",
    "--reps",
    "1",
    "--blob-mib",
    "64",
    "--images",
    "16",
    "--tags",
    "200",
    "--repos",
    "200",
    "--crash-rounds",
    "2",
];

/// What it came to, and what it was measured on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) comparison: Comparison,
    /// When it began, in UTC.
    pub(crate) at: String,
    /// What `l0` was built from.
    pub(crate) source: String,
    /// Which part of the machine others used right before, in per cent.
    pub(crate) busy_percent: f64,
    /// The load average when it ended.
    pub(crate) load: String,
}

/// What came of many kills, which take longer than all else together and are asked for by themselves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kills {
    /// In words.
    pub(crate) line: String,
    /// Whether nothing was lost or corrupt.
    pub(crate) clean: bool,
    /// When it began, in UTC.
    pub(crate) at: String,
    /// What `l0` was built from.
    pub(crate) source: String,
}

/// What the command was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options<'a> {
    write: bool,
    no_build: bool,
    quick: bool,
    script: Option<&'a str>,
    /// Only so many kills, of ours.
    kills: Option<u32>,
}

impl<'a> Options<'a> {
    fn parse(words: &[&'a str]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--write" => options.write = true,
                "--no-build" => options.no_build = true,
                "--quick" => options.quick = true,
                "--script" => options.script = Some(words.next().context("--script needs a path")?),
                "--kills" => {
                    let count = words.next().and_then(|count| count.parse().ok());
                    options.kills = Some(count.context("--kills needs a number")?);
                }
                other => match other.strip_prefix("--script=") {
                    Some(path) => options.script = Some(path),
                    None if other.starts_with('-') => {
                        bail!(
                            "there is no option `{other}`; there are --write, --no-build, --quick, --kills N and --script PATH"
                        )
                    }
                    None => bail!("`registry` is measured alone, without `{other}`"),
                },
            }
        }
        if options.write && options.quick {
            bail!("--quick is for trying it out: its small numbers are not kept, so there is nothing to --write");
        }
        Ok(options)
    }
}

/// Measures, and with `--write` writes `docs/benchmarks.md`. `Ok(false)` when ours was not clean.
pub(super) fn run(project: &Project, words: &[&str]) -> Result<bool> {
    let options = Options::parse(words)?;
    let script = script(&project.root, options.script)?;
    if let Some(missing) = machine::missing(NEEDED) {
        bail!("{missing}");
    }
    let docker = Docker::find()?;
    let notes = project.root.join("target/bench/instances");
    sweep_leftovers(&notes, &docker)?;
    let l0 = L0::prepare(project, options.no_build)?;
    let out = project.root.join(if options.quick { "target/bench/registry/quick" } else { "target/bench/registry" });
    fs::create_dir_all(&out).with_context(|| format!("making {}", out.display()))?;

    let busy_percent =
        if options.quick || options.kills.is_some() { machine::busy_percent()? } else { machine::quiet()? };
    let at = run_command(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M"]))?;
    let facts = machine::facts(&docker, l0.how)?;
    let instance = || Instance::new(&l0.path, &notes, &docker);
    if let Some(count) = options.kills {
        let benches = (0..KILLED_AT_ONCE).map(|lane| {
            let out = out.join(format!("kills-{lane}"));
            fs::create_dir_all(&out)?;
            Ok(Bench { script: script.clone(), out, instance: instance()?, size: &[] })
        });
        let (line, clean) = killed(benches.collect::<Result<Vec<_>>>()?, count)?;
        println!("bench registry  {}: {line}", if clean { "clean" } else { "NOT CLEAN" });
        let kills = Kills { line, clean, at, source: l0.source };
        let mut results = Results::load(&project.root);
        results.put_kills(&project.root, kills)?;
        if options.write {
            results.write(&project.root, None)?;
            println!("written: docs/benchmarks.md");
        }
        return Ok(clean);
    }
    let mut bench = Bench { script, out, instance: instance()?, size: if options.quick { QUICK } else { FULL } };
    let mut comparison = bench.measure()?;
    // The page may tell of rows that were measured elsewhere.
    comparison.notes.push(facts.join("; "));
    let measured = Measured { comparison, at, source: l0.source, busy_percent, load: machine::load_average()? };

    print!("{}", measured.comparison.tables());
    for note in &measured.comparison.notes {
        println!("      {note}");
    }
    println!(
        "      others kept {busy_percent:.0} % of the machine busy right before; load average at the end {}",
        measured.load
    );
    println!("      the script's figures: {}", bench.out.display());
    for fault in &measured.comparison.faults {
        println!("bench registry  NOT CLEAN  {fault}");
    }
    let clean = measured.comparison.faults.is_empty();
    if clean {
        println!("bench registry  clean");
    }
    if options.quick {
        println!("      small numbers, for trying it out: not kept");
        return Ok(clean);
    }
    let mut results = Results::load(&project.root);
    results.put_registry(&project.root, measured)?;
    if options.write {
        results.write(&project.root, None)?;
        println!("written: docs/benchmarks.md");
    }
    Ok(clean)
}

/// Kills servers so many times in all; says what came of it, and whether it is clean.
fn killed(benches: Vec<Bench>, count: u32) -> Result<(String, bool)> {
    let (all, lanes) = (Mutex::new(Value::Null), u32::try_from(benches.len()).unwrap_or(1));
    let ended = thread::scope(|scope| {
        let lanes = benches.into_iter().zip(0..).map(|(mut bench, lane)| {
            let (all, share) = (&all, count / lanes + u32::from(lane < count % lanes));
            scope.spawn(move || bench.kills(share, all))
        });
        let lanes: Vec<_> = lanes.collect();
        lanes
            .into_iter()
            .map(|lane| lane.join().unwrap_or_else(|_| bail!("a run broke down")))
            .collect::<Result<Vec<_>>>()
    })?;
    let (line, clean) = table::kills(&all.into_inner().unwrap_or_else(PoisonError::into_inner));
    Ok(match ended.into_iter().flatten().next() {
        Some(why) => (format!("{line}; {why}"), false),
        None => (line, clean),
    })
}

/// The script that measures.
fn script(root: &Path, named: Option<&str>) -> Result<PathBuf> {
    let path = named.map_or_else(|| root.join(SCRIPT), PathBuf::from);
    // It is started in another directory.
    path.canonicalize().with_context(|| {
        format!("the script that measures registries is not at {}; --script PATH says where it is", path.display())
    })
}

/// A run of the script for each of the machine, docker-registry and ours.
struct Bench {
    script: PathBuf,
    out: PathBuf,
    /// Ours, and the directory that everything is in: so that all use the same disk, and one sweep removes it.
    instance: Instance,
    size: &'static [&'static str],
}

impl Bench {
    fn measure(&mut self) -> Result<Comparison> {
        let disk = run_command(Command::new("stat").args(["-f", "-c", "%T"]).arg(&self.instance.dir))?;
        let version = run_command(Command::new("docker-registry").arg("--version"))?;
        let limit_port = free_port()?.to_string();
        let theirs = self.docker_registry()?;
        // Right before ours: a machine that is shared is another one some minutes later.
        let (limits, mut ended) = self.script("limits", &["--sections", "limits", "--limit-port", &limit_port])?;
        let ours = self.ours()?;
        let mut comparison = Comparison::of(&limits, &theirs.0, &ours.0);
        if let Some(why) = ours.1 {
            comparison.faults.insert(0, why);
        }
        ended = ended.or(theirs.1);
        comparison.notes.extend(ended);
        comparison.notes.push(format!(
            "docker-registry {}; all data on a file system of type {disk}",
            version.split_whitespace().last().unwrap_or("?")
        ));
        Ok(comparison)
    }

    /// Debian's, with the storage settings that Debian gives it, without authentication and nearly without a log.
    fn docker_registry(&self) -> Result<(Value, Option<String>)> {
        let data = self.instance.dir.join("docker-registry");
        fs::create_dir_all(&data)?;
        let port = free_port()?;
        let config = self.instance.dir.join("docker-registry.yml");
        fs::write(&config, configuration(&data, port))?;
        let command = format!("docker-registry serve {}", quoted(&config));
        // What it leaves stays until the end: for some minutes a file system may pass over each inode that was deleted, one by one,
        // whenever it makes a file, and whoever is measured next would pay for it.
        self.server("docker-registry", table::SECTIONS, port, &command, &data, &[])
    }

    /// Kills ours so many times under load; adds what came of it to `all`. Answers why it ended early, if it did.
    fn kills(&mut self, count: u32, all: &Mutex<Value>) -> Result<Option<String>> {
        let mut done = 0;
        while done < count {
            let rounds = KILLS_AT_A_TIME.min(count - done);
            done += rounds;
            let rounds = rounds.to_string();
            let (document, ended) = self.started("layer0-kills", "fake", &["crash"], &["--crash-rounds", &rounds])?;
            // Each leaves tens of megabytes.
            fs::remove_dir_all(self.instance.data_dir())?;
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            table::add(&mut all, &document);
            let (line, clean) = table::kills(&all);
            println!("      {line}");
            if ended.is_some() || !clean {
                return Ok(ended);
            }
        }
        Ok(None)
    }

    /// Ours, in all sections, and what the script does not measure.
    fn ours(&mut self) -> Result<(Value, Option<String>)> {
        let (first, mirror): (Vec<_>, Vec<_>) = table::SECTIONS.iter().partition(|section| **section != MIRROR);
        let (mut document, ended) = self.started("layer0", "fake", &first, &[])?;
        // Each of its clients is a copy of the script, and the last one is timed while those before it end: a script that has other sections'
        // big blobs in memory takes a tenth of a second for that.
        let (mirror, ended_mirror) = self.started("layer0-mirror", "fake", &mirror, &[])?;
        document["results"][MIRROR] = mirror["results"][MIRROR].clone();
        // On the store that has just been filled.
        let (alone, ended_alone) = self.started("layer0-registry-only", "none", &["coldstart"], &[])?;
        document["results"]["registry_only"] = alone["results"].clone();
        println!("bench registry  layer0 and nginx, in turns");
        document["results"]["gets"] = gets::measure(&mut self.instance, &self.script, self.size == QUICK)?;
        println!("bench registry  layer0's mirror and nginx, in turns");
        document["results"]["mirrored"] = mirrored::measure(&mut self.instance, self.size == QUICK)?;
        println!("bench registry  layer0, small writes in turns with what the clients can send");
        document["results"]["writes"] = writes::measure(&mut self.instance, &self.script, self.size == QUICK)?;
        println!("bench registry  layer0, pulls beside something else");
        document["results"]["pulls"] = pulls::measure(&mut self.instance)?;
        println!("bench registry  layer0, pushes in turns");
        document["results"]["turns"] = turns::measure(&mut self.instance, self.size == QUICK)?;
        println!("bench registry  layer0, a thousand clients at once");
        document["results"]["crowd"] = crowd::measure(&mut self.instance)?;
        Ok((document, ended.or(ended_mirror).or(ended_alone)))
    }

    /// Ours in some sections, on this engine, with the admin's token in every request.
    fn started(
        &mut self,
        label: &str,
        engine: &str,
        sections: &[&str],
        more: &[&str],
    ) -> Result<(Value, Option<String>)> {
        // The token is made at the first start.
        self.instance.start(Engine::Fake)?;
        self.instance.stop()?;
        let token = base64_decoded(&self.instance.token()?).context("the admin's token is base64")?;
        let token = String::from_utf8(token).context("the admin's token is text")?;
        let (user, password) = token.split_once(':').context("the admin's token is a user and a secret")?;
        let (data, port) = (self.instance.data_dir(), self.instance.address.port());
        // The script's own upstream, whose repository is a mirror beside those that are pushed to.
        let (upstream, base) = (free_port()?.to_string(), format!("http://127.0.0.1:{port}"));
        let command = format!(
            "{} server --instance {} --engine {engine} --create-on-push --listen 127.0.0.1:{port} --data-dir {} --registry-mirrors {MIRRORED}=http://127.0.0.1:{upstream}/{MIRRORED}",
            quoted(&self.instance.l0),
            self.instance.stem,
            quoted(&data)
        );
        let signed_in = ["--user", user, "--password", password];
        let mirror = ["--proxy-url", base.as_str(), "--upstream-port", upstream.as_str()];
        self.server(label, sections, port, &command, &data, &[&signed_in[..], &mirror, more].concat())
    }

    fn server(
        &self,
        label: &str,
        sections: &[&str],
        port: u16,
        command: &str,
        data: &Path,
        more: &[&str],
    ) -> Result<(Value, Option<String>)> {
        let (url, data, sections) =
            (format!("http://127.0.0.1:{port}"), data.display().to_string(), sections.join(","));
        let mut words = vec!["--base-url", &url, "--server-cmd", command, "--data-dir", &data, "--sections", &sections];
        words.extend(more);
        self.script(label, &words)
    }

    /// Runs the script; gives what it wrote, and why it ended early if it did: what it had measured by then counts.
    fn script(&self, label: &str, words: &[&str]) -> Result<(Value, Option<String>)> {
        println!("bench registry  {label}");
        let out = self.out.join(format!("{label}.json"));
        drop(fs::remove_file(&out));
        let work = self.instance.dir.join(format!("work-{label}"));
        let mut command = Command::new("python3");
        command.arg(&self.script).args(words).args(self.size);
        command.args(["--label", label, "--out"]).arg(&out).arg("--work-dir").arg(&work);
        // It says on stderr how far it is, and on stdout once more what it writes to the file.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.instance.own_settings(&mut command);
        let status = command.status().context("running python3")?;
        let log = fs::read_to_string(work.join("server.log")).unwrap_or_default();
        let said: Vec<&str> = log.lines().rev().take(5).collect();
        let Ok(bytes) = fs::read(&out) else {
            bail!("the script measured nothing of {label} ({status}); the server's last lines: {said:#?}");
        };
        drop(fs::remove_dir_all(&work));
        let document = serde_json::from_slice(&bytes).with_context(|| format!("reading {}", out.display()))?;
        let ended = (!status.success()).then(|| format!("the run for {label} ended early ({status})"));
        if let Some(why) = &ended {
            println!("      {why}; the server's last lines: {said:#?}");
        }
        Ok((document, ended))
    }
}

/// docker-registry's. Its cache is the one that Debian's own configuration turns on.
fn configuration(data: &Path, port: u16) -> String {
    // A string of JSON is one of YAML.
    let data = Value::from(data.display().to_string());
    format!(
        "version: 0.1\n\
         log:\n  level: error\n  accesslog:\n    disabled: true\n\
         storage:\n  cache:\n    blobdescriptor: inmemory\n  filesystem:\n    rootdirectory: {data}\n  delete:\n    enabled: true\n\
         http:\n  addr: 127.0.0.1:{port}\n"
    )
}

/// As one word of a shell's, which is how the script takes a command apart.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r#"'"'"'"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_in_any_order_and_nothing_else() {
        let parsed = Options::parse(&["--script", "x.py", "--no-build", "--write"]).map_err(|why| why.to_string());
        assert_eq!(parsed, Ok(Options { write: true, no_build: true, script: Some("x.py"), ..Options::default() }));
        let parsed = Options::parse(&["--kills", "1000"]).map_err(|why| why.to_string());
        assert_eq!(parsed, Ok(Options { kills: Some(1000), ..Options::default() }));
        let parsed = Options::parse(&["--quick", "--script=y.py"]).map_err(|why| why.to_string());
        assert_eq!(parsed, Ok(Options { quick: true, script: Some("y.py"), ..Options::default() }));
        for wrong in [&["--script"][..], &["--slow"], &["--kills", "many"], &["create"], &["--write", "--quick"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_missing_script_is_named_and_so_is_the_way_out() {
        let said = script(Path::new("/nowhere"), None).map_err(|why| why.to_string());
        let said = said.expect_err("there is nothing");
        assert!(said.contains("/nowhere/../shared/bench/registry_bench.py") && said.contains("--script"), "{said}");
    }

    #[test]
    fn paths_with_spaces_and_quotes_stay_whole() {
        assert_eq!(quoted(Path::new("/a b/it's")), r#"'/a b/it'"'"'s'"#);
        assert!(configuration(Path::new("/a \"b\""), 5).contains("rootdirectory: \"/a \\\"b\\\"\"\n"));
    }
}
