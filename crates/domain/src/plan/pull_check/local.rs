//! The checks for an engine on this machine: it is given a credential for each pull, and has the machine's network.

use super::{Outcome, Report, What, platform_check, pushable};
use crate::model::failure::FailureClass;
use crate::model::image::{ImageRef, RepositoryName};
use crate::model::image_map::Mapped;
use crate::port::image_source::{SourceAnswer, SourceImage};
use crate::port::pull::{LocalImage, PullEvidence, PullQuestion, RemoteImage};

pub(super) fn judge(
    image: &Mapped,
    source: &SourceAnswer,
    question: &PullQuestion,
    engine: Option<&PullEvidence>,
) -> Report {
    let repository = question.repository.as_ref();
    let report = Report::new(image.backing.clone());
    let nothing_there = || Outcome::unknown("there is no image to look at");
    match (source, engine) {
        (SourceAnswer::Found(found), engine) => judge_ours(image, found, engine),
        (SourceAnswer::NoRepository, _) => {
            report.with(What::Image, no_repository(image, repository)).with(What::Platform, nothing_there())
        }
        (SourceAnswer::NoImage { tags, .. }, _) => {
            report.with(What::Image, no_image(image, repository, tags)).with(What::Platform, nothing_there())
        }
        (SourceAnswer::Denied, _) => {
            let hidden = || Outcome::unknown("you may not see it");
            report
                .with(What::Image, hidden())
                .with(What::Platform, hidden())
                .with(What::Access, denied(image, repository))
        }
        (SourceAnswer::Withheld { said }, _) => report
            .with(What::Image, Outcome::unknown("the mirrored registry did not show it"))
            .with(What::Platform, nothing_there())
            .with(What::Access, withheld(image, said)),
        (SourceAnswer::NotOurs, Some(engine)) => judge_foreign(image, engine),
        (SourceAnswer::NotOurs, None) => {
            let away = || Outcome::unknown("the engine does not answer");
            let mut report = report.with(What::Image, away()).with(What::Platform, away()).with(What::Access, away());
            report.warnings.push(format!("`{}` was not checked: the engine does not answer", image.backing));
            report
        }
    }
}

fn judge_ours(image: &Mapped, found: &SourceImage, engine: Option<&PullEvidence>) -> Report {
    let mut report = Report::new(image.backing.with_digest(found.digest.clone()));
    let platform = match engine {
        Some(engine) => platform_check(&image.written, &found.platforms, &engine.platform),
        None => {
            report
                .warnings
                .push(format!("the platform of `{}` was not checked: the engine does not answer", image.written));
            Outcome::unknown("the engine does not answer")
        }
    };
    report
        .with(What::Image, ours(image, found))
        .with(What::Platform, platform)
        .with(What::Access, Outcome::passed("the engine gets a credential for this pull alone"))
}

/// Whether an image of ours is whole.
pub(super) fn ours(image: &Mapped, found: &SourceImage) -> Outcome {
    match found.missing.first() {
        None => Outcome::passed(format!("the registry has it whole, as {}", found.digest)),
        Some(first) => Outcome::failed(
            FailureClass::ImageNotFound,
            format!(
                "`{}` is not complete in the registry: it lacks {} of its parts, the first is {first}",
                image.written,
                found.missing.len(),
            ),
            "push the image again",
        ),
    }
}

fn judge_foreign(image: &Mapped, engine: &PullEvidence) -> Report {
    let backing = &image.backing;
    let unseen = || Outcome::unknown("its registry did not show it");
    let (there, access) = match &engine.remote {
        Some(RemoteImage::Found { digest, platforms }) => {
            return Report::new(backing.with_digest(digest.clone()))
                .with(What::Image, Outcome::passed(format!("its registry has it, as {digest}")))
                .with(What::Platform, platform_check(&image.written, platforms, &engine.platform))
                .with(What::Access, Outcome::passed("its registry lets the engine in"));
        }
        Some(RemoteImage::NotFound) | None => (
            Outcome::Failed {
                class: FailureClass::ImageNotFound,
                evidence: format!("the engine finds no image `{backing}`"),
                remedy: None,
            },
            unseen(),
        ),
        Some(RemoteImage::Denied) => (
            unseen(),
            Outcome::Failed {
                class: FailureClass::PullDenied,
                evidence: format!("the registry of `{backing}` does not let the engine in, or has no such image"),
                remedy: None,
            },
        ),
        Some(RemoteImage::Unreachable { message }) => (
            unseen(),
            Outcome::failed(
                FailureClass::PullDenied,
                format!("the engine can't reach the registry of `{backing}`: {message}"),
                "check the name; an image that the engine does not have yet can only come from a registry that it reaches",
            ),
        ),
    };
    match &engine.local {
        Some(local) => lies_there(image, local, engine, there, access),
        None => Report::new(backing.clone())
            .with(What::Image, there)
            .with(What::Platform, Outcome::unknown("there is no image to look at"))
            .with(What::Access, access),
    }
}

