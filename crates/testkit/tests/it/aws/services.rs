//! Services: what CreateService checks, client tokens, scaling, deletion.

use layer0_testkit::aws::{FakeAws, FakeAwsConfig};
use serde_json::{Value, json};

use super::client::{Client, events, new_service};

#[tokio::test]
async fn a_service_comes_up_and_says_so() {
    let client = Client::with_cluster().await;
    let definition = client.definition("web", "team/web:1").await;
    let made = client.ecs("CreateService", new_service("web", &definition, 3)).await.expect("it is valid");
    assert_eq!(made["service"]["status"], "ACTIVE");
    assert_eq!(made["service"]["deployments"][0]["rolloutState"], "IN_PROGRESS");
    let seen = client.completed("web").await;
    assert_eq!((&seen["runningCount"], &seen["pendingCount"]), (&json!(3), &json!(0)));
    let deployment = &seen["deployments"][0];
    assert_eq!(deployment["status"], "PRIMARY");
    let id = deployment["id"].as_str().expect("an id");
    assert!(id.starts_with("ecs-svc/"), "{id}");
    let events = events(&seen);
    assert!(events[0].starts_with("(service web) has started 3 tasks: (task "), "{events:?}");
    assert_eq!(events[1], format!("(service web) (deployment {id}) deployment completed."));
    assert_eq!(events[2], "(service web) has reached a steady state.");

    let listed = client.ecs("ListTasks", json!({"cluster": "c", "serviceName": "web"})).await.expect("a list");
    assert_eq!(listed["taskArns"].as_array().map(Vec::len), Some(3));
    let tasks = client.ecs("DescribeTasks", json!({"cluster": "c", "tasks": listed["taskArns"]})).await.expect("tasks");
    for task in tasks["tasks"].as_array().expect("a list") {
        assert_eq!(task["lastStatus"], "RUNNING");
        assert_eq!(task["startedBy"], id);
        assert_eq!(task["group"], "service:web");
        assert_eq!(task["containers"][0]["lastStatus"], "RUNNING");
        let details = task["attachments"][0]["details"].as_array().expect("details");
        let detail = |name: &str| details.iter().find(|detail| detail["name"] == name).map(|detail| &detail["value"]);
        assert!(detail("privateIPv4Address").and_then(Value::as_str).is_some_and(|ip| ip.starts_with("10.")));
        assert!(detail("subnetId").and_then(Value::as_str).is_some_and(|id| id.starts_with("subnet-private-")));
    }
}

#[tokio::test]
async fn the_same_token_makes_one_service() {
    let client = Client::with_cluster().await;
    let definition = client.definition("web", "team/web:1").await;
    let mut wanted = new_service("web", &definition, 1);
    wanted["clientToken"] = json!("once");
    let first = client.ecs("CreateService", wanted.clone()).await.expect("it is valid");
    let again = client.ecs("CreateService", wanted.clone()).await.expect("it is the same");
    assert_eq!(first["service"]["deployments"][0]["id"], again["service"]["deployments"][0]["id"]);
    wanted["desiredCount"] = json!(2);
    let other = client.ecs("CreateService", wanted.clone()).await.expect_err("the token is for another request");
    assert_eq!((other.code.as_str(), other.status), ("InvalidParameterException", 400));
    wanted["clientToken"] = json!("twice");
    let taken = client.ecs("CreateService", wanted).await.expect_err("the name is taken");
    assert_eq!(taken.message, "Creation of service was not idempotent.");
    assert_eq!(client.aws.world().services().len(), 1);
}

