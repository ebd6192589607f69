//! Task definitions and tasks.

use layer0_testkit::aws::Behaviour;
use layer0_testkit::until::until;
use serde_json::{Value, json};

use super::client::{Client, network};

fn run(definition: &str, count: u64) -> Value {
    json!({
        "cluster": "c",
        "taskDefinition": definition,
        "count": count,
        "launchType": "FARGATE",
        "networkConfiguration": network(),
        "startedBy": "layer0",
    })
}

/// Waits until a task is STOPPED.
async fn ended(client: &Client, arn: &Value) -> Value {
    until(format!("{arn} to end"), || async {
        let answer = client.ecs("DescribeTasks", json!({"cluster": "c", "tasks": [arn]})).await.expect("an answer");
        let task = answer["tasks"][0].clone();
        if task["lastStatus"] == "STOPPED" { Ok(task) } else { Err(format!("{task:#}")) }
    })
    .await
}

#[tokio::test]
async fn the_same_token_runs_once() {
    let client = Client::with_cluster().await;
    let definition = client.definition("job", "team/job:1").await;
    let mut wanted = run(&definition, 3);
    wanted["clientToken"] = json!("once");
    let first = client.ecs("RunTask", wanted.clone()).await.expect("it is valid");
    let again = client.ecs("RunTask", wanted.clone()).await.expect("it is the same");
    let arns = |answer: &Value| -> Vec<Value> {
        answer["tasks"].as_array().expect("a list").iter().map(|task| task["taskArn"].clone()).collect()
    };
    assert_eq!(arns(&first), arns(&again));
    wanted["count"] = json!(1);
    let other = client.ecs("RunTask", wanted).await.expect_err("the token is for another request");
    assert_eq!(other.code, "ConflictException");
    assert_eq!(client.aws.world().tasks().len(), 3);
    let many = client.ecs("RunTask", run(&definition, 11)).await.expect_err("ten at most");
    assert_eq!(many.code, "InvalidParameterException");
}

#[tokio::test]
async fn a_job_talks_and_ends() {
    let client = Client::with_cluster().await;
    let lines = ["one", "two", "three"].map(str::to_owned).to_vec();
    client.aws.behave("talks", Behaviour::Talks { lines, then_code: Some(0) });
    client.logs("CreateLogGroup", json!({"logGroupName": "logs"})).await.expect("it is new");
    let container = json!({
        "name": "main",
        "image": "talks",
        "logConfiguration": {"logDriver": "awslogs", "options": {
            "awslogs-group": "logs", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "l0",
        }},
    });
    let definition = client.definition_with("job", container).await;
    let started = client.ecs("RunTask", run(&definition, 1)).await.expect("it is valid");
    let arn = &started["tasks"][0]["taskArn"];
    assert_eq!(started["tasks"][0]["lastStatus"], "PROVISIONING");
    let task = ended(&client, arn).await;
    assert_eq!(
        (&task["stopCode"], &task["containers"][0]["exitCode"]),
        (&json!("EssentialContainerExited"), &json!(0))
    );
    assert_eq!(task["group"], "family:job");
    let order =
        ["createdAt", "pullStartedAt", "pullStoppedAt", "startedAt", "stoppingAt", "executionStoppedAt", "stoppedAt"];
    let times: Vec<f64> =
        order.iter().map(|key| task[*key].as_f64().unwrap_or_else(|| panic!("{key}: {task:#}"))).collect();
    assert!(times.is_sorted(), "{times:?}");
    let id = arn.as_str().and_then(|arn| arn.rsplit('/').next()).expect("an id");
    assert_eq!(client.aws.world().log_lines("logs", &format!("l0/main/{id}")), ["one", "two", "three"]);
}

#[tokio::test]
async fn without_its_log_group_a_task_does_not_start() {
    let client = Client::with_cluster().await;
    let container = |create: &str| {
        json!({"name": "main", "image": "a", "logConfiguration": {"logDriver": "awslogs", "options": {
            "awslogs-group": "none", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "l0",
            "awslogs-create-group": create,
        }}})
    };
    let definition = client.definition_with("job", container("false")).await;
    let started = client.ecs("RunTask", run(&definition, 1)).await.expect("it is valid");
    let task = ended(&client, &started["tasks"][0]["taskArn"]).await;
    assert_eq!(task["stopCode"], "TaskFailedToStart");
    let reason = task["stoppedReason"].as_str().expect("a reason");
    assert!(
        reason.starts_with("ResourceInitializationError: ") && reason.contains("log group does not exist"),
        "{reason}"
    );
    let definition = client.definition_with("job", container("true")).await;
    client.ecs("RunTask", run(&definition, 1)).await.expect("it is valid");
    until("the group", || async { if client.aws.world().log_groups().len() == 1 { Ok(()) } else { Err("no group") } })
        .await;
}

