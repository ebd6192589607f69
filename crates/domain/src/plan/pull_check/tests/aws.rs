//! AWS: a start that would work, and each thing that can be wrong with it.

use super::*;
use crate::model::digest::Digest;
use crate::model::image_map::EcrHost;
use crate::model::registry::Visibility;
use crate::port::image_source::{SourceAnswer, SourceImage};
use crate::port::pull::aws::*;
use crate::port::pull::{Fact, LogGroup, RemoteImage, StartUses};

mod access;
mod image;
mod network;
mod pass;
mod role;

const OWN: &str = "111122223333";
const OTHER: &str = "444455556666";
const EXECUTION_ROLE: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
    "Action": ["ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer",
        "ecr:BatchGetImage", "logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}]}"#;
const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
    "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"#;
const LET_IN: &str = r#"{"Version": "2012-10-17", "Statement": [{"Sid": "pull", "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
    "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]}]}"#;

fn denied<T>(action: &str) -> Fact<T> {
    Fact::Unknown(format!("access denied to {action}"))
}

/// What is known about one start.
struct Case {
    image: String,
    question: PullQuestion,
    platform: &'static str,
    remote: Option<RemoteImage>,
    aws: AwsEvidence,
}

impl Case {
    /// A start in account `OWN` in eu-west-1, of an image of the account `owner`, with nothing wrong.
    fn good(owner: &str) -> Self {
        let image = format!("{owner}.dkr.ecr.eu-west-1.amazonaws.com/team/app:1");
        let mut question = PullQuestion::about(ImageRef::parse(&image).expect("legal"), AnsweredBy::Registry);
        question.uses.log_groups.push(LogGroup { name: "l0".to_owned(), region: None, is_made: false });
        Self {
            question,
            platform: "linux/amd64",
            remote: None,
            aws: AwsEvidence {
                puller: Puller {
                    account: Fact::Known(OWN.to_owned()),
                    organization: Fact::Known(Some(Organization { id: "o-a1b2c3d4e5".to_owned(), path: None })),
                    region: "eu-west-1".to_owned(),
                },
                ecr: Some(EcrEvidence {
                    host: EcrHost { account: owner.to_owned(), region: "eu-west-1".to_owned() },
                    image: Fact::Known(EcrImage::Found {
                        digest: Digest::sha256_of(b"image"),
                        platforms: Fact::Known(vec![platform("linux/amd64"), platform("linux/arm64")]),
                        missing: Fact::Known(vec![]),
                    }),
                    repository_policy: Fact::Known((owner != OWN).then(|| LET_IN.to_owned())),
                    registry_policy: Fact::Known(None),
                    cache_rule: Fact::Known(None),
                }),
                role: Fact::Known(RoleEvidence::Found(Role {
                    arn: format!("arn:aws:iam::{OWN}:role/l0-execution"),
                    acted_by: ActedBy::Task,
                    trust: Fact::Known(TRUST.to_owned()),
                    rights: Fact::Known(RoleRights::Documents {
                        policies: vec![PolicyText {
                            name: "AmazonECSTaskExecutionRolePolicy".to_owned(),
                            text: EXECUTION_ROLE.to_owned(),
                        }],
                        boundary: None,
                    }),
                })),
                network: Fact::Known(network::nat()),
                passing: None,
                added: StartUses::default(),
                unsure_of_platform: None,
                is_of_now: true,
            },
            image,
        }
    }

    fn judged(&self) -> Report {
        self.judged_as(&SourceAnswer::NotOurs)
    }

    fn judged_as(&self, source: &SourceAnswer) -> Report {
        let evidence = PullEvidence {
            platform: platform(self.platform),
            local: None,
            remote: self.remote.clone(),
            aws: Some(Box::new(self.aws.clone())),
        };
        judge(&mapped(&self.image), source, &self.question, Some(&evidence))
    }

    fn ecr(&mut self) -> &mut EcrEvidence {
        self.aws.ecr.as_mut().expect("an image of ECR")
    }

    fn role(&mut self) -> &mut Role {
        match &mut self.aws.role {
            Fact::Known(RoleEvidence::Found(role)) => role,
            other => panic!("{other:?}"),
        }
    }

    fn policies(&mut self, texts: &[&str], bound: Option<&str>) {
        let text = |text: &str| PolicyText { name: "it".to_owned(), text: text.to_owned() };
        self.role().rights = Fact::Known(RoleRights::Documents {
            policies: texts.iter().map(|one| text(one)).collect(),
            boundary: bound.map(text),
        });
    }

    fn host(&mut self, image: &str) {
        self.image = image.to_owned();
        self.question.image = ImageRef::parse(image).expect("legal");
        let host = self.question.image.host().and_then(EcrHost::parse);
        match host {
            Some(host) => self.ecr().host = host,
            None => self.aws.ecr = None,
        }
    }
}

/// A change, the check that it concerns, what comes of it, and words that must be in evidence and remedy.
type Row = (&'static str, fn(&mut Case), What, &'static str, &'static [&'static str]);