#[tokio::test]
async fn what_ecs_refuses_is_refused() {
    let client = Client::with_cluster().await;
    let definition = client.definition("web", "team/web:1").await;
    let good = new_service("web", &definition, 1);
    let with = |key: &str, value: Value| {
        let mut changed = good.clone();
        changed[key] = value;
        changed
    };
    let no_network = with("networkConfiguration", Value::Null);
    let subnet = json!({"awsvpcConfiguration": {"subnets": ["subnet-none"]}});
    for (input, code, text) in [
        (with("cluster", json!("other")), "ClusterNotFoundException", "Cluster not found."),
        (with("taskDefinition", json!("none")), "ClientException", "TaskDefinition not found."),
        (no_network, "InvalidParameterException", "Network Configuration must be provided"),
        (with("networkConfiguration", subnet), "InvalidParameterException", "InvalidSubnetID.NotFound"),
        (
            with("loadBalancers", json!([{"targetGroupArn": "a", "containerName": "main", "containerPort": 81}])),
            "InvalidParameterException",
            "The container main did not have a container port 81 defined.",
        ),
        (
            with("loadBalancers", json!([{"targetGroupArn": "a", "containerName": "main", "containerPort": 80}])),
            "InvalidParameterException",
            "target group does not exist",
        ),
        (with("healthCheckGracePeriodSeconds", json!(5)), "InvalidParameterException", "grace period"),
        (
            with("capacityProviderStrategy", json!([{"capacityProvider": "FARGATE"}])),
            "InvalidParameterException",
            "not both",
        ),
    ] {
        let refusal = client.ecs("CreateService", input.clone()).await.expect_err("it is wrong");
        assert_eq!(refusal.code, code, "{input}");
        assert!(refusal.message.contains(text), "{}", refusal.message);
    }
    assert!(client.aws.world().services().is_empty());
}

#[tokio::test]
async fn scaling_keeps_what_runs() {
    let client = Client::with_cluster().await;
    let definition = client.definition("web", "team/web:1").await;
    client.ecs("CreateService", new_service("web", &definition, 1)).await.expect("it is valid");
    client.completed("web").await;
    let first = running(&client.aws);
    for count in [4, 2, 0] {
        client
            .ecs("UpdateService", json!({"cluster": "c", "service": "web", "desiredCount": count}))
            .await
            .expect("valid");
        let seen = client
            .service_until("the count", "web", |seen| seen["runningCount"] == count && seen["pendingCount"] == 0)
            .await;
        assert_eq!(seen["deployments"].as_array().map(Vec::len), Some(1), "scaling is no new deployment");
        if count == 4 {
            assert!(first.iter().all(|task| running(&client.aws).contains(task)));
        }
    }
    let stopped = client.ecs("ListTasks", json!({"cluster": "c", "desiredStatus": "STOPPED"})).await.expect("a list");
    let tasks =
        client.ecs("DescribeTasks", json!({"cluster": "c", "tasks": stopped["taskArns"]})).await.expect("tasks");
    for task in tasks["tasks"].as_array().expect("a list") {
        assert_eq!(task["stopCode"], "ServiceSchedulerInitiated");
        assert!(
            task["stoppedReason"].as_str().is_some_and(|reason| reason.starts_with("Scaling activity initiated by"))
        );
    }
}

/// The ARNs of the tasks that run.
fn running(aws: &FakeAws) -> Vec<Value> {
    let tasks = aws.world().tasks();
    tasks.into_iter().filter(|task| task["lastStatus"] == "RUNNING").map(|task| task["taskArn"].clone()).collect()
}

#[tokio::test]
async fn a_crashed_task_is_replaced() {
    let client = Client::with_cluster().await;
    let definition = client.definition("web", "team/web:1").await;
    client.ecs("CreateService", new_service("web", &definition, 2)).await.expect("it is valid");
    client.completed("web").await;
    let before = running(&client.aws);
    let arn = before[0].as_str().expect("an ARN").to_owned();
    client.aws.crash(arn.rsplit('/').next().expect("an id"), 9);
    client
        .service_until("another in its place", "web", |seen| {
            let now = running(&client.aws);
            seen["runningCount"] == 2 && now.len() == 2 && !now.contains(&json!(arn))
        })
        .await;
    let tasks = client.ecs("DescribeTasks", json!({"cluster": "c", "tasks": [arn]})).await.expect("it is still known");
    let task = &tasks["tasks"][0];
    assert_eq!(
        (&task["stopCode"], &task["containers"][0]["exitCode"]),
        (&json!("EssentialContainerExited"), &json!(9))
    );
}

