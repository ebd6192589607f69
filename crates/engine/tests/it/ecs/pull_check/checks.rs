//! The five checks: what would work, and each thing that can be wrong with it.

use super::*;

#[tokio::test]
async fn a_start_that_would_work_passes_all_five_in_few_calls() {
    let mut case = Case::good(|_| {}).await;
    let (evidence, report) = case.looked().await;
    for what in ALL {
        assert_eq!(outcome(&report, what), "passed", "{report:#?}\n{evidence:#?}");
    }
    let pinned = report.verdict().expect("it passes").pinned;
    assert!(pinned.digest().is_some(), "{pinned}");
    // The loop may look at the environment meanwhile.
    let mut calls: Vec<String> = case
        .aws
        .calls()
        .into_iter()
        .filter(|call| !matches!(call.service, Some(Service::CloudFormation | Service::Ecs)))
        .map(|call| call.operation)
        .collect();
    calls.sort_unstable();
    let expected = [
        "BatchCheckLayerAvailability",
        "BatchGetImage",
        "DescribeOrganization",
        "DescribeRouteTables",
        "DescribeSecurityGroups",
        "DescribeSubnets",
        "DescribeVpcEndpoints",
        "GetCallerIdentity",
        "GetDownloadUrlForLayer",
        "GetRegistryPolicy",
        "GetRepositoryPolicy",
        "GetRole",
        "GetRole",
        "SimulatePrincipalPolicy",
        "SimulatePrincipalPolicy",
        "SimulatePrincipalPolicy",
    ];
    assert_eq!(calls, expected);
    assert!(!format!("{evidence:?}").contains(case.aws.endpoint()), "no address of a blob is shown");
}

#[tokio::test]
async fn the_image_is_looked_for_with_its_layers() {
    let rows: &[Row] = &[
        (
            "no repository",
            |case| case.image(OWN, "team/none:1"),
            What::Image,
            "failed",
            &["no repository", "team/none"],
        ),
        (
            "a rule fetches it",
            |case| {
                case.aws.cache_rule("hub", "registry-1.docker.io");
                case.aws.cache_rule("hub/quay", "quay.io");
                case.image(OWN, "hub/library/nginx:1");
            },
            What::Image,
            "unknown",
            &["the pull-through cache rule `hub` fetches it from registry-1.docker.io", "ecr:CreateRepository"],
        ),
        (
            "a rule for others",
            |case| {
                case.aws.cache_rule("hub", "registry-1.docker.io");
                case.image(OWN, "hubs/nginx:1");
            },
            What::Image,
            "failed",
            &["no repository `hubs/nginx`"],
        ),
        (
            "no tag",
            |case| {
                case.aws.image("team/app", "newer", FakeImage::default());
                case.image(OWN, "team/app:9");
            },
            What::Image,
            "failed",
            &["has no `9`", "newer", "1"],
        ),
        (
            "a layer is missing",
            |case| {
                case.aws.image("team/app", "1", FakeImage { missing_layers: 1, ..FakeImage::default() });
            },
            What::Image,
            "failed",
            &["it lacks 1 of its layers"],
        ),
        (
            "a layer of the variant is missing",
            |case| {
                let platforms = vec!["linux/arm64".to_owned(), "linux/amd64".to_owned()];
                case.aws.image("team/app", "1", FakeImage { platforms, missing_layers: 2, registry: None });
            },
            What::Image,
            "failed",
            &["it lacks 2 of its layers"],
        ),
        (
            "by digest",
            |case| {
                let digest = case.aws.image("team/app", "2", FakeImage::default());
                case.image(OWN, &format!("team/app@{digest}"));
            },
            What::Image,
            "passed",
            &["every layer"],
        ),
    ];
    assert_rows(rows, &[What::Access, What::Role, What::Network]).await;
}

