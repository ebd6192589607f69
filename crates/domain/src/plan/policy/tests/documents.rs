//! Documents in the shapes that the user guides of IAM and ECR teach, and AWS's own managed policy for execution roles.

use super::*;

/// ECR user guide, "Private repository policy examples": users by name.
const TWO_USERS: &str = r#"{"Version": "2012-10-17", "Statement": [{
    "Sid": "AllowPushPull", "Effect": "Allow",
    "Principal": {"AWS": ["arn:aws:iam::111122223333:user/push-pull-user-1", "arn:aws:iam::111122223333:user/push-pull-user-2"]},
    "Action": ["ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability", "ecr:CompleteLayerUpload",
        "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart"]}]}"#;

/// The same, another account as a whole; version as ECR's console used to write it.
const OTHER_ACCOUNT: &str = r#"{"Version": "2008-10-17", "Statement": [{
    "Sid": "AllowCrossAccountPull", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
    "Action": ["ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage"]}]}"#;

/// The same: every account of an organization.
const ORGANIZATION: &str = r#"{"Version": "2012-10-17", "Statement": [{
    "Sid": "OrgPull", "Effect": "Allow", "Principal": "*",
    "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"],
    "Condition": {"StringEquals": {"aws:PrincipalOrgID": ["o-a1b2c3d4e5"]}}}]}"#;

/// The same: everybody, unless from outside a range of addresses.
const BY_ADDRESS: &str = r#"{"Version": "2012-10-17", "Id": "ECRPolicyId1415116195685", "Statement": [
    {"Sid": "all", "Effect": "Allow", "Principal": "*", "Action": "ecr:*"},
    {"Sid": "IPAllow", "Effect": "Deny", "Principal": "*", "Action": "ecr:*",
     "Condition": {"NotIpAddress": {"aws:SourceIp": "54.240.143.0/24"}}}]}"#;

/// The same: a build service, for projects of an account.
const SERVICE: &str = r#"{"Version": "2012-10-17", "Statement": [{
    "Sid": "CodeBuildAccess", "Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"},
    "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:codebuild:us-west-2:111122223333:project/*"},
                  "StringEquals": {"aws:SourceAccount": "111122223333"}}}]}"#;

/// ECR user guide, "Private registry permissions": one account, repositories by prefix.
const REGISTRY: &str = r#"{"Version": "2012-10-17", "Statement": [{
    "Sid": "PullTeam", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
    "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    "Resource": ["arn:aws:ecr:eu-west-1:444455556666:repository/team/*"]}]}"#;

/// `AmazonECSTaskExecutionRolePolicy`.
const EXECUTION_ROLE: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
    "Action": ["ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer",
        "ecr:BatchGetImage", "logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}]}"#;

/// The trust policy of an execution role (ECS developer guide, "Task execution IAM role").
const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [{"Sid": "", "Effect": "Allow",
    "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"#;

/// IAM user guide, "Deny access to AWS based on the requested region".
const OUTSIDE_REGIONS: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "*", "Resource": "*"},
    {"Sid": "DenyAllOutsideRequestedRegions", "Effect": "Deny",
     "NotAction": ["cloudfront:*", "iam:*", "route53:*", "support:*"], "Resource": "*",
     "Condition": {"StringNotEquals": {"aws:RequestedRegion": ["eu-central-1", "eu-west-1"]}}}]}"#;

/// IAM user guide: nothing without TLS.
const TLS_ONLY: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": "*", "Action": "ecr:*"},
    {"Effect": "Deny", "Principal": "*", "Action": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}"#;

/// IAM user guide, "NotPrincipal": all but one account and its role are denied.
const ALL_BUT_ONE: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": "*", "Action": "ecr:*"},
    {"Effect": "Deny", "NotPrincipal": {"AWS": ["arn:aws:iam::999999999999:root", "arn:aws:iam::999999999999:role/x"]},
     "Action": "ecr:*"}]}"#;

/// A service control's shape in a resource policy: only from an endpoint.
const ENDPOINT_ONLY: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "ecr:*"},
    {"Sid": "vpce", "Effect": "Deny", "Principal": "*", "Action": "ecr:*",
     "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-0a1b2c3d"}}}]}"#;

#[test]
fn documents_of_the_guides_mean_what_the_guides_say() {
    for (name, text, action, expected) in [
        ("two users", TWO_USERS, GET_LAYER, Is::NotAllowed),
        ("other account", OTHER_ACCOUNT, GET_LAYER, Is::Allowed),
        ("other account", OTHER_ACCOUNT, "ecr:PutImage", Is::NotAllowed),
        ("organization", ORGANIZATION, GET_LAYER, Is::Allowed),
        ("address", BY_ADDRESS, GET_LAYER, Is::Unknown),
        ("service", SERVICE, GET_LAYER, Is::NotAllowed),
        ("registry", REGISTRY, GET_LAYER, Is::Allowed),
        ("registry", REGISTRY, "ecr:BatchCheckLayerAvailability", Is::NotAllowed),
        ("execution role", EXECUTION_ROLE, "ecr:GetAuthorizationToken", Is::Allowed),
        ("execution role", EXECUTION_ROLE, "logs:CreateLogGroup", Is::NotAllowed),
        ("trust", TRUST, "sts:AssumeRole", Is::NotAllowed),
        ("outside regions", OUTSIDE_REGIONS, GET_LAYER, Is::Allowed),
        ("TLS only", TLS_ONLY, GET_LAYER, Is::Allowed),
        ("all but one", ALL_BUT_ONE, GET_LAYER, Is::Denied),
        ("endpoint only", ENDPOINT_ONLY, GET_LAYER, Is::Denied),
    ] {
        let answer = ask(action, text);
        assert_eq!(is(&answer), expected, "{name}, {action}: {answer}");
    }
}

#[test]
fn users_by_name_are_let_in_by_name() {
    let user = |name: &str| Requester::Iam {
        account: "111122223333".to_owned(),
        arn: Some(format!("arn:aws:iam::111122223333:user/{name}")),
    };
    assert_eq!(is(&ask_as(&user("push-pull-user-2"), "ecr:PutImage", TWO_USERS)), Is::Allowed);
    assert_eq!(is(&ask_as(&user("push-pull-user-3"), "ecr:PutImage", TWO_USERS)), Is::NotAllowed);
}

#[test]
fn services_are_told_apart() {
    let service = |name: &str| Requester::Service(name.to_owned());
    assert_eq!(is(&ask_as(&service("ecs-tasks.amazonaws.com"), "sts:AssumeRole", TRUST)), Is::Allowed);
    assert_eq!(is(&ask_as(&service("ec2.amazonaws.com"), "sts:AssumeRole", TRUST)), Is::NotAllowed);
    assert_eq!(is(&ask_as(&service("codebuild.amazonaws.com"), GET_LAYER, SERVICE)), Is::Unknown);
}

#[test]
fn an_organization_that_is_not_known_is_no_way_in() {
    let requester = role();
    let ask = |context: Context| {
        let request = Request { requester: &requester, action: GET_LAYER, resource: REPOSITORY, context: &context };
        is(&evaluate(&request, &[document("it", ORGANIZATION)]))
    };
    assert_eq!(ask(Context::new()), Is::Unknown);
    assert_eq!(ask(Context::new().without("aws:PrincipalOrgID")), Is::NotAllowed);
    assert_eq!(ask(Context::new().with("aws:PrincipalOrgID", "o-other")), Is::NotAllowed);
    assert_eq!(ask(Context::new().with("aws:PrincipalOrgID", "o-a1b2c3d4e5")), Is::Allowed);
}
