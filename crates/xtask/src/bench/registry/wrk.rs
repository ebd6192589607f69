//! wrk, which asks for the same over and over, over many connections at once.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::super::guestbook::run as run_command;

/// What is to be asked for.
pub(super) struct Load<'a> {
    pub(super) address: SocketAddr,
    /// For Basic, in base64.
    pub(super) credential: &'a str,
    /// One after the other, and again from the first one on.
    pub(super) paths: &'a [String],
    pub(super) connections: u32,
    pub(super) seconds: u32,
}

/// What was seen.
#[derive(Deserialize)]
pub(super) struct Seen {
    pub(super) req_s: f64,
    pub(super) p99_ms: f64,
    /// Answers other than 200, and broken connections.
    pub(super) errors: u64,
}

impl Load<'_> {
    /// GETs by wrk, which has a file of its own in a directory.
    pub(super) fn run(&self, directory: &Path) -> Result<Seen> {
        let paths: Vec<String> = self.paths.iter().map(|path| format!("{path:?}")).collect();
        let script = directory.join("paths.lua");
        fs::write(
            &script,
            format!(
                "local asked, at = {{}}, 0\n\
                 function init() for n, path in ipairs({{{}}}) do asked[n] = wrk.format(\"GET\", path) end end\n\
                 function request() at = at % #asked + 1; return asked[at] end\n",
                paths.join(", ")
            ),
        )?;
        let mut wrk = Command::new("wrk");
        wrk.args(["-t1", "--latency", "--timeout", "30s", "-c", &self.connections.to_string()]);
        wrk.args(["-d", &format!("{}s", self.seconds)]).arg("-s").arg(&script);
        wrk.args(["-H", &format!("Authorization: Basic {}", self.credential)]);
        wrk.arg(format!("http://{}", self.address));
        read(&run_command(&mut wrk)?)
    }
}

/// Reads what wrk says.
fn read(said: &str) -> Result<Seen> {
    let line = |begin: &str| said.lines().map(str::trim).find_map(|line| line.strip_prefix(begin)).map(str::trim);
    let rate =
        line("Requests/sec:").and_then(|rate| rate.parse().ok()).context("wrk says how many requests a second")?;
    let p99_ms = line("99%").and_then(milliseconds).context("wrk says the 99th percentile")?;
    let bad = line("Non-2xx or 3xx responses:").and_then(|count| count.parse().ok()).unwrap_or(0);
    let broken: u64 = line("Socket errors:").map_or(0, |line| {
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|count| count.parse::<u64>().ok()).sum()
    });
    Ok(Seen { req_s: rate, p99_ms, errors: bad + broken })
}

/// A time as wrk writes it.
fn milliseconds(text: &str) -> Option<f64> {
    let (number, factor) = [("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0)]
        .into_iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_read() {
        let said = "  Latency Distribution\n     50%    1.08ms\n     99%  912.00us\n  10 requests in 5.00s, 1MB read\n\
                    \x20 Socket errors: connect 0, read 2, write 0, timeout 1\n  Non-2xx or 3xx responses: 4\n\
                    Requests/sec:  52377.71\nTransfer/sec: 1MB\n";
        let seen = read(said).expect("all of it is there");
        assert_eq!((seen.req_s, seen.p99_ms, seen.errors), (52377.71, 0.912, 7));
        assert!(read("unable to connect").is_err());
        assert_eq!(milliseconds("1.50s"), Some(1500.0));
    }
}