#[tokio::test]
async fn the_platform_is_compared_with_what_is_asked_for() {
    fn arm(case: &mut Case) {
        let variant = Some("v8".to_owned());
        case.question.platform = Some(Platform { os: "linux".to_owned(), architecture: "arm64".to_owned(), variant });
    }
    let rows: &[Row] = &[
        ("one that is another", arm, What::Platform, "failed", &["linux/amd64", "linux/arm64"]),
        (
            "one of several",
            |case| {
                arm(case);
                let platforms = vec!["linux/amd64".to_owned(), "linux/arm64/v8".to_owned()];
                case.aws.image("team/app", "1", FakeImage { platforms, ..FakeImage::default() });
            },
            What::Platform,
            "passed",
            &["linux/arm64/v8"],
        ),
        (
            "an attestation is none",
            |case| {
                let platforms = vec!["linux/amd64".to_owned(), "unknown/unknown".to_owned()];
                case.aws.image("team/app", "1", FakeImage { platforms, ..FakeImage::default() });
            },
            What::Platform,
            "passed",
            &["it is for linux/amd64, and"],
        ),
    ];
    assert_rows(rows, &[What::Image, What::Access, What::Role, What::Network]).await;
}

fn of_another(case: &mut Case) {
    case.aws.image("team/app", "1", FakeImage { registry: Some(OTHER.to_owned()), ..FakeImage::default() });
    case.aws.ecr_access(|_, _, _| true);
    case.image(OTHER, "team/app:1");
}

fn of_another_for_an_organization(case: &mut Case) {
    of_another(case);
    let mut open = statement("Allow", json!("*"));
    open["Condition"] = json!({ "StringEquals": { "aws:PrincipalOrgID": "o-a1b2c3d4e5" } });
    case.aws.repository_policy(OTHER, "team/app", Some(&policy(open)));
}

/// A registry policy that denies this account.
fn registry_denies(case: &mut Case, scope: &str) {
    let mut deny = statement("Deny", json!({ "AWS": format!("arn:aws:iam::{OWN}:root") }));
    deny["Resource"] = json!("*");
    case.aws.registry_policy(OWN, &policy(deny));
    case.aws.registry_setting("REGISTRY_POLICY_SCOPE", scope);
}

#[tokio::test]
async fn the_policies_of_repository_and_registry_are_read() {
    let rows: &[Row] = &[
        (
            "another account lets this one in",
            |case| {
                of_another(case);
                let account = json!({ "AWS": format!("arn:aws:iam::{OWN}:root") });
                case.aws.repository_policy(OTHER, "team/app", Some(&policy(statement("Allow", account))));
            },
            What::Access,
            "passed",
            &["lets account 123456789012 in"],
        ),
        (
            "this account's repository denies",
            |case| case.aws.repository_policy(OWN, "team/app", Some(&policy(statement("Deny", json!("*"))))),
            What::Access,
            "failed",
            &["denies"],
        ),
        ("the registry denies", |case| registry_denies(case, "V2"), What::Access, "failed", &["registry policy"]),
        ("the registry's policy is not for pulls", |case| registry_denies(case, "V1"), What::Access, "passed", &[]),
        (
            "an organization is let in",
            |case| {
                of_another_for_an_organization(case);
                in_organization(case, None);
            },
            What::Access,
            "passed",
            &[],
        ),
    ];
    assert_rows(rows, &[What::Image, What::Platform, What::Role, What::Network]).await;
}

#[tokio::test]
async fn an_organization_that_one_is_not_in_lets_nobody_in() {
    let mut case = Case::good(|_| {}).await;
    of_another_for_an_organization(&mut case);
    let (evidence, report) = case.looked().await;
    assert_eq!(aws_of(&evidence).puller.organization, Fact::Known(None));
    // Another account's registry policy can't be read, and might let it in.
    assert_eq!(outcome(&report, What::Access), "unknown", "{report:#?}");

    let mut case = Case::good(|_| {}).await;
    in_organization(&mut case, Some(vec!["r-ab12".to_owned(), "ou-ab12-11111111".to_owned()]));
    let (evidence, _) = case.looked().await;
    let organization = aws_of(&evidence).puller.organization.known().cloned().flatten().expect("it is in one");
    assert_eq!(organization.path.as_deref(), Some("o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/"));
}

