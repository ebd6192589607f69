//! Check 4: the role that pulls.

use super::*;

/// The managed policy AmazonEC2ContainerRegistryPullOnly, with logs.
const PULL_ONLY: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["ecr:GetAuthorizationToken",
    "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchImportUpstreamImage", "logs:*"], "Resource": "*"}]}"#;

const ENV_FILE: &str = "arn:aws:s3:::configs/prod/web.env";
const FILES: &str = r#"{"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::configs/*"},
    {"Effect": "Allow", "Action": "s3:GetBucketLocation", "Resource": "arn:aws:s3:::configs"}]}"#;

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
                    case.question.uses = StartUses::default();
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
                "trusts tasks of this account",
                |case| case.role().trust = Fact::Known(trust_of(OWN)),
                What::Role,
                "passed",
                &[],
            ),
            (
                "trusts tasks of another account",
                |case| case.role().trust = Fact::Known(trust_of(OTHER)),
                What::Role,
                "failed",
                &["does not trust ecs-tasks.amazonaws.com"],
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
                "AWS's managed policy for pulling alone, and logs",
                |case| case.policies(&[PULL_ONLY], None),
                What::Role,
                "unknown",
                &["ecr:BatchGetImage", "all that a start needs, but for ecr:BatchCheckLayerAvailability"],
            ),
            (
                "neither that nor logs",
                |case| case.policies(&[&PULL_ONLY.replace("logs:*", "logs:Put*")], None),
                What::Role,
                "failed",
                &["may not do ecr:BatchCheckLayerAvailability, logs:CreateLogStream"],
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
                "what the engine adds",
                |case| {
                    case.policies(&[EXECUTION_ROLE], None);
                    let group = LogGroup { name: "made".into(), region: None, is_made: true };
                    case.aws.added = StartUses { log_groups: vec![group], ..StartUses::default() };
                },
                What::Role,
                "failed",
                &["may not do logs:CreateLogGroup"],
            ),
            (
                "a registry's credential by its name",
                |case| {
                    case.question.uses.repository_credentials = Some("dockerhub".into());
                    case.policies(
                        &[
                            EXECUTION_ROLE,
                            r#"{"Statement": {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue",
                               "Resource": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:dockerhub-*"}}"#,
                        ],
                        None,
                    );
                },
                What::Role,
                "passed",
                &["secretsmanager:GetSecretValue"],
            ),
            (
                "a registry's credential by its name, where a policy names it whole",
                |case| {
                    case.question.uses.repository_credentials = Some("dockerhub".into());
                    case.policies(
                        &[
                            EXECUTION_ROLE,
                            r#"{"Statement": {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue",
                               "Resource": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:dockerhub-a1b2c3"}}"#,
                        ],
                        None,
                    );
                },
                What::Role,
                "unknown",
                &["which of them is meant only its ARN says"],
            ),
            (
                "a secret of the account that a condition ties to it, for an image of another",
                |case| {
                    case.question
                        .uses
                        .secrets
                        .push("arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf".into());
                    case.policies(
                        &[
                            EXECUTION_ROLE,
                            r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*",
                               "Condition": {"StringEquals": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}}}}"#,
                        ],
                        None,
                    );
                },
                What::Role,
                "passed",
                &["secretsmanager:GetSecretValue"],
            ),
            (
                "a file of environment variables that its own policies do not give",
                |case| case.question.uses.environment_files.push(ENV_FILE.into()),
                What::Role,
                "unknown",
                &["do not allow s3:GetObject and s3:GetBucketLocation on the definition's `environmentFiles`"],
            ),
            (
                "a file of environment variables that it may read",
                |case| {
                    case.question.uses.environment_files.push(ENV_FILE.into());
                    case.policies(&[EXECUTION_ROLE, FILES], None);
                },
                What::Role,
                "passed",
                &["s3:GetObject, s3:GetBucketLocation"],
            ),
            (
                "a file of environment variables that it is denied",
                |case| {
                    case.question.uses.environment_files.push(ENV_FILE.into());
                    case.policies(&[EXECUTION_ROLE, &FILES.replace("Allow", "Deny")], None);
                },
                What::Role,
                "failed",
                &["is denied s3:GetObject"],
            ),
            (
                "a secret that it may read",
                |case| {
                    case.question.uses.secrets.push("/prod/db".into());
                    let ssm = r#"{"Statement": {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "*"}}"#;
                    case.policies(&[EXECUTION_ROLE, ssm], None);
                },
                What::Role,
                "passed",
                &[
                    "ssm:GetParameters; whether a secret has a key of its own, which takes kms:Decrypt, was not looked at",
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

/// The trust policy against a confused deputy (ECS developer guide, "Amazon ECS task IAM role").
fn trust_of(account: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow",
            "Principal": {{"Service": ["ecs-tasks.amazonaws.com"]}}, "Action": "sts:AssumeRole", "Condition": {{
            "ArnLike": {{"aws:SourceArn": "arn:aws:ecs:eu-west-1:{account}:*"}},
            "StringEquals": {{"aws:SourceAccount": "{account}"}}}}}}]}}"#
    )
}
