//! Pulls beside something else, of ours alone: with a password in every request, and while a collection goes through all
//! repositories. Each is measured in turn with what it is set against, on the store that the script has filled.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::super::guestbook::run as run_command;
use super::super::instance::{Engine, Instance, base64};
use super::super::stats::median;

/// What is pulled: the script's section `catalog` has pushed it.
const PULLED: &str = "/v2/bench/catalog-seed/manifests/seed";

/// How often each pair is measured.
const PAIRS: usize = 3;

/// A password that nobody has outside of this run.
const PASSWORD: &str = "measured with a password";

/// What wrk saw.
struct Seen {
    req_s: f64,
    p99_ms: f64,
    /// Answers other than 200, and broken connections.
    errors: u64,
}

/// Measures, and stops the instance again.
pub(super) fn measure(instance: &mut Instance) -> Result<Value> {
    instance.start(Engine::Fake)?;
    let (password, collecting) = (with_password(instance)?, while_collecting(instance)?);
    instance.stop()?;
    Ok(json!({ "password": password, "collecting": collecting }))
}

fn with_password(instance: &Instance) -> Result<Value> {
    instance.api()?.change("PATCH", "/user/admin", Some(&json!({ "password": PASSWORD })))?;
    let (token, password) = (instance.token()?, base64(format!("admin:{PASSWORD}").as_bytes()));
    let (mut by_token, mut by_password) = (Vec::new(), Vec::new());
    let mut errors = 0;
    for _ in 0..PAIRS {
        for (credential, seen) in [(&token, &mut by_token), (&password, &mut by_password)] {
            let one = pulls(instance, credential, 64)?;
            errors += one.errors;
            seen.push(one.req_s);
        }
    }
    Ok(json!({ "req_s": median(&by_password), "token_req_s": median(&by_token), "errors": errors }))
}

fn while_collecting(instance: &Instance) -> Result<Value> {
    let token = instance.token()?;
    let (mut quiet, mut during, mut took) = (Vec::new(), Vec::new(), Vec::new());
    let mut errors = 0;
    for _ in 0..PAIRS {
        quiet.push(pulls(instance, &token, 16)?.p99_ms);
        let stop = AtomicBool::new(false);
        let (seen, collected) = thread::scope(|scope| {
            let collecting = scope.spawn(|| {
                let mut took = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    took.push(instance.timed(instance.cli(&["admin", "gc", "--now"])?)?.as_secs_f64());
                }
                Ok::<_, anyhow::Error>(took)
            });
            let seen = pulls(instance, &token, 16);
            stop.store(true, Ordering::Relaxed);
            (seen, collecting.join())
        });
        let seen = seen?;
        errors += seen.errors;
        during.push(seen.p99_ms);
        let Ok(collected) = collected else { bail!("the collections broke down") };
        took.extend(collected?);
    }
    Ok(json!({
        "p99_ms": median(&during), "quiet_p99_ms": median(&quiet), "collection_s": median(&took), "errors": errors,
    }))
}

/// Pulls for five seconds over so many connections.
fn pulls(instance: &Instance, credential: &str, connections: u32) -> Result<Seen> {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "-d5s", "--latency", "-c", &connections.to_string()]);
    wrk.args(["-H", &format!("Authorization: Basic {credential}")]);
    wrk.arg(format!("http://{}{PULLED}", instance.address));
    read(&run_command(&mut wrk)?)
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
