//! When what no image needs goes out of the registry.

use std::time::Duration;

use super::{ConfigError, Given};

/// The longest that may be asked for: ten years.
const HOURS_MAX: u64 = 24 * 3660;

/// When blobs go that no manifest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GcConfig {
    /// How long after one collection the next begins; `None` for never.
    pub(crate) every: Option<Duration>,
    /// How long such a blob is kept.
    pub(crate) grace: Duration,
}

impl Default for GcConfig {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { every: Some(day), grace: day }
    }
}

impl GcConfig {
    /// The one of the flags.
    pub(super) fn load(find: &dyn Fn(&str, &[&str]) -> Option<Given>) -> Result<Self, ConfigError> {
        let hours = |key: &str, variable: &str, least: u64, usual: Option<Duration>| {
            let Some(given) = find(key, &[variable]) else { return Ok(usual) };
            match given.text.parse() {
                Ok(0) if least == 0 => Ok(None),
                Ok(hours) if (least..=HOURS_MAX).contains(&hours) => Ok(Some(Duration::from_secs(hours * 60 * 60))),
                _ => Err(given.wrong(format!("must be a number of hours from {least} to {HOURS_MAX}"))),
            }
        };
        let Self { every, grace } = Self::default();
        Ok(Self {
            every: hours("registry_gc_every", "LAYER0_REGISTRY_GC_EVERY", 0, every)?,
            // No push is done in no time.
            grace: hours("registry_gc_grace", "LAYER0_REGISTRY_GC_GRACE", 1, Some(grace))?.unwrap_or(grace),
        })
    }
}