#[tokio::test]
async fn the_role_is_looked_at() {
    let rows: &[Row] = &[
        (
            "not there",
            |case| case.question.execution_role = Some(format!("arn:aws:iam::{OWN}:role/none")),
            What::Role,
            "failed",
            &["does not exist"],
        ),
        (
            "not on that path",
            |case| case.question.execution_role = Some(format!("arn:aws:iam::{OWN}:role/team/l0-execution")),
            What::Role,
            "failed",
            &["does not exist"],
        ),
        ("none", |case| case.config.execution_role = None, What::Role, "failed", &["neither"]),
        (
            "lacks what a pull needs",
            |case| case.aws.role("l0-execution", IamRole::for_tasks(&EXECUTION[..3])),
            What::Role,
            "failed",
            &["ecr:BatchGetImage", "logs:PutLogEvents"],
        ),
        (
            "trusts another service",
            |case| {
                let trust = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
                    "Principal": { "Service": "lambda.amazonaws.com" }, "Action": "sts:AssumeRole" }] });
                case.aws.role("l0-execution", IamRole { trust, ..IamRole::for_tasks(&EXECUTION) });
            },
            What::Role,
            "failed",
            &["does not trust ecs-tasks.amazonaws.com"],
        ),
        (
            "has it from a repository of its own account",
            |case| {
                case.aws.role("l0-execution", IamRole::for_tasks(&[EXECUTION[0], EXECUTION[4], EXECUTION[5]]));
                let role = json!({ "AWS": format!("arn:aws:iam::{OWN}:role/l0-execution") });
                case.aws.repository_policy(OWN, "team/app", Some(&policy(statement("Allow", role))));
            },
            What::Role,
            "passed",
            &[],
        ),
    ];
    assert_rows(rows, &[What::Image, What::Platform, What::Access, What::Network]).await;
}

#[tokio::test]
async fn every_subnet_needs_a_way() {
    let rows: &[Row] = &[
        ("by NAT", |_| {}, What::Network, "passed", &["subnet-private-a", "nat-main"]),
        (
            "no route",
            |case| case.config.private_subnets = vec!["subnet-private-a".into(), "subnet-isolated-a".into()],
            What::Network,
            "failed",
            &["subnet-isolated-a", "NAT gateway"],
        ),
        (
            "an internet gateway without an address",
            |case| case.config.private_subnets = vec!["subnet-public-a".into()],
            What::Network,
            "failed",
            &["igw-main"],
        ),
        (
            "an internet gateway with an address",
            |case| {
                case.config.private_subnets = vec!["subnet-public-a".into()];
                case.config.public_ip = true;
            },
            What::Network,
            "passed",
            &["igw-main"],
        ),
        (
            "by endpoints, over the main route table",
            |case| {
                case.config.vpc = "vpc-closed".to_owned();
                case.config.private_subnets = vec!["subnet-closed".into()];
            },
            What::Network,
            "passed",
            &["vpce-ecr.dkr", "vpce-s3", "vpce-logs"],
        ),
    ];
    assert_rows(rows, &[What::Image, What::Platform, What::Access, What::Role]).await;
}

