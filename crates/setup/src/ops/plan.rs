//! What would change.

use std::collections::BTreeMap;

use layer0_domain::model::digest::Digest;

use super::{Setup, SetupError, Standing, standing};
use crate::account::{Change, ChangeSetState, PlanWanted, Stack, TAG};

/// What an instance's stack shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The instance's name.
    pub instance: String,
    /// The stack's name.
    pub stack: String,
    /// Its template.
    pub template: String,
}

impl Wanted {
    fn tags(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(TAG.to_owned(), self.instance.clone())])
    }

    /// The plan's name: the same for the same template of the same stack, so that `apply` finds what `plan` showed.
    fn plan(&self, stack: Option<&Stack>) -> String {
        let id = stack.map(|stack| stack.id.as_str()).unwrap_or_default();
        let digest = Digest::sha256_of(format!("{id}\n{}", self.template).as_bytes()).to_string();
        let hex = digest.rsplit(':').next().unwrap_or_default();
        format!("l0-{}", &hex[..16])
    }
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its name in CloudFormation; `None` when nothing would change.
    pub plan: Option<String>,
    /// The stack as it is; `None` before there is one.
    pub stack: Option<Stack>,
    /// What it was last made with.
    pub before: Option<String>,
    /// What would happen.
    pub changes: Vec<Change>,
}

impl Setup<'_> {
    /// Works out what would change, or finds what was worked out before. A creation that failed and was undone is cleared away
    /// first, which changes nothing that anybody has.
    ///
    /// # Errors
    /// `Foreign`, `Stuck`, `PlanRefused`, `Account`, `Late`, `Failed` when what is left of a creation can't be deleted.
    pub async fn plan(&self, wanted: &Wanted) -> Result<Planned, SetupError> {
        let stack = self.settled(&wanted.stack, &wanted.instance).await?;
        let stack = match (standing(stack.as_ref()), stack) {
            (Standing::Undone, Some(undone)) => self.cleared(&undone).await?,
            (Standing::Stuck, Some(stuck)) if stuck.status == "UPDATE_ROLLBACK_FAILED" => {
                Some(self.rolled_back(&stuck).await?)
            }
            (Standing::Stuck, Some(stuck)) => return Err(stuck_error(&stuck)),
            (_, stack) => stack,
        };
        let exists = standing(stack.as_ref()) == Standing::Good;
        let before = match exists {
            true => self.patiently(|| self.account.template(&wanted.stack)).await?,
            false => None,
        };
        let plan = wanted.plan(stack.as_ref().filter(|_| exists));
        let asked = PlanWanted {
            name: plan.clone(),
            stack: wanted.stack.clone(),
            exists,
            template: wanted.template.clone(),
            tags: wanted.tags(),
        };
        let mut again = true;
        loop {
            self.patiently(|| self.account.plan(&asked)).await?;
            let seen = self.patiently(|| self.account.planned(&wanted.stack, &plan)).await?;
            let Some(seen) = seen else {
                // It is not shown yet.
                self.pause("the plan").await?;
                continue;
            };
            let stack = stack.clone().filter(|_| exists);
            match seen.state {
                ChangeSetState::Ready => {
                    return Ok(Planned { plan: Some(plan), stack, before, changes: seen.changes });
                }
                ChangeSetState::Empty => {
                    self.patiently(|| self.account.plan_forget(&wanted.stack, &plan)).await?;
                    return Ok(Planned { plan: None, stack, before, changes: Vec::new() });
                }
                ChangeSetState::Pending => self.pause("the plan").await?,
                // What was worked out for a stack that has changed since, or failed once, is worked out anew, once.
                ChangeSetState::Obsolete | ChangeSetState::Failed(_) if again => {
                    again = false;
                    self.patiently(|| self.account.plan_forget(&wanted.stack, &plan)).await?;
                }
                ChangeSetState::Obsolete => return Err(SetupError::PlanRefused { words: "it is obsolete".to_owned() }),
                ChangeSetState::Failed(words) => {
                    self.patiently(|| self.account.plan_forget(&wanted.stack, &plan)).await?;
                    return Err(SetupError::PlanRefused { words });
                }
            }
        }
    }

    /// Goes on with undoing a change that failed, once.
    async fn rolled_back(&self, stuck: &Stack) -> Result<Stack, SetupError> {
        self.watch.hear(super::News::Step("going on with the undoing of a change that failed"));
        let mark = self.mark(&stuck.id).await?;
        self.patiently(|| self.account.rollback_continue(&stuck.name, &[])).await?;
        match self.follow(stuck, mark).await?.0 {
            Some(now) if standing(Some(&now)) == Standing::Good => Ok(now),
            Some(now) => Err(stuck_error(&now)),
            None => Err(SetupError::Absent { stack: stuck.name.clone() }),
        }
    }

    /// Takes away what is left of a creation that failed.
    async fn cleared(&self, undone: &Stack) -> Result<Option<Stack>, SetupError> {
        let words = format!("clearing away what is left of a creation that failed ({})", undone.status);
        self.watch.hear(super::News::Step(&words));
        let (left, _) = self.stack_gone(undone).await?;
        match left {
            Some(stuck) => Err(stuck_error(&stuck)),
            None => Ok(None),
        }
    }
}

pub(super) fn stuck_error(stack: &Stack) -> SetupError {
    let reason = if stack.reason.is_empty() { String::new() } else { format!(": {}", stack.reason) };
    SetupError::Stuck { status: stack.status.clone(), reason }
}
