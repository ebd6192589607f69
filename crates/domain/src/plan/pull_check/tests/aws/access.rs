//! Check 3: who is let in.

use super::*;

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
                    "`l0 account grant 111122223333`",
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
