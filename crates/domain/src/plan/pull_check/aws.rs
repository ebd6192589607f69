//! The checks for an engine on AWS, where a role pulls over a network of the user's.

use super::local::ours;
use super::{Outcome, Report, What, platform_check, pushable};
use crate::model::digest::Digest;
use crate::model::failure::FailureClass;
use crate::model::image_map::{EcrHost, Mapped, partition_of};
use crate::model::registry::Platform;
use crate::port::image_source::SourceAnswer;
use crate::port::pull::aws::{AwsEvidence, CacheRule, EcrEvidence, EcrImage};
use crate::port::pull::{Fact, PullEvidence, PullQuestion, RemoteImage};

mod access;
mod network;
mod pass;
mod request;
mod rights;
mod role;

pub use pass::PASSED_TO;
pub use rights::{NeededRight, TOKEN_RIGHT, needed_rights};

pub(super) fn judge(
    image: &Mapped,
    source: &SourceAnswer,
    question: &PullQuestion,
    evidence: &PullEvidence,
    aws: &AwsEvidence,
) -> Report {
    let question = &PullQuestion { uses: question.uses.and(&aws.added), ..question.clone() };
    let seen = look(image, source, evidence, aws);
    let pinned = match seen.digest {
        Some(digest) => image.backing.with_digest(digest),
        None => image.backing.clone(),
    };
    let mut report = Report::new(pinned);
    if seen.outcome.has_failed() {
        let nothing_there = Outcome::unknown("there is no image to look at");
        report = report.with(What::Image, seen.outcome).with(What::Platform, nothing_there);
    } else {
        let platform = match &seen.platforms {
            Fact::Known(platforms) => match (platform(image, platforms, &evidence.platform), &aws.unsure_of_platform) {
                (Outcome::Failed { evidence, .. }, Some(why)) => {
                    Outcome::unknown(format!("{evidence} as far as is known: {why}"))
                }
                (outcome, _) => outcome,
            },
            Fact::Unknown(why) => Outcome::unknown(why.clone()),
        };
        report = report.with(What::Image, seen.outcome).with(What::Platform, platform);
    }
    let mut report = report
        .with(What::Access, access::check(question, source, evidence, aws))
        .with(What::Role, role::check(question, aws))
        .with(What::Network, network::check(question, aws));
    if let Some(passing) = &aws.passing {
        report = report.with(What::PassRole, pass::check(passing, aws));
    }
    report.warnings = warnings(question, aws);
    report.unchecked = unchecked(image, &report);
    report
}

/// What was seen of the image.
struct Seen {
    outcome: Outcome,
    digest: Option<Digest>,
    platforms: Fact<Vec<Platform>>,
}

fn look(image: &Mapped, source: &SourceAnswer, evidence: &PullEvidence, aws: &AwsEvidence) -> Seen {
    let nothing = |outcome: Outcome| Seen {
        outcome,
        digest: None,
        platforms: Fact::Unknown("nobody could say what platforms it is for".to_owned()),
    };
    match (&aws.ecr, source) {
        (Some(EcrEvidence { image: Fact::Known(found), host, cache_rule, .. }), _) => {
            let place = format!("account {} in {}", host.account, host.region);
            match found {
                EcrImage::Found { digest, platforms, missing } => Seen {
                    outcome: whole(image, digest, missing, &place),
                    digest: Some(digest.clone()),
                    platforms: platforms.clone(),
                },
                EcrImage::NoRepository => {
                    nothing(unless_fetched(cache_rule, no_repository(image, host, &place), false))
                }
                EcrImage::NoImage { tags } => nothing(unless_fetched(cache_rule, no_image(image, tags, &place), true)),
            }
        }
        (_, SourceAnswer::Found(found)) => Seen {
            outcome: ours(image, found),
            digest: Some(found.digest.clone()),
            platforms: Fact::Known(found.platforms.clone()),
        },
        (Some(EcrEvidence { image: Fact::Unknown(why), .. }), _) => {
            nothing(Outcome::unknown(format!("ECR was not asked about it: {why}")))
        }
        (None, _) => elsewhere(image, evidence, &nothing),
    }
}

fn whole(image: &Mapped, digest: &Digest, missing: &Fact<Vec<Digest>>, place: &str) -> Outcome {
    let missing = match missing {
        Fact::Known(missing) => missing,
        Fact::Unknown(why) => {
            return Outcome::unknown(format!(
                "{place} has the manifest, as {digest}; its layers were not looked for: {why}"
            ));
        }
    };
    match missing.first() {
        None => Outcome::passed(format!("{place} has it with every layer, as {digest}")),
        Some(first) => Outcome::failed(
            FailureClass::ImageNotFound,
            format!(
                "`{}` is not complete in {place}: it lacks {} of its layers, the first is {first}",
                image.backing,
                missing.len()
            ),
            format!("push it again: `docker push {}`", pushable(&image.backing)),
        ),
    }
}

fn no_repository(image: &Mapped, host: &EcrHost, place: &str) -> Outcome {
    let path = image.backing.path();
    Outcome::failed(
        FailureClass::ImageNotFound,
        format!("`{}`: {place} has no repository `{path}`", image.written),
        format!(
            "create it in account {}: `aws ecr create-repository --repository-name {path} --region {}`, then `docker push {}`",
            host.account,
            host.region,
            pushable(&image.backing)
        ),
    )
}

