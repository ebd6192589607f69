//! Deployments: rolling updates, the circuit breaker, health that gates them.

use layer0_testkit::aws::Behaviour;
use layer0_testkit::until::until;
use serde_json::{Value, json};

use super::client::{Client, events, new_service};

/// The members of a service with the circuit breaker on.
fn guarded(name: &str, definition: &str, count: u64, rollback: bool) -> Value {
    let mut wanted = new_service(name, definition, count);
    wanted["deploymentConfiguration"] = json!({
        "minimumHealthyPercent": 100,
        "maximumPercent": 200,
        "deploymentCircuitBreaker": {"enable": true, "rollback": rollback},
    });
    wanted
}

/// The service deployments of a service, the newest first.
async fn rollouts(client: &Client, service: &str) -> Vec<Value> {
    let listed =
        client.ecs("ListServiceDeployments", json!({"cluster": "c", "service": service})).await.expect("a list");
    let arns: Vec<&Value> = listed["serviceDeployments"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["serviceDeploymentArn"])
        .collect();
    let described =
        client.ecs("DescribeServiceDeployments", json!({"serviceDeploymentArns": arns})).await.expect("them");
    described["serviceDeployments"].as_array().expect("a list").clone()
}

async fn update(client: &Client, service: &str, definition: &str) -> Value {
    let input = json!({"cluster": "c", "service": service, "taskDefinition": definition});
    client.ecs("UpdateService", input).await.expect("a valid update")["service"].clone()
}

#[tokio::test]
async fn an_update_never_falls_below_the_minimum() {
    let client = Client::with_cluster().await;
    let first = client.definition("web", "team/web:1").await;
    client.ecs("CreateService", guarded("web", &first, 4, true)).await.expect("it is valid");
    client.completed("web").await;
    let second = client.definition("web", "team/web:2").await;
    let seen = update(&client, "web", &second).await;
    let states: Vec<&Value> =
        seen["deployments"].as_array().expect("a list").iter().map(|one| &one["status"]).collect();
    assert_eq!(states, ["PRIMARY", "ACTIVE"]);
    let done = client
        .service_until("the update", "web", |seen| {
            let running = seen["runningCount"].as_u64().unwrap_or(0);
            let pending = seen["pendingCount"].as_u64().unwrap_or(0);
            assert!(running >= 4, "{seen:#}");
            assert!(running + pending <= 8, "{seen:#}");
            seen["deployments"].as_array().is_some_and(|all| all.len() == 1)
                && seen["deployments"][0]["rolloutState"] == "COMPLETED"
        })
        .await;
    assert_eq!(done["taskDefinition"], json!(second));
    let rollouts = rollouts(&client, "web").await;
    let statuses: Vec<&Value> = rollouts.iter().map(|rollout| &rollout["status"]).collect();
    assert_eq!(statuses, ["SUCCESSFUL", "SUCCESSFUL"]);
    assert_eq!(rollouts[0]["sourceServiceRevisions"][0]["arn"], rollouts[1]["targetServiceRevision"]["arn"]);
}

#[tokio::test]
async fn the_circuit_breaker_rolls_back() {
    let client = Client::with_cluster().await;
    client.aws.behave("team/web:broken", Behaviour::Exits { code: 3, after_ms: 0 });
    let first = client.definition("web", "team/web:1").await;
    client.ecs("CreateService", guarded("web", &first, 2, true)).await.expect("it is valid");
    let before = client.completed("web").await;
    let kept: Vec<Value> = running(&client);
    let broken = client.definition("web", "team/web:broken").await;
    update(&client, "web", &broken).await;
    let after = client
        .service_until("the rollback", "web", |seen| {
            seen["taskDefinition"] == json!(first)
                && seen["deployments"].as_array().is_some_and(|all| all.len() == 1)
                && seen["deployments"][0]["rolloutState"] == "COMPLETED"
        })
        .await;
    assert_eq!(after["deployments"][0]["id"], before["deployments"][0]["id"], "the old deployment is PRIMARY again");
    assert_eq!(running(&client), kept, "with the tasks that it had");
    let told = events(&after);
    assert!(told.iter().any(|text| text.ends_with("deployment failed: tasks failed to start.")), "{told:#?}");
    let back = format!(
        "(service web) rolling back to deployment {}.",
        before["deployments"][0]["id"].as_str().expect("an id")
    );
    assert!(told.contains(&back.as_str()), "{told:#?}");
    let rollout = &rollouts(&client, "web").await[0];
    assert_eq!(rollout["status"], "ROLLBACK_SUCCESSFUL");
    // They fail two at a time.
    assert_eq!(rollout["deploymentCircuitBreaker"], json!({"status": "TRIGGERED", "failureCount": 4, "threshold": 3}));
    assert!(rollout["rollback"]["reason"].is_string());
    let failed: Vec<Value> =
        client.aws.world().tasks().into_iter().filter(|task| task["lastStatus"] == "STOPPED").collect();
    assert_eq!(failed.len(), 4, "two at once, then two more: the second of them is over the threshold");
    for task in failed {
        assert_eq!(
            (&task["stopCode"], &task["containers"][0]["exitCode"]),
            (&json!("EssentialContainerExited"), &json!(3))
        );
    }
}

