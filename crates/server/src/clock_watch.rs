//! Looks at the clock, so that a leap of it lets no images go: rules judge them by their age.
//!
//! What was seen is a setting of the instance. Each server looks once an hour: of several, one whose clock is wrong is never believed
//! while another's is right.

use std::time::Duration;

use layer0_domain::model::time::Timestamp;
use layer0_domain::plan::clock::{Seen, look};
use layer0_domain::port::BoxError;
use layer0_registry::Collection;
use tracing::warn;

use crate::app::App;
use crate::error::chain;
use crate::text_time::rfc3339;

/// The setting with what was seen: [`Seen`] in JSON.
const SEEN: &str = "clock_seen";

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// Whether an admin has said that the clock is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Nobody has.
    Watched,
    /// One has.
    Vouched,
}

/// Looks at the clock, and writes down what was seen unless the run is a dry one. Gives the time by which things may be judged: they must be
/// judged by this one, since the clock may leap right after the look. Or a reason why nothing may be.
///
/// # Errors
/// The store's.
pub(crate) async fn judge(
    app: &App,
    collection: Collection,
    clock: Clock,
) -> Result<Result<Timestamp, String>, BoxError> {
    let now = app.clock.now();
    loop {
        let read = app.store.setting_get(SEEN).await?;
        let before: Option<Seen> = read.as_deref().map(serde_json::from_slice).transpose()?;
        let seen = match clock {
            Clock::Watched => look(before, now),
            Clock::Vouched => Seen { believed: now, doubted: None },
        };
        // Another server's look at the same moment is as good as this one, but for what an admin says: that is remembered.
        if collection == Collection::DryRun
            || app.store.setting_replace(SEEN, read.as_deref(), &serde_json::to_vec(&seen)?).await?
            || clock == Clock::Watched
        {
            return Ok(seen.doubted.map_or(Ok(now), |doubted| Err(because(seen.believed, now, doubted.until()))));
        }
    }
}

fn because(believed: Timestamp, now: Timestamp, until: Timestamp) -> String {
    let days = now.ms_since(believed) / (24 * 60 * 60 * 1000);
    format!(
        "the server's clock says {}, {days} days after the last time that was seen: rules wait until {}, or for `--trust-clock`",
        rfc3339(now),
        rfc3339(until)
    )
}

/// Looks once an hour, until the server stops.
pub(crate) async fn by_itself(app: App) {
    loop {
        if let Err(why) = judge(&app, Collection::Take, Clock::Watched).await {
            warn!(error = chain(why.as_ref()), "what was seen of the clock could not be written down");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = app.stop.wait() => return,
        }
    }
}
