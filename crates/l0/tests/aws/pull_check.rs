//! The pull check as `l0` prints it: for each of the five checks a good case, a failed one and one that can't be known, each with
//! its words and its exit code, on the fake AWS. Which facts lead to which judgement is tested where that is decided
//! (`domain/plan/pull_check`); here it is what somebody sees who has only a terminal.

use layer0_testkit::aws::network::{Endpoint, Peer, SecurityGroup, SecurityRule};
use layer0_testkit::aws::{EXECUTION, Effect, FakeAws, FakeAwsConfig, FakeImage, Fault, Pulls, Role, Service};
use serde_json::json;

use crate::on_fake::OnFake;

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
        // The fake's own: as this role the server asks.
        place.aws.role("layer0", Role::for_tasks(&["iam:PassRole"]));
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
        let ends = from.match_indices('\n').map(|(at, _)| at + 1).find(|at| !from[*at..].starts_with(' '));
        let about = without_ids(&from[..ends.unwrap_or(from.len())]);
        let ends_well = !said.err.ends_with(&format!("error: the pull check failed: {check}\n"));
        if said.code != Some(row.code) || ends_well != (row.code == 0) || about != row.says {
            wrong.push(format!("{}: {}", row.name, said.all()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
}

/// The fake makes up the ids of the groups of an environment.
fn without_ids(text: &str) -> String {
    let words = text.split_inclusive([' ', ',', ')', '`', ':']);
    // `sg-` and 17 digits of base 16, and what ends the word.
    let is_id = |word: &str| word.starts_with("sg-") && word.len() > 20;
    words.map(|word| if is_id(word) { format!("sg-…{}", &word[word.len() - 1..]) } else { word.to_owned() }).collect()
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
    let whole = "\
        image     registry.example.com/team/app:1\n\
        backing   123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:1\n\
        pinned    123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app@sha256:2e5a0e82fb842c428f8b5475ca75896a9b6c5afcf42d3470cfef28a5c5aceba9\n\
        \n\
        image     passed   account 123456789012 in us-east-1 has it with every layer, as sha256:2e5a0e82fb842c428f8b5475ca75896a9b6c5afcf42d3470cfef28a5c5aceba9\n\
        platform  passed   it is for linux/amd64, and runs on linux/amd64\n\
        access    passed   the repository is of the tasks' own account 123456789012, and no policy denies it\n\
        role      passed   l0-execution is trusted with tasks and may do ecr:GetAuthorizationToken, ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:GetDownloadUrlForLayer, logs:CreateLogStream, logs:PutLogEvents\n\
        network   passed   there is a way from subnet-private-a by nat-main, subnet-private-b by nat-main\n\
        pass-role passed   layer0 may pass l0-execution to tasks\n";
    assert_eq!(said.out, whole);
    let of_none = place.instance.l0(&["image", "check", APP]).ok();
    assert!(of_none.out.contains("\nnetwork   unknown  it was not asked for an environment\n"), "{}", of_none.out);
    let whole = place.instance.one(&["image", "check", APP, "--environment", "dev"]);
    assert_eq!((&whole["passed"], &whole["checks"][4]["result"]), (&json!(true), &json!("passed")), "{whole:#}");
}

#[test]
fn image_platform_access_and_role() {
    let rows = [
        Row {
            name: "every layer is there",
            change: |_| {},
            asked: APP,
            code: 0,
            says: "image     passed   account 123456789012 in us-east-1 has it with every layer, as sha256:2e5a0e82fb842c428f8b5475ca75896a9b6c5afcf42d3470cfef28a5c5aceba9\n",
        },
        Row {
            name: "no repository",
            change: |_| {},
            asked: "registry.example.com/team/none:1",
            code: 3,
            says: "image     failed   `registry.example.com/team/none:1`: account 123456789012 in us-east-1 has no repository `team/none`\n\
             \x20         remedy   create it in account 123456789012: `aws ecr create-repository --repository-name team/none --region us-east-1`, then `docker push 123456789012.dkr.ecr.us-east-1.amazonaws.com/team/none:1`\n",
        },
        Row {
            name: "no tag",
            change: |_| {},
            asked: "registry.example.com/team/app:9",
            code: 3,
            says: "image     failed   `registry.example.com/team/app:9`: repository `team/app` of account 123456789012 in us-east-1 has no `9` (it has 1)\n\
             \x20         remedy   push it: `docker push 123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:9`\n",
        },
        Row {
            name: "a layer is missing",
            change: |aws| {
                aws.image("team/app", "1", FakeImage { missing_layers: 1, ..FakeImage::default() });
            },
            asked: APP,
            code: 3,
            says: "image     failed   `123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:1` is not complete in account 123456789012 in us-east-1: it lacks 1 of its layers, the first is sha256:48ab1584eb6f4eb52ed646ba565c719da468f3b45f2b85ebb1bbd675c4ac2a9f\n\
             \x20         remedy   push it again: `docker push 123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:1`\n",
        },
        Row {
            name: "the image may not be read",
            change: |aws| denied(aws, Service::Ecr, "BatchGetImage"),
            asked: APP,
            code: 0,
            says: "image     unknown  ECR was not asked about it: access denied to ecr:BatchGetImage\n",
        },
        Row {
            name: "runs there",
            change: |_| {},
            asked: APP,
            code: 0,
            says: "platform  passed   it is for linux/amd64, and runs on linux/amd64\n",
        },
        Row {
            name: "another processor",
            change: |_| {},
            asked: "registry.example.com/team/app:1 --platform linux/arm64",
            code: 4,
            says: r#"platform  failed   `registry.example.com/team/app:1` is for linux/amd64, the task asks for linux/arm64
          remedy   build and push it for this platform: `docker buildx build --platform linux/arm64 --push -t 123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:1 .`, or ask for what it has: `"runtimePlatform": {"cpuArchitecture": "X86_64"}`
"#,
        },
        Row {
            name: "the configuration may not be read",
            change: |aws| denied(aws, Service::Ecr, "GetDownloadUrlForLayer"),
            asked: APP,
            code: 0,
            says: "platform  unknown  access denied to ecr:GetDownloadUrlForLayer\n",
        },
        Row {
            name: "its own account",
            change: |_| {},
            asked: APP,
            code: 0,
            says: "access    passed   the repository is of the tasks' own account 123456789012, and no policy denies it\n",
        },
        Row {
            name: "another account lets it in",
            change: |aws| of_another(aws, Some(&policy("Allow", "arn:aws:iam::123456789012:root"))),
            asked: OF_ANOTHER,
            code: 0,
            says: "access    passed   `it` of the policy of repository `team/app` lets account 123456789012 in, and this account's look at the image went through\n",
        },
        Row {
            name: "another account denies",
            change: |aws| of_another(aws, Some(&policy("Deny", "*"))),
            asked: OF_ANOTHER,
            code: 4,
            says: "access    failed   `it` of the policy of repository `team/app` denies ecr:BatchCheckLayerAvailability to account 123456789012\n\
             \x20         remedy   change `it` of the policy of repository `team/app`, so that it does not speak of account 123456789012\n",
        },
        Row {
            name: "another account's registry policy might let it in",
            change: |aws| of_another(aws, None),
            asked: OF_ANOTHER,
            code: 0,
            says: "access    unknown  account 123456789012's own look at the image went through; that its roles are let in too only policies could say that can't be read: the registry policy of account 222222222222 could not be read: another account's can't be read\n",
        },
        Row {
            name: "its own account denies",
            change: |aws| aws.repository_policy("123456789012", "team/app", Some(&policy("Deny", "*"))),
            asked: APP,
            code: 4,
            says: "access    failed   `it` of the policy of repository `team/app` denies ecr:BatchCheckLayerAvailability to account 123456789012\n\
             \x20         remedy   change `it` of the policy of repository `team/app`, so that it does not speak of account 123456789012\n",
        },
        Row {
            name: "the policy may not be read",
            change: |aws| denied(aws, Service::Ecr, "GetRepositoryPolicy"),
            asked: APP,
            code: 0,
            says: "access    unknown  the repository is of the tasks' own account 123456789012, and no policy denies it, as far as was seen; the policy of repository `team/app` could not be read: access denied to ecr:GetRepositoryPolicy\n",
        },
        Row {
            name: "may all that a start needs",
            change: |_| {},
            asked: APP,
            code: 0,
            says: "role      passed   l0-execution is trusted with tasks and may do ecr:GetAuthorizationToken, ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:GetDownloadUrlForLayer, logs:CreateLogStream, logs:PutLogEvents\n",
        },
        Row {
            name: "lacks two rights",
            change: |aws| aws.role("l0-execution", Role::for_tasks(&EXECUTION[..4])),
            asked: APP,
            code: 4,
            says: "role      failed   l0-execution may not do logs:CreateLogStream, logs:PutLogEvents\n\
             \x20         remedy   `aws iam attach-role-policy --role-name l0-execution --policy-arn arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy` (a permissions boundary must allow it too)\n",
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
            says: r#"role      failed   l0-execution does not trust ecs-tasks.amazonaws.com (allowed by nothing)
          remedy   let it act as the role: `aws iam update-assume-role-policy --role-name l0-execution --policy-document '{"Statement":[{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"}}],"Version":"2012-10-17"}'`
"#,
        },
        Row {
            name: "may not be read",
            change: |aws| denied(aws, Service::Iam, "GetRole"),
            asked: APP,
            code: 0,
            says: "role      unknown  whom l0-execution trusts could not be read: access denied to iam:GetRole\n",
        },
        Row {
            name: "the server may hand it over",
            change: |_| {},
            asked: APP,
            code: 0,
            says: "pass-role passed   layer0 may pass l0-execution to tasks\n",
        },
        Row {
            name: "the server may not hand it over",
            change: |aws| aws.role("layer0", Role::for_tasks(&["ecs:RunTask"])),
            asked: APP,
            code: 4,
            says: r#"pass-role failed   layer0, as which this server runs, may not pass l0-execution to tasks
          remedy   add this statement to a policy of layer0: {"Action":"iam:PassRole","Condition":{"StringEquals":{"iam:PassedToService":"ecs-tasks.amazonaws.com"}},"Effect":"Allow","Resource":["arn:aws:iam::123456789012:role/l0-execution"]}
"#,
        },
        Row {
            name: "nobody tells what the server may",
            change: |aws| {
                denied(aws, Service::Iam, "SimulatePrincipalPolicy");
                denied(aws, Service::Iam, "ListRolePolicies");
            },
            asked: APP,
            code: 0,
            says: "pass-role unknown  whether layer0 may pass l0-execution is not certain: access denied to iam:SimulatePrincipalPolicy, and access denied to iam:ListRolePolicies\n",
        },
    ];
    let place = OnFake::start(FakeAwsConfig::default(), "vpc-main", "subnet-private-a,subnet-private-b");
    assert_rows(&place, &rows);
}

#[test]
fn a_way_by_nat_or_none() {
    let rows = [
        Row {
            name: "by NAT",
            change: |_| {},
            asked: APP,
            code: 0,
            says: "network   passed   there is a way from subnet-private-a by nat-main, subnet-private-b by nat-main\n",
        },
        Row {
            name: "routes may not be read",
            change: |aws| denied(aws, Service::Ec2, "DescribeRouteTables"),
            asked: APP,
            code: 0,
            says: "network   unknown  the way from subnet-private-a to ecr.api, ecr.dkr, s3, logs: its routes could not be read: access denied to ec2:DescribeRouteTables; subnet-private-b to ecr.api, ecr.dkr, s3, logs: its routes could not be read: access denied to ec2:DescribeRouteTables\n",
        },
    ];
    let place = OnFake::start(FakeAwsConfig::default(), "vpc-main", "subnet-private-a,subnet-private-b");
    assert_rows(&place, &rows);
    let rows = [Row {
        name: "no way",
        change: |_| {},
        asked: APP,
        code: 4,
        says: "network   failed   there is no way from subnet-isolated-a to ecr.api, ecr.dkr, s3, logs: no default route, and no endpoint for it\n\
             \x20         remedy   make the interface endpoint com.amazonaws.us-east-1.ecr.api: `aws ec2 create-vpc-endpoint --vpc-id vpc-main --vpc-endpoint-type Interface --service-name com.amazonaws.us-east-1.ecr.api --private-dns-enabled --subnet-ids subnet-private-a subnet-isolated-a`; \
             make the interface endpoint com.amazonaws.us-east-1.ecr.dkr: `aws ec2 create-vpc-endpoint --vpc-id vpc-main --vpc-endpoint-type Interface --service-name com.amazonaws.us-east-1.ecr.dkr --private-dns-enabled --subnet-ids subnet-private-a subnet-isolated-a`; \
             make the gateway endpoint com.amazonaws.us-east-1.s3: `aws ec2 create-vpc-endpoint --vpc-id vpc-main --vpc-endpoint-type Gateway --service-name com.amazonaws.us-east-1.s3 --route-table-ids rtb-private rtb-isolated`; \
             make the interface endpoint com.amazonaws.us-east-1.logs: `aws ec2 create-vpc-endpoint --vpc-id vpc-main --vpc-endpoint-type Interface --service-name com.amazonaws.us-east-1.logs --private-dns-enabled --subnet-ids subnet-private-a subnet-isolated-a`; \
             or, instead of endpoints, route 0.0.0.0/0 of subnet-isolated-a to a NAT gateway\n",
    }];
    let place = OnFake::start(FakeAwsConfig::default(), "vpc-main", "subnet-private-a,subnet-isolated-a");
    assert_rows(&place, &rows);
    let rows = [Row {
        name: "no address",
        change: |_| {},
        asked: APP,
        code: 4,
        says: "network   failed   there is no way from subnet-public-a to ecr.api, ecr.dkr, s3, logs: its default route leads to igw-main, which is a way only with a public address\n\
             \x20         remedy   make the interface endpoint com.amazonaws.us-east-1.ecr.api: `aws ec2 create-vpc-endpoint --vpc-id vpc-main --vpc-endpoint-type Interface --service-name com.amazonaws.us-east-1.ecr.api --private-dns-enabled --subnet-ids subnet-public-a`; \
             make the interface endpoint com.amazonaws.us-east-1.ecr.dkr: `aws ec2 create-vpc-endpoint --vpc-id vpc-main --vpc-endpoint-type Interface --service-name com.amazonaws.us-east-1.ecr.dkr --private-dns-enabled --subnet-ids subnet-public-a`; \
             make the gateway endpoint com.amazonaws.us-east-1.s3: `aws ec2 create-vpc-endpoint --vpc-id vpc-main --vpc-endpoint-type Gateway --service-name com.amazonaws.us-east-1.s3 --route-table-ids rtb-public`; \
             make the interface endpoint com.amazonaws.us-east-1.logs: `aws ec2 create-vpc-endpoint --vpc-id vpc-main --vpc-endpoint-type Interface --service-name com.amazonaws.us-east-1.logs --private-dns-enabled --subnet-ids subnet-public-a`; \
             or, instead of endpoints, give the tasks public addresses, or route 0.0.0.0/0 of subnet-public-a to a NAT gateway\n",
    }];
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
        inbound_only: false,
        policy: None,
    });
    config
}

