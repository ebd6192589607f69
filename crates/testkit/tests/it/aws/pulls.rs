//! Pulls that are checked against what the fake holds.

use layer0_testkit::aws::network::{Endpoint, Network};
use layer0_testkit::aws::{FakeAwsConfig, FakeImage, Pulls, Role};
use layer0_testkit::until::until;
use serde_json::{Value, json};

use super::client::Client;

const IMAGE: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:1";
const PULL: [&str; 3] = ["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];

/// A fake where [`IMAGE`] can be pulled.
async fn ready(network: Network) -> Client {
    let config = FakeAwsConfig { pulls: Pulls::Checked, network, ..FakeAwsConfig::default() };
    let client = Client::with_cluster_and(config).await;
    client.aws.role("execution", Role::for_tasks(&PULL));
    client.aws.image("team/app", "1", FakeImage::default());
    client
}

/// Runs a task with an image in a subnet; its reason when it failed to start, or `None` when it runs.
async fn run(client: &Client, image: &str, subnet: &str) -> Option<String> {
    let definition = client.definition("job", image).await;
    let wanted = json!({
        "cluster": "c", "taskDefinition": definition, "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": [subnet]}},
    });
    let started = client.ecs("RunTask", wanted).await.expect("it is valid");
    let arn = started["tasks"][0]["taskArn"].clone();
    until("the task to run or to fail", || async {
        let tasks = client.ecs("DescribeTasks", json!({"cluster": "c", "tasks": [arn]})).await.expect("an answer");
        let task = &tasks["tasks"][0];
        match task["lastStatus"].as_str() {
            Some("RUNNING") => Ok(None),
            Some("STOPPED") => {
                assert_eq!(task["stopCode"], "TaskFailedToStart");
                assert_eq!(task["containers"][0]["exitCode"], Value::Null);
                Ok(task["stoppedReason"].as_str().map(str::to_owned))
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn what_can_be_pulled_runs() {
    let client = ready(Network::default()).await;
    assert_eq!(run(&client, IMAGE, "subnet-private-a").await, None);
    assert_eq!(run(&client, "busybox", "subnet-isolated-a").await, None, "other registries are not checked");
}

#[tokio::test]
async fn each_thing_that_is_missing_is_told() {
    let client = ready(Network::default()).await;
    let fails = async |image: &str, subnet: &str, text: &str| {
        let reason = run(&client, image, subnet).await.unwrap_or_else(|| panic!("{image} in {subnet} must not run"));
        assert!(reason.contains(text), "{reason}");
    };
    fails(&IMAGE.replace(":1", ":9"), "subnet-private-a", ": not found").await;
    fails(&IMAGE.replace("123456789012", "222222222222"), "subnet-private-a", "403 Forbidden").await;
    fails(IMAGE, "subnet-isolated-a", "There is a connection issue between the task and Amazon ECR").await;
    fails(IMAGE, "subnet-public-a", "There is a connection issue between the task and Amazon ECR").await;
    let arm = FakeImage { platforms: vec!["linux/arm64".to_owned()], ..FakeImage::default() };
    client.aws.image("team/app", "arm", arm);
    fails(&IMAGE.replace(":1", ":arm"), "subnet-private-a", "matching platform 'linux/amd64'").await;
    client.aws.image("team/app", "torn", FakeImage { missing_layers: 1, ..FakeImage::default() });
    fails(&IMAGE.replace(":1", ":torn"), "subnet-private-a", "failed to copy").await;
    client.aws.role("execution", Role::for_tasks(&PULL[..1]));
    fails(IMAGE, "subnet-private-a", "403 Forbidden").await;
    client.aws.role("execution", Role::for_tasks(&PULL[1..]));
    fails(IMAGE, "subnet-private-a", "not authorized to perform: ecr:GetAuthorizationToken").await;
}

#[tokio::test]
async fn endpoints_are_a_way_too() {
    let mut network = Network::default();
    let endpoint = |service: &str, route_tables: &[&str]| Endpoint {
        id: format!("vpce-{service}"),
        vpc: "vpc-main".to_owned(),
        service: format!("com.amazonaws.us-east-1.{service}"),
        subnets: vec!["subnet-isolated-a".to_owned()],
        security_groups: vec!["sg-default".to_owned()],
        route_tables: route_tables.iter().map(|&table| table.to_owned()).collect(),
        policy: None,
        private_dns: true,
        inbound_only: false,
    };
    network.endpoints = vec![endpoint("ecr.api", &[]), endpoint("ecr.dkr", &[])];
    let client = ready(network.clone()).await;
    assert!(run(&client, IMAGE, "subnet-isolated-a").await.is_some(), "the layers lie in S3");
    network.endpoints.push(endpoint("s3", &["rtb-isolated"]));
    let client = ready(network).await;
    assert_eq!(run(&client, IMAGE, "subnet-isolated-a").await, None);
}
