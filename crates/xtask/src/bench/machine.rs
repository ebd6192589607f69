//! The machine that is measured on: what it is, and whether others use it too.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::docker::Docker;
use super::guestbook::run;
use super::rows::balancer::which;
use super::stats::pause;

/// The unit of processor times in `/proc`: `USER_HZ`, which is 100 on every platform that we build for (proc(5), sysconf(3)).
pub(crate) const TICKS_PER_SECOND: f64 = 100.0;

/// The machine counts as quiet when all others together keep less than this part of it busy.
const QUIET: f64 = 0.10;

/// How long to wait for it to become quiet.
const PATIENCE: Duration = Duration::from_secs(90);

/// Programs that the rows need, and the Debian packages they are in.
pub(crate) const NEEDED: &[(&str, &str)] =
    &[("docker", "docker.io"), ("nginx", "nginx-light"), ("wrk", "wrk"), ("ldd", "libc-bin")];

/// Which of these programs are missing here: a line that says how to get them.
pub(crate) fn missing(needed: &[(&str, &str)]) -> Option<String> {
    let missing: Vec<_> = needed.iter().filter(|(program, _)| which(program).is_none()).collect();
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    let programs: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    if missing.is_empty() {
        return None;
    }
    Some(format!("missing here: {}; on Debian `apt-get install {}`", programs.join(", "), packages.join(" ")))
}

/// The machine, and its system.
fn here() -> Result<(String, String)> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or_else(|| "?".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or("0 kB").trim();
    let gib = kib.trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / (1024 * 1024);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let virtual_machine =
        if field("flags").split(' ').any(|flag| flag == "hypervisor") { ", in a virtual machine" } else { "" };
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system =
        system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("?").trim_matches('"').to_owned();
    Ok((
        format!("{cores} cores, {}, {gib} GiB of memory{virtual_machine}", field("model name")),
        format!("{system}, kernel {}", kernel.trim()),
    ))
}

/// How the executable that is handed out is built.
pub(crate) const RELEASE: &str = "`make release`";

/// What is said of one that was there.
pub(crate) const EARLIER: &str = "built earlier";

/// How things were built.
fn build(command: &str) -> Result<String> {
    Ok(format!("{command}, {}", run(Command::new("rustc").arg("--version"))?))
}

/// Facts about the machine for what needs neither Docker nor other servers, and was built by this command, a line each.
pub(crate) fn own_facts(command: &str) -> Result<Vec<String>> {
    let (machine, system) = here()?;
    Ok(vec![machine, system, build(command)?])
}

/// Facts about the machine for what was built by this command, a line each.
pub(crate) fn facts(docker: &Docker, command: &str) -> Result<Vec<String>> {
    let (machine, system) = here()?;
    let nginx = Command::new(which("nginx").context("nginx is here")?).arg("-v").output()?;
    let nginx = String::from_utf8_lossy(&nginx.stderr).trim().replace("nginx version: nginx/", "");
    // wrk says its version with its usage, and fails.
    let wrk = Command::new("wrk").arg("-v").output()?;
    let wrk = String::from_utf8_lossy(&wrk.stdout).split_whitespace().nth(1).unwrap_or("?").to_owned();
    Ok(vec![machine, system, format!("Docker Engine {}, nginx {nginx}, wrk {wrk}", docker.version()?), build(command)?])
}

/// Which part of the machine is busy now, in per cent.
pub(crate) fn busy_percent() -> Result<f64> {
    Ok(busy()? * 100.0)
}

/// Which part of all cores is busy, over two seconds.
fn busy() -> Result<f64> {
    let (all_before, idle_before) = ticks()?;
    pause(Duration::from_secs(2));
    let (all, idle) = ticks()?;
    Ok(1.0 - (idle - idle_before) / (all - all_before).max(1.0))
}

fn ticks() -> Result<(f64, f64)> {
    let text = fs::read_to_string("/proc/stat")?;
    let first = text.lines().next().context("/proc/stat has a line for all cores")?;
    let fields: Vec<f64> = first.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // Fields 4 and 5 are idle time and idle time with input or output under way (proc(5)).
    let idle = fields.get(3).context("idle time")? + fields.get(4).context("I/O wait")?;
    Ok((fields.iter().take(8).sum(), idle))
}

/// The load average of the last minute, what is measured included.
pub(crate) fn load_average() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or("?").to_owned())
}

/// Waits a while for the machine to become quiet; says which part of it, in per cent, others use all the same.
pub(crate) fn quiet() -> Result<f64> {
    let since = Instant::now();
    loop {
        let seen = busy()?;
        if seen < QUIET || since.elapsed() > PATIENCE {
            return Ok(seen * 100.0);
        }
    }
}

/// A line of kB in one of a process's files.
pub(crate) fn mib(pid: u32, file: &str, name: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("{file} has {name}"))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
