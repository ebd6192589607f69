//! The servers, as ECS and their log have them.

use layer0_domain::model::time::Timestamp;
use serde_json::{Value, json};

use super::json::{text, texts, there};
use super::{AwsAccount, last};
use crate::account::{AccountError, Servers, StoppedServer};

/// The container of a server, and what the names of its log streams begin with.
const CONTAINER: &str = "server";
/// How many stopped servers are looked at, and how many of their last lines.
const STOPPED_MAX: usize = 3;
const LINES_MAX: usize = 12;
/// How many lines of what ECS says are kept.
const SAID_MAX: usize = 5;

impl AwsAccount {
    pub(super) async fn servers_seen(&self, name: &str) -> Result<Option<Servers>, AccountError> {
        let asked = json!({ "cluster": name, "services": [name] });
        let Some(answer) = there(self.ask("ecs:DescribeServices", &asked).await)? else { return Ok(None) };
        let services = answer["services"].as_array().cloned().unwrap_or_default();
        let Some(service) = services.iter().find(|service| text(service, "status") != "INACTIVE") else {
            return Ok(None);
        };
        let count = |key: &str| service[key].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or_default();
        let events = service["events"].as_array().into_iter().flatten();
        Ok(Some(Servers {
            wanted: count("desiredCount"),
            running: count("runningCount"),
            said: events.map(|event| text(event, "message").to_owned()).take(SAID_MAX).collect(),
            stopped: self.stopped(name).await?,
        }))
    }

    /// The servers that stopped in the last hour, for as long as ECS remembers them; the newest first.
    async fn stopped(&self, name: &str) -> Result<Vec<StoppedServer>, AccountError> {
        let asked = json!({ "cluster": name, "serviceName": name, "desiredStatus": "STOPPED" });
        let Some(listed) = there(self.ask("ecs:ListTasks", &asked).await)? else { return Ok(Vec::new()) };
        let arns = texts(listed["taskArns"].as_array().map_or(&[], Vec::as_slice));
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        let described = self.ask("ecs:DescribeTasks", &json!({ "cluster": name, "tasks": arns })).await?;
        let mut stopped: Vec<StoppedServer> =
            described["tasks"].as_array().into_iter().flatten().filter_map(server).collect();
        stopped.sort_by_key(|server| std::cmp::Reverse(server.at));
        stopped.truncate(STOPPED_MAX);
        for server in &mut stopped {
            server.log = self.last_lines(name, &server.id).await;
        }
        Ok(stopped)
    }

    /// The last lines of a server. One that never began has none, and whoever may not read them sees the rest.
    async fn last_lines(&self, group: &str, task: &str) -> Vec<String> {
        let stream = format!("{CONTAINER}/{CONTAINER}/{task}");
        let asked =
            json!({ "logGroupName": group, "logStreamName": stream, "limit": LINES_MAX, "startFromHead": false });
        let answer = self.ask("logs:GetLogEvents", &asked).await.unwrap_or_default();
        answer["events"].as_array().into_iter().flatten().map(|event| text(event, "message").to_owned()).collect()
    }
}

/// A task that stopped by itself, or that ECS stopped since it was no good. One that made place for another is none.
fn server(task: &Value) -> Option<StoppedServer> {
    let made_place =
        text(task, "stopCode") == "ServiceSchedulerInitiated" && !text(task, "stoppedReason").contains("failed");
    if text(task, "lastStatus") != "STOPPED" || made_place {
        return None;
    }
    let container = task["containers"].as_array().into_iter().flatten().find(|it| text(it, "name") == CONTAINER);
    let own = container.map(|container| text(container, "reason")).unwrap_or_default();
    let reason = [text(task, "stoppedReason"), own].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>();
    // Seconds, with a fraction ("AWS JSON 1.1 protocol", timestamps).
    let seconds = task["stoppedAt"].as_f64().unwrap_or_default();
    Some(StoppedServer {
        id: last(text(task, "taskArn")).to_owned(),
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this era fit")]
        at: Timestamp((seconds * 1000.0) as i64),
        reason: reason.join(": "),
        exit_code: container.and_then(|it| it["exitCode"].as_i64()).and_then(|code| i32::try_from(code).ok()),
        log: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_made_place_for_another_did_not_fail() {
        let task = |code: &str, reason: &str| {
            json!({
                "taskArn": "arn:aws:ecs:eu-central-1:1:task/l0-prod/0a1b", "lastStatus": "STOPPED", "stopCode": code,
                "stoppedReason": reason, "stoppedAt": 1_700_000_000.25,
                "containers": [{ "name": "server", "exitCode": 1, "reason": "OutOfMemory" }],
            })
        };
        let seen = server(&task("EssentialContainerExited", "Essential container in task exited")).expect("it failed");
        assert_eq!((seen.id.as_str(), seen.at, seen.exit_code), ("0a1b", Timestamp(1_700_000_000_250), Some(1)));
        assert_eq!(seen.reason, "Essential container in task exited: OutOfMemory");
        let unhealthy = "Task failed ELB health checks in (target-group arn:…)";
        assert!(server(&task("ServiceSchedulerInitiated", unhealthy)).is_some());
        assert_eq!(
            server(&task("ServiceSchedulerInitiated", "Scaling activity initiated by deployment ecs-svc/1")),
            None
        );
    }
}
