//! From the start of the process to its first answer.

use std::time::Duration;

use anyhow::Result;

use crate::bench::filled::SERVICES;
use crate::bench::instance::Engine;
use crate::bench::stats::{largest, median, ms, pause};
use crate::bench::{Bench, Outcome};

const STARTS: usize = 11;

pub(in crate::bench) fn measure(bench: &Bench) -> Result<Outcome> {
    let mut filled = bench.filled()?;
    let (mut stopped, mut killed) = (Vec::new(), Vec::new());
    for number in 0..=2 * STARTS {
        let took = ms(filled.start(Engine::Docker)?);
        // The first one finds a cold cache of files that were just written; each other run comes after a kill.
        match number {
            0 => {}
            odd if odd % 2 == 1 => stopped.push(took),
            _ => killed.push(took),
        }
        pause(Duration::from_millis(300));
        if number % 2 == 0 { filled.stop()? } else { filled.kill()? }
    }
    bench.give_back(filled);
    let worst = median(&stopped).max(median(&killed));
    Ok(Outcome {
        figure: format!("{worst:.0} ms"),
        met: worst <= 150.0,
        notes: vec![format!(
            "from the start of the process to the first 200 for `GET /environment` with a token, asking again every 0.5 ms; \
             docker engine, {SERVICES} services and as many operations in the store; {STARTS} starts each, median after an \
             orderly stop {:.0} ms (longest {:.0} ms), after `kill -9` {:.0} ms (longest {:.0} ms)",
            median(&stopped),
            largest(&stopped),
            median(&killed),
            largest(&killed),
        )],
    })
}
