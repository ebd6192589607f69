//! What must hold for any policy.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// How much an answer lets through.
fn rank(answer: &Answer) -> u8 {
    match answer {
        Answer::Denied { .. } | Answer::NotAllowed => 0,
        Answer::Unknown { .. } => 1,
        Answer::Allowed { .. } => 2,
    }
}

const KEYS: [&str; 3] = ["aws:PrincipalOrgID", "aws:SourceVpce", "aws:SourceIp"];

fn condition() -> impl Strategy<Value = Value> {
    let operators = [
        "StringEquals",
        "StringNotEquals",
        "StringLike",
        "StringEqualsIfExists",
        "ForAnyValue:StringEquals",
        "ForAllValues:StringEquals",
        "ForAllValues:StringNotLike",
        "IpAddress",
        "Bool",
        "Null",
        "Unheard",
    ];
    let values =
        prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "true", "10.0.0.1", "${aws:SourceVpce}"]), 0..3);
    let key = prop::sample::select(KEYS.to_vec());
    prop_oneof![
        2 => Just(json!({})),
        3 => (prop::sample::select(operators.to_vec()), key, values).prop_map(|(operator, key, values)| json!({ operator: { key: values } })),
    ]
}

fn principal() -> impl Strategy<Value = (&'static str, Value)> {
    let who = prop::sample::select(vec![
        json!("*"),
        json!({ "AWS": "111122223333" }),
        json!({ "AWS": ["999999999999", ROLE] }),
        json!({ "AWS": "arn:aws:sts::111122223333:assumed-role/l0-execution/x" }),
        json!({ "Service": "ec2.amazonaws.com" }),
        json!({ "AWS": ["111122223333", "arn:aws:iam::111122223333:role/other"] }),
    ]);
    (prop::sample::select(vec!["Principal", "Principal", "NotPrincipal"]), who)
}

fn statement_of(effect: &'static str) -> impl Strategy<Value = Value> {
    let action = (
        prop::sample::select(vec!["Action", "Action", "NotAction"]),
        prop::sample::select(vec!["*", "ecr:*", "ecr:Get*", "ecr:Put*", "ECR:GETDOWNLOADURLFORLAYER"]),
    );
    let resource = prop::sample::select(vec!["*", REPOSITORY, "arn:aws:ecr:*:*:repository/other"]);
    (principal(), action, resource, condition()).prop_map(move |((who, principal), (what, action), resource, condition)| {
        json!({ "Effect": effect, who: principal, what: action, "Resource": resource, "Condition": condition })
    })
}

fn any_statement() -> impl Strategy<Value = Value> {
    prop_oneof![3 => statement_of("Allow"), 1 => statement_of("Deny")]
}

/// What may be known of each key: nothing, that it is missing, one value, several.
fn knowledge() -> impl Strategy<Value = Vec<Option<Vec<String>>>> {
    let values =
        prop::collection::vec(prop::sample::select(vec!["a", "b", "true", "10.0.0.1"]).prop_map(str::to_owned), 0..3);
    prop::collection::vec(prop::option::of(values), KEYS.len())
}

fn known(all: &[Option<Vec<String>>], told: &[bool]) -> Context {
    let mut context = Context::new();
    for ((key, values), told) in KEYS.iter().zip(all).zip(told) {
        context = match (told, values) {
            (false, _) => context,
            (true, None) => context.without(key),
            (true, Some(values)) => context.with_all(key, values.clone()),
        };
    }
    context
}

fn of(statements: &[Value]) -> Document {
    document("it", &json!({ "Version": "2012-10-17", "Statement": statements }).to_string())
}

fn answer(documents: &[Document], context: &Context, requester: &Requester) -> Answer {
    evaluate(&Request { requester, action: GET_LAYER, resource: REPOSITORY, context }, documents)
}

fn joined(identity: &Document, resource: &Document, account: &str, context: &Context, requester: &Requester) -> Answer {
    let request = Request { requester, action: GET_LAYER, resource: REPOSITORY, context };
    let (identity, resource) = (std::slice::from_ref(identity), std::slice::from_ref(resource));
    authorise(&request, &Sides { identity, boundary: None, resource, resource_account: account })
}

