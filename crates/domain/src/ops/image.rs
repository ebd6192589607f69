//! Images: what a name becomes, and what a service or task is pinned to.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::{Ctx, OpsError, RegistryAddresses};
use crate::model::backing::BackingPlace;
use crate::model::deploy::Deploy;
use crate::model::digest::Digest;
use crate::model::entity::EntityKind;
use crate::model::failure::Failure;
use crate::model::id::EnvironmentId;
use crate::model::image::{ImageRef, RepositoryName};
use crate::model::image_map::Mapped;
use crate::model::registry::{Platform, Visibility};
use crate::model::service::{Deployment, PinnedImage};
use crate::model::task_definition::{RuntimePlatform, TaskDefinition};
use crate::plan::pull_check::{self, Passed, Report};
use crate::port::engine::EngineError;
use crate::port::image_source::SourceAnswer;
use crate::port::pull::{Age, AnsweredBy, Launch, PullEvidence, PullQuestion, StartUses};
use crate::port::store::{Entity, Holder, Store, StoreError};

/// The steps from a friendly name to what the engine pulls.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// The name, the rule and the result.
    pub mapped: Mapped,
    /// What the registry of ours says.
    pub source: SourceAnswer,
    /// What the engine says; `None` when it does not answer.
    pub evidence: Option<PullEvidence>,
    /// What the pull check comes to.
    pub report: Report,
}

/// For what an image is checked. What is left out is what the engine takes when nothing is said.
#[derive(Debug, Clone, Default)]
pub struct CheckFor {
    /// Where it is to run.
    pub environment: Option<EnvironmentId>,
    /// On what: a task's `runtimePlatform`.
    pub platform: Option<Platform>,
    /// On whose machines.
    pub launch: Launch,
}

/// Whether what is to run is checked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullCheck {
    /// It is, and not started when it can't be pulled.
    #[default]
    Made,
    /// The user wants it started without: only rights are looked at, and images of our registry pinned.
    Skipped,
}

/// Where and how a deploy is to run, as far as pulling its images is concerned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    /// Where.
    pub(super) environment: &'a EnvironmentId,
    /// On whose machines.
    pub(super) launch: Launch,
    /// Whether it is checked first.
    pub(super) check: PullCheck,
}

/// Resolves one image by the map in force.
///
/// # Errors
/// `Mapping` when the result is no legal image; `Store`, `ImageSource`, `Engine` when they can't be asked.
pub async fn image_resolve(ctx: &Ctx<'_>, image: &ImageRef) -> Result<Resolution, OpsError> {
    image_check(ctx, image, CheckFor::default()).await
}

/// Makes the pull check of one image by the map in force, for what runs in an environment where one is named.
///
/// # Errors
/// As [`image_resolve`]; `Missing` environment. An image that does not pass is no error; the report says so.
pub async fn image_check(ctx: &Ctx<'_>, image: &ImageRef, wanted: CheckFor) -> Result<Resolution, OpsError> {
    if let Some(environment) = &wanted.environment {
        ctx.environment(environment).await?;
    }
    let mapped = ctx.located(ctx.image_map().await?.apply(image).map_err(OpsError::Mapping)?).await?;
    let question = PullQuestion {
        environment: wanted.environment,
        platform: wanted.platform,
        launch: wanted.launch,
        ..PullQuestion::about(mapped.backing.clone(), AnsweredBy::Registry)
    };
    check(ctx, mapped, question).await
}

