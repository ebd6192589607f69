//! Classic load balancers: what they find of the machines behind them, and what ECS makes of it.

use std::collections::BTreeSet;

use layer0_testkit::aws::{Behaviour, FakeAwsConfig};
use layer0_testkit::until::until;
use serde_json::{Value, json};

use super::client::{Client, Refusal, events, tags};

/// A second that lasts longer than a test.
const FOREVER_MS: u64 = 3_600_000;

/// A cluster `c` of three machines, a classic load balancer `web`, and a service `web` of two tasks behind it.
async fn behind(second_ms: u64) -> Client {
    let client = Client::with_cluster_and(FakeAwsConfig { second_ms, ..FakeAwsConfig::default() }).await;
    client.aws.container_instances("c", 3);
    client.aws.behave("team/broken", Behaviour::UnhealthyTarget);
    stack(&client, "CreateStack", &["80"]).await;
    client.stack_until("s", "CREATE_COMPLETE").await;
    client
}

async fn stack(client: &Client, action: &str, ports: &[&str]) {
    let listener = |port: &&str| json!({"LoadBalancerPort": port, "InstancePort": "80", "Protocol": "HTTP"});
    let template = json!({"Resources": {"Balancer": {"Type": "AWS::ElasticLoadBalancing::LoadBalancer", "Properties": {
        "LoadBalancerName": "web",
        "Listeners": ports.iter().map(listener).collect::<Vec<_>>(),
        "HealthCheck": {
            "Target": "TCP:80", "Interval": "5", "Timeout": "2", "HealthyThreshold": "3", "UnhealthyThreshold": "2",
        },
        "ConnectionDrainingPolicy": {"Enabled": true, "Timeout": 30},
    }}}});
    let form = [("StackName", "s"), ("TemplateBody", &*template.to_string())];
    client.cloudformation(action, &form).await.expect("a valid template");
}

async fn service(client: &Client, image: &str) {
    let container = json!({"name": "main", "image": image, "memory": 64, "portMappings": [{"containerPort": 80}]});
    let definition = json!({"family": "web", "containerDefinitions": [container]});
    client.ecs("RegisterTaskDefinition", definition).await.expect("it is valid");
    let wanted = json!({
        "cluster": "c", "serviceName": "web", "taskDefinition": "web", "desiredCount": 2, "launchType": "EC2",
        "loadBalancers": [{"loadBalancerName": "web", "containerName": "main", "containerPort": 80}],
        "healthCheckGracePeriodSeconds": 60,
        "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}},
    });
    client.ecs("CreateService", wanted).await.expect("it is valid");
}

/// Id, state, reason code and description of each machine.
type Found = Vec<[String; 4]>;

async fn health(client: &Client, name: &str, instances: &[&str]) -> Result<Found, Refusal> {
    let keys: Vec<String> = (1..=instances.len()).map(|at| format!("Instances.member.{at}.InstanceId")).collect();
    let mut form = vec![("LoadBalancerName", name)];
    form.extend(keys.iter().map(String::as_str).zip(instances.iter().copied()));
    let xml = client.query("2012-06-01", "DescribeInstanceHealth", &form).await?;
    let [ids, states, codes, texts] = ["InstanceId", "State", "ReasonCode", "Description"].map(|name| tags(&xml, name));
    let of = |list: &[&str], at: usize| list[at].to_owned();
    Ok((0..ids.len()).map(|at| [of(&ids, at), of(&states, at), of(&codes, at), of(&texts, at)]).collect())
}

/// Waits until the load balancer finds both machines so.
async fn found(client: &Client, wanted: [&str; 3]) -> Found {
    until(format!("two machines to be {wanted:?}"), || async {
        let found = health(client, "web", &[]).await.expect("it is there");
        let all = found.len() == 2 && found.iter().all(|it| it[1..] == wanted);
        if all { Ok(found) } else { Err(format!("{found:?}")) }
    })
    .await
}

/// The EC2 ids of the machines that the service's tasks run on.
async fn machines(client: &Client) -> BTreeSet<String> {
    let tasks = client.aws.world().tasks();
    let arns: Vec<&Value> = tasks.iter().map(|task| &task["containerInstanceArn"]).collect();
    let described = client.ecs("DescribeContainerInstances", json!({"cluster": "c", "containerInstances": arns})).await;
    let described = described.expect("they are there");
    let all = described["containerInstances"].as_array().expect("a list");
    all.iter().map(|it| it["ec2InstanceId"].as_str().expect("an id").to_owned()).collect()
}

const REGISTERING: [&str; 3] = ["OutOfService", "ELB", "Instance registration is still in progress."];
const IN_SERVICE: [&str; 3] = ["InService", "N/A", "N/A"];
const FAILING: [&str; 3] = [
    "OutOfService",
    "Instance",
    "Instance has failed at least the UnhealthyThreshold number of health checks consecutively.",
];

#[tokio::test]
async fn a_roll_out_waits_for_the_registration_of_its_machines() {
    let client = behind(FOREVER_MS).await;
    service(&client, "team/web:1").await;
    let seen = found(&client, REGISTERING).await;
    let ids: BTreeSet<String> = seen.into_iter().map(|[id, ..]| id).collect();
    assert_eq!(ids, machines(&client).await, "each task has a machine of its own, and the same id everywhere");
    assert_eq!(client.service("web").await["deployments"][0]["rolloutState"], "IN_PROGRESS");
    for task in client.aws.world().tasks() {
        let id = task["taskArn"].as_str().and_then(|arn| arn.rsplit('/').next()).expect("an ARN");
        client.aws.target_health(id, true);
    }
    found(&client, IN_SERVICE).await;
    client.completed("web").await;
}

