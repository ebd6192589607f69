//! The pull check's facts, from the wire to the judgement.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::config::retry::RetryConfig;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::environment::{Environment, OperatingSystem};
use layer0_domain::model::id::EnvironmentId;
use layer0_domain::model::image_map::ImageMap;
use layer0_domain::model::name::Name;
use layer0_domain::model::registry::Platform;
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::plan::pull_check::{Outcome, Report, What, judge};
use layer0_domain::port::engine::{EngineError, Scope, Want};
use layer0_domain::port::image_source::SourceAnswer;
use layer0_domain::port::pull::aws::{ActedBy, AwsEvidence, EcrImage, EndpointKind, RoleEvidence, RoleRights};
use layer0_domain::port::pull::{AnsweredBy, Fact, Launch, LogGroup, PullEvidence, PullQuestion};
use layer0_testkit::aws::network::{Endpoint, Peer, RouteTable, SecurityGroup, SecurityRule};
use layer0_testkit::aws::{Effect, FakeImage, Fault, Organization, Role as IamRole, Service};
use layer0_testkit::until::until;
use serde_json::{Value, json};

use super::*;

const OWN: &str = "123456789012";
const OTHER: &str = "222222222222";
const PULL: [&str; 3] = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];
const EXECUTION: [&str; 6] = [
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchGetImage",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
];
const ALL: [What; 5] = [What::Image, What::Platform, What::Access, What::Role, What::Network];

/// A start that would work, to be changed before it is looked at.
struct Case {
    aws: FakeAws,
    config: EcsConfig,
    question: PullQuestion,
    scale: u32,
}

impl Case {
    /// `network` is changed before the fake starts.
    async fn good(network: impl FnOnce(&mut FakeAwsConfig)) -> Self {
        let mut fake = FakeAwsConfig::default();
        network(&mut fake);
        let aws = FakeAws::start(fake).await;
        aws.image("team/app", "1", FakeImage::default());
        aws.role("l0-execution", IamRole::for_tasks(&EXECUTION));
        let mut case = Self { aws, config: config(), question: about(OWN, "team/app:1"), scale: 0 };
        case.question.uses.log_groups.push(LogGroup { name: "l0".to_owned(), region: None, is_made: false });
        case
    }

    fn image(&mut self, owner: &str, image: &str) {
        self.question.image = about(owner, image).image;
    }

