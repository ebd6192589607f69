//! Moving a repository to another backing: asked for, called off, and the old images given up. Doing it is the mover's
//! business.

use super::{CONFLICT_RETRIES, OpsError};
use crate::model::home::{Home, Migration, Source, Stage, Target};
use crate::model::image::RepositoryName;
use crate::model::placement::BackingName;
use crate::model::time::{Generation, Timestamp};
use crate::port::home_store::HomeStore;

/// A move that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedMove {
    /// Of what.
    pub repository: RepositoryName,
    /// Where it lies now.
    pub from: BackingName,
    /// Where it is to lie.
    pub to: BackingName,
    /// What becomes of the old images.
    pub source: Source,
}

/// Asks for a move. One to the same place that goes on stays as it is; one that failed is begun anew, and knows still that the
/// repository there was made for it.
///
/// # Errors
/// `MigrationConflict` when it lies there already, is on its way elsewhere, or has left what was copied elsewhere; `Home`.
pub async fn migration_ask(homes: &dyn HomeStore, wanted: &WantedMove, now: Timestamp) -> Result<Home, OpsError> {
    let WantedMove { repository, from, to, source } = wanted;
    for _ in 0..CONFLICT_RETRIES {
        let known = homes.home_get(repository).await?;
        let mut migration = Migration::new(from.clone(), to.clone(), *source, now);
        if let Some(known) = &known {
            let last = &known.migration;
            if last.stage.is_running() {
                if last.to == *to && last.stage.may_switch() {
                    return Ok(known.clone());
                }
                return Err(busy(known));
            }
            if last.stage == Stage::Failed && last.target == Target::Made {
                if last.to != *to {
                    return Err(left_elsewhere(known));
                }
                migration.target = last.target;
            }
            migration.from = known.backing.clone();
            migration.kept = still_kept(last);
        }
        if migration.from == *to {
            let message = format!("repository `{repository}` lies in `{to}` already");
            let hint = format!("`l0 repository get {repository}` shows where it lies");
            return Err(OpsError::MigrationConflict { message, hint });
        }
        let home = Home {
            repository: repository.clone(),
            backing: migration.from.clone(),
            migration,
            generation: Generation::default(),
        };
        if let Some(written) = put(homes, home, known.map(|known| known.generation)).await? {
            return Ok(written);
        }
    }
    Err(changing(repository))
}

/// Calls a move off. What was copied goes; the old backing answers as before.
///
/// # Errors
/// `MigrationMissing`; `MigrationConflict` when there is nothing left to call off; `Home`.
pub async fn migration_cancel(homes: &dyn HomeStore, repository: &RepositoryName) -> Result<Home, OpsError> {
    change(homes, repository, |known| match known.migration.stage {
        Stage::Copying | Stage::Closing(_) | Stage::Failed => {
            let last = known.migration.clone();
            Ok(Some(Migration { stage: Stage::Cancelling, trouble: None, why: None, ..last }))
        }
        Stage::Cancelling | Stage::Cancelled => Ok(None),
        Stage::Moved | Stage::Clearing | Stage::Cleared | Stage::Refused => {
            let Migration { from, .. } = &known.migration;
            Err(OpsError::MigrationConflict {
                message: format!("there is nothing to call off: {}", known.migration.progress()),
                hint: format!(
                    "`l0 repository migrate {repository} --to {from}` brings a repository back that has moved"
                ),
            })
        }
    })
    .await
}

/// Gives up the images in the old backing; where the last move has left none, those of a move before it.
///
/// # Errors
/// `MigrationMissing`; `MigrationConflict` when there are none; `Home`.
pub async fn migration_delete_source(homes: &dyn HomeStore, repository: &RepositoryName) -> Result<Home, OpsError> {
    let clearing = |last: &Migration| Migration { stage: Stage::Clearing, trouble: None, why: None, ..last.clone() };
    change(homes, repository, |known| {
        let last = &known.migration;
        match (last.stage, last.kept.last()) {
            (Stage::Moved, _) => Ok(Some(clearing(last))),
            (Stage::Cleared | Stage::Refused | Stage::Cancelled, Some(kept)) => {
                let mut next = Migration { from: kept.clone(), to: known.backing.clone(), ..clearing(last) };
                next.kept.pop();
                Ok(Some(next))
            }
            (Stage::Clearing | Stage::Cleared, _) => Ok(None),
            (
                Stage::Copying
                | Stage::Closing(_)
                | Stage::Failed
                | Stage::Refused
                | Stage::Cancelling
                | Stage::Cancelled,
                _,
            ) => Err(OpsError::MigrationConflict {
                message: format!("repository `{repository}` has not moved: {}", last.progress()),
                hint: format!("`l0 repository migration get {repository}` shows how far it is"),
            }),
        }
    })
    .await
}

/// Backings that still have images of moves before.
fn still_kept(last: &Migration) -> Vec<BackingName> {
    let mut kept = last.kept.clone();
    if last.stage.has_old() && !kept.contains(&last.from) {
        kept.push(last.from.clone());
    }
    kept
}

async fn change(
    homes: &dyn HomeStore,
    repository: &RepositoryName,
    next: impl Fn(&Home) -> Result<Option<Migration>, OpsError>,
) -> Result<Home, OpsError> {
    for _ in 0..CONFLICT_RETRIES {
        let Some(known) = homes.home_get(repository).await? else {
            return Err(OpsError::MigrationMissing { repository: repository.clone() });
        };
        let Some(migration) = next(&known)? else { return Ok(known) };
        let read = known.generation;
        if let Some(written) = put(homes, Home { migration, ..known }, Some(read)).await? {
            return Ok(written);
        }
    }
    Err(changing(repository))
}

async fn put(homes: &dyn HomeStore, home: Home, read: Option<Generation>) -> Result<Option<Home>, OpsError> {
    let generation = homes.home_put(&home, read).await?;
    Ok(generation.map(|generation| Home { generation, ..home }))
}

fn busy(known: &Home) -> OpsError {
    let repository = &known.repository;
    OpsError::MigrationConflict {
        message: format!("repository `{repository}` is on the move: {}", known.migration.progress()),
        hint: format!("wait for it, or call it off: `l0 repository migration cancel {repository}`"),
    }
}

/// Nothing would remember that what was copied there is nobody's but the move's.
fn left_elsewhere(known: &Home) -> OpsError {
    let (repository, to) = (&known.repository, &known.migration.to);
    OpsError::MigrationConflict {
        message: format!(
            "the move of repository `{repository}` to `{to}` failed, and what was copied is kept there for the next try"
        ),
        hint: format!("call it off first: `l0 repository migration cancel {repository}`"),
    }
}

fn changing(repository: &RepositoryName) -> OpsError {
    OpsError::MigrationConflict {
        message: format!("the move of repository `{repository}` was changed by somebody else meanwhile"),
        hint: "look at it again, and try again".to_owned(),
    }
}