/// An image that lies on the engine is used as it lies there when its registry does not give it.
fn lies_there(image: &Mapped, local: &LocalImage, engine: &PullEvidence, there: Outcome, access: Outcome) -> Report {
    let backing = &image.backing;
    let warning = match (&there, &access) {
        (Outcome::Failed { .. }, _) => {
            format!("`{backing}` is only on this machine's engine, in no registry: it is used as it is there")
        }
        (_, Outcome::Failed { evidence, .. }) => {
            format!("`{backing}` is used as it lies on this machine's engine: {evidence}")
        }
        (Outcome::Passed { .. } | Outcome::Unknown { .. }, Outcome::Passed { .. } | Outcome::Unknown { .. }) => {
            format!("`{backing}` is used as it lies on this machine's engine")
        }
    };
    let mut report = Report::new(local_pin(image, local))
        .with(What::Image, Outcome::passed("it lies on this machine's engine"))
        .with(What::Platform, platform_check(&image.written, std::slice::from_ref(&local.platform), &engine.platform))
        .with(What::Access, Outcome::passed("nothing has to be pulled"));
    report.warnings.push(warning);
    report
}

/// A local image that was once pulled is pinned to the digest it was pulled by; one that was built there has none.
fn local_pin(image: &Mapped, local: &LocalImage) -> ImageRef {
    let key = image.backing.repository();
    local.repo_digests.iter().find(|pulled| pulled.repository() == key).unwrap_or(&image.backing).clone()
}

/// The repository's name here, and how it is pushed to: where it lies in ECR, by its name here too, and not by its address there.
fn friendly(image: &Mapped, repository: Option<&RepositoryName>) -> (String, String) {
    match repository {
        Some(repository) => (repository.to_string(), pushable(&image.written)),
        None => (image.backing.path().to_owned(), pushable(&image.backing)),
    }
}

fn no_repository(image: &Mapped, repository: Option<&RepositoryName>) -> Outcome {
    let (repository, pushed) = friendly(image, repository);
    Outcome::failed(
        FailureClass::ImageNotFound,
        format!("`{}`: there is no repository `{repository}`", image.written),
        format!("create it and push: `l0 repository create {repository}`, then `docker push {pushed}`"),
    )
}

fn denied(image: &Mapped, repository: Option<&RepositoryName>) -> Outcome {
    let (repository, _) = friendly(image, repository);
    Outcome::failed(
        FailureClass::PullDenied,
        format!("`{}`: you may not pull from `{repository}`", image.written),
        "have a maintainer of its owner let you in (`l0 member add`), or use a token whose scopes cover it",
    )
}

fn withheld(image: &Mapped, said: &str) -> Outcome {
    Outcome::failed(
        FailureClass::PullDenied,
        format!("`{}`: {said}", image.written),
        "check the name; where the image is private there, have an admin give the mirror a login",
    )
}

fn no_image(image: &Mapped, repository: Option<&RepositoryName>, tags: &[String]) -> Outcome {
    let (repository, pushed) = friendly(image, repository);
    let asked = match image.backing.digest() {
        Some(digest) => digest.to_string(),
        None => image.backing.tag().unwrap_or("latest").to_owned(),
    };
    let has = if tags.is_empty() { "it holds no image".to_owned() } else { format!("it has {}", tags.join(", ")) };
    Outcome::failed(
        FailureClass::ImageNotFound,
        format!("`{}`: the repository `{repository}` has no `{asked}` ({has})", image.written),
        format!("push it: `docker push {pushed}`"),
    )
}
