//! A container is killed: how long until its replacement has started.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use crate::bench::guestbook::Guestbook;
use crate::bench::stats::{largest, median, until};
use crate::bench::{Bench, Outcome};

/// Services, each of which loses its one copy once: what crashes again and again is restarted later each time.
const CRASHES: usize = 7;

pub(in crate::bench) fn measure(bench: &Bench) -> Result<Outcome> {
    let mut book = Guestbook::start(bench)?;
    book.services(CRASHES, &[])?;
    let first = book.running()?;
    let mut gaps = Vec::new();
    for victim in first.keys() {
        let before = book.running()?;
        let killed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        book.instance.docker.kill(victim)?;
        let replacement = until(Duration::from_secs(30), "the replacement", || {
            let ids = book.instance.docker.running_ids(&book.instance.stem)?;
            Ok(ids.into_iter().find(|id| !before.contains_key(id)))
        })?;
        let started = seconds(&book.instance.docker.container(&replacement)?.started_at)?;
        gaps.push(started - killed);
    }
    let worst = largest(&gaps);
    Ok(Outcome {
        figure: format!("{worst:.2} s"),
        met: worst <= 1.0,
        notes: vec![format!(
            "the longest of {CRASHES}, median {:.2} s; from just before Docker was asked to send SIGKILL to the replacement's \
             `StartedAt`; each is the first crash of a service of one copy",
            median(&gaps)
        )],
    })
}

/// Seconds since 1970 of a time as Docker writes it: RFC 3339 in UTC, with up to nine decimals.
fn seconds(text: &str) -> Result<f64> {
    parse(text).with_context(|| format!("`{text}` is no time"))
}

fn parse(text: &str) -> Option<f64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut parts = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let mut parts = time.split(':').map(|part| part.parse::<f64>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    // Years begin in March, so that the leap day is a year's last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    #[expect(clippy::cast_precision_loss, reason = "days since 1970")]
    Some(days as f64 * 86_400.0 + hour * 3600.0 + minute * 60.0 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_docker_writes_them() {
        let whole = |text: &str| parse(text).map(|it| format!("{it:.3}"));
        assert_eq!(whole("1970-01-01T00:00:00Z").as_deref(), Some("0.000"));
        assert_eq!(whole("2000-02-29T12:00:00Z").as_deref(), Some("951825600.000"));
        assert_eq!(whole("2026-11-23T11:00:00.123456789Z").as_deref(), Some("1795431600.123"));
        assert_eq!(whole("yesterday"), None);
    }
}
