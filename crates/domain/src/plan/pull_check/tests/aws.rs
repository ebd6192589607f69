//! AWS: a start that would work, and each thing that can be wrong with it.

use super::*;
use crate::model::digest::Digest;
use crate::model::image_map::EcrHost;
use crate::port::image_source::SourceAnswer;
use crate::port::pull::aws::*;
use crate::port::pull::{Fact, LogGroup, RemoteImage};

mod network;

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
            },
            image,
        }
    }

    fn judged(&self) -> Report {
        let evidence = PullEvidence {
            platform: platform(self.platform),
            local: None,
            remote: self.remote.clone(),
            aws: Some(Box::new(self.aws.clone())),
        };
        judge(&mapped(&self.image), &SourceAnswer::NotOurs, &self.question, Some(&evidence))
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
fn the_image_check_looks_for_repository_manifest_and_layers() {
    assert_rows(
        OWN,
        &[
            (
                "no repository",
                |case| case.ecr().image = Fact::Known(EcrImage::NoRepository),
                What::Image,
                "failed",
                &[
                    "ImageNotFound",
                    "account 111122223333 in eu-west-1 has no repository `team/app`",
                    "aws ecr create-repository --repository-name team/app --region eu-west-1",
                ],
            ),
            (
                "no tag",
                |case| {
                    case.ecr().image =
                        Fact::Known(EcrImage::NoImage { tags: Fact::Known(vec!["2".into(), "3".into()]) })
                },
                What::Image,
                "failed",
                &["has no `1` (it has 2, 3)", "docker push 111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/app:1"],
            ),
            (
                "layers are missing",
                |case| {
                    case.ecr().image = Fact::Known(EcrImage::Found {
                        digest: Digest::sha256_of(b"image"),
                        platforms: denied("ecr:BatchGetImage"),
                        missing: Fact::Known(vec![Digest::sha256_of(b"a"), Digest::sha256_of(b"b")]),
                    });
                },
                What::Image,
                "failed",
                &["2 of its layers are missing", "push it again"],
            ),
            (
                "layers not looked for",
                |case| {
                    case.ecr().image = Fact::Known(EcrImage::Found {
                        digest: Digest::sha256_of(b"image"),
                        platforms: Fact::Known(vec![]),
                        missing: denied("ecr:BatchCheckLayerAvailability"),
                    });
                },
                What::Image,
                "unknown",
                &["access denied to ecr:BatchCheckLayerAvailability"],
            ),
            (
                "not asked",
                |case| case.ecr().image = Fact::Unknown("throttled".into()),
                What::Image,
                "unknown",
                &["throttled"],
            ),
            ("not in ECR", |case| case.host("nginx:1"), What::Image, "unknown", &["not an image of ECR"]),
            (
                "not in ECR, not found",
                |case| {
                    case.host("nginx:none");
                    case.remote = Some(RemoteImage::NotFound);
                },
                What::Image,
                "failed",
                &["`nginx:none`"],
            ),
        ],
    );
}

#[test]
fn the_platform_check_compares_with_what_the_task_asks_for() {
    assert_rows(
        OWN,
        &[
            ("arm", |case| case.platform = "linux/arm64", What::Platform, "passed", &["runs on linux/arm64"]),
            (
                "neither",
                |case| case.platform = "windows/amd64",
                What::Platform,
                "failed",
                &[
                    "WrongArchitecture",
                    "is for linux/amd64, linux/arm64, the task asks for windows/amd64",
                    "docker buildx build --platform windows/amd64 --push",
                    r#""runtimePlatform": {"cpuArchitecture": "X86_64"}"#,
                ],
            ),
            (
                "not readable",
                |case| {
                    if let Fact::Known(EcrImage::Found { platforms, .. }) = &mut case.ecr().image {
                        *platforms = denied("ecr:GetDownloadUrlForLayer");
                    }
                },
                What::Platform,
                "unknown",
                &["access denied"],
            ),
            (
                "no image",
                |case| case.ecr().image = Fact::Known(EcrImage::NoRepository),
                What::Platform,
                "unknown",
                &["no image"],
            ),
        ],
    );
}

const DENY: &str = r#"{"Version": "2012-10-17", "Statement": [{"Sid": "closed", "Effect": "Deny", "Principal": "*",
    "Action": "ecr:BatchGetImage", "Resource": "*"}]}"#;