#[tokio::test]
async fn a_stop_has_a_reason() {
    let client = Client::with_cluster().await;
    let definition = client.definition("job", "team/job:1").await;
    let started = client.ecs("RunTask", run(&definition, 1)).await.expect("it is valid");
    let arn = &started["tasks"][0]["taskArn"];
    let stop = json!({"cluster": "c", "task": arn, "reason": "l0: not needed"});
    let answer = client.ecs("StopTask", stop).await.expect("it is there");
    assert_eq!(answer["task"]["desiredStatus"], "STOPPED");
    let task = ended(&client, arn).await;
    assert_eq!((&task["stopCode"], &task["stoppedReason"]), (&json!("UserInitiated"), &json!("l0: not needed")));
    let listed = |status: &str| json!({"cluster": "c", "startedBy": "layer0", "desiredStatus": status});
    let running = client.ecs("ListTasks", listed("RUNNING")).await.expect("a list");
    assert_eq!(running["taskArns"], json!([]));
    let stopped = client.ecs("ListTasks", listed("STOPPED")).await.expect("a list");
    assert_eq!(stopped["taskArns"], json!([arn]));
    let none = client.ecs("StopTask", json!({"cluster": "c", "task": "none"})).await.expect_err("there is none");
    assert_eq!(none.message, "The referenced task was not found.");
}

#[tokio::test]
async fn running_out_of_memory_is_told() {
    let client = Client::with_cluster().await;
    client.aws.behave("hungry", Behaviour::OutOfMemory { after_ms: 10 });
    let definition = client.definition("job", "hungry").await;
    let started = client.ecs("RunTask", run(&definition, 1)).await.expect("it is valid");
    let task = ended(&client, &started["tasks"][0]["taskArn"]).await;
    let container = &task["containers"][0];
    assert_eq!(container["exitCode"], 137);
    assert_eq!(container["reason"], "OutOfMemoryError: Container killed due to memory usage");
}

#[tokio::test]
async fn overrides_reach_the_container() {
    let client = Client::with_cluster().await;
    client.aws.behave_by(|container| {
        let asks =
            container["environment"].as_array().is_some_and(|all| all.contains(&json!({"name": "CODE", "value": "7"})));
        asks.then_some(Behaviour::Exits { code: 7, after_ms: 0 })
    });
    let definition = client.definition("job", "team/job:1").await;
    let mut wanted = run(&definition, 1);
    wanted["overrides"] =
        json!({"containerOverrides": [{"name": "main", "environment": [{"name": "CODE", "value": "7"}]}]});
    let started = client.ecs("RunTask", wanted.clone()).await.expect("it is valid");
    let task = ended(&client, &started["tasks"][0]["taskArn"]).await;
    assert_eq!(task["containers"][0]["exitCode"], 7);
    assert_eq!(task["overrides"]["containerOverrides"][0]["environment"][0]["value"], "7");
    wanted["overrides"] = json!({"memory": "4096"});
    let refused = client.ecs("RunTask", wanted.clone()).await.expect_err("256 units have 2 GB at most");
    assert_eq!(refused.message, "No Fargate configuration exists for given values.");
    wanted["overrides"] = json!({"containerOverrides": [{"name": "other"}]});
    let refused = client.ecs("RunTask", wanted).await.expect_err("there is no such container");
    assert!(refused.message.contains("is not a container in the TaskDefinition"), "{refused:?}");
}

#[tokio::test]
async fn lists_are_paged_by_a_hundred() {
    let client = Client::with_cluster().await;
    let definition = client.definition("job", "team/job:1").await;
    for _ in 0..11 {
        client.ecs("RunTask", run(&definition, 10)).await.expect("it is valid");
    }
    let first = client.ecs("ListTasks", json!({"cluster": "c", "family": "job"})).await.expect("a page");
    assert_eq!(first["taskArns"].as_array().map(Vec::len), Some(100));
    let mut next = json!({"cluster": "c", "family": "job"});
    next["nextToken"] = first["nextToken"].clone();
    let rest = client.ecs("ListTasks", next).await.expect("a page");
    assert_eq!(rest["taskArns"].as_array().map(Vec::len), Some(10));
    assert_eq!(rest["nextToken"], Value::Null);
    let all =
        client.ecs("DescribeTasks", json!({"cluster": "c", "tasks": first["taskArns"]})).await.expect("a hundred");
    assert_eq!(all["tasks"].as_array().map(Vec::len), Some(100));
}

