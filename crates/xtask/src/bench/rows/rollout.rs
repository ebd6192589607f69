//! A rolling update under load: no request may fail.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::bench::guestbook::{Guestbook, container, quick_check};
use crate::bench::load::Load;
use crate::bench::stats::{ms, pause, percentile};
use crate::bench::{Bench, Outcome};

const COPIES: usize = 4;
const PER_SECOND: u32 = 200;
const UPDATES: usize = 5;

/// Load before the first update, between two and after the last.
const STEADY: Duration = Duration::from_secs(2);

pub(in crate::bench) fn measure(bench: &Bench) -> Result<Outcome> {
    let mut book = Guestbook::start(bench)?;
    let (balancer, port) = book.api.load_balancer(&book.environment, "web", &quick_check())?;
    let service = book.api.created("/service", &book.service("web", &balancer, COPIES))?;

    let load = Load::begin(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PER_SECOND);
    let updated = update(&mut book, &service);
    let tally = load.end();
    let took = updated?;

    let failures = tally.failures();
    let mut notes = vec![format!(
        "{UPDATES} updates one after the other, {:.1} s each; {} requests at fixed times, {PER_SECOND} a second, half of them \
         on new connections; a status other than 200, a broken or refused connection and an answer after more than 5 s count \
         as failed; from when a request was due to its whole answer: median {:.1} ms, p99 {:.1} ms, longest {:.0} ms",
        took / 1000.0,
        tally.good + failures,
        percentile(&tally.took_ms, 50.0),
        percentile(&tally.took_ms, 99.0),
        percentile(&tally.took_ms, 100.0),
    )];
    if failures > 0 {
        notes.push(format!("failed: {}", tally.in_words()));
    }
    Ok(Outcome { figure: format!("{failures} of {}", tally.good + failures), met: failures == 0, notes })
}

/// Milliseconds of one update, on average. Each really replaces every copy.
fn update(book: &mut Guestbook, service: &str) -> Result<f64> {
    let mut took = 0.0;
    pause(STEADY);
    for number in 0..UPDATES {
        let before = book.running()?;
        ensure!(before.len() == COPIES, "{} copies run, not {COPIES}", before.len());
        let deploy = book.api.deploy("guestbook", &container(&format!("Hello {number}")))?;
        let since = Instant::now();
        book.api.change("PATCH", &format!("/service/{service}"), Some(&json!({ "deploy_id": deploy })))?;
        took += ms(since.elapsed());
        pause(STEADY);
        let after = book.running()?;
        ensure!(after.len() == COPIES, "{} copies run after the update, not {COPIES}", after.len());
        ensure!(before.keys().all(|id| !after.contains_key(id)), "the update left a copy as it was");
    }
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    Ok(took / UPDATES as f64)
}
