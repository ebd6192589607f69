//! What runs in a cluster of an instance. ECS is asked about the tasks as much as about the services: a service that was deleted is in
//! no list any more while its tasks drain ("DeleteService": DRAINING), and is INACTIVE as soon as the last of them was told to stop,
//! minutes before that one has ended.

use std::collections::BTreeSet;

use layer0_aws::AwsError;
use serde_json::{Value, json};

use super::json::{Pages, text, texts, there};
use super::remains::Found;
use super::{AwsAccount, last};
use crate::account::Kind;

/// The most that ECS describes at once ("DescribeTasks").
const TASKS_MAX: usize = 100;

/// What tasks can be asked to be. In this order: a task that is told to stop between the two lists is in the second one.
const DESIRED: [&str; 2] = ["RUNNING", "STOPPED"];

impl AwsAccount {
    /// The services in a cluster, for as long as a task of them is alive, and the tasks that run alone.
    pub(super) async fn cluster_of(&self, found: &mut Found<'_>, cluster: &str) -> Result<(), AwsError> {
        let is_servers = cluster == found.names.stack;
        let pages = Pages::of("serviceArns", "nextToken");
        let asked = json!({ "cluster": cluster });
        let Some(listed) = there(self.pages("ecs:ListServices", &asked, &pages).await)? else { return Ok(()) };
        let mut services: BTreeSet<String> = texts(&listed).iter().map(|arn| last(arn).to_owned()).collect();
        // The servers' own is known by its name: while it drains, they still make again what is taken away.
        if is_servers && !services.contains(cluster) && self.drains(cluster, cluster).await? {
            services.insert(cluster.to_owned());
        }
        for desired in DESIRED {
            let asked = json!({ "cluster": cluster, "desiredStatus": desired });
            let pages = Pages::of("taskArns", "nextToken");
            let Some(tasks) = there(self.pages("ecs:ListTasks", &asked, &pages).await)? else { return Ok(()) };
            for some in tasks.chunks(TASKS_MAX) {
                let asked = json!({ "cluster": cluster, "tasks": some });
                let Some(answer) = there(self.ask("ecs:DescribeTasks", &asked).await)? else { return Ok(()) };
                for task in answer["tasks"].as_array().into_iter().flatten().filter(|task| is_alive(task)) {
                    match text(task, "group").strip_prefix("service:") {
                        Some(service) => {
                            services.insert(service.to_owned());
                        }
                        None => found.add(Kind::Task, format!("{cluster}/{}", last(text(task, "taskArn")))),
                    }
                }
            }
        }
        let kind = if is_servers { Kind::Servers } else { Kind::Service };
        for service in services {
            found.add(kind, format!("{cluster}/{service}"));
        }
        Ok(())
    }

    /// Whether ECS still works at a service that is in no list.
    async fn drains(&self, cluster: &str, service: &str) -> Result<bool, AwsError> {
        let asked = json!({ "cluster": cluster, "services": [service] });
        let answer = there(self.ask("ecs:DescribeServices", &asked).await)?.unwrap_or_default();
        let mut services = answer["services"].as_array().into_iter().flatten();
        Ok(services.any(|service| text(service, "status") != "INACTIVE"))
    }
}

/// The states of tasks that have ended ("Amazon ECS task lifecycle"): after STOPPED they are DELETED before they are forgotten.
const ENDED: [&str; 2] = ["STOPPED", "DELETED"];

/// Whether a task has still to be waited for. One on a machine that was told to stop has not: it ends with its machine at the latest,
/// and were the machine's agent silent, it would never be seen to end.
fn is_alive(task: &Value) -> bool {
    let goes_with_machine = text(task, "desiredStatus") == "STOPPED" && !text(task, "containerInstanceArn").is_empty();
    !ENDED.contains(&text(task, "lastStatus")) && !goes_with_machine
}

#[cfg(test)]
mod tests {
    use layer0_testkit::aws::{FakeAws, FakeAwsConfig};
    use layer0_testkit::until::until;

    use super::super::remains::Names;
    use super::super::testing::account;
    use super::*;
    use crate::account::{Account as _, Remain};

