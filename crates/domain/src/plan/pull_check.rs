//! The pull check: the proof, before anything starts, that the engine will be able to pull an image.
//!
//! The facts are gathered by the image source (a registry of ours) and by the engine; what they come to is decided here.

use crate::model::failure::{Failure, FailureClass};
use crate::model::image::ImageRef;
use crate::model::image_map::Mapped;
use crate::model::registry::Platform;
use crate::port::engine::{LocalImage, PullEvidence, RemoteImage};
use crate::port::image_source::{SourceAnswer, SourceImage};

/// An image that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// What the engine is to pull: by digest, but for an image that is only on the engine itself.
    pub pinned: ImageRef,
    /// What the user should know.
    pub warning: Option<String>,
}

impl Passed {
    fn clean(pinned: ImageRef) -> Self {
        Self { pinned, warning: None }
    }
}

/// Judges one image. `engine` is `None` when the engine does not answer; then what only it knows is left unchecked, and
/// the warning says so.
///
/// # Errors
/// The reason why it could not be pulled, with the next step.
pub fn judge(image: &Mapped, source: &SourceAnswer, engine: Option<&PullEvidence>) -> Result<Passed, Failure> {
    match (source, engine) {
        (SourceAnswer::Found(found), engine) => judge_ours(image, found, engine),
        (SourceAnswer::NoRepository, _) => Err(no_repository(image)),
        (SourceAnswer::NoImage { tags, .. }, _) => Err(no_image(image, tags)),
        (SourceAnswer::Denied, _) => Err(denied(image)),
        (SourceAnswer::NotOurs, Some(engine)) => judge_foreign(image, engine),
        (SourceAnswer::NotOurs, None) => Ok(Passed {
            pinned: image.backing.clone(),
            warning: Some(format!("`{}` was not checked: the engine does not answer", image.backing)),
        }),
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

fn judge_ours(image: &Mapped, found: &SourceImage, engine: Option<&PullEvidence>) -> Result<Passed, Failure> {
    if !found.missing.is_empty() {
        let mut failure = Failure::new(
            FailureClass::ImageNotFound,
            format!(
                "`{}` is not complete in the registry: {} of its parts are missing, the first is {}",
                image.written,
                found.missing.len(),
                found.missing[0]
            ),
        );
        failure.hint = Some("push the image again".to_owned());
        return Err(failure);
    }
    let pinned = image.backing.with_digest(found.digest.clone());
    match engine {
        Some(engine) => {
            platform_fits(&image.written, &found.platforms, &engine.platform)?;
            Ok(Passed::clean(pinned))
        }
        None => Ok(Passed {
            pinned,
            warning: Some(format!("the platform of `{}` was not checked: the engine does not answer", image.written)),
        }),
    }
}

fn judge_foreign(image: &Mapped, engine: &PullEvidence) -> Result<Passed, Failure> {
    let refused = match &engine.remote {
        Some(RemoteImage::Found { digest, platforms }) => {
            platform_fits(&image.written, platforms, &engine.platform)?;
            return Ok(Passed::clean(image.backing.with_digest(digest.clone())));
        }
        Some(RemoteImage::NotFound) | None => {
            Failure::new(FailureClass::ImageNotFound, format!("the engine finds no image `{}`", image.backing))
        }
        Some(RemoteImage::Denied) => Failure::new(
            FailureClass::PullDenied,
            format!("the registry of `{}` does not let the engine in, or has no such image", image.backing),
        ),
        Some(RemoteImage::Unreachable { message }) => {
            let mut failure = Failure::new(
                FailureClass::PullDenied,
                format!("the engine can't reach the registry of `{}`: {message}", image.backing),
            );
            failure.hint = Some(
                "check the name; an image that the engine does not have yet can only come from a registry that it reaches"
                    .to_owned(),
            );
            failure
        }
    };
    let Some(local) = &engine.local else {
        return Err(refused);
    };
    platform_fits(&image.written, std::slice::from_ref(&local.platform), &engine.platform)?;
    Ok(Passed { pinned: local_pin(image, local), warning: Some(local_warning(image, &refused)) })
}

/// A local image that was once pulled is pinned to the digest it was pulled by; one that was built there has none.
fn local_pin(image: &Mapped, local: &LocalImage) -> ImageRef {
    let key = image.backing.repository();
    local.repo_digests.iter().find(|pulled| pulled.repository() == key).unwrap_or(&image.backing).clone()
}

fn local_warning(image: &Mapped, refused: &Failure) -> String {
    match refused.class {
        FailureClass::ImageNotFound => {
            format!("`{}` is only on this machine's engine, in no registry: it is used as it is there", image.backing)
        }
        _ => format!("`{}` is used as it lies on this machine's engine: {}", image.backing, refused.message),
    }
}

fn platform_fits(written: &ImageRef, platforms: &[Platform], engine: &Platform) -> Result<(), Failure> {
    if platforms.is_empty() || platforms.iter().any(|has| runs_on(has, engine)) {
        return Ok(());
    }
    let has: Vec<String> = platforms.iter().map(ToString::to_string).collect();
    let mut failure = Failure::new(
        FailureClass::WrongArchitecture,
        format!("`{written}` is for {}, the engine runs {engine}", has.join(", ")),
    );
    failure.hint = Some(format!("build and push it for this platform: `docker buildx build --platform {engine} …`"));
    Err(failure)
}

fn no_repository(image: &Mapped) -> Failure {
    let repository = image.backing.path();
    let mut failure = Failure::new(
        FailureClass::ImageNotFound,
        format!("`{}`: there is no repository `{repository}`", image.written),
    );
    failure.hint = Some(format!(
        "create it and push: `l0 repository create {repository}`, then `docker push {}`",
        pushable(&image.backing)
    ));
    failure
}

fn denied(image: &Mapped) -> Failure {
    let repository = image.backing.path();
    let mut failure =
        Failure::new(FailureClass::PullDenied, format!("`{}`: you may not pull from `{repository}`", image.written));
    failure.hint = Some(
        "have a maintainer of its owner let you in (`l0 member add`), or use a token whose scopes cover it".to_owned(),
    );
    failure
}

fn no_image(image: &Mapped, tags: &[String]) -> Failure {
    let asked = match image.backing.digest() {
        Some(digest) => digest.to_string(),
        None => image.backing.tag().unwrap_or("latest").to_owned(),
    };
    let has = if tags.is_empty() { "it holds no image".to_owned() } else { format!("it has {}", tags.join(", ")) };
    let mut failure = Failure::new(
        FailureClass::ImageNotFound,
        format!("`{}`: the repository `{}` has no `{asked}` ({has})", image.written, image.backing.path()),
    );
    failure.hint = Some(format!("push it: `docker push {}`", pushable(&image.backing)));
    failure
}

fn pushable(backing: &ImageRef) -> String {
    format!("{}:{}", backing.repository(), backing.tag().unwrap_or("latest"))
}

#[cfg(test)]
mod tests;
