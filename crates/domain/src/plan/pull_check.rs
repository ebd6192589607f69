//! The pull check: the proof, before anything starts, that the engine will be able to pull an image.
//!
//! The facts are gathered by the image source (a registry of ours) and by the engine; what they come to is decided here,
//! as up to six checks in a fixed order, each with its evidence:
//!
//! | check | on one machine | on AWS |
//! |---|---|---|
//! | `image` | the registry has the manifest and all parts | ECR has the manifest and every layer |
//! | `platform` | it has a variant for the engine | it has one for the task's `runtimePlatform` |
//! | `access` | the engine will have a credential | the repository's and the registry's policy let the account in |
//! | `role` | | the role that pulls may do what a start needs |
//! | `network` | | every subnet has a way to the services |
//! | `pass-role` | | this server may hand the roles over, where there are some, and the task's own trusts tasks |
//!
//! The whole passes when none failed. What could not be looked at is shown as unknown, never as passed, and keeps nothing
//! from starting: an engine that may not read a policy is no reason to refuse a deploy.

use crate::model::failure::{Failure, FailureClass};
use crate::model::image::ImageRef;
use crate::model::image_map::Mapped;
use crate::model::registry::Platform;
use crate::port::image_source::SourceAnswer;
use crate::port::pull::{PullEvidence, PullQuestion};

mod aws;
mod local;
#[cfg(test)]
mod tests;

pub use aws::{NeededRight, PASSED_TO, TOKEN_RIGHT, needed_rights};

/// An image that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// What the engine is to pull: by digest, but for an image that is only on the engine itself, or one that nobody could ask
    /// about.
    pub pinned: ImageRef,
    /// What the user should know.
    pub warning: Option<String>,
}

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Whether the image is there, whole.
    Image,
    /// Whether it runs on what it is to run on.
    Platform,
    /// Whether the registry lets the puller in.
    Access,
    /// Whether the role that pulls may do what it needs.
    Role,
    /// Whether there is a way.
    Network,
    /// Whether the roles that a start hands over may be handed over.
    PassRole,
}

impl What {
    /// The word on the wire and on screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            What::Image => "image",
            What::Platform => "platform",
            What::Access => "access",
            What::Role => "role",
            What::Network => "network",
            What::PassRole => "pass-role",
        }
    }
}

/// One check with what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub what: What,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is as it must be.
    Passed {
        /// What shows it.
        evidence: String,
    },
    /// It is not; the pull would fail.
    Failed {
        /// How it would fail.
        class: FailureClass,
        /// What shows it.
        evidence: String,
        /// What to do, in one line; `None` for the class's own advice.
        remedy: Option<String>,
    },
    /// It could not be looked at, or hangs on what nobody knows beforehand.
    Unknown {
        /// On what.
        why: String,
    },
}

impl Outcome {
    fn passed(evidence: impl Into<String>) -> Self {
        Outcome::Passed { evidence: evidence.into() }
    }

    fn unknown(why: impl Into<String>) -> Self {
        Outcome::Unknown { why: why.into() }
    }

    fn failed(class: FailureClass, evidence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Outcome::Failed { class, evidence: evidence.into(), remedy: Some(remedy.into()) }
    }

    fn has_failed(&self) -> bool {
        matches!(self, Outcome::Failed { .. })
    }
}

/// What the pull check of one image comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The checks that apply, in order.
    pub checks: Vec<Check>,
    /// What the engine is to pull if it passes.
    pub pinned: ImageRef,
    /// What the user should know besides.
    pub warnings: Vec<String>,
    /// What could not be checked, in a sentence, where whoever starts something should be told of it.
    pub unchecked: Option<String>,
}

impl Report {
    fn new(pinned: ImageRef) -> Self {
        Self { checks: Vec::new(), pinned, warnings: Vec::new(), unchecked: None }
    }

    fn with(mut self, what: What, outcome: Outcome) -> Self {
        self.checks.push(Check { what, outcome });
        self
    }

    /// Whether it passed: when no check failed.
    ///
    /// # Errors
    /// The reason why it could not be pulled, with the next step. Of several failed checks, the class is that of the first.
    pub fn verdict(&self) -> Result<Passed, Failure> {
        let mut failed = self.checks.iter().filter_map(|check| match &check.outcome {
            Outcome::Failed { class, evidence, remedy } => Some((*class, evidence, remedy)),
            Outcome::Passed { .. } | Outcome::Unknown { .. } => None,
        });
        let Some((class, evidence, remedy)) = failed.next() else {
            let warnings: Vec<&str> = self.warnings.iter().chain(&self.unchecked).map(String::as_str).collect();
            let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
            return Ok(Passed { pinned: self.pinned.clone(), warning });
        };
        let mut failure = Failure::new(class, evidence.clone());
        failure.hint = remedy.clone().or(failure.hint);
        for (_, evidence, remedy) in failed {
            failure.message = format!("{}; and {evidence}", failure.message);
            failure.hint = match (failure.hint, remedy) {
                (Some(hint), Some(remedy)) => Some(format!("{hint}; then {remedy}")),
                (hint, remedy) => hint.or_else(|| remedy.clone()),
            };
        }
        Err(failure)
    }
}

/// Judges one image. `engine` is `None` when the engine does not answer; then what only it knows is left unchecked, and
/// a warning says so.
#[must_use]
pub fn judge(image: &Mapped, source: &SourceAnswer, question: &PullQuestion, engine: Option<&PullEvidence>) -> Report {
    match (source, engine) {
        (SourceAnswer::Found(_) | SourceAnswer::NotOurs, Some(evidence)) => match &evidence.aws {
            Some(aws) => aws::judge(image, source, question, evidence, aws),
            None => local::judge(image, source, question, engine),
        },
        _ => local::judge(image, source, question, engine),
    }
}

/// Whether an image of platform `has` runs on `engine`. A variant that only one of them names is no difference.
#[must_use]
pub fn runs_on(has: &Platform, engine: &Platform) -> bool {
    has.os == engine.os
        && has.architecture == engine.architecture
        && match (&has.variant, &engine.variant) {
            (Some(has), Some(engine)) => has <= engine,
            _ => true,
        }
}

/// The check of the platforms that are known; an image that says nothing of them is not known to fit.
fn platform_check(written: &ImageRef, platforms: &[Platform], engine: &Platform) -> Outcome {
    let has: Vec<String> = platforms.iter().map(ToString::to_string).collect();
    let has = has.join(", ");
    if platforms.is_empty() {
        return Outcome::unknown(format!("`{written}` does not say what platforms it is for"));
    }
    if platforms.iter().any(|has| runs_on(has, engine)) {
        return Outcome::passed(format!("it is for {has}, and runs on {engine}"));
    }
    Outcome::failed(
        FailureClass::WrongArchitecture,
        format!("`{written}` is for {has}, the engine runs {engine}"),
        format!("build and push it for this platform: `docker buildx build --platform {engine} …`"),
    )
}

fn pushable(backing: &ImageRef) -> String {
    format!("{}:{}", backing.repository(), backing.tag().unwrap_or("latest"))
}
