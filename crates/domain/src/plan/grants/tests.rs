use serde_json::{Value, json};

use super::*;
use crate::model::grant::{AccountId, Grants};
use crate::model::image_map::EcrHost;
use crate::model::owner::OwnerName;

mod change;
mod properties;
mod world;

fn signature() -> Signature {
    Signature::new("prod", "eu-west-1")
}

fn repository(name: &str) -> RepositoryName {
    RepositoryName::parse(name).expect(name)
}

fn registry(prefix: &str) -> RegistryNames {
    let host = EcrHost::parse("444455556666.dkr.ecr.eu-west-1.amazonaws.com").expect("a host of ECR");
    RegistryNames::new(host, prefix).expect("a legal prefix")
}

fn registry_policy(
    prefix: &str,
    wording: Wording,
    grants: &Grants,
    present: Option<&str>,
) -> Result<Change, GrantPolicyError> {
    policy_change(&signature(), Sheet::Registry(&registry(prefix), wording), grants, present)
}

/// `everything`, `team/*` or `team/app`, each with who is let in.
fn grants(all: &[(&str, &str)]) -> Grants {
    let scope = |text: &str| match text.strip_suffix("/*") {
        Some(owner) => GrantScope::Owner(OwnerName::parse(owner).expect(owner)),
        None if text == "everything" => GrantScope::Instance,
        None => GrantScope::Repository(repository(text)),
    };
    let grant = |(what, who): &(&str, &str)| Grant { grantee: Grantee::parse(who).expect(who), scope: scope(what) };
    all.iter().map(grant).collect()
}

fn accounts(number: usize) -> Grants {
    let account = |n| AccountId::parse(&format!("{n:012}")).expect("12 digits");
    (0..number).map(|n| Grant { grantee: Grantee::Account(account(n)), scope: GrantScope::Instance }).collect()
}

fn written(change: Result<Change, GrantPolicyError>) -> String {
    match change {
        Ok(Change::Write(text)) => text,
        other => panic!("a document was to be written: {other:?}"),
    }
}

fn statements_of(text: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(text).expect("JSON");
    document["Statement"].as_array().expect("a list").clone()
}

/// Without its `Sid`, whose hash says nothing to a reader.
fn nameless(mut statement: Value) -> Value {
    statement.as_object_mut().expect("an object").remove("Sid").expect("a Sid");
    statement
}

