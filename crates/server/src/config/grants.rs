//! How account grants are kept.

use std::collections::BTreeSet;
use std::time::Duration;

use layer0_domain::model::grant::{GrantStrategy, Grantee};

use super::{ConfigError, EngineKind, Given};

/// How account grants are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GrantsConfig {
    /// Whether, and how.
    pub(crate) kept: GrantsKept,
    /// From the end of one look at all policies to the next.
    pub(crate) every: Duration,
    /// In which documents they stand; `None` for as it was.
    pub(crate) strategy: Option<GrantStrategy>,
    /// Who may pull everything; `None` where nothing is said of it.
    pub(crate) to: Option<BTreeSet<Grantee>>,
}

/// Whether account grants are written into policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GrantsKept {
    /// There are none: the instance has no ECR.
    Off,
    /// They are, and what comes undone is mended.
    On,
    /// They are when they are asked for; what comes undone later is only reported.
    ReportOnly,
}

/// In place of a list: nobody. What is not said changes nothing.
const NOBODY: &str = "none";

impl Default for GrantsConfig {
    fn default() -> Self {
        Self { kept: GrantsKept::Off, every: Duration::from_secs(15 * 60), strategy: None, to: None }
    }
}

impl GrantsConfig {
    /// Where nothing is said they are kept for a registry that lies in ECR.
    pub(super) fn load(
        find: &dyn Fn(&str, &[&str]) -> Option<Given>,
        engine: EngineKind,
        in_ecr: bool,
    ) -> Result<Self, ConfigError> {
        let usual = Self::default();
        let kept = match find("account_grants", &["LAYER0_ACCOUNT_GRANTS"]) {
            None if in_ecr => GrantsKept::On,
            None => usual.kept,
            Some(given) => match given.text.as_str() {
                "off" => GrantsKept::Off,
                "on" | "report-only" if engine != EngineKind::Fake && !cfg!(feature = "aws") => {
                    return Err(given.wrong("needs an executable that is built with `--features aws`"));
                }
                "on" => GrantsKept::On,
                "report-only" => GrantsKept::ReportOnly,
                _ => return Err(given.wrong("must be `on`, `report-only` or `off`")),
            },
        };
        let every = match find("account_grants_every", &["LAYER0_ACCOUNT_GRANTS_EVERY"]) {
            None => usual.every,
            Some(given) => match given.text.parse::<u64>() {
                Ok(minutes @ 1..=1440) => Duration::from_secs(minutes * 60),
                _ => return Err(given.wrong("must be a number of minutes from 1 to 1440")),
            },
        };
        let strategy = match find("account_grants_strategy", &["LAYER0_ACCOUNT_GRANTS_STRATEGY"]) {
            None => usual.strategy,
            Some(given) => match GrantStrategy::parse(&given.text) {
                None => return Err(given.wrong("must be `repositories`, `registry` or `organization`")),
                Some(_) if kept == GrantsKept::Off => {
                    return Err(given.wrong("is for an instance with account grants (`--account-grants on`)"));
                }
                strategy => strategy,
            },
        };
        let to = match find("account_grants_to", &["LAYER0_ACCOUNT_GRANTS_TO"]) {
            None => usual.to,
            Some(given) if given.text == NOBODY => Some(BTreeSet::new()),
            Some(given) if kept == GrantsKept::Off => {
                return Err(given.wrong("is for an instance with account grants (`--account-grants on`)"));
            }
            Some(given) => {
                let all = given.text.split(',').map(|text| Grantee::parse(text.trim()));
                Some(all.collect::<Result<_, _>>().map_err(|why| given.wrong(format!("can't be granted: {why}")))?)
            }
        };
        Ok(Self { kept, every, strategy, to })
    }
}
