//! What happens in the account, as it happens: a line each.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use layer0_setup::account::Event;
use layer0_setup::ops::{News, Watch};

/// The first wait between two looks, and the longest: a stack takes minutes, and an answer is felt for a second.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// Where lines are told.
pub(super) type Say = Box<dyn Fn(&str) + Send + Sync>;

/// Says what happens.
pub(super) struct Watcher {
    start: Instant,
    /// Where lines go; `None` when nobody reads them.
    say: Option<Say>,
    pauses: Mutex<u32>,
    /// When each resource was begun.
    begun: Mutex<BTreeMap<String, i64>>,
}

impl Watcher {
    pub(super) fn new(say: Option<Say>) -> Self {
        Self { start: Instant::now(), say, pauses: Mutex::default(), begun: Mutex::default() }
    }

    fn line(&self, text: &str) {
        if let Some(say) = &self.say {
            let seconds = self.start.elapsed().as_secs();
            say(&format!("{:>3}:{:02}  {text}", seconds / 60, seconds % 60));
        }
        *lock(&self.pauses) = 0;
    }

    /// What an event is worth saying.
    fn event(&self, event: &Event) -> Option<String> {
        let (status, kind) = (event.status.as_str(), event.kind.as_str());
        let mut begun = lock(&self.begun);
        if kind == "AWS::CloudFormation::Stack" {
            let reason = if event.reason.is_empty() { String::new() } else { format!(": {}", event.reason) };
            return status.ends_with("ROLLBACK_IN_PROGRESS").then(|| format!("undoing what was done{reason}"));
        }
        let (doing, state) = status.split_once('_')?;
        match state {
            "IN_PROGRESS" => {
                begun.entry(event.logical.clone()).or_insert(event.at.0);
                None
            }
            "COMPLETE" => {
                let done = match doing {
                    "CREATE" => "made",
                    "UPDATE" => "changed",
                    "DELETE" => "deleted",
                    "IMPORT" => "taken in",
                    _ => return None,
                };
                let took = begun.remove(&event.logical).map_or(0, |at| (event.at.0 - at) / 1000);
                let took = if took >= 5 { format!(", {took} s") } else { String::new() };
                Some(format!("{done:<8} {} ({kind}{took})", event.logical))
            }
            "FAILED" => Some(format!("FAILED   {} ({kind}): {}", event.logical, event.reason)),
            "SKIPPED" => Some(format!("kept     {} ({kind})", event.logical)),
            _ => None,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[async_trait]
impl Watch for Watcher {
    fn hear(&self, news: News<'_>) {
        match news {
            News::Step(text) => self.line(text),
            News::Event(event) => {
                if let Some(text) = self.event(event) {
                    self.line(&text);
                }
            }
            News::Stopped(server) => {
                self.line(&format!("a server stopped: {server}"));
                server.log.iter().for_each(|line| self.line(&format!("  | {line}")));
            }
            News::Leaves(remain) => self.line(&format!("deleting {remain}")),
            News::Lost(why) => self.line(&format!("{why}; trying again")),
        }
    }

    async fn pause(&self) {
        let pauses = {
            let mut pauses = lock(&self.pauses);
            *pauses += 1;
            *pauses
        };
        tokio::time::sleep((FIRST_PAUSE * pauses).min(PAUSE_MAX)).await;
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use layer0_setup::account::Event;

    use super::*;

    #[test]
    fn events_are_told_once_and_in_words() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&said);
        let watcher = Watcher::new(Some(Box::new(move |line| lock(&kept).push(line.to_owned()))));
        for (at, kind, status, reason) in [
            (0, "AWS::EC2::VPC", "CREATE_IN_PROGRESS", ""),
            (1_000, "AWS::EC2::VPC", "CREATE_IN_PROGRESS", "Resource creation Initiated"),
            (9_000, "AWS::EC2::VPC", "CREATE_COMPLETE", ""),
            (9_000, "AWS::EC2::VPC", "CREATE_FAILED", "no more of them"),
            (9_000, "AWS::CloudFormation::Stack", "ROLLBACK_IN_PROGRESS", "[Vpc] failed"),
        ] {
            let at = serde_json::from_value(serde_json::json!(at)).expect("a time");
            let text = |text: &str| text.to_owned();
            watcher.hear(News::Event(&Event {
                id: text("1"),
                at,
                logical: text("Vpc"),
                physical: text(""),
                kind: text(kind),
                status: text(status),
                reason: text(reason),
            }));
        }
        let lines: Vec<String> = lock(&said).iter().map(|line| line[8..].to_owned()).collect();
        assert_eq!(
            lines,
            [
                "made     Vpc (AWS::EC2::VPC, 9 s)",
                "FAILED   Vpc (AWS::EC2::VPC): no more of them",
                "undoing what was done: [Vpc] failed",
            ]
        );
    }
}
