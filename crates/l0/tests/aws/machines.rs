//! What ministack can't do, on the fake AWS: machines of an environment, what is stateful, classic load balancers.

use layer0_testkit::aws::FakeAwsConfig;
use serde_json::Value;

use crate::emulator::query_call_at;
use crate::on_fake::OnFake;
use crate::script::{Form, Step, run, walk};

/// The lines.
pub(crate) const SCRIPT: &[Step<OnFake>] = &[
    run("environment create big --scale 2 --type m5.large --ami ami-0c0ffee --user-data start.sh")
        .says(&["big", "ready"])
        .holds(&[("/0/environment_name", r#""big""#)])
        .then(|place| {
            assert_eq!(instances(place), [2]);
            assert_eq!(kinds(place, "AutoScaling::AutoScalingGroup"), 1);
        }),
    run("environment scale big 3").then(|place| assert_eq!(instances(place), [3])),
    run("environment scale big several").exits(2),
    run("deploy create web.json web").says(&["web.1"]),
    run("loadbalancer create big old --type classic --port 80:8080/http --healthcheck-target TCP:8080")
        .says(&["classic", "80:8080/HTTP"])
        .holds(&[("/0/load_balancer_type", r#""classic""#)])
        .then(|place| assert_eq!(kinds(place, "ElasticLoadBalancing::LoadBalancer"), 1)),
    run("service create big store web:1 --stateful --loadbalancer old --scale 2")
        .says(&["2/2", "old", "true"])
        .holds(&[("/0/stateful", "true"), ("/0/running_count", "2")])
        .then(|place| assert_eq!(launched(place), ["EC2", "EC2"])),
    run("task create big once web:1 --stateful --no-wait").holds(&[("/0/stateful", "true")]),
    run("task stop once").says(&["STOPPED"]),
    run("task delete once"),
    run("service delete store").then(|place| assert_eq!(launched(place), Vec::<String>::new())),
    run("loadbalancer delete old").then(|place| assert_eq!(kinds(place, "ElasticLoadBalancing::LoadBalancer"), 0)),
    run("environment scale big 0").then(|place| assert_eq!(kinds(place, "AutoScaling::AutoScalingGroup"), 0)),
    run("environment delete big").then(|place| {
        let left = |stack: &Value| stack["StackStatus"] != "DELETE_COMPLETE";
        assert!(!place.aws.world().stacks().iter().any(left), "{:#?}", place.aws.world().stacks());
    }),
];

fn walked(form: Form) {
    let place = OnFake::start(FakeAwsConfig::default(), "vpc-main", "subnet-private-a,subnet-private-b");
    place.document("web.json", "team/app:1");
    place.instance.file("start.sh", "#!/bin/sh\n");
    walk(SCRIPT, &place, form);
}

#[test]
fn machines_and_what_needs_them_in_text() {
    walked(Form::Text);
}

#[test]
fn machines_and_what_needs_them_in_json() {
    walked(Form::Json);
}

/// How many machines each cluster has.
fn instances(place: &OnFake) -> Vec<i64> {
    let clusters = place.aws.world().clusters();
    clusters.iter().filter_map(|cluster| cluster["registeredContainerInstancesCount"].as_i64()).collect()
}

/// The launch types of the tasks that run.
fn launched(place: &OnFake) -> Vec<String> {
    let tasks = place.aws.world().tasks();
    let running = tasks.iter().filter(|task| task["lastStatus"] == "RUNNING");
    running.filter_map(|task| Some(task["launchType"].as_str()?.to_owned())).collect()
}

/// How many resources of a kind there are in the stacks.
fn kinds(place: &OnFake, part: &str) -> usize {
    let stacks = place.aws.world().stacks();
    let standing = stacks.iter().filter(|stack| stack["StackStatus"] != "DELETE_COMPLETE");
    let host = place.aws.endpoint().trim_start_matches("http://");
    let resources = standing.map(|stack| {
        let name = [("StackName", stack["StackName"].as_str().expect("a name"))];
        query_call_at(host, "cloudformation", "2010-05-15", "DescribeStackResources", &name)
    });
    resources.map(|xml| xml.matches(&format!("<ResourceType>AWS::{part}</ResourceType>")).count()).sum()
}
