//! Check 3: who is let in.

use super::*;
use crate::model::grant::{Grant, GrantScope, GrantStrategy, Grantee, KeptStrategy};
use crate::model::image::RepositoryName;
use crate::model::owner::OwnerName;
use crate::plan::grants::{Change, Due, RegistryNames, Signature, registry_due, repository_due};

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
                "AWS's own example of a policy for pulling",
                |case| {
                    let example = LET_IN.replace("\"ecr:BatchCheckLayerAvailability\", ", "");
                    case.ecr().repository_policy = Fact::Known(Some(example));
                },
                What::Access,
                "unknown",
                &["lets account 111122223333 in, but for ecr:BatchCheckLayerAvailability", "most likely goes through"],
            ),
            (
                "the layer check alone is denied",
                |case| {
                    let deny = DENY.replace("BatchGetImage", "BatchCheckLayerAvailability");
                    case.ecr().registry_policy =
                        Fact::Known(Some(RegistryPolicy { text: deny, on_every_request: Fact::Known(true) }));
                },
                What::Access,
                "unknown",
                &["but for ecr:BatchCheckLayerAvailability"],
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
                "neither may be read, as it is without a grant",
                |case| {
                    case.ecr().repository_policy = denied("ecr:GetRepositoryPolicy");
                    case.ecr().registry_policy = denied("ecr:GetRegistryPolicy");
                    case.ecr().image = denied("ecr:BatchGetImage");
                },
                What::Access,
                "unknown",
                &[
                    "access denied",
                    "`l0 account grant 111122223333` where Layer0 keeps the registry of account 444455556666",
                ],
            ),
            (
                "neither may be read, and the look went through",
                |case| {
                    case.ecr().repository_policy = denied("ecr:GetRepositoryPolicy");
                    case.ecr().registry_policy = denied("ecr:GetRegistryPolicy");
                },
                What::Access,
                "unknown",
                &[
                    "account 111122223333's own look at the image went through",
                    "access denied to ecr:GetRegistryPolicy",
                ],
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

/// The documents that account grants write: in each strategy whoever was granted passes, by each kind of grantee and scope; and
/// whoever was not hears of the one command that lets it in.
#[test]
fn the_access_check_reads_what_account_grants_write() {
    let name = RepositoryName::parse("team/app").expect("a legal name");
    let (all, team, app) = (
        GrantScope::Instance,
        GrantScope::Owner(OwnerName::parse("team").expect("an owner")),
        GrantScope::Repository(name.clone()),
    );
    let elsewhere = GrantScope::Owner(OwnerName::parse("other").expect("an owner"));
    let (unit, other_unit) = ("ou:o-a1b2c3d4e5/ou-ab12-11111111", "ou:o-a1b2c3d4e5/ou-ab12-22222222");
    let rows: [(&str, GrantScope, &str); 12] = [
        (OWN, all.clone(), "passed"),
        (OWN, team.clone(), "passed"),
        (OWN, app.clone(), "passed"),
        (OWN, elsewhere.clone(), "failed"),
        ("999999999999", all.clone(), "failed"),
        ("org:o-a1b2c3d4e5", all.clone(), "passed"),
        ("org:o-a1b2c3d4e5", elsewhere.clone(), "failed"),
        ("org:o-zzzzzzzzzz", team.clone(), "failed"),
        (unit, all, "passed"),
        (unit, app, "passed"),
        (unit, elsewhere, "failed"),
        (other_unit, team, "failed"),
    ];
    let signature = Signature::new("prod", "eu-west-1");
    let names = RegistryNames::new(EcrHost { account: OTHER.to_owned(), region: "eu-west-1".to_owned() }, "");
    let names = names.expect("no prefix");
    for (who, scope, expected) in rows {
        let grants = [Grant { grantee: Grantee::parse(who).expect(who), scope: scope.clone() }].into();
        for strategy in GrantStrategy::ALL {
            let kept = KeptStrategy { wish: strategy, ..KeptStrategy::default() };
            let text = |due| match due {
                Ok(Due::As(Change::Write(text))) => Some(text),
                Ok(Due::As(Change::Keep) | Due::Nothing) => None,
                other => panic!("{other:?}"),
            };
            let mut case = Case::good(OTHER);
            case.aws.puller.organization = Fact::Known(Some(Organization {
                id: "o-a1b2c3d4e5".to_owned(),
                path: Some("o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/".to_owned()),
            }));
            case.question.repository = Some(name.clone());
            case.ecr().repository_policy = Fact::Known(text(repository_due(&signature, &kept, &name, &grants, None)));
            let registry = text(registry_due(&signature, &kept, &names, &grants, None));
            let policy = |text| RegistryPolicy { text, on_every_request: Fact::Known(true) };
            case.ecr().registry_policy = Fact::Known(registry.map(policy));
            let report = case.judged();
            assert_eq!(outcome(&report, What::Access), expected, "{who} on {scope}, {strategy}: {report:#?}");
            if expected == "failed" {
                let hint = report.verdict().expect_err("it fails").hint.expect("a hint");
                assert_eq!(hint, format!("let the account in: `l0 account grant {OWN} --repository team/app`"));
            }
        }
    }
}

fn organization(id: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Sid": "org", "Effect": "Allow", "Principal": "*",
            "Action": "ecr:*", "Condition": {{"StringEquals": {{"aws:PrincipalOrgID": "{id}"}}}}}}}}"#
    )
}