#[test]
fn the_access_check_reads_the_policies_of_the_own_account() {
    assert_rows(
        OWN,
        &[
            ("no policy", |_| {}, What::Access, "passed", &["own account 111122223333"]),
            (
                "a policy for others",
                |case| case.ecr().repository_policy = Fact::Known(Some(LET_IN.replace(OWN, OTHER))),
                What::Access,
                "passed",
                &[],
            ),
            (
                "denied by the repository",
                |case| case.ecr().repository_policy = Fact::Known(Some(DENY.into())),
                What::Access,
                "failed",
                &["`closed` of the policy of repository `team/app` denies ecr:BatchGetImage"],
            ),
            (
                "denied by the registry",
                |case| {
                    case.ecr().registry_policy =
                        Fact::Known(Some(RegistryPolicy { text: DENY.into(), on_every_request: Fact::Known(true) }));
                },
                What::Access,
                "failed",
                &["the registry policy of account 111122223333"],
            ),
            (
                "a registry policy that says nothing about pulls",
                |case| {
                    case.ecr().registry_policy =
                        Fact::Known(Some(RegistryPolicy { text: DENY.into(), on_every_request: Fact::Known(false) }));
                },
                What::Access,
                "passed",
                &[],
            ),
            (
                "unreadable",
                |case| case.ecr().repository_policy = denied("ecr:GetRepositoryPolicy"),
                What::Access,
                "unknown",
                &["access denied to ecr:GetRepositoryPolicy"],
            ),
            (
                "no policy at all",
                |case| case.ecr().repository_policy = Fact::Known(Some("nonsense".into())),
                What::Access,
                "unknown",
                &["is no JSON"],
            ),
        ],
    );
}

#[test]
fn the_access_check_takes_a_statement_for_another_account() {
    assert_rows(
        OTHER,
        &[
            (
                "let in",
                |_| {},
                What::Access,
                "passed",
                &["`pull` of the policy of repository `team/app` lets account 111122223333 in"],
            ),
            (
                "no policy",
                |case| case.ecr().repository_policy = Fact::Known(None),
                What::Access,
                "failed",
                &[
                    "PullDenied",
                    "repository `team/app` of account 444455556666 does not let account 111122223333 in",
                    r#"{"Action":["ecr:BatchCheckLayerAvailability","ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Sid":"pull111122223333"}"#,
                    "aws ecr set-repository-policy --repository-name team/app --region eu-west-1",
                ],
            ),
            (
                "another account let in",
                |case| case.ecr().repository_policy = Fact::Known(Some(LET_IN.replace(OWN, "999999999999"))),
                What::Access,
                "failed",
                &["nothing allows ecr:BatchCheckLayerAvailability"],
            ),
            (
                "one action is missing",
                |case| {
                    case.ecr().repository_policy = Fact::Known(Some(LET_IN.replace("\"ecr:BatchGetImage\", ", "")));
                },
                What::Access,
                "failed",
                &["nothing allows ecr:BatchGetImage"],
            ),
            (
                "by the registry policy",
                |case| {
                    case.ecr().repository_policy = Fact::Known(None);
                    let text =
                        LET_IN.replace("]}]}", "], \"Resource\": \"arn:aws:ecr:*:444455556666:repository/team/*\"}]}");
                    case.ecr().registry_policy =
                        Fact::Known(Some(RegistryPolicy { text, on_every_request: Fact::Known(true) }));
                },
                What::Access,
                "passed",
                &["the registry policy of account 444455556666 lets"],
            ),
            (
                "its organization",
                |case| case.ecr().repository_policy = Fact::Known(Some(organization("o-a1b2c3d4e5"))),
                What::Access,
                "passed",
                &["`org`"],
            ),
            (
                "another organization",
                |case| case.ecr().repository_policy = Fact::Known(Some(organization("o-other"))),
                What::Access,
                "failed",
                &[],
            ),
            (
                "an organization that is not known",
                |case| {
                    case.ecr().repository_policy = Fact::Known(Some(organization("o-a1b2c3d4e5")));
                    case.aws.puller.organization = denied("organizations:DescribeOrganization");
                },
                What::Access,
                "unknown",
                &["aws:PrincipalOrgID"],
            ),
            (
                "a policy that may not be read",
                |case| case.ecr().repository_policy = denied("ecr:GetRepositoryPolicy"),
                What::Access,
                "unknown",
                &["access denied"],
            ),
            (
                "a registry policy that can't be read, but the look went through",
                |case| case.ecr().registry_policy = denied("ecr:GetRegistryPolicy"),
                What::Access,
                "passed",
                &["this account's look at the image went through"],
            ),
            (
                "a registry policy that can't be read, nor the image",
                |case| {
                    case.ecr().registry_policy = denied("ecr:GetRegistryPolicy");
                    case.ecr().image = denied("ecr:BatchGetImage");
                },
                What::Access,
                "unknown",
                &["registry policy of account 444455556666"],
            ),
            (
                "account not known",
                |case| {
                    case.aws.puller.account = denied("sts:GetCallerIdentity");
                    case.aws.role = denied("iam:GetRole");
                },
                What::Access,
                "unknown",
                &["sts:GetCallerIdentity"],
            ),
            (
                "another partition",
                |case| case.host("444455556666.dkr.ecr.cn-north-1.amazonaws.com.cn/team/app:1"),
                What::Access,
                "failed",
                &["partition aws-cn", "partition aws)", "docker buildx imagetools create"],
            ),
            (
                "a registry for nobody",
                |case| {
                    case.host("ghcr.io/team/app:1");
                    case.remote = Some(RemoteImage::Denied);
                },
                What::Access,
                "failed",
                &["ghcr.io lets nobody in", "repositoryCredentials", "l0 map add"],
            ),
            (
                "a registry with a credential",
                |case| {
                    case.host("ghcr.io/team/app:1");
                    case.question.uses.repository_credentials =
                        Some("arn:aws:secretsmanager:eu-west-1:111122223333:secret:hub".into());
                },
                What::Access,
                "unknown",
                &["secret:hub"],
            ),
        ],
    );
}