#[tokio::test]
async fn stopped_tasks_are_forgotten() {
    let client = Client::with_cluster().await;
    client.aws.configure(|config| config.stopped_task_kept_ms = 20);
    client.aws.behave("job", Behaviour::Exits { code: 0, after_ms: 0 });
    let definition = client.definition("job", "team/job:1").await;
    client.ecs("RunTask", run(&definition, 1)).await.expect("it is valid");
    until("it to be forgotten", || async {
        let left = client.aws.world().tasks();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

#[tokio::test]
async fn revisions_are_never_used_twice() {
    let client = Client::with_cluster().await;
    let first = client.definition("job", "team/job:1").await;
    assert!(first.ends_with("task-definition/job:1"), "{first}");
    let second = client.definition("job", "team/job:2").await;
    client.ecs("DeregisterTaskDefinition", json!({"taskDefinition": second})).await.expect("it is there");
    let newest = client.ecs("DescribeTaskDefinition", json!({"taskDefinition": "job"})).await.expect("one is active");
    assert_eq!(newest["taskDefinition"]["taskDefinitionArn"], json!(first));
    let run_it = client.ecs("RunTask", run(&second, 1)).await.expect_err("it is inactive");
    assert_eq!(run_it.message, "TaskDefinition is inactive");
    let deleted =
        client.ecs("DeleteTaskDefinitions", json!({"taskDefinitions": [second, first]})).await.expect("an answer");
    assert_eq!(deleted["taskDefinitions"].as_array().map(Vec::len), Some(1));
    assert!(deleted["failures"][0]["reason"].as_str().is_some_and(|reason| reason.contains("still in ACTIVE status")));
    assert!(client.definition("job", "team/job:3").await.ends_with(":3"));
    let listed = client.ecs("ListTaskDefinitions", json!({"familyPrefix": "job"})).await.expect("a list");
    assert_eq!(listed["taskDefinitionArns"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn revisions_are_listed_in_both_orders() {
    let client = Client::with_cluster().await;
    for _ in 0..11 {
        client.definition("job", "team/job:1").await;
    }
    for (sort, wanted) in [("ASC", (1..=11).collect::<Vec<u64>>()), ("DESC", (1..=11).rev().collect())] {
        let mut seen: Vec<u64> = Vec::new();
        let mut token = Value::Null;
        loop {
            let input = json!({"familyPrefix": "job", "sort": sort, "maxResults": 4, "nextToken": token});
            let page = client.ecs("ListTaskDefinitions", input).await.expect("a page");
            let arns = page["taskDefinitionArns"].as_array().expect("a list");
            let revision = |arn: &Value| arn.as_str().and_then(|arn| arn.rsplit(':').next()?.parse::<u64>().ok());
            seen.extend(arns.iter().filter_map(revision));
            token = page["nextToken"].clone();
            if token.is_null() {
                break;
            }
        }
        assert_eq!(seen, wanted, "{sort}");
    }
    client.definition("other", "team/job:1").await;
    let families = client.ecs("ListTaskDefinitionFamilies", json!({"familyPrefix": "jo"})).await.expect("a list");
    assert_eq!(families["families"], json!(["job"]));
}

#[tokio::test]
async fn definitions_are_checked_and_kept() {
    let client = Client::with_cluster().await;
    let good = json!({
        "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": ".5 vCPU", "memory": "1 GB",
        "containerDefinitions": [{"name": "main", "image": "a", "portMappings": [{"containerPort": 80}]}],
        "somethingNew": {"kept": true},
        "tags": [{"key": "a", "value": "b"}],
    });
    let answer = client.ecs("RegisterTaskDefinition", good.clone()).await.expect("it is valid");
    let definition = &answer["taskDefinition"];
    assert_eq!((&definition["cpu"], &definition["memory"]), (&json!("512"), &json!("1024")));
    assert_eq!(definition["compatibilities"], json!(["EC2", "FARGATE"]));
    assert_eq!(definition["somethingNew"], json!({"kept": true}));
    assert_eq!(definition["containerDefinitions"][0]["portMappings"][0]["hostPort"], 80);
    let described = client
        .ecs("DescribeTaskDefinition", json!({"taskDefinition": "web", "include": ["TAGS"]}))
        .await
        .expect("it is there");
    assert_eq!(described["tags"], json!([{"key": "a", "value": "b"}]));
    let set = |path: &str, value: Value| {
        let mut changed = good.clone();
        match changed.pointer_mut(path) {
            Some(member) => *member = value,
            None => {
                let (above, key) = path.rsplit_once('/').expect("a path");
                changed.pointer_mut(above).expect("it is there")[key] = value;
            }
        }
        changed
    };
    for (input, text) in [
        (set("/memory", json!("1536")), "No Fargate configuration exists for given values."),
        (set("/networkMode", json!("bridge")), "Fargate only supports network mode"),
        (set("/containerDefinitions/0/privileged", json!(true)), "privileged"),
        (set("/containerDefinitions/0/links", json!(["x"])), "Links are not supported when networkMode=awsvpc."),
        (set("/containerDefinitions/0/portMappings/0/hostPort", json!(81)), "host ports and container ports"),
        (set("/containerDefinitions/0/name", json!("a b")), "Container.name contains invalid characters."),
        (set("/containerDefinitions/0/image", json!("a".repeat(256))), "255 characters or less"),
        (
            set("/containerDefinitions/0/image", json!("123456789012.dkr.ecr.us-east-1.amazonaws.com/a:1")),
            "execution role ARN to support ECR images",
        ),
        (
            set(
                "/containerDefinitions/0/logConfiguration",
                json!({"logDriver": "awslogs", "options": {"awslogs-group": "g"}}),
            ),
            "execution role ARN to support log driver awslogs",
        ),
        (set("/containerDefinitions", json!([])), "Container list cannot be empty."),
    ] {
        let refusal = client.ecs("RegisterTaskDefinition", input).await.expect_err("it is wrong");
        assert_eq!(refusal.code, "ClientException");
        assert!(refusal.message.contains(text), "{}", refusal.message);
    }
    assert_eq!(client.aws.world().task_definitions().len(), 1);
}
