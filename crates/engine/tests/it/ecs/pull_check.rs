//! The pull check's facts, from the wire to the judgement.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::config::retry::RetryConfig;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::environment::Environment;
use layer0_domain::model::image_map::ImageMap;
use layer0_domain::model::registry::Platform;
use layer0_domain::plan::pull_check::{Outcome, Report, What, judge};
use layer0_domain::port::engine::{EngineError, Scope, Want};
use layer0_domain::port::image_source::SourceAnswer;
use layer0_domain::port::pull::aws::{ActedBy, AwsEvidence, EcrImage, EndpointKind, RoleEvidence, RoleRights};
use layer0_domain::port::pull::{AnsweredBy, Fact, Launch, LogGroup, PullEvidence, PullQuestion, StartUses};
use layer0_testkit::aws::network::{Endpoint, Peer, RouteTable, SecurityGroup, SecurityRule};
use layer0_testkit::aws::{EXECUTION, Effect, FakeImage, Fault, Organization, Role as IamRole, Service};
use layer0_testkit::sample;
use layer0_testkit::until::until;
use serde_json::{Value, json};

use layer0_domain::model::image::ImageRef;
use layer0_domain::port::engine::Engine;
use layer0_engine::ecs::{EcsConfig, EcsEngine};
use layer0_testkit::aws::{FakeAws, FakeAwsConfig};

use super::stage::{REGION, config, sdk};

mod age;
mod checks;
mod facts;
mod passing;

const OWN: &str = "123456789012";
const OTHER: &str = "222222222222";
const PULL: [&str; 3] = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];
const ALL: [What; 5] = [What::Image, What::Platform, What::Access, What::Role, What::Network];

/// A start that would work, to be changed before it is looked at.
struct Case {
    aws: FakeAws,
    config: EcsConfig,
    question: PullQuestion,
    scale: u32,
    instance_type: String,
}

impl Case {
    /// `network` is changed before the fake starts.
    async fn good(network: impl FnOnce(&mut FakeAwsConfig)) -> Self {
        let mut fake = FakeAwsConfig::default();
        network(&mut fake);
        let aws = FakeAws::start(fake).await;
        aws.image("team/app", "1", FakeImage::default());
        aws.role("l0-execution", IamRole::for_tasks(&EXECUTION));
        aws.role("layer0", IamRole::for_tasks(&["iam:PassRole"]));
        let mut case =
            Self { aws, config: config(), question: about(OWN, "team/app:1"), scale: 0, instance_type: String::new() };
        case.question.uses.log_groups.push(LogGroup { name: "l0".to_owned(), region: None, is_made: false });
        case
    }

    fn image(&mut self, owner: &str, image: &str) {
        self.question.image = about(owner, image).image;
    }

    /// The engine with an environment that is ready.
    async fn engine(&mut self) -> EcsEngine {
        let engine = EcsEngine::start(self.config.clone(), &sdk(&self.aws).await);
        let environment = Environment { instance_type: self.instance_type.clone(), ..environment(self.scale) };
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
    Environment { scale, ..sample::environment("env-check", "check") }
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
        let mut case = Case::good(with_closed_vpc).await;
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

/// `vpc-closed`: one subnet, `subnet-closed`, over the main route table, with no way but endpoints.
fn with_closed_vpc(fake: &mut FakeAwsConfig) {
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
        inbound_only: false,
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
    // Inside the VPC nobody gets to S3 by this one.
    let inbound = Endpoint { id: "vpce-inbound".to_owned(), inbound_only: true, ..endpoint("s3", "interface") };
    network.endpoints.push(inbound);
}

fn in_organization(case: &mut Case, units: Option<Vec<String>>) {
    case.aws.organization(Organization { id: "o-a1b2c3d4e5".to_owned(), units });
}
