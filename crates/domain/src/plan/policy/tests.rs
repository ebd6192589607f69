use super::*;

mod documents;
mod properties;

const ROLE: &str = "arn:aws:iam::111122223333:role/team/l0-execution";
const REPOSITORY: &str = "arn:aws:ecr:eu-west-1:444455556666:repository/team/app";
const GET_LAYER: &str = "ecr:GetDownloadUrlForLayer";

/// What an answer is, without its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Allowed,
    Denied,
    NotAllowed,
    Unknown,
}

fn is(answer: &Answer) -> Is {
    match answer {
        Answer::Allowed { .. } => Is::Allowed,
        Answer::Denied { .. } => Is::Denied,
        Answer::NotAllowed => Is::NotAllowed,
        Answer::Unknown { .. } => Is::Unknown,
    }
}

fn role() -> Requester {
    Requester::Iam { account: "111122223333".to_owned(), arn: Some(ROLE.to_owned()) }
}

fn context() -> Context {
    Context::new()
        .with("aws:PrincipalAccount", "111122223333")
        .with("aws:PrincipalArn", ROLE)
        .with("aws:PrincipalOrgID", "o-a1b2c3d4e5")
        .with_all("aws:PrincipalOrgPaths", ["o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/".to_owned()])
        .with("aws:SecureTransport", "true")
        .with("aws:RequestedRegion", "eu-west-1")
        .without("aws:SourceVpce")
}

fn document(name: &str, text: &str) -> Document {
    Document::parse(name, text).unwrap_or_else(|why| panic!("{why}\n{text}"))
}

fn ask_as(requester: &Requester, action: &str, text: &str) -> Answer {
    let context = context();
    let request = Request { requester, action, resource: REPOSITORY, context: &context };
    evaluate(&request, &[document("the policy", text)])
}

fn ask(action: &str, text: &str) -> Answer {
    ask_as(&role(), action, text)
}

/// A document with one statement: everything is allowed to everybody, but for what `changed` says.
fn statement(changed: &str) -> String {
    let mut one = serde_json::json!({ "Effect": "Allow", "Principal": "*", "Action": "*" });
    let changed: serde_json::Map<String, serde_json::Value> = serde_json::from_str(changed).expect("a JSON object");
    let object = one.as_object_mut().expect("an object");
    for replaced in ["NotPrincipal", "NotAction"] {
        if changed.contains_key(replaced) {
            object.remove(replaced.trim_start_matches("Not"));
        }
    }
    object.extend(changed);
    serde_json::json!({ "Version": "2012-10-17", "Statement": one }).to_string()
}