#[tokio::test]
async fn deletion_drains_first_and_is_not_listed() {
    let client = Client::with_cluster_and(FakeAwsConfig { task_stop_ms: 400, ..FakeAwsConfig::default() }).await;
    let definition = client.definition("web", "team/web:1").await;
    client.ecs("CreateService", new_service("web", &definition, 2)).await.expect("it is valid");
    client.completed("web").await;
    let scaled =
        client.ecs("DeleteService", json!({"cluster": "c", "service": "web"})).await.expect_err("it is scaled");
    assert_eq!(scaled.message, "The service cannot be stopped while it is scaled above 0.");
    let deleted =
        client.ecs("DeleteService", json!({"cluster": "c", "service": "web", "force": true})).await.expect("forced");
    assert_eq!(deleted["service"]["status"], "DRAINING");
    let listed = client.ecs("ListServices", json!({"cluster": "c"})).await.expect("a list");
    assert_eq!(listed["serviceArns"], json!([]));
    client.service_until("it to be gone", "web", |seen| seen["status"] == "INACTIVE").await;
    let update = client.ecs("UpdateService", json!({"cluster": "c", "service": "web", "desiredCount": 1})).await;
    assert_eq!(update.expect_err("it is gone").code, "ServiceNotActiveException");
    client.ecs("CreateService", new_service("web", &definition, 1)).await.expect("the name is free again");
}

#[tokio::test]
async fn ten_services_a_call() {
    let client = Client::with_cluster().await;
    let names: Vec<String> = (0..11).map(|number| format!("s{number:02}")).collect();
    let definition = client.definition("web", "team/web:1").await;
    for name in &names {
        client.ecs("CreateService", new_service(name, &definition, 0)).await.expect("it is valid");
    }
    let refused =
        client.ecs("DescribeServices", json!({"cluster": "c", "services": names})).await.expect_err("too many");
    assert_eq!(refused.code, "InvalidParameterException");
    let described =
        client.ecs("DescribeServices", json!({"cluster": "c", "services": ["s00", "none"]})).await.expect("an answer");
    assert_eq!(described["services"].as_array().map(Vec::len), Some(1));
    assert_eq!(described["failures"][0]["reason"], "MISSING");
    let first = client.ecs("ListServices", json!({"cluster": "c"})).await.expect("a page");
    assert_eq!(first["serviceArns"].as_array().map(Vec::len), Some(10));
    let rest =
        client.ecs("ListServices", json!({"cluster": "c", "nextToken": first["nextToken"]})).await.expect("a page");
    assert_eq!(rest["serviceArns"], json!(["arn:aws:ecs:us-east-1:123456789012:service/c/s10"]));
    assert_eq!(rest["nextToken"], Value::Null);
}

#[tokio::test]
async fn created_things_are_not_seen_at_once() {
    let client = Client::with_cluster().await;
    let definition = client.definition("web", "team/web:1").await;
    client.aws.configure(|config| config.visible_after_ms = 300);
    let mut wanted = new_service("web", &definition, 1);
    wanted["clientToken"] = json!("once");
    client.ecs("CreateService", wanted.clone()).await.expect("it is valid");
    let seen = client.ecs("DescribeServices", json!({"cluster": "c", "services": ["web"]})).await.expect("an answer");
    assert_eq!(seen["failures"][0]["reason"], "MISSING", "it was made just now");
    let update = client.ecs("UpdateService", json!({"cluster": "c", "service": "web", "desiredCount": 2})).await;
    assert_eq!(update.expect_err("it can't be seen").code, "ServiceNotFoundException");
    client.ecs("CreateService", wanted).await.expect("the token is known at once");
    client.service_until("it to be seen", "web", |seen| seen["status"] == "ACTIVE").await;
    assert_eq!(client.aws.world().services().len(), 1);
}