/// The ARNs of the tasks that run.
fn running(client: &Client) -> Vec<Value> {
    let tasks = client.aws.world().tasks();
    tasks.into_iter().filter(|task| task["lastStatus"] == "RUNNING").map(|task| task["taskArn"].clone()).collect()
}

#[tokio::test]
async fn without_a_rollback_the_deployment_stands_failed() {
    let client = Client::with_cluster().await;
    client.aws.behave("broken", Behaviour::CannotPull { reason: "pull access denied".to_owned() });
    let first = client.definition("web", "team/web:1").await;
    client.ecs("CreateService", guarded("web", &first, 1, false)).await.expect("it is valid");
    client.completed("web").await;
    let broken = client.definition("web", "broken").await;
    update(&client, "web", &broken).await;
    let seen =
        client.service_until("the failure", "web", |seen| seen["deployments"][0]["rolloutState"] == "FAILED").await;
    assert_eq!(seen["deployments"][0]["rolloutStateReason"], "ECS deployment circuit breaker: tasks failed to start.");
    assert_eq!(seen["deployments"][0]["failedTasks"], 3);
    assert_eq!(seen["runningCount"], 1, "the old task goes on");
    assert_eq!(rollouts(&client, "web").await[0]["status"], "STOPPED");
    let tasks = client.aws.world().tasks();
    let failed = tasks.iter().find(|task| task["lastStatus"] == "STOPPED").expect("a failed task");
    assert_eq!(failed["stopCode"], "TaskFailedToStart");
    assert_eq!(failed["stoppedReason"], "CannotPullContainerError: pull access denied");
    assert_eq!(failed["containers"][0]["reason"], failed["stoppedReason"]);
    assert_eq!(failed["containers"][0]["exitCode"], Value::Null);
    let back = update(&client, "web", &first).await;
    assert_eq!(back["deployments"][0]["status"], "PRIMARY");
    let done = client.completed("web").await;
    assert_eq!(done["taskDefinition"], json!(first));
}

#[tokio::test]
async fn a_new_service_that_fails_has_nothing_to_go_back_to() {
    let client = Client::with_cluster().await;
    client.aws.behave("broken", Behaviour::CannotStart { reason: "exec: not found".to_owned() });
    let broken = client.definition("web", "broken").await;
    client.ecs("CreateService", guarded("web", &broken, 1, true)).await.expect("it is valid");
    client.service_until("the failure", "web", |seen| seen["deployments"][0]["rolloutState"] == "FAILED").await;
    assert_eq!(rollouts(&client, "web").await[0]["status"], "ROLLBACK_FAILED");
    let tasks = client.aws.world().tasks();
    assert!(tasks.iter().all(|task| task["stoppedReason"] == "CannotStartContainerError: exec: not found"));
}

#[tokio::test]
async fn container_health_gates_a_deployment() {
    let client = Client::with_cluster().await;
    client.aws.behave("sick", Behaviour::NeverHealthy);
    let container = |image: &str| {
        let check = json!({"command": ["CMD-SHELL", "true"], "interval": 5, "retries": 2});
        json!({"name": "main", "image": image, "healthCheck": check})
    };
    let first = client.definition_with("web", container("team/web:1")).await;
    client.ecs("CreateService", guarded("web", &first, 1, true)).await.expect("it is valid");
    client.completed("web").await;
    assert_eq!(client.aws.world().tasks()[0]["healthStatus"], "HEALTHY");
    let sick = client.definition_with("web", container("sick")).await;
    update(&client, "web", &sick).await;
    let seen = client.service_until("the rollback", "web", |seen| seen["taskDefinition"] == json!(first)).await;
    assert!(events(&seen).iter().any(|text| text.ends_with("failed container health checks.")), "{seen:#}");
    let tasks = client.aws.world().tasks();
    // The one that was on its way when the circuit opened is stopped for another reason.
    let reasons: Vec<&Value> = tasks
        .iter()
        .filter(|task| task["stopCode"] == "ServiceSchedulerInitiated")
        .map(|task| &task["stoppedReason"])
        .collect();
    assert!(reasons.contains(&&json!("Task failed container health checks")), "{reasons:?}");
}