fn assert_rows(owner: &str, rows: &[Row]) {
    for (name, change, what, expected, words) in rows {
        let mut case = Case::good(owner);
        change(&mut case);
        let report = case.judged();
        let order: Vec<What> = report.checks.iter().map(|check| check.what).collect();
        assert_eq!(order, [What::Image, What::Platform, What::Access, What::Role, What::Network], "{name}");
        assert_eq!(outcome(&report, *what), *expected, "{name}: {report:#?}");
        let check = report.checks.iter().find(|check| check.what == *what).expect("all five");
        let said = format!("{:?}", check.outcome).replace("\\\"", "\"");
        for word in *words {
            assert!(said.contains(word), "{name}: {word:?} is not in {said}");
        }
        let failed = report.checks.iter().any(|check| check.outcome.has_failed());
        assert_eq!(report.verdict().is_err(), failed, "{name}");
    }
}

#[test]
fn what_would_work_passes_all_five_and_is_pinned() {
    for owner in [OWN, OTHER] {
        let report = Case::good(owner).judged();
        for check in &report.checks {
            assert!(matches!(check.outcome, Outcome::Passed { .. }), "{check:?}");
        }
        let passed = report.verdict().expect("it passes");
        let pinned = format!("{owner}.dkr.ecr.eu-west-1.amazonaws.com/team/app@{}", Digest::sha256_of(b"image"));
        assert_eq!(passed, Passed { pinned: ImageRef::parse(&pinned).expect("legal"), warning: None });
    }
}

#[test]
fn what_lies_with_this_server_can_not_be_pulled_from_aws() {
    for (image, visibility, access) in [
        ("localhost:9090/team/app:1", Visibility::Public, "failed"),
        ("127.0.0.1:9090/team/app:1", Visibility::Private, "failed"),
        ("registry.example.com/team/app:1", Visibility::Private, "failed"),
        ("registry.example.com/team/app:1", Visibility::Public, "unknown"),
    ] {
        let mut case = Case::good(OWN);
        case.host(image);
        let found = SourceAnswer::Found(SourceImage {
            digest: Digest::sha256_of(b"image"),
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            platforms: vec![platform("linux/amd64")],
            size: 1,
            missing: vec![],
            visibility,
        });
        let report = case.judged_as(&found);
        assert_eq!((outcome(&report, What::Image), outcome(&report, What::Access)), ("passed", access), "{image}");
        if access == "failed" {
            let failure = report.verdict().expect_err("it fails");
            assert!(failure.hint.expect("a remedy").contains("--registry-backing ecr"), "{image}");
        }
        // Who has a credential for it has said so.
        case.question.uses.repository_credentials = Some("dockerhub".to_owned());
        assert_eq!(outcome(&case.judged_as(&found), What::Access), "unknown", "{image}");
    }
}

#[test]
fn an_image_of_another_region_is_pulled_with_a_warning() {
    let mut case = Case::good(OTHER);
    case.host("444455556666.dkr.ecr.us-east-1.amazonaws.com/team/app:1");
    let passed = case.judged().verdict().expect("it passes");
    let warning = passed.warning.expect("a warning");
    assert!(warning.contains("is in us-east-1, the tasks run in eu-west-1"), "{warning}");
    case.aws.network = Fact::Known(network::endpoints_only());
    assert_eq!(outcome(&case.judged(), What::Network), "failed");
}

#[test]
fn what_is_unknown_keeps_nothing_from_starting_and_is_told() {
    let mut case = Case::good(OWN);
    case.aws.role = denied("iam:GetRole");
    case.aws.network = denied("ec2:DescribeSubnets");
    let warning = case.judged().verdict().expect("it passes").warning.expect("a warning");
    assert!(
        warning.contains("role (") && warning.contains("network (access denied to ec2:DescribeSubnets)"),
        "{warning}"
    );
}

#[test]
fn several_failures_are_told_together() {
    let mut case = Case::good(OTHER);
    case.ecr().repository_policy = Fact::Known(None);
    case.policies(&[], None);
    let failure = case.judged().verdict().expect_err("it fails");
    assert_eq!(failure.class, FailureClass::PullDenied);
    assert!(failure.message.contains("does not let account") && failure.message.contains("; and l0-execution may not"));
    assert!(failure.hint.expect("a hint").contains("; then `aws iam attach-role-policy"));
}