    /// How long a task takes to stop: long beside a look, so that what is no more waited for is seen to live.
    const STOP_MS: u64 = 1_000;

    /// A cluster with something that runs in it, once or as a service.
    async fn running(account: &AwsAccount, aws: &FakeAws, cluster: &str, service: Option<&str>) {
        aws.cluster(cluster);
        let asked = json!({
            "family": "web", "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256", "memory": "512",
            "containerDefinitions": [{ "name": "main", "image": "team/web:1" }],
        });
        account.ask("ecs:RegisterTaskDefinition", &asked).await.expect("it is valid");
        let network = json!({ "awsvpcConfiguration": { "subnets": ["subnet-private-a"] } });
        let mut asked = json!({
            "cluster": cluster, "taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network,
        });
        match service {
            Some(name) => {
                (asked["serviceName"], asked["desiredCount"]) = (json!(name), json!(2));
                account.ask("ecs:CreateService", &asked).await.expect("it is valid");
            }
            None => drop(account.ask("ecs:RunTask", &asked).await.expect("it is valid")),
        }
        let count = if service.is_some() { 2 } else { 1 };
        until("all to run", || async {
            let tasks = aws.world().tasks();
            let running = tasks.iter().filter(|task| task["lastStatus"] == "RUNNING").count();
            if running == count { Ok(()) } else { Err(format!("{tasks:?}")) }
        })
        .await;
    }

    async fn seen(account: &AwsAccount, cluster: &str) -> Vec<Remain> {
        let mut found = Found { names: Names::new("prod"), parts: BTreeSet::new(), remains: BTreeSet::new() };
        account.cluster_of(&mut found, cluster).await.expect("an answer");
        found.remains.into_iter().collect()
    }

    /// Whatever is not told any more has ended: what stands on it may go.
    #[tokio::test]
    async fn what_drains_is_told_until_its_last_task_has_ended() {
        for (cluster, service, kind) in [
            ("l0-prod", Some("l0-prod"), Kind::Servers),
            ("l0-prod-dev", Some("l0-prod-web"), Kind::Service),
            ("l0-prod-dev", None, Kind::Task),
        ] {
            let aws = FakeAws::start(FakeAwsConfig { task_stop_ms: STOP_MS, ..FakeAwsConfig::default() }).await;
            let account = account(aws.endpoint()).await;
            running(&account, &aws, cluster, service).await;
            let before = seen(&account, cluster).await;
            let [remain] = &before[..] else { panic!("{kind:?}: {before:?}") };
            assert_eq!(remain.kind, kind);
            account.remove(remain).await.expect("it begins to go");
            until("it to be gone", || async {
                let seen = seen(&account, cluster).await;
                let is_all = seen.iter().all(|other| other == remain);
                assert!(is_all, "{seen:?}");
                if seen.is_empty() { Ok(()) } else { Err(format!("{seen:?}")) }
            })
            .await;
            let alive = aws.world().tasks().into_iter().filter(|task| task["lastStatus"] != "STOPPED").count();
            assert_eq!(alive, 0, "{kind:?}: nothing lives that is not told");
            account.remove(remain).await.expect("what is gone goes");
        }
    }

    fn task(desired: &str, last: &str, machine: Option<&str>) -> Value {
        json!({ "desiredStatus": desired, "lastStatus": last, "containerInstanceArn": machine })
    }

    /// A service is INACTIVE before the last of its tasks has ended.
    #[test]
    fn a_task_lives_until_it_is_stopped_or_its_machine_takes_it_along() {
        for last in ["RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING"] {
            assert!(is_alive(&task("STOPPED", last, None)), "{last}");
            assert!(!is_alive(&task("STOPPED", last, Some("arn:aws:ecs:…"))), "{last}");
        }
        assert!(is_alive(&task("RUNNING", "PROVISIONING", Some("arn:aws:ecs:…"))));
        for last in ENDED {
            assert!(!is_alive(&task("STOPPED", last, None)), "{last}");
        }
    }

    #[tokio::test]
    async fn a_cluster_that_is_not_there_has_nothing() {
        let aws = FakeAws::start(FakeAwsConfig::default()).await;
        assert_eq!(seen(&account(aws.endpoint()).await, "l0-prod").await, []);
    }
}