#[test]
fn an_endpoint_that_is_shut() {
    let rows = [Row {
        name: "shut",
        change: |_| {},
        asked: APP,
        code: 4,
        says: "network   failed   there is no way from subnet-private-a to ecr.api: vpce-api (sg-shut) does not let sg-…, sg-… in on port 443\n\
             \x20         remedy   let sg-… into vpce-api: `aws ec2 authorize-security-group-ingress --group-id sg-shut --protocol tcp --port 443 --source-group sg-…`\n",
    }];
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
    let why = "`registry.example.com/team/app:9`: repository `team/app` of account 123456789012 in us-east-1 has no `9` (it has 1)";
    let told = format!(
        "error: the pull check failed: {why}\nhint: push it: `docker push 123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:9`\n"
    );
    assert_eq!(refused.err, told);
    l0("task create dev once bad:1").exits(4);
    assert!(place.aws.world().tasks().is_empty());
    assert_eq!(place.instance.json(&["service", "list"]), json!([]));

    l0("service create dev web good:1").ok().says("1/1");
    l0("service update web bad:1").exits(4);
    l0("service update web bad:1 --skip-pull-check").exits(5).says("the pull check was skipped");
    l0("task create dev once bad:1 --skip-pull-check")
        .exits(5)
        .says("image_not_found: image `123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:9` does not exist in its registry")
        .says("hint: push it, or correct its name or tag");
}