#[tokio::test]
async fn capacity_providers_share_the_tasks() {
    let client = Client::with_cluster_and(FakeAwsConfig::default()).await;
    let definition = client.definition("web", "team/web:1").await;
    let mut wanted = new_service("web", &definition, 4);
    wanted["launchType"] = Value::Null;
    wanted["capacityProviderStrategy"] = json!([
        {"capacityProvider": "FARGATE", "base": 1, "weight": 0},
        {"capacityProvider": "FARGATE_SPOT", "weight": 1},
    ]);
    wanted["propagateTags"] = json!("SERVICE");
    wanted["tags"] = json!([{"key": "layer0.instance", "value": "test"}]);
    client.ecs("CreateService", wanted).await.expect("it is valid");
    client.completed("web").await;
    let tasks = client.aws.world().tasks();
    let on = |provider: &str| tasks.iter().filter(|task| task["capacityProviderName"] == provider).count();
    assert_eq!((on("FARGATE"), on("FARGATE_SPOT")), (1, 3));
    assert!(tasks.iter().all(|task| task["tags"] == json!([{"key": "layer0.instance", "value": "test"}])));
}

#[tokio::test]
async fn ec2_needs_an_instance() {
    let client = Client::with_cluster().await;
    let definition = json!({
        "family": "stateful",
        "containerDefinitions": [{"name": "main", "image": "team/db:1", "memory": 64}],
    });
    client.ecs("RegisterTaskDefinition", definition).await.expect("it is valid");
    let run = client.ecs("RunTask", json!({"cluster": "c", "taskDefinition": "stateful", "launchType": "EC2"})).await;
    assert_eq!(run.expect_err("there is no instance").message, "No Container Instances were found in your cluster.");
    let wanted = json!({
        "cluster": "c", "serviceName": "db", "taskDefinition": "stateful", "desiredCount": 1, "launchType": "EC2",
    });
    client.ecs("CreateService", wanted).await.expect("it waits for an instance");
    let seen = client.service_until("an event", "db", |seen| seen["events"] != json!([])).await;
    assert!(events(&seen)[0].contains("unable to place a task because no container instance met"), "{seen}");
    client.aws.container_instances("c", 1);
    client.completed("db").await;
}

#[tokio::test]
async fn without_capacity_nothing_starts() {
    let client = Client::with_cluster().await;
    let definition = client.definition("web", "team/web:1").await;
    client.aws.capacity("FARGATE", false);
    let text = "Capacity is unavailable at this time. Please try again later or in a different availability zone.";
    let mut run = new_service("web", &definition, 1);
    run["clientToken"] = json!("once");
    let refused = client.ecs("RunTask", run.clone()).await.expect("that is no error");
    assert_eq!((&refused["tasks"], &refused["failures"][0]["reason"]), (&json!([]), &json!(text)));
    client.ecs("CreateService", new_service("web", &definition, 1)).await.expect("it waits for capacity");
    let seen = client.service_until("an event", "web", |seen| seen["events"] != json!([])).await;
    assert!(
        events(&seen)[0].starts_with(&format!("(service web) was unable to place a task. Reason: {text}")),
        "{seen}"
    );
    client.aws.capacity("FARGATE", true);
    client.completed("web").await;
    let started = client.ecs("RunTask", run).await.expect("the same token, since it started nothing");
    assert_eq!(started["tasks"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn an_interrupted_task_is_replaced() {
    let client = Client::with_cluster().await;
    let definition = client.definition("web", "team/web:1").await;
    client.ecs("CreateService", new_service("web", &definition, 1)).await.expect("it is valid");
    client.completed("web").await;
    let before = running(&client.aws);
    client.aws.interrupt(before[0].as_str().and_then(|arn| arn.rsplit('/').next()).expect("an id"));
    client.service_until("another", "web", |seen| seen["runningCount"] == 1 && running(&client.aws) != before).await;
    let tasks = client.ecs("DescribeTasks", json!({"cluster": "c", "tasks": before})).await.expect("it is still known");
    let task = &tasks["tasks"][0];
    assert_eq!(
        (&task["stopCode"], &task["stoppedReason"]),
        (&json!("SpotInterruption"), &json!("Your Spot Task was interrupted."))
    );
}