#[test]
fn one_statement_for_each_scope_and_kind() {
    let all = grants(&[
        ("everything", "111122223333"),
        ("everything", "org:o-a1b2c3d4e5"),
        ("team/*", "222233334444"),
        ("team/app", "333344445555"),
        ("team/app", "ou:o-f6g7h8i9j0/ou-ab12-11111111"),
        ("team/other", "555566667777"),
        ("teams/*", "666677778888"),
    ]);
    let text = written(repository_policy(&signature(), &repository("team/app"), &all, None));
    assert!(text.starts_with(r#"{"Version":"2012-10-17","Statement":[{"#), "{text}");
    let found: Vec<Value> = statements_of(&text).into_iter().map(nameless).collect();
    let root = |account: &str| format!("arn:aws:iam::{account}:root");
    let expected = [
        json!({ "Effect": "Allow", "Action": PULL_ACTIONS, "Principal": { "AWS": [root("111122223333")] } }),
        json!({ "Effect": "Allow", "Action": PULL_ACTIONS, "Principal": "*",
            "Condition": { "StringEquals": { "aws:PrincipalOrgID": ["o-a1b2c3d4e5"] } } }),
        json!({ "Effect": "Allow", "Action": PULL_ACTIONS, "Principal": { "AWS": [root("222233334444")] } }),
        json!({ "Effect": "Allow", "Action": PULL_ACTIONS, "Principal": { "AWS": [root("333344445555")] } }),
        json!({ "Effect": "Allow", "Action": PULL_ACTIONS, "Principal": "*", "Condition":
            { "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": ["o-f6g7h8i9j0/*/ou-ab12-11111111/*"] } } }),
    ];
    assert_eq!(found, expected);
    let sids: BTreeSet<String> =
        statements_of(&text).iter().map(|it| it["Sid"].as_str().expect("a text").to_owned()).collect();
    assert_eq!(sids.len(), expected.len(), "each Sid stands once");
    assert!(sids.iter().all(|sid| sid.bytes().all(|byte| byte.is_ascii_alphanumeric())), "{sids:?}");
}

#[test]
fn whom_a_wider_scope_lets_in_is_not_named_again() {
    let all = grants(&[
        ("everything", "111122223333"),
        ("team/*", "111122223333"),
        ("team/*", "222233334444"),
        ("team/app", "222233334444"),
    ]);
    let text = written(repository_policy(&signature(), &repository("team/app"), &all, None));
    assert_eq!(text.matches("111122223333").count(), 1, "{text}");
    assert_eq!(text.matches("222233334444").count(), 1, "{text}");
    assert_eq!(statements_of(&text).len(), 2);
}

#[test]
fn the_partition_is_the_regions() {
    for (region, partition) in [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("us-west-2", "aws")] {
        let all = grants(&[("everything", "111122223333")]);
        let text = written(repository_policy(&Signature::new("prod", region), &repository("team/app"), &all, None));
        assert!(text.contains(&format!("\"arn:{partition}:iam::111122223333:root\"")), "{text}");
    }
}

#[test]
fn a_registrys_policy_names_resources_and_speaks_for_all() {
    let all = grants(&[("everything", "111122223333"), ("team/*", "222233334444"), ("team/app", "333344445555")]);
    let arn = "arn:aws:ecr:eu-west-1:444455556666:repository";
    for (prefix, before) in [("", ""), ("l0/eu", "l0/eu/")] {
        for wording in [Wording::Lists, Wording::Conditions] {
            let text = written(registry_policy(prefix, wording, &all, None));
            let resources: Vec<String> =
                statements_of(&text).iter().map(|it| it["Resource"].as_str().expect("a text").to_owned()).collect();
            // A name of one component is none of ours.
            assert_eq!(
                resources,
                [format!("{arn}/{before}*/*"), format!("{arn}/{before}team/*"), format!("{arn}/{before}team/app")]
            );
        }
    }
    let repositorys = written(repository_policy(&signature(), &repository("team/app"), &all, None));
    assert!(!repositorys.contains("Resource"), "a repository's policy must have none: {repositorys}");
}

#[test]
fn conditions_name_nobody_whom_aws_would_look_up() {
    let all = grants(&[
        ("everything", "111122223333"),
        ("everything", "222233334444"),
        ("everything", "org:o-a1b2c3d4e5"),
        ("everything", "ou:o-a1b2c3d4e5/ou-ab12-11111111"),
    ]);
    let text = written(registry_policy("", Wording::Conditions, &all, None));
    let found: Vec<Value> = statements_of(&text);
    assert!(found.iter().all(|it| it["Principal"] == "*" && it["Effect"] == "Allow"), "{text}");
    let conditions: Vec<&Value> = found.iter().map(|it| &it["Condition"]).collect();
    assert_eq!(
        conditions,
        [
            &json!({ "StringEquals": { "aws:PrincipalAccount": ["111122223333", "222233334444"] } }),
            &json!({ "StringEquals": { "aws:PrincipalOrgID": ["o-a1b2c3d4e5"] } }),
            &json!({ "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": ["o-a1b2c3d4e5/*/ou-ab12-11111111/*"] } }),
        ]
    );
    // Half as long as an ARN: twice as many fit.
    let fit = |wording| match registry_policy("", wording, &accounts(2_000), None) {
        Err(GrantPolicyError::TooLong { fit, .. }) => fit,
        other => panic!("ECR takes less: {other:?}"),
    };
    assert!(fit(Wording::Lists) >= 270, "{}", fit(Wording::Lists));
    assert!(fit(Wording::Conditions) >= 640, "{}", fit(Wording::Conditions));
}

#[test]
fn one_wording_takes_the_place_of_the_other_in_one_write() {
    let all = grants(&[("everything", "111122223333"), ("team/*", "org:o-a1b2c3d4e5")]);
    let lists = written(registry_policy("", Wording::Lists, &all, None));
    let conditions = written(registry_policy("", Wording::Conditions, &all, Some(&lists)));
    assert_eq!(conditions, written(registry_policy("", Wording::Conditions, &all, None)));
    assert_eq!(written(registry_policy("", Wording::Lists, &all, Some(&conditions))), lists);
    assert_eq!(registry_policy("", Wording::Conditions, &all, Some(&conditions)), Ok(Change::Keep));
}