fn no_image(image: &Mapped, tags: &Fact<Vec<String>>, place: &str) -> Outcome {
    let asked = match image.backing.digest() {
        Some(digest) => digest.to_string(),
        None => image.backing.tag().unwrap_or("latest").to_owned(),
    };
    let has = match tags {
        Fact::Known(tags) if tags.is_empty() => "it holds no image with a tag".to_owned(),
        Fact::Known(tags) => format!("it has {}", tags.join(", ")),
        Fact::Unknown(why) => format!("what it has is not known: {why}"),
    };
    Outcome::failed(
        FailureClass::ImageNotFound,
        format!("`{}`: repository `{}` of {place} has no `{asked}` ({has})", image.written, image.backing.path()),
        format!("push it: `docker push {}`", pushable(&image.backing)),
    )
}

/// What is said of an image that is not there: nothing for certain where ECR fetches it when it is pulled. The registry that it comes
/// from is asked by nobody before. The rights for it may be given by the registry's policy too, whatever that is good for else (ECR user
/// guide, "IAM permissions required to sync an upstream registry").
fn unless_fetched(rule: &Fact<Option<CacheRule>>, failed: Outcome, has_repository: bool) -> Outcome {
    match (rule, failed) {
        (Fact::Known(Some(CacheRule { prefix, upstream })), Outcome::Failed { evidence, .. }) => {
            let creates = if has_repository { "" } else { " and ecr:CreateRepository" };
            Outcome::unknown(format!(
                "{evidence}, but the pull-through cache rule `{prefix}` fetches it from {upstream} when it is first pulled; that it is there, and that the role may do ecr:BatchImportUpstreamImage{creates}, was not looked at"
            ))
        }
        (Fact::Unknown(why), Outcome::Failed { class, evidence, remedy }) => Outcome::Failed {
            class,
            evidence: format!("{evidence}; whether a pull-through cache rule would fetch it is not known: {why}"),
            remedy,
        },
        (_, other) => other,
    }
}

/// An image of a registry that is not ECR: of that the engine may have asked, as anybody may.
fn elsewhere(image: &Mapped, evidence: &PullEvidence, nothing: &dyn Fn(Outcome) -> Seen) -> Seen {
    match &evidence.remote {
        Some(RemoteImage::Found { digest, platforms }) => Seen {
            outcome: Outcome::passed(format!("its registry has it, as {digest}")),
            digest: Some(digest.clone()),
            platforms: Fact::Known(platforms.clone()),
        },
        Some(RemoteImage::NotFound) => nothing(Outcome::Failed {
            class: FailureClass::ImageNotFound,
            evidence: format!("its registry has no image `{}`", image.backing),
            remedy: None,
        }),
        Some(RemoteImage::Denied) => nothing(Outcome::unknown("its registry shows it to nobody without a credential")),
        Some(RemoteImage::Unreachable { message }) => {
            nothing(Outcome::unknown(format!("its registry could not be asked: {message}")))
        }
        None => nothing(Outcome::unknown("it is not an image of ECR, and its registry was not asked")),
    }
}

fn platform(image: &Mapped, platforms: &[Platform], wanted: &Platform) -> Outcome {
    match platform_check(&image.written, platforms, wanted) {
        Outcome::Failed { class, .. } => {
            let has: Vec<String> = platforms.iter().map(ToString::to_string).collect();
            let or = match platforms.iter().find_map(architecture) {
                Some(architecture) => {
                    format!(
                        ", or ask for what it has: `\"runtimePlatform\": {{\"cpuArchitecture\": \"{architecture}\"}}`"
                    )
                }
                None => String::new(),
            };
            Outcome::failed(
                class,
                format!("`{}` is for {}, the task asks for {wanted}", image.written, has.join(", ")),
                format!(
                    "build and push it for this platform: `docker buildx build --platform {wanted} --push -t {} .`{or}",
                    pushable(&image.backing)
                ),
            )
        }
        other => other,
    }
}

/// ECS's word for the architecture of a Linux image.
fn architecture(platform: &Platform) -> Option<&'static str> {
    match (platform.os.as_str(), platform.architecture.as_str()) {
        ("linux", "amd64") => Some("X86_64"),
        ("linux", "arm64") => Some("ARM64"),
        _ => None,
    }
}

fn warnings(question: &PullQuestion, aws: &AwsEvidence) -> Vec<String> {
    let mut all = Vec::new();
    let image = &question.image;
    if let Some(ecr) = &aws.ecr
        && ecr.host.region != aws.puller.region
        && ecr.host.partition() == partition_of(&aws.puller.region)
    {
        all.push(format!(
            "`{image}` is in {}, the tasks run in {}: every pull is traffic between regions that is paid for, and the VPC's endpoints do not lead there",
            ecr.host.region, aws.puller.region
        ));
    }
    if aws.ecr.is_some() && question.uses.repository_credentials.is_some() {
        all.push(format!(
            "`{image}` is in ECR, where `repositoryCredentials` are of no use; take them out of the definition"
        ));
    }
    all
}

fn unchecked(image: &Mapped, report: &Report) -> Option<String> {
    let unknown: Vec<String> = report
        .checks
        .iter()
        .filter_map(|check| match &check.outcome {
            Outcome::Unknown { why } => Some(format!("{} ({why})", check.what.as_str())),
            Outcome::Passed { .. } | Outcome::Failed { .. } => None,
        })
        .collect();
    (!unknown.is_empty()).then(|| format!("not checked of `{}`: {}", image.written, unknown.join(", ")))
}