async fn check(ctx: &Ctx<'_>, mapped: Mapped, mut question: PullQuestion) -> Result<Resolution, OpsError> {
    let source = describe(ctx, &mapped.backing).await?;
    question.repository = ctx.registry.places.repository_of(&mapped.backing).map(|(_, repository)| repository);
    question.registry = match source {
        SourceAnswer::NotOurs => AnsweredBy::Registry,
        SourceAnswer::Found(_) if ctx.registry.engine_asks(&mapped.backing) => AnsweredBy::Registry,
        SourceAnswer::Found(_)
        | SourceAnswer::NoRepository
        | SourceAnswer::NoImage { .. }
        | SourceAnswer::Denied
        | SourceAnswer::Withheld { .. } => AnsweredBy::Us,
    };
    let evidence = match ctx.engine.pull_evidence(&question).await {
        Ok(evidence) => Some(evidence),
        Err(EngineError::Unavailable { .. } | EngineError::Throttled { .. }) => None,
        Err(why) => return Err(why.into()),
    };
    let report = pull_check::judge(&mapped, &source, &question, evidence.as_ref());
    Ok(Resolution { mapped, source, evidence, report })
}

/// A check that may use facts of the last minute, unless they forbid the start: what is bad may have been mended since. What is
/// not known was looked for now, whatever the age of the rest.
async fn check_before_start(ctx: &Ctx<'_>, mapped: &Mapped, question: PullQuestion) -> Result<Resolution, OpsError> {
    let checked = check(ctx, mapped.clone(), question.clone()).await?;
    let is_of_now = checked.evidence.as_ref().and_then(|it| it.aws.as_ref()).is_none_or(|aws| aws.is_of_now);
    if is_of_now || checked.report.verdict().is_ok() {
        return Ok(checked);
    }
    check(ctx, mapped.clone(), PullQuestion { age: Age::Now, ..question }).await
}

/// What the registry of ours says to the caller: whoever may not pull an image may not run it either, and learns nothing
/// about it.
async fn describe(ctx: &Ctx<'_>, image: &ImageRef) -> Result<SourceAnswer, OpsError> {
    // Before the source is asked, which may have to ask an upstream where each question counts.
    if let Some(repository) = ctx.registry.repository_of(image)
        && !ctx.caller.rights.may_pull(&repository, Visibility::Private)
        && !ctx.caller.rights.may_pull(&repository, ctx.images.visibility_of(&repository).await?)
    {
        return Ok(SourceAnswer::Denied);
    }
    let source = ctx.images.describe(image).await?;
    Ok(if may_see(ctx, image, &source) { source } else { SourceAnswer::Denied })
}

/// Pins an image as far as that goes without asking the engine. That the caller may not pull it stays a refusal.
async fn unchecked(ctx: &Ctx<'_>, mapped: Mapped, question: PullQuestion) -> Result<Result<Passed, Failure>, OpsError> {
    let source = describe(ctx, &mapped.backing).await?;
    let pinned = match &source {
        SourceAnswer::Denied => return Ok(pull_check::judge(&mapped, &source, &question, None).verdict()),
        SourceAnswer::Found(found) => mapped.backing.with_digest(found.digest.clone()),
        SourceAnswer::NoRepository
        | SourceAnswer::NoImage { .. }
        | SourceAnswer::NotOurs
        | SourceAnswer::Withheld { .. } => mapped.backing.clone(),
    };
    let warning = format!("`{}` was not checked: the pull check was skipped", mapped.written);
    Ok(Ok(Passed { pinned, warning: Some(warning) }))
}

fn may_see(ctx: &Ctx<'_>, image: &ImageRef, source: &SourceAnswer) -> bool {
    let visibility = match source {
        SourceAnswer::NotOurs => return true,
        SourceAnswer::Found(found) => found.visibility,
        SourceAnswer::NoImage { visibility, .. } => *visibility,
        SourceAnswer::NoRepository | SourceAnswer::Denied => Visibility::Private,
        // Whoever may not pull was refused before the other registry was asked.
        SourceAnswer::Withheld { .. } => return true,
    };
    match ctx.registry.repository_of(image) {
        Some(repository) => ctx.caller.rights.may_pull(&repository, visibility),
        // No repository can have this name, which is no secret.
        None => true,
    }
}