#[test]
fn each_element_decides_as_iam_says() {
    let cases = [
        // Principal
        (r#"{}"#, Is::Allowed),
        (r#"{"Principal": {"AWS": "*"}}"#, Is::Allowed),
        (r#"{"Principal": {"AWS": "111122223333"}}"#, Is::Allowed),
        (r#"{"Principal": {"AWS": "arn:aws:iam::111122223333:root"}}"#, Is::Allowed),
        (r#"{"Principal": {"AWS": "arn:aws:iam::111122223333:role/team/l0-execution"}}"#, Is::Allowed),
        (r#"{"Principal": {"AWS": ["arn:aws:iam::999999999999:root", "111122223333"]}}"#, Is::Allowed),
        (r#"{"Principal": {"AWS": "arn:aws:iam::111122223333:role/l0-execution"}}"#, Is::NotAllowed),
        (r#"{"Principal": {"AWS": "arn:aws:iam::111122223333:role/*"}}"#, Is::NotAllowed),
        (r#"{"Principal": {"AWS": "arn:aws:iam::999999999999:root"}}"#, Is::NotAllowed),
        (r#"{"Principal": {"AWS": []}}"#, Is::NotAllowed),
        // The role of a deleted principal is shown by its id, and matches nobody again.
        (r#"{"Principal": {"AWS": "AROAEXAMPLEID"}}"#, Is::NotAllowed),
        (r#"{"Principal": {"AWS": "arn:aws:sts::111122223333:assumed-role/l0-execution/abc"}}"#, Is::Unknown),
        (r#"{"Principal": {"AWS": "arn:aws:sts::111122223333:assumed-role/other/abc"}}"#, Is::NotAllowed),
        (r#"{"Principal": {"AWS": "arn:aws:sts::999999999999:assumed-role/l0-execution/abc"}}"#, Is::NotAllowed),
        (r#"{"Principal": {"Service": "ecs-tasks.amazonaws.com"}}"#, Is::NotAllowed),
        (r#"{"Principal": {"Federated": "cognito-identity.amazonaws.com"}}"#, Is::NotAllowed),
        (r#"{"NotPrincipal": {"AWS": "arn:aws:iam::999999999999:root"}}"#, Is::Allowed),
        (r#"{"NotPrincipal": {"AWS": "arn:aws:iam::111122223333:root"}}"#, Is::Unknown),
        (r#"{"NotPrincipal": "*"}"#, Is::NotAllowed),
        // Action
        (r#"{"Action": "ecr:GetDownloadUrlForLayer"}"#, Is::Allowed),
        (r#"{"Action": "ECR:getdownloadurlforlayer"}"#, Is::Allowed),
        (r#"{"Action": ["ecr:BatchGetImage", "ecr:Get*"]}"#, Is::Allowed),
        (r#"{"Action": "ecr:GetDownloadUrlForLaye?"}"#, Is::Allowed),
        (r#"{"Action": "ecr:GetDownloadUrlForLayer?"}"#, Is::NotAllowed),
        (r#"{"Action": "ecr:Batch*"}"#, Is::NotAllowed),
        (r#"{"NotAction": "ecr:Put*"}"#, Is::Allowed),
        (r#"{"NotAction": ["ecr:Put*", "ecr:get*"]}"#, Is::NotAllowed),
        // Resource
        (r#"{"Resource": "*"}"#, Is::Allowed),
        (r#"{"Resource": "arn:aws:ecr:*:444455556666:repository/team/*"}"#, Is::Allowed),
        (r#"{"Resource": "arn:aws:ecr:eu-west-1:444455556666:repository/team/app?"}"#, Is::NotAllowed),
        (r#"{"Resource": "arn:aws:ecr:eu-west-1:444455556666:repository/Team/App"}"#, Is::NotAllowed),
        (r#"{"NotResource": "arn:aws:ecr:*:*:repository/secret/*"}"#, Is::Allowed),
        (r#"{"NotResource": ["arn:aws:ecr:*:*:repository/team/*"]}"#, Is::NotAllowed),
        (r#"{"Resource": "arn:aws:ecr:${aws:RequestedRegion}:444455556666:repository/*"}"#, Is::Allowed),
        (r#"{"Resource": "arn:aws:ecr:eu-west-1:444455556666:repository/${aws:PrincipalTag/team}/*"}"#, Is::Unknown),
        // Effect
        (r#"{"Effect": "Deny"}"#, Is::Denied),
        (r#"{"Effect": "Deny", "Action": "ecr:Put*"}"#, Is::NotAllowed),
    ];
    for (changed, expected) in cases {
        let answer = ask(GET_LAYER, &statement(changed));
        assert_eq!(is(&answer), expected, "{changed}: {answer}");
    }
}

#[test]
fn each_condition_decides_as_iam_says() {
    let cases = [
        (r#"{"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}"#, Is::Allowed),
        (r#"{"StringEquals": {"aws:principalorgid": ["o-other", "o-a1b2c3d4e5"]}}"#, Is::Allowed),
        (r#"{"StringEquals": {"aws:PrincipalOrgID": "O-A1B2C3D4E5"}}"#, Is::NotAllowed),
        (r#"{"StringEquals": {"aws:PrincipalOrgID": "o-*"}}"#, Is::NotAllowed),
        (r#"{"StringEqualsIgnoreCase": {"aws:PrincipalOrgID": "O-A1B2C3D4E5"}}"#, Is::Allowed),
        (r#"{"StringNotEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}"#, Is::NotAllowed),
        (r#"{"StringNotEquals": {"aws:PrincipalOrgID": ["o-1", "o-a1b2c3d4e5"]}}"#, Is::NotAllowed),
        (r#"{"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}"#, Is::Allowed),
        (r#"{"StringNotEqualsIgnoreCase": {"aws:PrincipalOrgID": "O-A1B2C3D4E5"}}"#, Is::NotAllowed),
        (r#"{"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/team/*"}}"#, Is::Allowed),
        (r#"{"StringNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/team/*"}}"#, Is::NotAllowed),
        (r#"{"StringEquals": {"aws:SourceVpce": "vpce-1"}}"#, Is::NotAllowed),
        (r#"{"StringEqualsIfExists": {"aws:SourceVpce": "vpce-1"}}"#, Is::Allowed),
        (r#"{"StringEquals": {"aws:SourceVpc": "vpc-1"}}"#, Is::Unknown),
        (r#"{"StringEqualsIfExists": {"aws:SourceVpc": "vpc-1"}}"#, Is::Unknown),
        (r#"{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/*"}}"#, Is::Allowed),
        (r#"{"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::*:role/team/l0-*"}}"#, Is::Allowed),
        (r#"{"ArnLike": {"aws:PrincipalArn": "arn:aws:*:role/team/*"}}"#, Is::NotAllowed),
        (r#"{"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::999999999999:*"}}"#, Is::Allowed),
        (r#"{"Bool": {"aws:SecureTransport": true}}"#, Is::Allowed),
        (r#"{"Bool": {"aws:SecureTransport": "FALSE"}}"#, Is::NotAllowed),
        (r#"{"Null": {"aws:SourceVpce": "true"}}"#, Is::Allowed),
        (r#"{"Null": {"aws:SourceVpce": "false"}}"#, Is::NotAllowed),
        (r#"{"Null": {"aws:PrincipalOrgID": false}}"#, Is::Allowed),
        (r#"{"Null": {"aws:SourceVpc": "true"}}"#, Is::Unknown),
        (r#"{"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}"#, Is::Unknown),
        (r#"{"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}"#, Is::Unknown),
        (r#"{"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-a1b2c3d4e5/r-ab12/ou-ab12-*/*"}}"#, Is::Allowed),
        (r#"{"ForAnyValue:StringEquals": {"aws:SourceVpce": "vpce-1"}}"#, Is::NotAllowed),
        (r#"{"ForAnyValue:StringEqualsIfExists": {"aws:SourceVpce": "vpce-1"}}"#, Is::NotAllowed),
        (r#"{"ForAllValues:StringEquals": {"aws:SourceVpce": "vpce-1"}}"#, Is::Allowed),
        (r#"{"StringEquals": {"aws:PrincipalAccount": "${aws:PrincipalAccount}"}}"#, Is::Allowed),
        (r#"{"StringEquals": {"aws:PrincipalOrgID": "${aws:SourceVpce, 'o-a1b2c3d4e5'}"}}"#, Is::Allowed),
        (r#"{"StringShouted": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}"#, Is::Unknown),
        (r#"{"ForSomeValues:StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}"#, Is::Unknown),
        // All keys of all operators must hold.
        (r#"{"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5", "aws:PrincipalAccount": "9"}}"#, Is::NotAllowed),
        (r#"{"StringEquals": {"aws:SourceVpc": "vpc-1"}, "Bool": {"aws:SecureTransport": "false"}}"#, Is::NotAllowed),
    ];
    for (condition, expected) in cases {
        let answer = ask(GET_LAYER, &statement(&format!(r#"{{"Condition": {condition}}}"#)));
        assert_eq!(is(&answer), expected, "{condition}: {answer}");
    }
}

#[test]
fn addresses_numbers_dates_and_lists_are_compared() {
    let context = Context::new()
        .with("aws:SourceIp", "203.0.113.9")
        .with("aws:CurrentTime", "2026-03-01T12:00:00Z")
        .with("s3:max-keys", "10")
        .with("aws:SourceArn", "nonsense")
        .with_all("aws:TagKeys", ["team".to_owned(), "cost".to_owned()]);
    let cases = [
        (r#"{"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}"#, Is::Allowed),
        (r#"{"IpAddress": {"aws:SourceIp": "203.0.113.9"}}"#, Is::Allowed),
        (r#"{"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}"#, Is::Allowed),
        (r#"{"IpAddress": {"aws:SourceIp": ["203.0.112.0/25", "2001:db8::/32", "::/0"]}}"#, Is::NotAllowed),
        (r#"{"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}"#, Is::NotAllowed),
        (r#"{"IpAddress": {"aws:SourceIp": "203.0.113.0/33"}}"#, Is::Unknown),
        (r#"{"NumericLessThanEquals": {"s3:max-keys": 10}}"#, Is::Allowed),
        (r#"{"NumericLessThan": {"s3:max-keys": "10"}}"#, Is::NotAllowed),
        (r#"{"NumericGreaterThan": {"s3:max-keys": "9.5"}}"#, Is::Allowed),
        (r#"{"NumericGreaterThanEquals": {"s3:max-keys": "11"}}"#, Is::NotAllowed),
        (r#"{"NumericEquals": {"s3:max-keys": "10.0"}}"#, Is::Allowed),
        (r#"{"NumericNotEquals": {"s3:max-keys": "10"}}"#, Is::NotAllowed),
        (r#"{"NumericEquals": {"s3:max-keys": "ten"}}"#, Is::Unknown),
        (r#"{"DateLessThan": {"aws:CurrentTime": "2026-03-01T12:00:01Z"}}"#, Is::Allowed),
        (r#"{"DateGreaterThan": {"aws:CurrentTime": "2026-02-28T23:59:59Z"}}"#, Is::Allowed),
        (r#"{"DateGreaterThanEquals": {"aws:CurrentTime": "2026-03-02"}}"#, Is::NotAllowed),
        (r#"{"DateLessThanEquals": {"aws:CurrentTime": "1772366400"}}"#, Is::Allowed),
        (r#"{"DateEquals": {"aws:CurrentTime": "2026-03-01T12:00:00Z"}}"#, Is::Allowed),
        (r#"{"DateNotEquals": {"aws:CurrentTime": "2026-03-01T12:00:00Z"}}"#, Is::NotAllowed),
        (r#"{"DateEquals": {"aws:CurrentTime": "yesterday"}}"#, Is::Unknown),
        (r#"{"ForAllValues:StringEquals": {"aws:TagKeys": ["team", "cost", "owner"]}}"#, Is::Allowed),
        (r#"{"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}"#, Is::NotAllowed),
        (r#"{"ForAnyValue:StringEquals": {"aws:TagKeys": ["cost"]}}"#, Is::Allowed),
        (r#"{"ForAllValues:StringNotEquals": {"aws:TagKeys": ["cost"]}}"#, Is::NotAllowed),
        (r#"{"ForAnyValue:StringNotEquals": {"aws:TagKeys": ["cost"]}}"#, Is::Allowed),
        (r#"{"ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}}"#, Is::NotAllowed),
        (r#"{"ArnLike": {"aws:SourceArn": "*"}}"#, Is::Allowed),
    ];
    for (condition, expected) in cases {
        let text = statement(&format!(r#"{{"Condition": {condition}}}"#));
        let requester = role();
        let request = Request { requester: &requester, action: GET_LAYER, resource: REPOSITORY, context: &context };
        let answer = evaluate(&request, &[document("the policy", &text)]);
        assert_eq!(is(&answer), expected, "{condition}: {answer}");
    }
}

#[test]
fn of_a_beginning_only_what_every_end_has_is_known() {
    let context = Context::new().with_beginning("aws:SourceArn", "arn:aws:ecs:eu-west-1:111122223333:");
    for (condition, expected) in [
        (r#"{"ArnLike": {"aws:SourceArn": "arn:aws:ecs:eu-west-1:111122223333:*"}}"#, Is::Allowed),
        (r#"{"ArnLike": {"aws:SourceArn": "arn:aws:ecs:*:111122223333:*"}}"#, Is::Allowed),
        (r#"{"ArnLike": {"aws:SourceArn": ["arn:aws:s3:::x", "*"]}}"#, Is::Allowed),
        (r#"{"ArnLike": {"aws:SourceArn": "arn:aws:ecs:eu-west-1:111122223333:task/*"}}"#, Is::Unknown),
        (r#"{"ArnLike": {"aws:SourceArn": "arn:aws:ecs:eu-west-1:999999999999:*"}}"#, Is::Unknown),
        (r#"{"ArnNotLike": {"aws:SourceArn": "arn:aws:ecs:eu-west-1:111122223333:*"}}"#, Is::NotAllowed),
        (r#"{"ArnNotLike": {"aws:SourceArn": "arn:aws:ecs:eu-west-1:111122223333:task/*"}}"#, Is::Unknown),
        (r#"{"StringLike": {"aws:SourceArn": "arn:aws:ecs:*"}}"#, Is::Allowed),
        (r#"{"StringLike": {"aws:SourceArn": "arn:aws:ecs:*:task/*"}}"#, Is::Unknown),
        (r#"{"StringEquals": {"aws:SourceArn": "arn:aws:ecs:eu-west-1:111122223333:task/x"}}"#, Is::Unknown),
        (r#"{"Null": {"aws:SourceArn": "false"}}"#, Is::Allowed),
        (r#"{"StringEquals": {"aws:PrincipalArn": "${aws:SourceArn}"}}"#, Is::Unknown),
    ] {
        let text = statement(&format!(r#"{{"Condition": {condition}}}"#));
        let requester = Requester::Service("ecs-tasks.amazonaws.com".to_owned());
        let request = Request { requester: &requester, action: "sts:AssumeRole", resource: ROLE, context: &context };
        let answer = evaluate(&request, &[document("the policy", &text)]);
        assert_eq!(is(&answer), expected, "{condition}: {answer}");
    }
}

#[test]
fn a_variable_means_something_in_the_newer_version_only() {
    let with_version = |version: &str| {
        format!(
            r#"{{{version}"Statement": [{{"Effect": "Allow", "Principal": "*", "Action": "*",
                "Condition": {{"StringEquals": {{"aws:PrincipalAccount": "${{aws:PrincipalAccount}}"}}}}}}]}}"#
        )
    };
    assert_eq!(is(&ask(GET_LAYER, &with_version(r#""Version": "2012-10-17","#))), Is::Allowed);
    assert_eq!(is(&ask(GET_LAYER, &with_version(r#""Version": "2008-10-17","#))), Is::NotAllowed);
    assert_eq!(is(&ask(GET_LAYER, &with_version(""))), Is::NotAllowed);
}

#[test]
fn wildcards_in_what_a_variable_stands_for_are_plain_characters() {
    let context = Context::new().with("aws:username", "*");
    let requester = role();
    let request =
        Request { requester: &requester, action: "s3:GetObject", resource: "arn:aws:s3:::b/bob", context: &context };
    let own = |resource: &str| document("it", &statement(&format!(r#"{{"Resource": "{resource}"}}"#)));
    assert_eq!(evaluate(&request, &[own("arn:aws:s3:::b/${aws:username}")]), Answer::NotAllowed);
    assert_eq!(evaluate(&request, &[own("arn:aws:s3:::b/${*}")]), Answer::NotAllowed);
    assert!(matches!(evaluate(&request, &[own("arn:aws:s3:::b/b?b")]), Answer::Allowed { .. }));
}

#[test]
fn an_answer_names_the_statement() {
    let text = r#"{"Version": "2012-10-17", "Statement": [
        {"Sid": "pull", "Effect": "Allow", "Principal": "*", "Action": "ecr:*"},
        {"Effect": "Deny", "Principal": "*", "Action": "ecr:PutImage"}]}"#;
    assert_eq!(ask(GET_LAYER, text), Answer::Allowed { statement: "`pull` of the policy".to_owned() });
    assert_eq!(ask("ecr:PutImage", text), Answer::Denied { statement: "`statement 2` of the policy".to_owned() });
}

#[test]
fn what_is_no_policy_is_refused_with_its_place() {
    for (text, problem) in [
        ("", "it is no JSON"),
        ("[]", "it is no JSON object"),
        ("{}", "it has no Statement"),
        (r#"{"Statement": "x"}"#, "it has no Statement"),
        (r#"{"Statement": ["x"]}"#, "it: statement 1 is no JSON object"),
        (
            r#"{"Statement": {"Effect": "allow", "Action": "*"}}"#,
            "it: statement 1 has no Effect of \"Allow\" or \"Deny\"",
        ),
        (r#"{"Statement": {"Effect": "Allow"}}"#, "it: statement 1 has no Action"),
        (
            r#"{"Statement": {"Effect": "Allow", "Action": "*", "NotAction": "*"}}"#,
            "it: statement 1 has both Action and NotAction",
        ),
        (
            r#"{"Statement": {"Effect": "Allow", "Action": {}}}"#,
            "it: statement 1.Action is neither a text nor a list of texts",
        ),
        (
            r#"{"Statement": {"Effect": "Allow", "Action": "*", "Principal": "me"}}"#,
            "it: statement 1 has a Principal that is neither \"*\" nor an object",
        ),
        (
            r#"{"Statement": {"Effect": "Allow", "Action": "*", "Condition": []}}"#,
            "it: statement 1 has a Condition that is no object",
        ),
    ] {
        let error = Document::parse("it", text).expect_err(text);
        assert_eq!(error.to_string(), problem, "{text}");
    }
}

/// Identity policies, boundary, resource policies, the resource's account, what comes of it.
type TwoSides<'a> = (&'a [&'a Document], Option<&'a Document>, &'a [&'a Document], &'a str, Is);

/// One statement for everybody, one for the account, one for the role, on either side of a request.
#[test]
fn one_account_takes_one_side_and_two_accounts_take_both() {
    let allow = |principal: &str| document("it", &statement(&format!(r#"{{"Principal": {principal}}}"#)));
    let own = document("own", r#"{"Statement": {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}}"#);
    let narrow = document("narrow", r#"{"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}"#);
    let deny = document("deny", r#"{"Statement": {"Effect": "Deny", "Action": "ecr:*", "Resource": "*"}}"#);
    let maybe_deny = document(
        "maybe",
        r#"{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}}"#,
    );
    let (everyone, account) = (allow(r#""*""#), allow(r#"{"AWS": "111122223333"}"#));
    let named = allow(&format!(r#"{{"AWS": "{ROLE}"}}"#));
    let (same, other) = ("111122223333", "444455556666");
    let none: &[&Document] = &[];
    let cases: [TwoSides<'_>; 19] = [
        (&[&own], None, none, same, Is::Allowed),
        (none, None, none, same, Is::NotAllowed),
        (none, None, &[&everyone], same, Is::Allowed),
        (none, None, &[&named], same, Is::Allowed),
        (none, None, &[&account], same, Is::NotAllowed),
        (&[&own], None, &[&account], same, Is::Allowed),
        (&[&own], None, &[&deny], same, Is::Denied),
        (&[&own, &deny], None, &[&everyone], same, Is::Denied),
        (&[&own], None, none, other, Is::NotAllowed),
        (none, None, &[&everyone], other, Is::NotAllowed),
        (&[&own], None, &[&everyone], other, Is::Allowed),
        (&[&own], None, &[&account], other, Is::Allowed),
        (&[&own], None, &[&named], other, Is::Allowed),
        (&[&own], Some(&narrow), none, same, Is::NotAllowed),
        (&[&own], Some(&own), none, same, Is::Allowed),
        (none, Some(&narrow), &[&named], same, Is::NotAllowed),
        (&[&own], Some(&deny), &[&everyone], other, Is::Denied),
        (&[&own, &maybe_deny], None, &[&everyone], other, Is::Unknown),
        (&[&maybe_deny], None, none, same, Is::NotAllowed),
    ];
    let (requester, context) = (role(), context());
    let request = Request { requester: &requester, action: GET_LAYER, resource: REPOSITORY, context: &context };
    for (number, (identity, boundary, resource, resource_account, expected)) in cases.into_iter().enumerate() {
        let identity: Vec<Document> = identity.iter().map(|it| (*it).clone()).collect();
        let resource: Vec<Document> = resource.iter().map(|it| (*it).clone()).collect();
        let answer =
            authorise(&request, &Sides { identity: &identity, boundary, resource: &resource, resource_account });
        assert_eq!(is(&answer), expected, "case {number}: {answer}");
    }
}

#[test]
fn a_role_that_is_not_known_may_be_any_of_its_account() {
    let requester = Requester::Iam { account: "111122223333".to_owned(), arn: None };
    let named = statement(&format!(r#"{{"Principal": {{"AWS": "{ROLE}"}}}}"#));
    assert_eq!(is(&ask_as(&requester, GET_LAYER, &named)), Is::Unknown);
    let elsewhere = statement(r#"{"Principal": {"AWS": "arn:aws:iam::999999999999:role/x"}}"#);
    assert_eq!(is(&ask_as(&requester, GET_LAYER, &elsewhere)), Is::NotAllowed);
}