#[tokio::test]
async fn machines_come_into_service_break_and_leave() {
    let client = behind(1).await;
    service(&client, "team/web:1").await;
    client.completed("web").await;
    let all = found(&client, IN_SERVICE).await;

    // From here on nothing that takes seconds comes to its end.
    client.aws.configure(|config| config.second_ms = FOREVER_MS);
    let task = client.aws.world().tasks().remove(0);
    let id = task["taskArn"].as_str().and_then(|arn| arn.rsplit('/').next()).expect("an ARN");
    client.aws.target_health(id, false);
    let mut states = health(&client, "web", &[]).await.expect("it is there");
    states.sort_by(|one, other| one[1].cmp(&other[1]));
    assert_eq!(
        (&states[0][1..], &states[1][1..]),
        (&IN_SERVICE.map(str::to_owned)[..], &FAILING.map(str::to_owned)[..])
    );
    client.aws.target_health(id, true);

    client.ecs("DeleteService", json!({"cluster": "c", "service": "web", "force": true})).await.expect("it is there");
    found(&client, ["InService", "N/A", "Instance deregistration currently in progress."]).await;
    let one = health(&client, "web", &[&all[0][0]]).await.expect("it is there");
    assert_eq!(one.len(), 1, "those that are asked for");
}

#[tokio::test]
async fn machines_that_have_left_are_not_listed() {
    let client = behind(1).await;
    service(&client, "team/web:1").await;
    client.completed("web").await;
    let all = found(&client, IN_SERVICE).await;
    client.ecs("DeleteService", json!({"cluster": "c", "service": "web", "force": true})).await.expect("it is there");
    client.service_until("it to be gone", "web", |seen| seen["status"] == "INACTIVE").await;
    until("nothing to be registered", || async {
        let found = health(&client, "web", &[]).await.expect("it is there");
        if found.is_empty() { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    let one = health(&client, "web", &[&all[0][0]]).await.expect("it is there");
    let left = ["OutOfService", "Instance", "Instance is not currently registered with the LoadBalancer."];
    assert_eq!(one[0][1..], left);
}

#[tokio::test]
async fn tasks_on_failing_machines_are_replaced_until_ecs_gives_up() {
    let client = behind(1).await;
    service(&client, "team/broken:1").await;
    let seen = client
        .service_until("the roll-out to fail", "web", |seen| seen["deployments"][0]["rolloutState"] == "FAILED")
        .await;
    let event = |text: &&str| text.contains("is unhealthy in (elb web) due to (reason Instance has failed at least");
    assert!(events(&seen).iter().any(event), "{:?}", events(&seen));
    let reasons: BTreeSet<String> = client
        .aws
        .world()
        .tasks()
        .iter()
        .filter_map(|task| task["stoppedReason"].as_str().map(str::to_owned))
        .collect();
    assert!(reasons.contains("Task failed ELB health checks in (elb web)"), "{reasons:?}");
}

#[tokio::test]
async fn what_is_not_there_is_refused() {
    let client = behind(1).await;
    let code = |refused: Result<Found, Refusal>| refused.expect_err("it is not there").code;
    assert_eq!(code(health(&client, "none", &[]).await), "LoadBalancerNotFound");
    assert_eq!(code(health(&client, "web", &["i-none"]).await), "InvalidInstance");
    let refused = client.query("2012-06-01", "DescribeInstanceHealth", &[]).await.expect_err("no name");
    assert_eq!(refused.code, "ValidationError");
    let refused = client.query("2012-06-01", "CreateLoadBalancer", &[]).await.expect_err("stacks make them");
    assert_eq!(refused.code, "InvalidAction");

    let describe =
        |ids: Vec<String>| client.ecs("DescribeContainerInstances", json!({"cluster": "c", "containerInstances": ids}));
    let described = describe(vec!["none".to_owned()]).await.expect("an answer");
    assert_eq!(described["containerInstances"], json!([]));
    assert_eq!(described["failures"][0]["reason"], "MISSING");
    for many in [0, 101] {
        let refused = describe((0..many).map(|at| at.to_string()).collect()).await.expect_err("1 to 100");
        assert_eq!(refused.code, "InvalidParameterException", "{many}");
    }
    let of_none = json!({"cluster": "none", "containerInstances": ["a"]});
    let refused = client.ecs("DescribeContainerInstances", of_none).await.expect_err("no such cluster");
    assert_eq!(refused.code, "ClusterNotFoundException");
}

/// Listeners change in place, and those behind stay registered; with the stack it goes.
#[tokio::test]
async fn it_changes_in_place_and_goes_with_its_stack() {
    let client = behind(1).await;
    service(&client, "team/web:1").await;
    let before = found(&client, IN_SERVICE).await;
    stack(&client, "UpdateStack", &["80", "8080"]).await;
    client.stack_until("s", "UPDATE_COMPLETE").await;
    assert_eq!(found(&client, IN_SERVICE).await, before);
    assert_eq!(client.aws.world().load_balancing(), ["web"]);
    client.cloudformation("DeleteStack", &[("StackName", "s")]).await.expect("it is there");
    until("it to be gone", || async {
        let left = client.aws.world().load_balancing();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}
