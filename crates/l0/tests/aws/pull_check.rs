//! The pull check as `l0` prints it: for each of the five checks a good case, a failed one and one that can't be known, each with
//! its words and its exit code, on the fake AWS. Which facts lead to which judgement is tested where that is decided
//! (`domain/plan/pull_check`); here it is what somebody sees who has only a terminal.

use layer0_testkit::aws::network::{Endpoint, Peer, SecurityGroup, SecurityRule};
use layer0_testkit::aws::{Effect, FakeAws, FakeAwsConfig, FakeImage, Fault, Pulls, Role, Service};
use serde_json::json;

use crate::on_fake::{EXECUTION, OnFake};

const OTHER: &str = "222222222222";
const PULL: [&str; 3] = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];

/// One look: what is changed before it, the arguments beside the environment, the exit code, and what is said of one check.
struct Row {
    name: &'static str,
    change: fn(&FakeAws),
    asked: &'static str,
    code: i32,
    says: &'static str,
}

/// Looks at each row. All that a row changes is as before for the next one.
#[track_caller]
fn assert_rows(place: &OnFake, rows: &[Row]) {
    place.instance.l0(&["environment", "create", "dev"]).ok();
    let mut wrong = Vec::new();
    for row in rows {
        place.aws.faults_clear();
        place.aws.role("l0-execution", Role::for_tasks(&EXECUTION));
        place.aws.image("team/app", "1", FakeImage::default());
        place.aws.repository_policy("123456789012", "team/app", None);
        (row.change)(&place.aws);
        let mut words = vec!["image", "check"];
        words.extend(row.asked.split_whitespace());
        words.extend(["--environment", "dev"]);
        let said = place.instance.l0(&words);
        // The lines of the check that the row is about, with its remedy.
        let check = row.says.split_whitespace().next().unwrap_or_default();
        let from = said.out.find(&format!("\n{check:<9} ")).map_or("", |at| &said.out[at + 1..]);
        let ends = from.match_indices('\n').find(|(at, _)| !from[at + 1..].starts_with(' ')).map_or(0, |(at, _)| at);
        let passed = said.out.lines().filter(|line| line.split_whitespace().nth(1) == Some("passed")).count();
        if said.code != Some(row.code) || &from[..ends] != row.says {
            wrong.push(format!("{}: exit {:?}, {passed} passed\n{}\n{}", row.name, said.code, said.out, said.err));
        }
        let failed = format!("error: the pull check failed: {check}\n");
        assert_eq!(said.err.ends_with(&failed), row.code != 0, "{}: {}", row.name, said.all());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
}

fn denied(aws: &FakeAws, service: Service, operation: &str) {
    aws.fault(Fault::on(service, operation, Effect::AccessDenied { message: None }).times(u64::MAX));
}

fn policy(effect: &str, principal: &str) -> String {
    let statement = json!({ "Sid": "it", "Effect": effect, "Principal": { "AWS": principal }, "Action": PULL });
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}

/// Another account's `team/app:1`, which the server itself may look at.
fn of_another(aws: &FakeAws, policy: Option<&str>) {
    aws.image("team/app", "1", FakeImage { registry: Some(OTHER.to_owned()), ..FakeImage::default() });
    aws.ecr_access(|_, _, _| true);
    aws.repository_policy(OTHER, "team/app", policy);
}

const APP: &str = "registry.example.com/team/app:1";
const OF_ANOTHER: &str = "222222222222.dkr.ecr.us-east-1.amazonaws.com/team/app:1";

#[test]
fn what_can_be_pulled_is_shown_whole() {
    let place = OnFake::start(FakeAwsConfig::default(), "vpc-main", "subnet-private-a,subnet-private-b");
    place.instance.l0(&["environment", "create", "dev"]).ok();
    let said = place.instance.l0(&["image", "check", APP, "--environment", "dev"]).ok();
    assert_eq!(said.out, "");
    let of_none = place.instance.l0(&["image", "check", APP]).ok();
    assert_eq!(of_none.out.lines().last(), Some(""));
    let whole = place.instance.one(&["image", "check", APP, "--environment", "dev"]);
    assert_eq!((&whole["passed"], &whole["checks"][4]["result"]), (&json!(true), &json!("passed")), "{whole:#}");
}

#[test]
fn image_platform_access_and_role() {
    let rows = [
        Row { name: "every layer is there", change: |_| {}, asked: APP, code: 0, says: "image" },
        Row {
            name: "no repository",
            change: |_| {},
            asked: "registry.example.com/team/none:1",
            code: 3,
            says: "image",
        },
        Row { name: "no tag", change: |_| {}, asked: "registry.example.com/team/app:9", code: 3, says: "image" },
        Row {
            name: "a layer is missing",
            change: |aws| {
                aws.image("team/app", "1", FakeImage { missing_layers: 1, ..FakeImage::default() });
            },
            asked: APP,
            code: 3,
            says: "image",
        },
        Row {
            name: "the image may not be read",
            change: |aws| denied(aws, Service::Ecr, "BatchGetImage"),
            asked: APP,
            code: 0,
            says: "image",
        },
        Row { name: "runs there", change: |_| {}, asked: APP, code: 0, says: "platform" },
        Row {
            name: "another processor",
            change: |_| {},
            asked: "registry.example.com/team/app:1 --platform linux/arm64",
            code: 4,
            says: "platform",
        },
        Row {
            name: "the configuration may not be read",
            change: |aws| denied(aws, Service::Ecr, "GetDownloadUrlForLayer"),
            asked: APP,
            code: 0,
            says: "platform",
        },
        Row { name: "its own account", change: |_| {}, asked: APP, code: 0, says: "access" },
        Row {
            name: "another account lets it in",
            change: |aws| of_another(aws, Some(&policy("Allow", "arn:aws:iam::123456789012:root"))),
            asked: OF_ANOTHER,
            code: 0,
            says: "access",
        },
        Row {
            name: "another account lets nobody in",
            change: |aws| of_another(aws, None),
            asked: OF_ANOTHER,
            code: 4,
            says: "access",
        },
        Row {
            name: "its own account denies",
            change: |aws| aws.repository_policy("123456789012", "team/app", Some(&policy("Deny", "*"))),
            asked: APP,
            code: 4,
            says: "access",
        },
        Row {
            name: "the policy may not be read",
            change: |aws| denied(aws, Service::Ecr, "GetRepositoryPolicy"),
            asked: APP,
            code: 0,
            says: "access",
        },
        Row { name: "may all that a start needs", change: |_| {}, asked: APP, code: 0, says: "role" },
        Row {
            name: "lacks two rights",
            change: |aws| aws.role("l0-execution", Role::for_tasks(&EXECUTION[..4])),
            asked: APP,
            code: 4,
            says: "role",
        },
        Row {
            name: "is not trusted with tasks",
            change: |aws| {
                let trust = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
                    "Principal": { "Service": "lambda.amazonaws.com" }, "Action": "sts:AssumeRole" }] });
                aws.role("l0-execution", Role { trust, ..Role::for_tasks(&EXECUTION) });
            },
            asked: APP,
            code: 4,
            says: "role",
        },
        Row {
            name: "may not be read",
            change: |aws| denied(aws, Service::Iam, "GetRole"),
            asked: APP,
            code: 0,
            says: "role",
        },
    ];
    let place = OnFake::start(FakeAwsConfig::default(), "vpc-main", "subnet-private-a,subnet-private-b");
    assert_rows(&place, &rows);
}