proptest! {
    // Few random policies let anything through, and the rules are about those that do.
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// The property that the pull check stands on: what is not known never turns out to matter for what was said for certain.
    #[test]
    fn certain_answers_stay_whatever_turns_out(
        statements in prop::collection::vec(any_statement(), 0..5),
        truth in knowledge(),
        told in prop::collection::vec(any::<bool>(), KEYS.len()),
        role_known in any::<bool>(),
    ) {
        let document = [of(&statements)];
        let told_role = if role_known { role() } else { Requester::Iam { account: "111122223333".into(), arn: None } };
        let before = answer(&document, &known(&truth, &told), &told_role);
        let after = answer(&document, &known(&truth, &[true; KEYS.len()]), &role());
        match rank(&before) {
            1 => {}
            certain => prop_assert_eq!(rank(&after), certain, "{} -> {}", before, after),
        }
    }

    /// The same for all kinds of policies together, in one account and between two.
    #[test]
    fn certain_answers_of_all_policies_stay_whatever_turns_out(
        identity in prop::collection::vec(any_statement(), 0..4),
        boundary in prop::option::of(prop::collection::vec(any_statement(), 0..3)),
        resource in prop::collection::vec(any_statement(), 0..4),
        truth in knowledge(),
        told in prop::collection::vec(any::<bool>(), KEYS.len()),
        role_known in any::<bool>(),
        same_account in any::<bool>(),
    ) {
        let (identity, resource) = ([of(&identity)], [of(&resource)]);
        let boundary = boundary.map(|statements| of(&statements));
        let resource_account = if same_account { "111122223333" } else { "444455556666" };
        let sides = Sides { identity: &identity, boundary: boundary.as_ref(), resource: &resource, resource_account };
        let answer = |context: &Context, requester: &Requester| {
            authorise(&Request { requester, action: GET_LAYER, resource: REPOSITORY, context }, &sides)
        };
        let told_role = if role_known { role() } else { Requester::Iam { account: "111122223333".into(), arn: None } };
        let before = answer(&known(&truth, &told), &told_role);
        let after = answer(&known(&truth, &[true; KEYS.len()]), &role());
        match rank(&before) {
            1 => {}
            certain => prop_assert_eq!(rank(&after), certain, "{} -> {}", before, after),
        }
    }

    #[test]
    fn a_deny_never_allows_more(
        statements in prop::collection::vec(any_statement(), 0..5),
        deny in statement_of("Deny"),
        truth in knowledge(),
        told in prop::collection::vec(any::<bool>(), KEYS.len()),
    ) {
        let context = known(&truth, &told);
        let before = answer(&[of(&statements)], &context, &role());
        let after = answer(&[of(&statements), of(&[deny])], &context, &role());
        prop_assert!(rank(&after) <= rank(&before), "{before} -> {after}");
    }

    #[test]
    fn an_allow_never_allows_less(
        statements in prop::collection::vec(any_statement(), 0..5),
        allow in statement_of("Allow"),
        truth in knowledge(),
        told in prop::collection::vec(any::<bool>(), KEYS.len()),
    ) {
        let context = known(&truth, &told);
        let before = answer(&[of(&statements)], &context, &role());
        let after = answer(&[of(&statements), of(&[allow])], &context, &role());
        prop_assert!(rank(&after) >= rank(&before), "{before} -> {after}");
    }

    #[test]
    fn order_does_not_matter(
        statements in prop::collection::vec(any_statement(), 0..6),
        cut in 0_usize..6,
        truth in knowledge(),
        told in prop::collection::vec(any::<bool>(), KEYS.len()),
    ) {
        let context = known(&truth, &told);
        let mut turned = statements.clone();
        turned.reverse();
        let (front, back) = turned.split_at(cut.min(turned.len()));
        let one = answer(&[of(&statements)], &context, &role());
        let other = answer(&[of(front), of(back)], &context, &role());
        prop_assert_eq!(is(&one), is(&other));
    }

    /// Between accounts never more is allowed than within one, and never more than either side allows.
    #[test]
    fn two_accounts_never_allow_more_than_one(
        identity in prop::collection::vec(any_statement(), 0..4),
        resource in prop::collection::vec(any_statement(), 0..4),
        truth in knowledge(),
        told in prop::collection::vec(any::<bool>(), KEYS.len()),
    ) {
        let context = known(&truth, &told);
        let requester = role();
        let (identity, resource) = (of(&identity), of(&resource));
        let within = joined(&identity, &resource, "111122223333", &context, &requester);
        let between = joined(&identity, &resource, "444455556666", &context, &requester);
        prop_assert!(rank(&between) <= rank(&within), "{within} -> {between}");
        for side in [&identity, &resource] {
            let alone = answer(std::slice::from_ref(side), &context, &requester);
            prop_assert!(rank(&between) <= rank(&alone), "{alone} -> {between}");
        }
    }

    #[test]
    fn actions_have_no_case(statements in prop::collection::vec(any_statement(), 0..4), upper in any::<bool>()) {
        let (requester, context) = (role(), Context::new());
        let action = if upper { GET_LAYER.to_ascii_uppercase() } else { GET_LAYER.to_ascii_lowercase() };
        let request = Request { requester: &requester, action: &action, resource: REPOSITORY, context: &context };
        let documents = [of(&statements)];
        prop_assert_eq!(is(&evaluate(&request, &documents)), is(&answer(&documents, &context, &requester)));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = Document::parse("it", &text);
    }
}