/// What the user should know of a definition that is run so.
///
/// # Errors
/// `Invalid` when the definition shows that it can't be.
pub(super) fn launched(ctx: &Ctx<'_>, definition: &TaskDefinition, launch: Launch) -> Result<Vec<String>, OpsError> {
    match ctx.engine.refusal(definition, launch) {
        None => Ok(ctx.engine.warnings(definition, Some(launch))),
        Some(Failure { message, hint: Some(hint), .. }) => Err(OpsError::invalid_with(message, hint)),
        Some(failure) => Err(OpsError::invalid(failure.message)),
    }
}

/// Checks every image of a deploy and puts what passed into its definition.
///
/// # Errors
/// `PullCheck` with every image that did not pass.
pub(super) async fn deploy_pin(
    ctx: &Ctx<'_>,
    deploy: &Deploy,
    run: Run<'_>,
) -> Result<(Vec<PinnedImage>, TaskDefinition), OpsError> {
    let mut images = Vec::with_capacity(deploy.images.len());
    for image in &deploy.images {
        let mapped =
            Mapped { written: image.written.clone(), rule: image.rule.clone(), backing: image.backing.clone() };
        images.push((image.container.as_str(), ctx.located(mapped).await?));
    }
    pin(ctx, images, deploy.document.definition_with_document(), run).await
}

/// Checks every image of a deployment of before once more, by the digest that it ran.
///
/// # Errors
/// `PullCheck` with every image that did not pass.
pub(super) async fn deployment_pin(
    ctx: &Ctx<'_>,
    before: &Deployment,
    run: Run<'_>,
) -> Result<(Vec<PinnedImage>, TaskDefinition), OpsError> {
    let mut images = Vec::with_capacity(before.images.len());
    for image in &before.images {
        let mapped = Mapped { written: image.written.clone(), rule: None, backing: image.pinned.clone() };
        images.push((image.container.as_str(), ctx.located(mapped).await?));
    }
    pin(ctx, images, before.definition.clone(), run).await
}

async fn pin(
    ctx: &Ctx<'_>,
    images: Vec<(&str, Mapped)>,
    mut definition: TaskDefinition,
    run: Run<'_>,
) -> Result<(Vec<PinnedImage>, TaskDefinition), OpsError> {
    let checks = images.iter().map(|(container, mapped)| {
        let question = question(&definition, container, &mapped.backing, run);
        async move {
            match run.check {
                PullCheck::Made => Ok(check_before_start(ctx, mapped, question).await?.report.verdict()),
                PullCheck::Skipped => unchecked(ctx, mapped.clone(), question).await,
            }
        }
    });
    let mut pinned = Vec::new();
    let mut failures: Vec<(ImageRef, Failure)> = Vec::new();
    for ((container, mapped), verdict) in images.iter().zip(join_all(checks).await) {
        let verdict: Result<Passed, Failure> = verdict?;
        match verdict {
            Ok(passed) => pinned.push(PinnedImage {
                container: (*container).to_owned(),
                written: mapped.written.clone(),
                pinned: passed.pinned,
                warning: passed.warning,
            }),
            Err(failure) if failures.iter().any(|(known, _)| *known == mapped.written) => drop(failure),
            Err(failure) => failures.push((mapped.written.clone(), failure)),
        }
    }
    if !failures.is_empty() {
        return Err(OpsError::PullCheck { failures });
    }
    for container in &mut definition.containers {
        if let Some(image) = pinned.iter().find(|image| image.container == container.name) {
            container.image = image.pinned.to_string();
        }
    }
    Ok((pinned, definition))
}

/// What is asked about the image of one container.
fn question(definition: &TaskDefinition, container: &str, backing: &ImageRef, run: Run<'_>) -> PullQuestion {
    PullQuestion {
        image: backing.clone(),
        repository: None,
        registry: AnsweredBy::Registry,
        environment: Some(run.environment.clone()),
        platform: definition.runtime_platform.as_ref().map(RuntimePlatform::platform),
        execution_role: definition.execution_role_arn.clone(),
        task_role: definition.task_role_arn.clone(),
        launch: run.launch,
        uses: definition.container(container).map(|it| StartUses::of(definition, it)).unwrap_or_default(),
        age: Age::Recent,
    }
}

