//! What must hold for any grants and any document of others.

use proptest::prelude::*;

use super::*;
use crate::plan::policy::{Answer, Context, Document, Request, Requester, evaluate};

const WHO: [&str; 6] = [
    "111122223333",
    "222233334444",
    "333344445555",
    "org:o-a1b2c3d4e5",
    "org:o-zzzzzzzzzz",
    "ou:o-a1b2c3d4e5/ou-ab12-11111111",
];
const WHAT: [&str; 5] = ["everything", "team/*", "team/app", "other/*", "other/app"];
const REPOSITORIES: [&str; 4] = ["team/app", "team/app/sub", "other/app", "third/app"];

fn some_grants() -> impl Strategy<Value = Grants> {
    let one = (prop::sample::select(WHAT.to_vec()), prop::sample::select(WHO.to_vec()));
    prop::collection::vec(one, 0..8).prop_map(|all| grants(&all))
}

/// A statement of others that lets nobody pull.
fn foreign() -> impl Strategy<Value = String> {
    let who = prop::sample::select(vec![
        r#""Principal":"*""#,
        r#""Principal":{"AWS":["111122223333","arn:aws:iam::222233334444:role/x"]}"#,
        r#""NotPrincipal":{"AWS":"arn:aws:iam::333344445555:root"}"#,
        r#""Principal":{"Service":"codebuild.amazonaws.com"}"#,
    ]);
    let rest = prop::sample::select(vec![
        r#""Effect":"Allow","Action":"ecr:PutImage""#,
        r#""Effect":"Deny","Action":["ecr:PutImage","ecr:DeleteRepository"]"#,
        r#""Effect":"Allow", "Action":"ecr:Describe*","Condition":{"StringLike":{"aws:PrincipalArn":"*${x}"}}"#,
    ]);
    let sid = prop::sample::select(vec![r#""Sid":"new statement","#, "", r#""Sid":"Layer0","#]);
    (sid, who, rest).prop_map(|(sid, who, rest)| format!("{{{sid}{who},{rest}}}"))
}

/// A document of others, or none.
fn document() -> impl Strategy<Value = Option<String>> {
    let version = prop::sample::select(vec![
        r#""Version":"2012-10-17","#,
        r#""Version":"2008-10-17","#,
        "",
        r#""Version":"2012-10-17","Id":"a","#,
    ]);
    prop::option::of(
        (version, prop::collection::vec(foreign(), 1..4))
            .prop_map(|(version, all)| format!("{{{version}\"Statement\":[{}]}}", all.join(","))),
    )
}

/// The document after a change.
fn after(change: Change, before: Option<&str>) -> Option<String> {
    match change {
        Change::Keep => before.map(str::to_owned),
        Change::Write(text) => Some(text),
        Change::Delete => None,
    }
}

fn made(name: &str, grants: &Grants, before: Option<&str>) -> Option<String> {
    let change = repository_policy(&signature(), &repository(name), grants, before).expect("there is room");
    after(change, before)
}

/// Each grantee as one who asks: its account, and where that stands in its organization.
fn asks(who: &str) -> (Requester, Context) {
    let (account, organization, path) = match who {
        "org:o-a1b2c3d4e5" => ("777788889999", "o-a1b2c3d4e5", "o-a1b2c3d4e5/r-ab12/ou-ab12-22222222/"),
        "org:o-zzzzzzzzzz" => ("888899990000", "o-zzzzzzzzzz", "o-zzzzzzzzzz/r-zz99/"),
        "ou:o-a1b2c3d4e5/ou-ab12-11111111" => {
            ("999900001111", "o-a1b2c3d4e5", "o-a1b2c3d4e5/r-ab12/ou-ab12-33333333/ou-ab12-11111111/ou-ab12-44444444/")
        }
        account => (account, "o-nobodys0000", "o-nobodys0000/r-0000/"),
    };
    let arn = format!("arn:aws:iam::{account}:role/execution");
    let context = Context::new()
        .with("aws:PrincipalAccount", account)
        .with("aws:PrincipalArn", &arn)
        .with("aws:PrincipalOrgID", organization)
        .with_all("aws:PrincipalOrgPaths", [path.to_owned()]);
    (Requester::Iam { account: account.to_owned(), arn: Some(arn) }, context)
}

/// Whether the grants let in the one who stands for `who`; an account in a unit of a granted organization is in both.
fn is_granted(grants: &Grants, name: &str, who: &str) -> bool {
    let name = repository(name);
    grants.iter().filter(|grant| grant.scope.covers(&name)).any(|grant| {
        let granted = grant.grantee.to_string();
        granted == who || (granted == "org:o-a1b2c3d4e5" && who.starts_with("ou:o-a1b2c3d4e5"))
    })
}

fn may_pull(text: Option<&str>, name: &str, who: &str) -> bool {
    let documents: Vec<Document> =
        text.into_iter().map(|text| Document::parse("the policy", text).expect("AWS would take it")).collect();
    let (requester, context) = asks(who);
    let resource = registry().repository_arn(name);
    let allowed = PULL_ACTIONS.map(|action| {
        let request = Request { requester: &requester, action, resource: &resource, context: &context };
        matches!(evaluate(&request, &documents), Answer::Allowed { .. })
    });
    assert!(allowed.iter().all(|one| *one == allowed[0]), "a pull needs all three: {allowed:?}");
    allowed[0]
}

proptest! {
    /// Whoever is granted may pull, and nobody else, by a repository's policy as by a registry's.
    #[test]
    fn documents_allow_exactly_what_was_granted(all in some_grants(), there in document()) {
        let registrys = registry_policy(&signature(), &registry(), &all, None).expect("there is room");
        let registrys = after(registrys, None);
        for name in REPOSITORIES {
            let text = made(name, &all, there.as_deref());
            for who in WHO {
                let granted = is_granted(&all, name, who);
                prop_assert_eq!(may_pull(text.as_deref(), name, who), granted, "{} {}: {:?}", name, who, text);
                prop_assert_eq!(may_pull(registrys.as_deref(), name, who), granted, "{} {}: {:?}", name, who, registrys);
            }
        }
    }

    /// A second time changes nothing.
    #[test]
    fn writing_what_was_read_changes_nothing(all in some_grants(), there in document()) {
        let text = made("team/app", &all, there.as_deref());
        let again = repository_policy(&signature(), &repository("team/app"), &all, text.as_deref());
        prop_assert_eq!(again, Ok(Change::Keep));
    }

    /// The statements of others are there, byte for byte and in their order, whatever is granted.
    #[test]
    fn the_words_of_others_are_kept(all in some_grants(), others in prop::collection::vec(foreign(), 1..4)) {
        let there = format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{}]}}", others.join(","));
        let text = made("team/app", &all, Some(&there)).expect("others are in it");
        prop_assert!(text.contains(&others.join(",")), "{}", text);
    }

    /// Whatever was granted before: only what is granted now is seen in the document.
    #[test]
    fn the_way_there_leaves_no_trace(before in some_grants(), now in some_grants(), there in document()) {
        let other_way = made("team/app", &before, there.as_deref());
        let one = made("team/app", &now, other_way.as_deref());
        let other = made("team/app", &now, there.as_deref());
        match (&one, &other, now.iter().any(|grant| grant.scope.covers(&repository("team/app")))) {
            // With no grant left the version may have been raised, which changed nothing for anybody.
            (Some(one), Some(other), false) => {
                let statements = |text: &str| statements_of(text);
                prop_assert_eq!(statements(one), statements(other));
            }
            _ => prop_assert_eq!(&one, &other),
        }
    }
}
