//! How many calls to AWS things take that a user asks for, counted at the wire: the built program on the fake AWS.
//!
//! What a server looks at by itself, every few seconds, is no part of a budget; it is told from the rest by what it asks.

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeMap;

use layer0_testkit::aws::{EXECUTION, FakeAws, FakeAwsConfig, FakeImage, Role};
use tokio::runtime::Runtime;

use common::instance::Instance;
use common::until::until;

/// What is asked for while something is under way, or from time to time: looks.
const LOOKS: [&str; 5] = ["DescribeServices", "ListTasks", "DescribeTasks", "DescribeTargetHealth", "DescribeStacks"];

/// What a server asks beforehand about the instance's own: its account, organization, registry, roles and network.
const SET_UP: [&str; 8] = [
    "GetCallerIdentity",
    "DescribeOrganization",
    "GetRegistryPolicy",
    "GetRole",
    "SimulatePrincipalPolicy",
    "DescribeSubnets",
    "DescribeRouteTables",
    "DescribeVpcEndpoints",
];

const IMAGE: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app";

/// A server on a fake AWS.
struct Cloud {
    instance: Instance,
    aws: FakeAws,
    // What the fake does by itself runs in it.
    _runtime: Runtime,
}

impl Cloud {
    fn start() -> Self {
        let runtime = Runtime::new().expect("threads can be started");
        let aws = runtime.block_on(FakeAws::start(FakeAwsConfig::default()));
        aws.image("team/app", "1", FakeImage::default());
        aws.role("l0-execution", Role::for_tasks(&EXECUTION));
        // As this one the server asks.
        aws.role("layer0", Role::for_tasks(&["iam:PassRole"]));
        let mut instance = Instance::prepared(&[]);
        std::fs::create_dir(instance.path("home/.aws")).expect("a directory of our own");
        instance.file("home/.aws/credentials", "[default]\naws_access_key_id = test\naws_secret_access_key = test\n");
        let flags = [
            ("--engine", "ecs"),
            ("--aws-region", "us-east-1"),
            ("--endpoint-url", aws.endpoint()),
            ("--aws-vpc", "vpc-main"),
            ("--aws-private-subnets", "subnet-private-a,subnet-private-b"),
            ("--aws-public-subnets", "subnet-public-a,subnet-public-b"),
            ("--aws-execution-role", "arn:aws:iam::123456789012:role/l0-execution"),
        ];
        let flags: Vec<String> =
            flags.iter().flat_map(|(flag, value)| [(*flag).to_owned(), (*value).to_owned()]).collect();
        instance.flags_add(&flags);
        instance.server_start();
        let cloud = Self { instance, aws, _runtime: runtime };
        cloud.set_up_seen();
        cloud
    }

    /// Waits until the server has looked at what is the instance's own.
    fn set_up_seen(&self) {
        until("the look at the set-up", || {
            let calls = self.aws.calls();
            let lacking = |operation: &&&str| !calls.iter().any(|call| call.operation == **operation);
            match SET_UP.iter().find(lacking) {
                Some(operation) => Err(format!("no {operation} yet")),
                None => Ok(()),
            }
        });
        // Ten at most, every five minutes, however many services there are.
        let total = self.aws.calls().iter().filter(|call| SET_UP.contains(&call.operation.as_str())).count();
        assert!(total <= 10, "{total} calls for a look at the set-up: {:?}", self.aws.calls());
    }

    /// A deploy of one container.
    fn deploy(&self, name: &str, container: serde_json::Value) -> BTreeMap<String, usize> {
        let document = serde_json::json!({ "containerDefinitions": [container] });
        let file = self.instance.file(&format!("{name}.json"), document.to_string());
        self.counted(&["deploy", "create", &file, name])
    }

    /// The calls that a command makes.
    #[track_caller]
    fn counted(&self, words: &[&str]) -> BTreeMap<String, usize> {
        self.aws.calls_clear();
        self.instance.l0(words).ok();
        let mut counts = BTreeMap::new();
        for call in self.aws.calls_take() {
            *counts.entry(call.operation).or_default() += 1;
        }
        counts
    }

    /// Runs commands until no look falls between them; fails when they make calls themselves.
    #[track_caller]
    fn costs_nothing(&self, commands: &[&[&str]]) {
        until(&format!("{commands:?} without a call"), || {
            for words in commands {
                let counts = self.counted(words);
                if !counts.is_empty() {
                    return Err(format!("{words:?}: {counts:?}"));
                }
            }
            Ok(())
        });
    }
}