#[test]
fn what_others_wrote_is_kept_byte_for_byte() {
    let foreign = [
        r#"{ "Sid" : "theirs", "Effect":"Deny",  "NotPrincipal": {"AWS":"arn:aws:iam::999988887777:role/ci"}, "Action":"ecr:*",
             "Condition":{"Bool":{"aws:SecureTransport":"false"}} }"#,
        r#"{"Effect":"Allow","Principal":"*","Action":["ecr:BatchGetImage"],"Condition":{"NumericLessThan":{"x":1.50}}}"#,
    ];
    let all = grants(&[("everything", "111122223333")]);
    let name = repository("team/app");
    for list in [true, false] {
        let there = if list {
            format!(r#"{{"Statement":[{}],"Id":"x y","Version":"2012-10-17"}}"#, foreign.join(", "))
        } else {
            format!(r#"{{"Version":"2012-10-17","Id":"x y","Statement":{}}}"#, foreign[0])
        };
        let text = written(repository_policy(&signature(), &name, &all, Some(&there)));
        assert!(text.contains(foreign[0]), "{text}");
        assert_eq!(text.contains(foreign[1]), list, "{text}");
        assert!(text.contains(r#""Id":"x y""#), "{text}");
        let back = written(repository_policy(&signature(), &name, &Grants::new(), Some(&text)));
        let kept: Value = serde_json::from_str(&back).expect("JSON");
        let before: Value = serde_json::from_str(&there).expect("JSON");
        assert_eq!(kept["Id"], before["Id"]);
        assert_eq!(statements_of(&back).len(), if list { 2 } else { 1 });
    }
}

#[test]
fn another_instances_statements_are_others() {
    let all = grants(&[("everything", "111122223333")]);
    let name = repository("team/app");
    let first = written(repository_policy(&Signature::new("a-b", "eu-west-1"), &name, &all, None));
    let both = written(repository_policy(&Signature::new("ab", "eu-west-1"), &name, &all, Some(&first)));
    assert_eq!(statements_of(&both).len(), 2, "{both}");
    let one = written(repository_policy(&Signature::new("ab", "eu-west-1"), &name, &Grants::new(), Some(&both)));
    assert_eq!(one, first);
}

#[test]
fn without_grants_nothing_of_ours_is_left_and_no_empty_document() {
    let name = repository("team/app");
    let none = Grants::new();
    assert_eq!(repository_policy(&signature(), &name, &none, None), Ok(Change::Keep));
    let text = written(repository_policy(&signature(), &name, &accounts(1), None));
    assert_eq!(repository_policy(&signature(), &name, &none, Some(&text)), Ok(Change::Delete));
    let foreign = r#"{"Version":"2008-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:*"}]}"#;
    assert_eq!(repository_policy(&signature(), &name, &none, Some(foreign)), Ok(Change::Keep), "nothing of it is ours");
}

#[test]
fn what_ecr_answers_in_another_form_is_not_written_again() {
    let all = grants(&[("everything", "111122223333"), ("everything", "org:o-a1b2c3d4e5")]);
    let name = repository("team/app");
    let text = written(repository_policy(&signature(), &name, &all, None));
    let sid = |kind: &str| {
        let sids = statements_of(&text).into_iter().map(|it| it["Sid"].as_str().expect("a text").to_owned());
        sids.into_iter().find(|sid| sid.ends_with(kind)).expect(kind)
    };
    let other_form = json!({
        "Statement": [
            { "Action": ["ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability"],
              "Condition": { "StringEquals": { "aws:PrincipalOrgID": "o-a1b2c3d4e5" } },
              "Effect": "Allow", "Principal": "*", "Sid": sid("Organizations") },
            { "Sid": sid("Accounts"), "Effect": "Allow", "Principal": { "AWS": "111122223333" },
              "Action": PULL_ACTIONS },
        ],
        "Version": "2012-10-17",
    });
    let other_form = serde_json::to_string_pretty(&other_form).expect("JSON");
    assert_eq!(repository_policy(&signature(), &name, &all, Some(&other_form)), Ok(Change::Keep));
}

#[test]
fn what_was_changed_by_hand_is_put_right() {
    let all = grants(&[("everything", "111122223333")]);
    let name = repository("team/app");
    let text = written(repository_policy(&signature(), &name, &all, None));
    let sid = statements_of(&text)[0]["Sid"].as_str().expect("a text").to_owned();
    for drift in [
        text.replace("\"Allow\"", "\"Deny\""),
        text.replace("111122223333", "999988887777"),
        text.replace("ecr:BatchGetImage", "ecr:*"),
        text.replace("2012-10-17", "2008-10-17"),
        text.replace("\"Effect\"", "\"Condition\":{\"Bool\":{\"aws:SecureTransport\":\"true\"}},\"Effect\""),
        text.replace(
            "}]}",
            &format!("}},{{\"Sid\":\"{sid}X\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"ecr:*\"}}]}}"),
        ),
        r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned(),
    ] {
        assert_ne!(drift, text);
        assert_eq!(written(repository_policy(&signature(), &name, &all, Some(&drift))), text, "{drift}");
    }
}

#[test]
fn the_older_version_stays_where_it_changes_what_others_said() {
    let all = grants(&[("everything", "111122223333")]);
    let name = repository("team/app");
    let plain = r#"{"Sid":"a","Effect":"Deny","Principal":"*","Action":"ecr:PutImage"}"#;
    let dollar = r#"{"Sid":"a","Effect":"Deny","Principal":"*","Action":"ecr:PutImage","Condition":{"StringEquals":{"x":"${y}"}}}"#;
    for (version, foreign, expected) in [
        (r#""Version":"2008-10-17","#, plain, r#"{"Version":"2012-10-17","#),
        (r#""Version":"2008-10-17","#, dollar, r#"{"Version":"2008-10-17","#),
        ("", dollar, r#"{"Statement":"#),
        ("", plain, r#"{"Version":"2012-10-17","#),
        (r#""Version":"","#, plain, r#"{"Version":"2012-10-17","#),
        (r#""Version":"2012-10-17","#, dollar, r#"{"Version":"2012-10-17","#),
    ] {
        let there = format!("{{{version}\"Statement\":[{foreign}]}}");
        let text = written(repository_policy(&signature(), &name, &all, Some(&there)));
        assert!(text.starts_with(expected), "{there} became {text}");
        assert_eq!(repository_policy(&signature(), &name, &all, Some(&text)), Ok(Change::Keep));
    }
}

#[test]
fn a_document_that_cant_be_read_is_left_alone() {
    for there in
        ["nothing", "[]", "{}", r#"{"Statement":[1]}"#, r#"{"Statement":"x"}"#, r#"{"Version":1,"Statement":[]}"#]
    {
        let result = repository_policy(&signature(), &repository("team/app"), &accounts(1), Some(there));
        assert!(matches!(result, Err(GrantPolicyError::Unreadable(_))), "{there}: {result:?}");
    }
}

#[test]
fn hundreds_of_accounts_fit_and_one_too_many_is_counted() {
    let name = repository("team/app");
    let write = |number| repository_policy(&signature(), &name, &accounts(number), None);
    let Err(GrantPolicyError::TooLong { length, accounts, fit }) = write(1_000) else { panic!("ECR takes less") };
    assert_eq!(accounts, 1_000);
    assert!(length > POLICY_MAX);
    assert!(fit >= 300, "hundreds fit: {fit}");
    assert!(written(write(fit)).chars().count() <= POLICY_MAX);
    assert!(matches!(write(fit + 1), Err(GrantPolicyError::TooLong { .. })));
    let said = write(1_000).expect_err("too many").to_string();
    assert!(said.contains(&format!("{fit} of 1000 accounts fit")) && said.contains("org:o-"), "{said}");
}

#[test]
fn what_others_take_up_counts() {
    let long = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"theirs","Effect":"Deny","Principal":"*","Action":["{}"]}}]}}"#,
        "x".repeat(POLICY_MAX - 600)
    );
    let result = repository_policy(&signature(), &repository("team/app"), &accounts(20), Some(&long));
    let Err(GrantPolicyError::TooLong { fit, .. }) = result else { panic!("there is no room: {result:?}") };
    assert!(fit < 20, "{fit}");
}
