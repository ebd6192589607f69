//! Pulls beside something else, of ours alone: with a password in every request, and while a collection goes through all
//! repositories. Each is measured in turn with what it is set against, on the store that the script has filled.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::super::instance::{Engine, Instance, base64};
use super::super::stats::median;
use super::wrk::{Load, Seen};

/// What is pulled: the script's section `catalog` has pushed it.
const PULLED: &str = "/v2/bench/catalog-seed/manifests/seed";

/// How often each pair is measured.
const PAIRS: usize = 3;

/// A password that nobody has outside of this run.
const PASSWORD: &str = "measured with a password";

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
    let path = [PULLED.to_owned()];
    Load { address: instance.address, credential, paths: &path, connections, seconds: 5 }.run(&instance.dir)
}