fn organization(id: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Sid": "org", "Effect": "Allow", "Principal": "*",
            "Action": "ecr:*", "Condition": {{"StringEquals": {{"aws:PrincipalOrgID": "{id}"}}}}}}}}"#
    )
}

#[test]
fn the_role_check_reads_trust_policies_and_boundary() {
    assert_rows(
        OTHER,
        &[
            ("all", |_| {}, What::Role, "passed", &["l0-execution", "ecr:GetAuthorizationToken", "logs:PutLogEvents"]),
            (
                "none given",
                |case| case.aws.role = Fact::Known(RoleEvidence::NotGiven),
                What::Role,
                "failed",
                &["execution role", "aws iam create-role", "executionRoleArn"],
            ),
            (
                "none needed",
                |case| {
                    case.host("nginx:1");
                    case.question.uses = crate::port::pull::StartUses::default();
                    case.aws.role = Fact::Known(RoleEvidence::NotGiven);
                },
                What::Role,
                "passed",
                &[],
            ),
            (
                "gone",
                |case| {
                    case.aws.role =
                        Fact::Known(RoleEvidence::Missing { arn: "arn:aws:iam::111122223333:role/gone".into() })
                },
                What::Role,
                "failed",
                &["role/gone does not exist", "--role-name gone"],
            ),
            ("not readable", |case| case.aws.role = denied("iam:GetRole"), What::Role, "unknown", &["iam:GetRole"]),
            (
                "trusts machines only",
                |case| case.role().trust = Fact::Known(TRUST.replace("ecs-tasks", "ec2")),
                What::Role,
                "failed",
                &[
                    "does not trust ecs-tasks.amazonaws.com",
                    "aws iam update-assume-role-policy --role-name l0-execution",
                ],
            ),
            (
                "a machine's role",
                |case| {
                    case.role().trust = Fact::Known(TRUST.replace("ecs-tasks", "ec2"));
                    case.role().acted_by = ActedBy::Machine;
                },
                What::Role,
                "passed",
                &[],
            ),
            (
                "trust not readable",
                |case| case.role().trust = denied("iam:GetRole"),
                What::Role,
                "unknown",
                &["whom l0-execution trusts"],
            ),
            (
                "no policies",
                |case| case.policies(&[], None),
                What::Role,
                "failed",
                &[
                    "may not do ecr:GetAuthorizationToken, ecr:BatchCheckLayerAvailability",
                    "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy",
                ],
            ),
            (
                "logs are missing",
                |case| {
                    case.policies(&[r#"{"Statement": {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}}"#], None)
                },
                What::Role,
                "failed",
                &["may not do logs:CreateLogStream, logs:PutLogEvents"],
            ),
            (
                "other repositories only",
                |case| {
                    case.policies(
                        &[EXECUTION_ROLE, r#"{"Statement": {"Sid": "no", "Effect": "Deny", "Action": "ecr:BatchGetImage", "NotResource": "arn:aws:ecr:*:*:repository/ours/*"}}"#],
                        None,
                    );
                },
                What::Role,
                "failed",
                &["is denied ecr:BatchGetImage by `no` of policy it of l0-execution"],
            ),
            (
                "bounded",
                |case| {
                    case.policies(
                        &[EXECUTION_ROLE],
                        Some(r#"{"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}"#),
                    )
                },
                What::Role,
                "failed",
                &["permissions boundary"],
            ),
            (
                "on a condition",
                |case| {
                    case.policies(&[r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}}"#], None)
                },
                What::Role,
                "unknown",
                &["aws:SourceIp"],
            ),
            (
                "rights not readable",
                |case| case.role().rights = denied("iam:ListAttachedRolePolicies"),
                What::Role,
                "unknown",
                &["iam:ListAttachedRolePolicies"],
            ),
            (
                "a secret that it may not read",
                |case| {
                    case.question
                        .uses
                        .secrets
                        .push("arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf:password::".into())
                },
                What::Role,
                "failed",
                &[
                    r#""Resource":["arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf"]"#,
                    "secretsmanager:GetSecretValue",
                ],
            ),
            (
                "a parameter that it may not read",
                |case| case.question.uses.secrets.push("/prod/db".into()),
                What::Role,
                "failed",
                &["arn:aws:ssm:eu-west-1:111122223333:parameter/prod/db", "ssm:GetParameters"],
            ),
        ],
    );
}

/// In one account the repository may give what the role's own policies do not; the token it can't give.
#[test]
fn the_role_check_counts_what_the_repository_gives_its_own_account() {
    let token =
        r#"{"Statement": {"Effect": "Allow", "Action": ["ecr:GetAuthorizationToken", "logs:*"], "Resource": "*"}}"#;
    for (principal, expected) in [
        (format!("arn:aws:iam::{OWN}:role/l0-execution"), "passed"),
        (format!("arn:aws:iam::{OWN}:root"), "failed"),
        (format!("arn:aws:iam::{OWN}:role/other"), "failed"),
    ] {
        let mut case = Case::good(OWN);
        case.policies(&[token], None);
        let policy = LET_IN.replace(&format!("arn:aws:iam::{OWN}:root"), &principal);
        case.ecr().repository_policy = Fact::Known(Some(policy));
        assert_eq!(outcome(&case.judged(), What::Role), expected, "{principal}");
    }
}

#[test]
fn the_role_check_takes_a_simulation() {
    let simulate = |decision: fn(&str) -> Decision, missing: &[&str]| {
        let mut case = Case::good(OTHER);
        let results = needed_rights(&case.question, OWN, "eu-west-1").into_iter().map(|right| Simulated {
            action: right.action.to_owned(),
            decision: decision(right.action),
            resource: right.resource,
            missing_keys: missing.iter().map(|key| (*key).to_owned()).collect(),
        });
        case.role().rights = Fact::Known(RoleRights::Simulated(results.collect()));
        outcome(&case.judged(), What::Role)
    };
    assert_eq!(simulate(|_| Decision::Allowed, &[]), "passed");
    assert_eq!(simulate(|_| Decision::Allowed, &["aws:SourceIp"]), "unknown");
    assert_eq!(simulate(|_| Decision::ImplicitDeny, &[]), "failed");
    assert_eq!(
        simulate(|action| if action == "logs:PutLogEvents" { Decision::ExplicitDeny } else { Decision::Allowed }, &[]),
        "failed"
    );
    let mut case = Case::good(OTHER);
    case.role().rights = Fact::Known(RoleRights::Simulated(vec![]));
    assert_eq!(outcome(&case.judged(), What::Role), "unknown");
}

#[test]
fn rights_follow_what_a_start_uses() {
    let mut case = Case::good(OTHER);
    case.question.uses.log_groups[0].is_made = true;
    case.question.uses.log_groups[0].region = Some("eu-central-1".to_owned());
    let rights: Vec<String> = needed_rights(&case.question, OWN, "eu-west-1")
        .into_iter()
        .map(|right| format!("{} {}", right.action, right.resource))
        .collect();
    assert_eq!(
        rights,
        [
            "ecr:GetAuthorizationToken *",
            "ecr:BatchCheckLayerAvailability arn:aws:ecr:eu-west-1:444455556666:repository/team/app",
            "ecr:BatchGetImage arn:aws:ecr:eu-west-1:444455556666:repository/team/app",
            "ecr:GetDownloadUrlForLayer arn:aws:ecr:eu-west-1:444455556666:repository/team/app",
            "logs:CreateLogGroup arn:aws:logs:eu-central-1:111122223333:log-group:l0:log-stream:any",
            "logs:CreateLogStream arn:aws:logs:eu-central-1:111122223333:log-group:l0:log-stream:any",
            "logs:PutLogEvents arn:aws:logs:eu-central-1:111122223333:log-group:l0:log-stream:any",
        ]
    );
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