#[test]
fn a_way_by_nat_or_none() {
    let rows = [
        Row { name: "by NAT", change: |_| {}, asked: APP, code: 0, says: "network" },
        Row {
            name: "routes may not be read",
            change: |aws| denied(aws, Service::Ec2, "DescribeRouteTables"),
            asked: APP,
            code: 0,
            says: "network",
        },
    ];
    let place = OnFake::start(FakeAwsConfig::default(), "vpc-main", "subnet-private-a,subnet-private-b");
    assert_rows(&place, &rows);
    let rows = [Row { name: "no way", change: |_| {}, asked: APP, code: 4, says: "network" }];
    let place = OnFake::start(FakeAwsConfig::default(), "vpc-main", "subnet-private-a,subnet-isolated-a");
    assert_rows(&place, &rows);
    let rows = [Row { name: "no address", change: |_| {}, asked: APP, code: 4, says: "network" }];
    let place = OnFake::start(FakeAwsConfig::default(), "vpc-main", "subnet-public-a");
    assert_rows(&place, &rows);
}

/// An endpoint for the registry's API that lets nobody in, in a subnet that has a NAT gateway.
fn shut_endpoint() -> FakeAwsConfig {
    let mut config = FakeAwsConfig::default();
    let network = &mut config.network;
    let rule = SecurityRule {
        egress: false,
        protocol: "tcp".to_owned(),
        ports: Some((443, 443)),
        peer: Peer::Cidr("192.168.0.0/16".to_owned()),
        description: None,
    };
    network.security_groups.push(SecurityGroup {
        id: "sg-shut".to_owned(),
        name: "shut".to_owned(),
        vpc: "vpc-main".to_owned(),
        rules: vec![rule],
    });
    network.endpoints.push(Endpoint {
        id: "vpce-api".to_owned(),
        vpc: "vpc-main".to_owned(),
        service: "com.amazonaws.us-east-1.ecr.api".to_owned(),
        subnets: vec!["subnet-private-a".to_owned()],
        security_groups: vec!["sg-shut".to_owned()],
        route_tables: vec![],
        private_dns: true,
        policy: None,
    });
    config
}

#[test]
fn an_endpoint_that_is_shut() {
    let rows = [Row { name: "shut", change: |_| {}, asked: APP, code: 4, says: "network" }];
    assert_rows(&OnFake::start(shut_endpoint(), "vpc-main", "subnet-private-a"), &rows);
}

/// What fails the check is not started; who leaves the check out is told what came of it, by the engine then.
#[test]
fn what_would_fail_is_not_started_but_for_who_leaves_the_check_out() {
    let config = FakeAwsConfig { pulls: Pulls::Checked, ..FakeAwsConfig::default() };
    let place = OnFake::start(config, "vpc-main", "subnet-private-a,subnet-private-b");
    let l0 = |line: &str| place.instance.l0(&line.split_whitespace().collect::<Vec<_>>());
    l0("environment create dev").ok();
    place.document("good.json", "team/app:1");
    place.document("bad.json", "team/app:9");
    l0("deploy create good.json good").ok();
    l0("deploy create bad.json bad").ok();
    let refused = l0("service create dev web bad:1").exits(4);
    assert_eq!(refused.err, "");
    l0("task create dev once bad:1").exits(4);
    assert!(place.aws.world().tasks().is_empty());
    assert_eq!(place.instance.json(&["service", "list"]), json!([]));

    l0("service create dev web good:1").ok().says("1/1");
    l0("service update web bad:1").exits(4);
    l0("service update web bad:1 --skip-pull-check").exits(5).says("the pull check was skipped");
    let said = l0("task create dev once bad:1 --skip-pull-check").exits(5);
    assert_eq!(said.err, "");
}