/// Without the looks.
fn acts(counts: &BTreeMap<String, usize>) -> BTreeMap<&str, usize> {
    counts.iter().map(|(name, count)| (name.as_str(), *count)).filter(|(name, _)| !LOOKS.contains(name)).collect()
}

#[test]
fn what_a_user_asks_for_takes_few_calls_and_what_is_read_none() {
    let cloud = Cloud::start();
    let made = cloud.counted(&["environment", "create", "dev"]);
    assert_eq!(acts(&made), BTreeMap::from([("CreateStack", 1)]), "{made:?}");
    let web = serde_json::json!({
        "name": "web", "image": format!("{IMAGE}:1"), "memory": 64, "portMappings": [{ "containerPort": 80 }],
    });
    assert_eq!(cloud.deploy("web", web), BTreeMap::new(), "a deploy is a document, and none of AWS's");
    let made = cloud.counted(&["loadbalancer", "create", "dev", "front", "--port", "80:80/http"]);
    assert_eq!(acts(&made), BTreeMap::from([("CreateStack", 1)]), "{made:?}");

    // The first service of an environment, behind its load balancer, with its pull check.
    let create = ["service", "create", "dev", "web", "web:1", "--loadbalancer", "front", "--scale", "2"];
    let of_the_image = [
        "BatchCheckLayerAvailability",
        "BatchGetImage",
        "CreateService",
        "GetRepositoryPolicy",
        "RegisterTaskDefinition",
    ];
    let mut expected: BTreeMap<&str, usize> = of_the_image.iter().map(|operation| (*operation, 1)).collect();
    expected.extend([("DescribeSecurityGroups", 1), ("GetDownloadUrlForLayer", 1), ("SimulatePrincipalPolicy", 1)]);
    let made = cloud.counted(&create);
    assert_eq!(acts(&made), expected, "{made:?}");
    assert!(expected.values().sum::<usize>() <= 8, "the budget of a service with a load balancer");

    let made = cloud.counted(&["loadbalancer", "create", "dev", "back", "--port", "80:80/http"]);
    assert_eq!(acts(&made), BTreeMap::from([("CreateStack", 1)]), "{made:?}");
    // The next one of the same repository.
    let made = cloud.counted(&["service", "create", "dev", "api", "web:1", "--loadbalancer", "back"]);
    let again: BTreeMap<&str, usize> = of_the_image.iter().map(|operation| (*operation, 1)).collect();
    assert_eq!(acts(&made), again, "{made:?}");
    let made = cloud.counted(&["service", "create", "dev", "unseen", "web:1", "--skip-pull-check"]);
    assert_eq!(acts(&made), BTreeMap::from([("RegisterTaskDefinition", 1), ("CreateService", 1)]), "{made:?}");

    // Who asks by hand is answered with what is so now, nothing of it from before.
    let checked = cloud.counted(&["image", "check", &format!("{IMAGE}:1"), "--environment", "dev"]);
    let total: usize = acts(&checked).values().sum();
    assert!(total <= 15, "{total} calls for a pull check: {checked:?}");
    let scaled = cloud.counted(&["service", "scale", "web", "3"]);
    assert_eq!(acts(&scaled), BTreeMap::from([("UpdateService", 1)]), "{scaled:?}");

    cloud.costs_nothing(&[
        &["environment", "list"],
        &["loadbalancer", "list"],
        &["deploy", "list"],
        &["service", "list"],
        &["task", "list"],
    ]);
    cloud.costs_nothing(&[&["service", "get", "web"]]);
    cloud.costs_nothing(&[&["environment", "get", "dev"], &["loadbalancer", "get", "front"]]);
}

#[test]
fn what_was_mended_counts_at_once() {
    let cloud = Cloud::start();
    cloud.instance.l0(&["environment", "create", "dev"]).ok();
    cloud.deploy("web", serde_json::json!({ "name": "web", "image": format!("{IMAGE}:1"), "memory": 64 }));
    let create = ["service", "create", "dev", "web", "web:1"];
    // Two looks a moment apart: the second finds what the first has kept.
    cloud.aws.role("l0-execution", Role::for_tasks(&["logs:PutLogEvents"]));
    for _ in 0..2 {
        cloud.instance.l0(&create).exits(4).says("ecr:BatchGetImage");
    }
    cloud.aws.role("l0-execution", Role::for_tasks(&EXECUTION));
    cloud.instance.l0(&create).ok();
    let log = cloud.instance.log();
    assert!(!log.contains("access_key"), "credentials are in no log, not even their ids: {log}");
}