    /// The engine with an environment that is ready.
    async fn engine(&mut self) -> EcsEngine {
        let engine = EcsEngine::start(self.config.clone(), &sdk(&self.aws).await);
        let environment = environment(self.scale);
        self.question.environment = Some(environment.id.clone());
        let id = environment.id.clone();
        engine.ensure(Want::Environment { environment, reachable_from: vec![] }).await.expect("it is taken down");
        until("the environment to be ready", || async {
            let seen = engine.observe(Scope::One(EntityRef::Environment(id.clone()))).await.expect("AWS answers");
            match seen.environments.first() {
                Some(seen) if seen.waiting_for.is_none() && seen.problem.is_none() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        engine
    }

    async fn looked(&mut self) -> (PullEvidence, Report) {
        let engine = self.engine().await;
        self.aws.calls_clear();
        let evidence = engine.pull_evidence(&self.question).await.expect("AWS answers");
        let report = self.judged(&evidence);
        (evidence, report)
    }

    fn judged(&self, evidence: &PullEvidence) -> Report {
        let image = ImageMap::default().apply(&self.question.image).expect("nothing is mapped");
        judge(&image, &SourceAnswer::NotOurs, &self.question, Some(evidence))
    }
}

fn about(owner: &str, image: &str) -> PullQuestion {
    let image = format!("{owner}.dkr.ecr.{REGION}.amazonaws.com/{image}");
    PullQuestion::about(ImageRef::parse(&image).expect("a reference"), AnsweredBy::Registry)
}

fn environment(scale: u32) -> Environment {
    Environment {
        name: Name::parse("check").expect("a name"),
        id: EnvironmentId::parse("env-check").expect("an id"),
        owner: None,
        operating_system: OperatingSystem::Linux,
        scale,
        instance_type: String::new(),
        ami_id: String::new(),
        user_data_template: String::new(),
        links: BTreeSet::new(),
        created: Timestamp(0),
        generation: Generation(1),
        deleting: false,
    }
}

fn aws_of(evidence: &PullEvidence) -> &AwsEvidence {
    evidence.aws.as_deref().expect("it is an engine on AWS")
}

fn outcome(report: &Report, what: What) -> &'static str {
    match report.checks.iter().find(|check| check.what == what).map(|check| &check.outcome) {
        Some(Outcome::Passed { .. }) => "passed",
        Some(Outcome::Failed { .. }) => "failed",
        Some(Outcome::Unknown { .. }) => "unknown",
        None => "none",
    }
}

fn statement(effect: &str, principal: Value) -> Value {
    json!({ "Sid": "it", "Effect": effect, "Principal": principal, "Action": PULL })
}

fn policy(statement: Value) -> String {
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}

/// A name, a change, the check that it concerns, what comes of it, and words that are in evidence or remedy.
type Row = (&'static str, fn(&mut Case), What, &'static str, &'static [&'static str]);

/// Looks at each row in an AWS of its own. What is wrong with one check leaves those that don't hang on it as they were.
async fn assert_rows(rows: &[Row], others: &[What]) {
    for (name, change, what, expected, words) in rows {
        let mut case = Case::good(with_endpoints_in_isolated).await;
        change(&mut case);
        let (evidence, report) = case.looked().await;
        assert_eq!(outcome(&report, *what), *expected, "{name}: {report:#?}\n{evidence:#?}");
        let check = report.checks.iter().find(|check| check.what == *what).expect("all five");
        let said = format!("{:?}", check.outcome);
        for word in *words {
            assert!(said.contains(word), "{name}: {word:?} is not in {said}");
        }
        for other in others.iter().filter(|other| *other != what) {
            assert_eq!(outcome(&report, *other), "passed", "{name}: {report:#?}");
        }
    }
}

/// The isolated subnets have a way by endpoints: `subnet-isolated-a`, `-b`.
fn with_endpoints_in_isolated(fake: &mut FakeAwsConfig) {
    let network = &mut fake.network;
    network.security_groups.push(SecurityGroup {
        id: "sg-endpoints".to_owned(),
        name: "endpoints".to_owned(),
        vpc: "vpc-main".to_owned(),
        rules: vec![SecurityRule {
            egress: false,
            protocol: "tcp".to_owned(),
            ports: Some((443, 443)),
            peer: Peer::Cidr("10.0.0.0/16".to_owned()),
            description: None,
        }],
    });
    let endpoint = |service: &str, kind: &str| Endpoint {
        id: format!("vpce-{service}"),
        vpc: "vpc-closed".to_owned(),
        service: format!("com.amazonaws.{REGION}.{service}"),
        subnets: if kind == "interface" { vec!["subnet-closed".to_owned()] } else { vec![] },
        security_groups: if kind == "interface" { vec!["sg-endpoints".to_owned()] } else { vec![] },
        route_tables: if kind == "gateway" { vec!["rtb-closed".to_owned()] } else { vec![] },
        private_dns: kind == "interface",
        policy: None,
    };
    network.vpcs.push(("vpc-closed".to_owned(), "10.0.0.0/16".to_owned()));
    network.subnets.push(layer0_testkit::aws::network::Subnet {
        id: "subnet-closed".to_owned(),
        vpc: "vpc-closed".to_owned(),
        cidr: "10.0.30.0/24".to_owned(),
        zone: "us-east-1a".to_owned(),
        public_ip: false,
    });
    network.route_tables.push(RouteTable {
        id: "rtb-closed".to_owned(),
        vpc: "vpc-closed".to_owned(),
        subnets: vec![],
        main: true,
        routes: vec![("pl-s3".to_owned(), "vpce-s3".to_owned())],
    });
    network.endpoints.extend(
        [("ecr.api", "interface"), ("ecr.dkr", "interface"), ("logs", "interface"), ("s3", "gateway")]
            .map(|(service, kind)| endpoint(service, kind)),
    );
}

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
            &["1 of its layers are missing"],
        ),
        (
            "a layer of the variant is missing",
            |case| {
                let platforms = vec!["linux/arm64".to_owned(), "linux/amd64".to_owned()];
                case.aws.image("team/app", "1", FakeImage { platforms, missing_layers: 2, registry: None });
            },
            What::Image,
            "failed",
            &["2 of its layers are missing"],
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

fn in_organization(case: &mut Case, units: Option<Vec<String>>) {
    case.aws.organization(Organization { id: "o-a1b2c3d4e5".to_owned(), units });
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

#[tokio::test]
async fn pages_are_read_to_their_end() {
    let mut case = Case::good(|fake| {
        with_endpoints_in_isolated(fake);
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
    assert_eq!(endpoints.len(), 4);
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

/// All facts that are not known, by name, with the reasons.
fn unknown(evidence: &PullEvidence) -> BTreeMap<&'static str, String> {
    let mut all = BTreeMap::new();
    let mut note = |name, why: Option<&str>| {
        if let Some(why) = why {
            all.insert(name, why.to_owned());
        }
    };
    let aws = aws_of(evidence);
    note("account", aws.puller.account.get().err());
    note("organization", aws.puller.organization.get().err());
    if let Some(ecr) = &aws.ecr {
        note("image", ecr.image.get().err());
        match ecr.image.known() {
            Some(EcrImage::Found { platforms, missing, .. }) => {
                note("platforms", platforms.get().err());
                note("missing", missing.get().err());
            }
            Some(EcrImage::NoImage { tags }) => note("tags", tags.get().err()),
            Some(EcrImage::NoRepository) | None => {}
        }
        note("repository policy", ecr.repository_policy.get().err());
        note("registry policy", ecr.registry_policy.get().err());
        if let Some(Some(policy)) = ecr.registry_policy.known() {
            note("scope", policy.on_every_request.get().err());
        }
    }
    note("role", aws.role.get().err());
    if let Some(RoleEvidence::Found(role)) = aws.role.known() {
        note("trust", role.trust.get().err());
        note("rights", role.rights.get().err());
    }
    note("network", aws.network.get().err());
    if let Some(network) = aws.network.known() {
        for subnet in &network.subnets {
            note("addresses", subnet.cidr.get().err());
            note("route table", subnet.route_table.get().err());
            note("default route", subnet.default_route.get().err());
        }
        note("groups", network.security_groups.get().err());
        note("endpoints", network.endpoints.get().err());
    }
    all
}

/// A start where every call but those for a fallback is made: a registry policy, an organization that shows its units.
async fn with_all_calls() -> Case {
    let mut case = Case::good(|_| {}).await;
    in_organization(&mut case, Some(vec!["r-ab12".to_owned()]));
    let mut allow = statement("Allow", json!({ "AWS": format!("arn:aws:iam::{OWN}:root") }));
    allow["Resource"] = json!("*");
    case.aws.registry_policy(OWN, &policy(allow));
    case
}

#[tokio::test]
async fn what_one_may_not_look_up_is_unknown_and_nothing_else() {
    use What::{Access, Image, Network, Platform, Role};
    let rows: &[(Service, &str, &[&str], &[What])] = &[
        (Service::Ecr, "BatchGetImage", &["image"], &[Image, Platform]),
        (Service::Ecr, "BatchCheckLayerAvailability", &["missing"], &[Image]),
        (Service::Ecr, "GetDownloadUrlForLayer", &["platforms"], &[Platform]),
        (Service::Ecr, "GetRepositoryPolicy", &["repository policy"], &[Access]),
        (Service::Ecr, "GetRegistryPolicy", &["registry policy"], &[Access]),
        (Service::Ecr, "GetAccountSetting", &["scope"], &[Access]),
        (Service::Sts, "GetCallerIdentity", &["account", "registry policy"], &[Access]),
        (Service::Organizations, "DescribeOrganization", &["organization"], &[]),
        (Service::Organizations, "ListParents", &[], &[]),
        (Service::Iam, "GetRole", &["trust"], &[Role]),
        (Service::Iam, "SimulatePrincipalPolicy", &[], &[]),
        (Service::Ec2, "DescribeSubnets", &["addresses"], &[]),
        (Service::Ec2, "DescribeRouteTables", &["route table", "default route"], &[Network]),
        (Service::Ec2, "DescribeVpcEndpoints", &["endpoints"], &[Network]),
        (Service::Ec2, "DescribeSecurityGroups", &["groups"], &[Network]),
    ];
    let (evidence, _) = with_all_calls().await.looked().await;
    assert_eq!(unknown(&evidence), BTreeMap::new());
    for (service, operation, facts, checks) in rows {
        let mut case = with_all_calls().await;
        case.aws.fault(Fault::on(*service, operation, Effect::AccessDenied { message: None }).times(u64::MAX));
        let (evidence, report) = case.looked().await;
        let unknown = unknown(&evidence);
        let names: BTreeSet<&str> = unknown.keys().copied().collect();
        assert_eq!(names, facts.iter().copied().collect(), "{operation}: {evidence:#?}");
        let action = format!("access denied to {}:{operation}", service.name());
        assert!(unknown.values().all(|why| *why == action), "{operation}: {unknown:?}");
        assert!(case.aws.calls().iter().any(|call| call.operation == *operation), "{operation} was not called");
        for what in ALL {
            let expected = if checks.contains(&what) { "unknown" } else { "passed" };
            assert_eq!(outcome(&report, what), expected, "{operation}: {report:#?}");
        }
    }
}

#[tokio::test]
async fn tags_that_may_not_be_listed_are_not_said_to_be_none() {
    let mut case = Case::good(|_| {}).await;
    case.image(OWN, "team/app:9");
    case.aws.fault(Fault::on(Service::Ecr, "DescribeImages", Effect::AccessDenied { message: None }));
    let (evidence, report) = case.looked().await;
    assert_eq!(
        unknown(&evidence),
        [("tags", "access denied to ecr:DescribeImages".to_owned())].into(),
        "{evidence:#?}"
    );
    assert_eq!(outcome(&report, What::Image), "failed");
}

#[tokio::test]
async fn a_role_is_judged_by_its_documents_where_none_may_simulate() {
    let denied = || Effect::AccessDenied { message: None };
    for (operation, is_known) in [
        (None, true),
        (Some("ListAttachedRolePolicies"), false),
        (Some("GetPolicy"), false),
        (Some("GetPolicyVersion"), false),
        (Some("ListRolePolicies"), false),
        (Some("GetRolePolicy"), false),
    ] {
        let mut case = Case::good(|_| {}).await;
        let document = json!({ "Statement": [{ "Effect": "Allow", "Action": EXECUTION, "Resource": "*" }] });
        case.aws.managed_policy("arn:aws:iam::aws:policy/boundary", document.clone());
        case.aws.managed_policy("arn:aws:iam::aws:policy/pull", document);
        let role = IamRole {
            attached: vec!["arn:aws:iam::aws:policy/pull".to_owned()],
            boundary: Some("arn:aws:iam::aws:policy/boundary".to_owned()),
            ..IamRole::for_tasks(&["s3:GetObject"])
        };
        case.aws.role("l0-execution", role);
        case.aws.fault(Fault::on(Service::Iam, "SimulatePrincipalPolicy", denied()).times(u64::MAX));
        if let Some(operation) = operation {
            case.aws.fault(Fault::on(Service::Iam, operation, denied()).times(u64::MAX));
        }
        let (evidence, report) = case.looked().await;
        let Fact::Known(RoleEvidence::Found(role)) = &aws_of(&evidence).role else { panic!("{evidence:#?}") };
        match (&role.rights, operation) {
            (Fact::Known(RoleRights::Documents { policies, boundary: Some(boundary) }), None) => {
                let mut names: Vec<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
                names.sort_unstable();
                assert_eq!((&names[..], boundary.name.as_str()), (&["allow", "pull"][..], "boundary"));
            }
            (Fact::Unknown(why), Some(operation)) => {
                let both =
                    format!("access denied to iam:SimulatePrincipalPolicy, and access denied to iam:{operation}");
                assert_eq!(*why, both);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(outcome(&report, What::Role), if is_known { "passed" } else { "unknown" }, "{report:#?}");
    }
}

#[tokio::test]
async fn a_throttle_is_waited_for_and_one_that_lasts_makes_unknown() {
    let mut case = Case::good(|_| {}).await;
    for (service, operation) in
        [(Service::Ecr, "BatchGetImage"), (Service::Iam, "GetRole"), (Service::Ec2, "DescribeSubnets")]
    {
        case.aws.fault(Fault::on(service, operation, Effect::Throttle));
    }
    case.aws.fault(Fault::on(Service::Ec2, "DescribeRouteTables", Effect::ServerError));
    let (evidence, _) = case.looked().await;
    assert_eq!(unknown(&evidence), BTreeMap::new());
    let tries = |operation: &str| case.aws.calls().iter().filter(|call| call.operation == operation).count();
    assert_eq!((tries("DescribeSubnets"), tries("DescribeRouteTables"), tries("GetRole")), (2, 2, 2));

    let mut case = Case::good(|_| {}).await;
    case.aws.fault(Fault::on(Service::Ec2, "DescribeVpcEndpoints", Effect::Throttle).times(u64::MAX));
    let (evidence, report) = case.looked().await;
    assert_eq!(unknown(&evidence), [("endpoints", "ec2:DescribeVpcEndpoints is throttled".to_owned())].into());
    assert_eq!(outcome(&report, What::Network), "unknown");
    assert_eq!(outcome(&report, What::Role), "passed");
}

#[tokio::test]
async fn an_aws_that_answers_to_nothing_is_unavailable() {
    let mut case = Case::good(|_| {}).await;
    case.question.environment = Some(environment(0).id);
    let sdk = sdk(&case.aws).await.into_builder().retry_config(RetryConfig::disabled()).build();
    drop(case.aws);
    let engine = EcsEngine::start(case.config, &sdk);
    match engine.pull_evidence(&case.question).await {
        Err(EngineError::Unavailable { engine, .. }) => assert_eq!(engine, "AWS"),
        other => panic!("{other:#?}"),
    }
}