/// Containers that all log elsewhere need neither a way to CloudWatch nor a right there.
#[tokio::test]
async fn the_environments_log_group_counts_where_somebody_writes_to_it() {
    for (has_own_logs, expected) in [(true, "passed"), (false, "failed")] {
        let mut case = Case::good(|fake| {
            with_closed_vpc(fake);
            fake.network.endpoints.retain(|endpoint| endpoint.id != "vpce-logs");
        })
        .await;
        case.config.vpc = "vpc-closed".to_owned();
        case.config.private_subnets = vec!["subnet-closed".into()];
        case.question.uses = StartUses { has_own_logs, ..StartUses::default() };
        case.aws.role("l0-execution", IamRole::for_tasks(&EXECUTION[..4]));
        let (_, report) = case.looked().await;
        let found = [What::Role, What::Network].map(|what| outcome(&report, what));
        assert_eq!(found, [expected; 2], "{report:#?}");
    }
}

#[tokio::test]
async fn pages_are_read_to_their_end() {
    let mut case = Case::good(|fake| {
        with_closed_vpc(fake);
        fake.ec2_page = 1;
    })
    .await;
    case.config.vpc = "vpc-closed".to_owned();
    case.config.private_subnets = vec!["subnet-closed".into()];
    let (evidence, report) = case.looked().await;
    assert_eq!(outcome(&report, What::Network), "passed", "{report:#?}");
    let network = aws_of(&evidence).network.known().expect("it is known");
    assert_eq!(network.security_groups.known().map(Vec::len), Some(2));
    let endpoints = network.endpoints.known().expect("they are known");
    assert_eq!(endpoints.len(), 5);
    let gateway = endpoints.iter().find_map(|endpoint| match &endpoint.kind {
        EndpointKind::Gateway { prefix_list, .. } => prefix_list.as_deref(),
        EndpointKind::Interface { .. } => None,
    });
    assert_eq!(gateway, Some("pl-s3"), "it is named by the route to it");
}

#[tokio::test]
async fn machines_pull_with_their_own_role_and_address() {
    let mut case = Case::good(|_| {}).await;
    case.aws.managed_policy(
        "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role",
        json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": EXECUTION, "Resource": "*" }] }),
    );
    case.scale = 1;
    case.config.execution_role = None;
    case.config.private_subnets = vec!["subnet-public-a".into()];
    case.question.launch = Launch::Ec2;
    let (evidence, report) = case.looked().await;
    let Fact::Known(RoleEvidence::Found(role)) = &aws_of(&evidence).role else { panic!("{evidence:#?}") };
    assert_eq!(role.acted_by, ActedBy::Machine);
    for what in ALL {
        assert_eq!(outcome(&report, what), "passed", "{report:#?}");
    }
}

/// Where the definition says nothing of a platform, the machines' type does.
#[tokio::test]
async fn an_image_is_to_run_on_the_machines_of_its_environment() {
    for (kind, platform, expected) in [
        ("t4g.small", "linux/arm64", "passed"),
        ("t4g.small", "linux/amd64", "failed"),
        ("", "linux/amd64", "passed"),
        ("", "linux/arm64", "failed"),
        ("u-6tb1.metal", "linux/arm64", "unknown"),
    ] {
        let mut case = Case::good(|_| {}).await;
        let image = FakeImage { platforms: vec![platform.to_owned()], ..FakeImage::default() };
        case.aws.image("team/app", "1", image);
        case.scale = 1;
        case.instance_type = kind.to_owned();
        case.question.launch = Launch::Ec2;
        let (_, report) = case.looked().await;
        assert_eq!(outcome(&report, What::Platform), expected, "{platform} on `{kind}`: {report:#?}");
    }
}

#[tokio::test]
async fn an_image_of_another_registry_is_not_asked_for() {
    let mut case = Case::good(|_| {}).await;
    case.question.image = ImageRef::parse("docker.io/library/nginx:1").expect("a reference");
    let (evidence, report) = case.looked().await;
    assert_eq!((&evidence.remote, &aws_of(&evidence).ecr), (&None, &None));
    assert_eq!(outcome(&report, What::Image), "unknown", "{report:#?}");
    assert_eq!(outcome(&report, What::Role), "passed", "{report:#?}");
    assert!(case.aws.calls().iter().all(|call| call.service != Some(Service::Ecr)));
}
