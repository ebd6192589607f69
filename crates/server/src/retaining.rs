//! Images that go by the rules of their owners.
//!
//! Each repository is looked at, decided about and acted on by itself. What runs is read before the images are: whoever pins a digest
//! afterwards has just seen its manifest, and may lose it only when it had no tag that is kept. The store compares once more in the unit
//! of work that deletes, so that whatever is pushed meanwhile stays. A run that was cut off is begun again.

use futures_util::future::join_all;
use layer0_api::types as wire;
use layer0_domain::model::audit::{AuditRecord, PART_MAX};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::owner::{Owner, OwnerName};
use layer0_domain::model::retention::{ImageTag, Retiring};
use layer0_domain::model::time::Timestamp;
use layer0_domain::ops::image::images_pinned;
use layer0_domain::plan::retention::{Held, Round, Wanted, plan};
use layer0_domain::port::registry_store::{Page, RegistryStoreError};
use layer0_registry::{Collection, Haste, Pace};
use tokio::time::Instant;

use crate::app::App;
use crate::clock_watch::{self, Clock};
use crate::error::chain;
use crate::text_time::rfc3339;

/// Tags and manifests that one unit of work compares, deletes and writes down: the store's writer is kept from pushes for a few
/// milliseconds.
const BATCH: usize = 200;

/// Who stands in the audit log for it.
const WHO: &str = "retention";

/// What went, or would go, and what stays only because something needs it.
#[derive(Default)]
pub(crate) struct Retained {
    pub(crate) going: Vec<wire::RetiredImage>,
    pub(crate) held: Vec<wire::HeldImage>,
}

impl Retained {
    /// Notes that nothing (more) goes of these repositories.
    fn passed_over(&mut self, repositories: &str, why: &(dyn std::error::Error + 'static)) {
        tracing::error!(
            error = chain(why),
            repository.name = repositories,
            "retention rules could not be applied to {repositories}: its images stay until this is mended"
        );
        let because = "it could not be read or changed: the log of the server says why";
        self.held.push(all_held(repositories, because));
    }
}

/// Goes through the repositories of all owners that have rules; through none while the clock is doubted. One that fails is passed over, with a line in the log and one in the
/// answer: what can't be read keeps its images, and holds up neither the others nor the collection of blobs that comes after.
pub(crate) async fn retain(app: &App, collection: Collection, haste: Haste, clock: Clock) -> Retained {
    let mut retained = Retained::default();
    let owners = match app.access.owner_list().await {
        Ok(owners) => owners,
        Err(why) => {
            retained.passed_over("*", &why);
            Vec::new()
        }
    };
    let owners: Vec<Owner> =
        owners.into_iter().map(|it| it.owner).filter(|owner| !owner.retention.is_empty()).collect();
    // Without rules nothing is judged; what an admin says of the clock is kept all the same.
    if owners.is_empty() && clock == Clock::Watched {
        return retained;
    }
    let now = match clock_watch::judge(app, collection, clock).await {
        Ok(Ok(now)) => now,
        Ok(Err(because)) => {
            tracing::warn!("no image goes by a retention rule: {because}");
            retained.held.push(all_held("*", &because));
            return retained;
        }
        Err(why) => {
            retained.passed_over("*", why.as_ref());
            return retained;
        }
    };
    let mut run = Run { app, collection, now, pace: Pace::new(haste), retained };
    for owner in owners {
        let repositories = match app.registry.repository_list(Some(owner.name.as_str()), Page::default()).await {
            Ok(repositories) => repositories,
            Err(why) => {
                run.retained.passed_over(&format!("{}/*", owner.name), &why);
                continue;
            }
        };
        for name in repositories.into_iter().map(|it| it.name) {
            if !owner.retention.iter().any(|rule| rule.repositories.matches(name.name())) {
                continue;
            }
            if let Err(why) = run.repository(&owner.name, &name).await {
                run.retained.passed_over(name.as_str(), &why);
            }
        }
    }
    run.retained
}

/// One run.
struct Run<'a> {
    app: &'a App,
    collection: Collection,
    /// What ages are reckoned by, from the first repository to the last.
    now: Timestamp,
    pace: Pace,
    retained: Retained,
}

impl Run<'_> {
    /// Decides about a repository, and lets go what goes.
    async fn repository(&mut self, owner: &OwnerName, name: &RepositoryName) -> Result<(), RegistryStoreError> {
        let app = self.app;
        let mut began = Instant::now();
        // A run takes hours where much is kept, and whoever takes a rule away wants it to end.
        let Some(owner) = owner_of(app, owner).await? else { return Ok(()) };
        let pinned = images_pinned(app.store.as_ref(), &app.identity.registry).await;
        let pinned = pinned.map_err(|why| RegistryStoreError::Failed { source: why.into() })?;
        let mut pinned = pinned.get(name).cloned().unwrap_or_default();
        let Some(images) = app.registry.images(name).await? else {
            if let Some(to) = app.registry.old_images(name).await? {
                let because = format!(
                    "it was moved to {to}, and its old images are still here: `l0 repository migration delete-source {name}`"
                );
                self.retained.held.push(all_held(name.as_str(), &because));
            }
            return Ok(());
        };
        let Owner { retention, tag_rules, .. } = &owner;
        for tag in &images.tags {
            if let Some(by) = pinned.tags.remove(&tag.name) {
                pinned.digests.entry(tag.digest.clone()).or_default().extend(by);
            }
        }
        let pinned = &pinned.digests;
        let wanted = Wanted { repository: name.name(), rules: retention, immutable: tag_rules, pinned };
        let decided = plan(wanted, &images, self.now);
        self.retained.held.extend(decided.held.iter().map(|(tag, why)| held(name, tag, why)));
        for round in decided.rounds() {
            let going = lines(name.as_str(), round);
            match self.collection {
                Collection::DryRun => self.retained.going.extend(going),
                Collection::Take => {
                    for (some, lines) in batches(&asked(round), &going) {
                        if owner_of(app, &owner.name).await?.is_none_or(|now| now.retention != *retention) {
                            return Ok(());
                        }
                        let went = take(app, name, &some, lines).await?;
                        self.retained.going.extend(some.of_what_went(&went, lines).into_iter().cloned());
                        self.pace.rest(began.elapsed()).await;
                        began = Instant::now();
                    }
                }
            }
        }
        self.pace.rest(began.elapsed()).await;
        Ok(())
    }
}

