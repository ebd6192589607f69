//! What a stack's state means, and how one is followed to its end.

use layer0_domain::model::time::Timestamp;

use super::{News, Setup, SetupError};
use crate::account::{Event, Stack, TAG};

/// What a stack's state means for whoever wants to change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is none, or nothing but a review of it.
    Absent,
    /// It is in the middle of a change.
    Working,
    /// It stands, and can be changed.
    Good,
    /// Its creation failed, or its deletion did: it holds nothing of worth, and must go before the next one can come.
    Undone,
    /// CloudFormation does not leave this state by itself.
    Stuck,
}

/// Reads a state (CloudFormation user guide, "Stack status codes").
#[must_use]
pub fn standing(stack: Option<&Stack>) -> Standing {
    match stack.map(|stack| stack.status.as_str()) {
        None | Some("REVIEW_IN_PROGRESS" | "DELETE_COMPLETE") => Standing::Absent,
        Some(status) if status.ends_with("_IN_PROGRESS") => Standing::Working,
        Some("ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" | "DELETE_FAILED") => Standing::Undone,
        Some(status) if status.ends_with("_COMPLETE") => Standing::Good,
        Some(_) => Standing::Stuck,
    }
}

/// The kind of the servers' service.
const SERVICE: &str = "AWS::ECS::Service";

/// Whether CloudFormation waits for the servers.
fn servers_come(events: &[Event]) -> bool {
    let last = events.iter().rev().find(|event| event.kind == SERVICE);
    last.is_some_and(|event| event.status.ends_with("IN_PROGRESS") && !event.status.starts_with("DELETE"))
}

impl Setup<'_> {
    /// The instance's stack, when it is the instance's.
    ///
    /// # Errors
    /// `Foreign`, `Account`.
    pub async fn stack(&self, name: &str, instance: &str) -> Result<Option<Stack>, SetupError> {
        let stack = self.patiently(|| self.account.stack(name)).await?;
        match &stack {
            // A review is a shell without anything in it, and may have no tags before its change set is carried out.
            Some(found) if found.status == "REVIEW_IN_PROGRESS" && found.tags.is_empty() => Ok(stack),
            Some(found) if found.tags.get(TAG).map(String::as_str) != Some(instance) => {
                Err(SetupError::Foreign { stack: name.to_owned() })
            }
            _ => Ok(stack),
        }
    }

    /// The id of the newest event of a stack, after which a change begins.
    pub(super) async fn mark(&self, stack: &str) -> Result<Option<String>, SetupError> {
        let events = self.patiently(|| self.account.events(stack, None)).await?;
        Ok(events.last().map(|event| event.id.clone()))
    }

    /// Follows a stack until nothing happens any more: what it is then, and all that happened since `mark`.
    pub(super) async fn follow(
        &self,
        stack: &Stack,
        mut mark: Option<String>,
    ) -> Result<(Option<Stack>, Vec<Event>), SetupError> {
        let mut all: Vec<Event> = Vec::new();
        let mut seen = Vec::new();
        loop {
            // First the state, then the events: so none is missed that led to it.
            let now = self.patiently(|| self.account.stack(&stack.id)).await?;
            let now = now.filter(|now| now.status != "DELETE_COMPLETE");
            let news = self.patiently(|| self.account.events(&stack.id, mark.as_deref())).await?;
            for event in &news {
                self.watch.hear(News::Event(event));
            }
            if let Some(last) = news.last() {
                mark = Some(last.id.clone());
            }
            let just_came = news.iter().any(|event| event.kind == SERVICE);
            all.extend(news);
            if just_came || servers_come(&all) {
                self.stopped_told(&stack.name, all.first().map(|event| event.at), &mut seen).await;
            }
            match standing(now.as_ref()) {
                Standing::Working => self.pause(&format!("the change of {}", stack.name)).await?,
                _ => return Ok((now, all)),
            }
        }
    }

    /// Tells of servers that stopped since a moment: CloudFormation waits for them for long, and says little of why.
    async fn stopped_told(&self, name: &str, since: Option<Timestamp>, seen: &mut Vec<String>) {
        // Whoever may not look at that still sees how the stack fares.
        let Ok(Some(servers)) = self.account.servers(name).await else { return };
        for stopped in servers.stopped.iter().rev() {
            if since.is_none_or(|since| stopped.at >= since) && !seen.contains(&stopped.id) {
                seen.push(stopped.id.clone());
                self.watch.hear(News::Stopped(stopped));
            }
        }
    }

    /// Waits for the end of a change that somebody began; what a stack says of itself until then is of before.
    ///
    /// # Errors
    /// `Foreign`, `Account`, `Late`.
    pub async fn settled(&self, name: &str, instance: &str) -> Result<Option<Stack>, SetupError> {
        let stack = self.stack(name, instance).await?;
        match (&stack, standing(stack.as_ref())) {
            (Some(working), Standing::Working) => {
                self.watch.hear(News::Step(&format!("{name} is in the middle of a change ({})", working.status)));
                let mark = self.mark(&working.id).await?;
                Ok(self.follow(working, mark).await?.0)
            }
            _ => Ok(stack),
        }
    }

    /// Deletes a stack and follows it until it is gone.
    pub(super) async fn stack_gone(&self, stack: &Stack) -> Result<(Option<Stack>, Vec<Event>), SetupError> {
        let mark = self.mark(&stack.id).await?;
        self.patiently(|| self.account.stack_delete(&stack.name, &[])).await?;
        self.follow(stack, mark).await
    }
}