/// Who runs, or would go back to, images of a repository of ours: services by their wanted and their fallback deployment,
/// and tasks that have not ended. With a digest, only who needs that very image.
///
/// # Errors
/// `Store`.
pub async fn image_holders(
    ctx: &Ctx<'_>,
    repository: &RepositoryName,
    digest: Option<&Digest>,
) -> Result<Vec<Holder>, OpsError> {
    holders(ctx, |image| {
        ctx.registry.repository_of(image).as_ref() == Some(repository)
            && digest.is_none_or(|digest| image.digest() == Some(digest))
    })
    .await
}

/// Who runs an image of a repository as it lies in one backing: `place` is `None` for the embedded registry.
///
/// # Errors
/// `Store`.
pub async fn image_holders_in(
    ctx: &Ctx<'_>,
    repository: &RepositoryName,
    place: Option<&BackingPlace>,
) -> Result<Vec<Holder>, OpsError> {
    holders(ctx, |image| {
        ctx.registry.repository_of(image).as_ref() == Some(repository)
            && match place {
                Some(place) => place.repository_of(image).is_some(),
                None => ctx.registry.places.repository_of(image).is_none(),
            }
    })
    .await
}

/// What runs of a repository, with the names of services and tasks in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pinned {
    /// By its digest.
    pub digests: BTreeMap<Digest, Vec<String>>,
    /// By its tag alone, since it was not there yet when it was deployed without a pull check.
    pub tags: BTreeMap<String, Vec<String>>,
}

/// What services and tasks run of our registry, or would go back to, by repository.
///
/// # Errors
/// The store's.
pub async fn images_pinned(
    store: &dyn Store,
    registry: &RegistryAddresses,
) -> Result<BTreeMap<RepositoryName, Pinned>, StoreError> {
    let mut pinned: BTreeMap<RepositoryName, Pinned> = BTreeMap::new();
    for kind in [EntityKind::Service, EntityKind::Task] {
        for entity in store.entity_list(kind).await? {
            let (word, images) = match &entity {
                Entity::Service(it) => {
                    let before = it.ways_back().flat_map(|it| &it.images);
                    ("service", it.wanted().images.iter().chain(before).collect())
                }
                Entity::Task(it) if it.outcome.is_none() => ("task", it.images.iter().collect()),
                Entity::Task(_) | Entity::Environment(_) | Entity::LoadBalancer(_) => ("", Vec::new()),
            };
            for PinnedImage { pinned: image, .. } in images {
                let Some(repository) = registry.repository_of(image) else { continue };
                let of_it = pinned.entry(repository).or_default();
                let by = match (image.digest(), image.tag_or_default()) {
                    (Some(digest), _) => of_it.digests.entry(digest.clone()).or_default(),
                    (None, Some(tag)) => of_it.tags.entry(tag.to_owned()).or_default(),
                    (None, None) => continue,
                };
                let name = format!("{word} {}", entity.name());
                if !by.contains(&name) {
                    by.push(name);
                }
            }
        }
    }
    Ok(pinned)
}

async fn holders(ctx: &Ctx<'_>, wanted: impl Fn(&ImageRef) -> bool) -> Result<Vec<Holder>, OpsError> {
    let needs = |images: &[PinnedImage]| images.iter().any(|image| wanted(&image.pinned));
    let mut holders = Vec::new();
    for kind in [EntityKind::Service, EntityKind::Task] {
        for entity in ctx.store.entity_list(kind).await? {
            let held = match &entity {
                Entity::Service(it) => needs(&it.wanted().images) || it.ways_back().any(|it| needs(&it.images)),
                Entity::Task(it) => it.outcome.is_none() && needs(&it.images),
                Entity::Environment(_) | Entity::LoadBalancer(_) => false,
            };
            if held {
                holders.push(Holder { entity: entity.reference(), name: entity.name().to_string() });
            }
        }
    }
    Ok(holders)
}