/// An owner with its rules as they are now.
async fn owner_of(app: &App, name: &OwnerName) -> Result<Option<Owner>, RegistryStoreError> {
    let found = app.access.owner_get(name).await;
    Ok(found.map_err(|why| RegistryStoreError::Failed { source: why.into() })?.map(|it| it.owner))
}

/// Lets a batch go, of which each has a line, and writes down what went.
async fn take(
    app: &App,
    name: &RepositoryName,
    asked: &Retiring,
    lines: &[wire::RetiredImage],
) -> Result<Retiring, RegistryStoreError> {
    let records: Vec<AuditRecord> = lines.iter().map(|line| record(app, line)).collect();
    if app.has_log_with_images {
        return app.registry.images_retire(name, asked, &records).await;
    }
    let went = app.registry.images_retire(name, asked, &[]).await?;
    // A kill between the two loses the lines, as for every change. They are handed over at once: the log writes many in one
    // transaction.
    join_all(asked.of_what_went(&went, &records).into_iter().map(|record| write_down(app, record))).await;
    Ok(went)
}

fn asked((tags, manifests): Round<'_>) -> Retiring {
    Retiring {
        tags: tags.iter().map(|(tag, _)| tag.clone()).collect(),
        manifests: manifests.iter().map(|(digest, at, _)| (digest.clone(), *at)).collect(),
    }
}

/// What goes into one unit of work each, with its lines. Tags first: what they point to may go only then.
fn batches<'a>(asked: &Retiring, lines: &'a [wire::RetiredImage]) -> Vec<(Retiring, &'a [wire::RetiredImage])> {
    let (of_tags, of_manifests) = lines.split_at(asked.tags.len());
    let tags = asked.tags.chunks(BATCH).map(|tags| Retiring { tags: tags.to_vec(), manifests: vec![] });
    let manifests = asked.manifests.chunks(BATCH).map(|some| Retiring { tags: vec![], manifests: some.to_vec() });
    tags.zip(of_tags.chunks(BATCH)).chain(manifests.zip(of_manifests.chunks(BATCH))).collect()
}

/// A line for each tag that goes, and then for each manifest.
fn lines(repository: &str, (tags, manifests): Round<'_>) -> Vec<wire::RetiredImage> {
    let owner = repository.split_once('/').map_or("", |(owner, _)| owner);
    let tags = tags.iter().map(|(tag, rule)| wire::RetiredImage {
        repository: repository.to_owned(),
        tag: Some(tag.name.clone()),
        digest: tag.digest.to_string(),
        pushed_at: rfc3339(tag.pushed),
        rule: format!("{owner}/{rule}"),
    });
    let manifests = manifests.iter().map(|(digest, pushed, rule)| wire::RetiredImage {
        repository: repository.to_owned(),
        tag: None,
        digest: digest.to_string(),
        pushed_at: rfc3339(*pushed),
        rule: format!("{owner}/{rule}"),
    });
    tags.chain(manifests).collect()
}

/// A line for all of a repository.
pub(crate) fn all_held(repository: &str, because: &str) -> wire::HeldImage {
    wire::HeldImage {
        repository: repository.to_owned(),
        tag: "*".to_owned(),
        digest: String::new(),
        because: because.to_owned(),
    }
}

fn held(repository: &RepositoryName, tag: &ImageTag, why: &Held) -> wire::HeldImage {
    let because = match why {
        Held::RunBy(by) if by.len() == 1 => format!("{} runs it", by[0]),
        Held::RunBy(by) => format!("{} run it", by.join(", ")),
        Held::Immutable(rule) => format!("it is immutable by the rule {}/{rule}", repository.owner()),
    };
    wire::HeldImage {
        repository: repository.to_string(),
        tag: tag.name.clone(),
        digest: tag.digest.to_string(),
        because,
    }
}

/// What is written down of an image when it goes.
fn record(app: &App, line: &wire::RetiredImage) -> AuditRecord {
    let wire::RetiredImage { repository, tag, digest, rule, .. } = line;
    let target = match tag {
        Some(tag) => format!("{repository}:{tag}@{digest} by the rule {rule}"),
        None => format!("{repository}@{digest} by the rule {rule}"),
    };
    AuditRecord {
        at: app.clock.now(),
        who: WHO.to_owned(),
        token: None,
        from: String::new(),
        action: if tag.is_some() { "tag_retire" } else { "manifest_retire" }.to_owned(),
        target: target.chars().take(PART_MAX).collect(),
        environment: None,
        status: 200,
    }
}

async fn write_down(app: &App, record: &AuditRecord) {
    if let Err(why) = app.access.audit_append(record).await {
        tracing::error!(
            error = %why, audit.who = record.who, audit.action = record.action, audit.target = record.target,
            "a change could not be written to the audit log"
        );
    }
}
