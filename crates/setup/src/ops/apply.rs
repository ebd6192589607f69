//! A plan is carried out.

use std::time::Duration;

use super::cause::{cause, undone};
use super::{Door, Failure, News, Planned, Setup, SetupError, Standing, Wanted, standing};
use crate::account::{Stack, TAG};
use crate::image::Image;

/// How long the servers may take until they answer, once they stand.
const HEALTH_MAX: Duration = Duration::from_secs(15 * 60);

/// What is to be carried out, and whom to ask whether it worked.
pub struct Run<'a> {
    /// What is wanted.
    pub wanted: &'a Wanted,
    /// What was planned for it.
    pub planned: &'a Planned,
}

/// A stack that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The stack.
    pub stack: Stack,
    /// Whether anything was changed.
    pub changed: bool,
}

impl Setup<'_> {
    /// Carries out exactly what was planned and follows it to its end.
    ///
    /// # Errors
    /// `Failed` with the first cause, after CloudFormation has undone what it had done; `Account`, `Late`.
    pub async fn apply(&self, run: &Run<'_>) -> Result<Applied, SetupError> {
        let (wanted, planned) = (run.wanted, run.planned);
        let Some(plan) = &planned.plan else {
            return match &planned.stack {
                Some(stack) => Ok(Applied { stack: stack.clone(), changed: false }),
                None => Err(SetupError::Absent { stack: wanted.stack.clone() }),
            };
        };
        let before = self.patiently(|| self.account.stack(&wanted.stack)).await?;
        let before = before.ok_or_else(|| SetupError::Absent { stack: wanted.stack.clone() })?;
        let mark = self.mark(&before.id).await?;
        self.patiently(|| self.account.execute(&wanted.stack, plan)).await?;
        self.begun(&before, mark.as_deref()).await?;
        let (now, events) = self.follow(&before, mark).await?;
        match now {
            Some(stack) if is_good_end(&stack.status) => Ok(Applied { stack, changed: true }),
            left => Err(SetupError::Failed(Box::new(Failure {
                status: left.map_or_else(|| "DELETE_COMPLETE".to_owned(), |stack| stack.status),
                cause: cause(&events),
                undone: undone(&events),
            }))),
        }
    }

    /// Waits until a plan that is carried out shows in the stack's state: before that, the state is the one from before.
    async fn begun(&self, before: &Stack, mark: Option<&str>) -> Result<(), SetupError> {
        for _ in 0..60 {
            let now = self.patiently(|| self.account.stack(&before.id)).await?;
            let has_moved = now.as_ref().map(|now| &now.status) != Some(&before.status);
            if has_moved || self.mark(&before.id).await?.as_deref() != mark {
                return Ok(());
            }
            self.pause("the beginning of the change").await?;
        }
        Ok(())
    }

    /// Pushes the servers' image into the instance's repository, which is made where it is not there.
    ///
    /// # Errors
    /// `Account`.
    pub async fn push(&self, repository: &str, instance: &str, image: &Image, tag: &str) -> Result<(), SetupError> {
        self.patiently(|| self.account.repository(repository, instance)).await?;
        self.watch.hear(News::Step(&format!("pushing the servers' image to {repository}")));
        self.patiently(|| self.account.image_push(repository, image, tag)).await
    }

    /// Waits until the servers answer, and with a version when one is named.
    ///
    /// # Errors
    /// `Silent`, `OldVersion`.
    pub async fn healthy(&self, door: &dyn Door, endpoint: &str, version: Option<&str>) -> Result<(), SetupError> {
        self.watch.hear(News::Step(&format!("waiting for {endpoint}health")));
        let start = self.watch.elapsed();
        loop {
            let seen = door.health(endpoint).await;
            let is_late = self.watch.elapsed().saturating_sub(start) > HEALTH_MAX;
            match seen {
                Ok(None) => return Ok(()),
                Ok(Some(found)) if version.is_none_or(|wanted| wanted == found) => return Ok(()),
                Ok(Some(found)) if is_late => {
                    return Err(SetupError::OldVersion { wanted: version.unwrap_or_default().to_owned(), found });
                }
                Err(last) if is_late => return Err(SetupError::Silent { endpoint: endpoint.to_owned(), last }),
                _ => self.watch.pause().await,
            }
        }
    }

    /// The stack of an instance that stands.
    ///
    /// # Errors
    /// `Absent`, `Foreign`, `Account`.
    pub async fn standing_stack(&self, name: &str, instance: &str) -> Result<Stack, SetupError> {
        let stack = self.stack(name, instance).await?;
        let is_there = !matches!(standing(stack.as_ref()), Standing::Absent);
        stack.filter(|_| is_there).ok_or_else(|| SetupError::Absent { stack: name.to_owned() })
    }

    /// All instances of the account in this region.
    ///
    /// # Errors
    /// `Account`.
    pub async fn list(&self) -> Result<Vec<(String, Stack)>, SetupError> {
        let stacks = self.patiently(|| self.account.stacks()).await?;
        let mut named: Vec<(String, Stack)> = stacks
            .into_iter()
            .filter(|stack| standing(Some(stack)) != Standing::Absent)
            .filter_map(|stack| {
                let name = stack.tags.get(TAG)?.clone();
                (stack.name == format!("l0-{name}")).then_some((name, stack))
            })
            .collect();
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(named)
    }
}

fn is_good_end(status: &str) -> bool {
    matches!(status, "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE")
}
