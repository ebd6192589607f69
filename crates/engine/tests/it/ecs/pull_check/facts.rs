//! What can't be looked up is unknown, and takes nothing else with it.

use super::*;

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
async fn rules_that_may_not_be_read_are_not_said_to_be_none() {
    let mut case = Case::good(|_| {}).await;
    case.image(OWN, "team/none:1");
    case.aws.fault(Fault::on(Service::Ecr, "DescribePullThroughCacheRules", Effect::AccessDenied { message: None }));
    let (evidence, report) = case.looked().await;
    let rule = aws_of(&evidence).ecr.as_ref().map(|ecr| &ecr.cache_rule);
    let why = "access denied to ecr:DescribePullThroughCacheRules";
    assert_eq!(rule, Some(&Fact::Unknown(why.to_owned())));
    assert_eq!(outcome(&report, What::Image), "failed");
    assert!(format!("{report:?}").contains(why), "{report:#?}");
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
    case.aws.fault(Fault::on(Service::Ec2, "DescribeVpcEndpoints", Effect::LostAnswer));
    let (evidence, _) = case.looked().await;
    assert_eq!(unknown(&evidence), BTreeMap::new());
    let tries = |operation: &str| case.aws.calls().iter().filter(|call| call.operation == operation).count();
    for operation in ["BatchGetImage", "DescribeSubnets", "DescribeRouteTables", "DescribeVpcEndpoints"] {
        assert_eq!(tries(operation), 2, "{operation}");
    }
    assert_eq!(tries("GetRole"), 3, "the role that pulls and the server's own, one of them twice");

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