#[tokio::test]
async fn an_update_back_takes_the_old_deployment_up_again() {
    let client = Client::with_cluster().await;
    client.aws.behave("broken", Behaviour::Exits { code: 1, after_ms: 0 });
    let first = client.definition("web", "team/web:1").await;
    client.ecs("CreateService", new_service("web", &first, 2)).await.expect("it is valid");
    let before = client.completed("web").await;
    let kept = running(&client);
    let broken = client.definition("web", "broken").await;
    update(&client, "web", &broken).await;
    client
        .service_until("failures, without a circuit breaker", "web", |seen| {
            seen["deployments"][0]["failedTasks"].as_u64().is_some_and(|failed| failed > 4)
        })
        .await;
    let impaired = "(service web) is unable to consistently start tasks successfully.";
    let seen = client.service("web").await;
    assert_eq!(events(&seen).iter().filter(|text| text.starts_with(impaired)).count(), 1, "told once: {seen:#}");
    let back = update(&client, "web", &first).await;
    assert_eq!(back["deployments"][0]["id"], before["deployments"][0]["id"]);
    client.completed("web").await;
    assert_eq!(running(&client), kept);
}

#[tokio::test]
async fn a_rollout_can_be_stopped() {
    let client = Client::with_cluster().await;
    client.aws.behave("broken", Behaviour::Exits { code: 1, after_ms: 0 });
    let first = client.definition("web", "team/web:1").await;
    client.ecs("CreateService", new_service("web", &first, 1)).await.expect("it is valid");
    client.completed("web").await;
    let broken = client.definition("web", "broken").await;
    let seen = update(&client, "web", &broken).await;
    let rollout = seen["currentServiceDeployment"].clone();
    client.ecs("StopServiceDeployment", json!({"serviceDeploymentArn": rollout})).await.expect("it is in progress");
    let done = client.completed("web").await;
    assert_eq!(done["taskDefinition"], json!(first));
    assert_eq!(rollouts(&client, "web").await[0]["status"], "ROLLBACK_SUCCESSFUL");
    let over = client.ecs("StopServiceDeployment", json!({"serviceDeploymentArn": rollout})).await;
    assert_eq!(over.expect_err("it is over").code, "ConflictException");
}

#[tokio::test]
async fn a_forced_deployment_replaces_all_tasks() {
    let client = Client::with_cluster().await;
    let first = client.definition("web", "team/web:1").await;
    client.ecs("CreateService", new_service("web", &first, 2)).await.expect("it is valid");
    client.completed("web").await;
    let before = running(&client);
    client
        .ecs("UpdateService", json!({"cluster": "c", "service": "web", "forceNewDeployment": true}))
        .await
        .expect("valid");
    until("all tasks to be others", || async {
        let now = running(&client);
        let all_new = now.len() == 2 && now.iter().all(|task| !before.contains(task));
        if all_new { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

#[tokio::test]
async fn what_turns_unhealthy_later_is_replaced() {
    let client = Client::with_cluster().await;
    let check = json!({"command": ["CMD-SHELL", "true"], "interval": 5});
    let definition = client.definition_with("web", json!({"name": "main", "image": "a", "healthCheck": check})).await;
    client.ecs("CreateService", new_service("web", &definition, 2)).await.expect("it is valid");
    client.completed("web").await;
    let before = running(&client);
    let id = before[0].as_str().and_then(|arn| arn.rsplit('/').next()).expect("an id");
    client.aws.container_health(id, false);
    until("another in its place", || async {
        let now = running(&client);
        if now.len() == 2 && !now.contains(&before[0]) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    assert!(running(&client).contains(&before[1]), "the healthy one stays");
    let seen = client.service("web").await;
    let told = events(&seen);
    let at =
        |part: &str| told.iter().position(|text| text.contains(part)).unwrap_or_else(|| panic!("{part}: {told:#?}"));
    assert!(at("Amazon ECS replaced 1 tasks due to an unhealthy status.") < at("failed container health checks."));
}

#[tokio::test]
async fn a_first_rollout_that_is_stopped_starts_nothing_more() {
    let client = Client::with_cluster().await;
    client.aws.behave("broken", Behaviour::Exits { code: 1, after_ms: 0 });
    let broken = client.definition("web", "broken").await;
    let made = client.ecs("CreateService", new_service("web", &broken, 1)).await.expect("it is valid");
    let rollout = made["service"]["currentServiceDeployment"].clone();
    client.ecs("StopServiceDeployment", json!({"serviceDeploymentArn": rollout})).await.expect("it is in progress");
    let seen = client.service("web").await;
    assert_eq!(seen["deployments"][0]["rolloutState"], "FAILED");
    assert_eq!(rollouts(&client, "web").await[0]["status"], "ROLLBACK_FAILED");
}
