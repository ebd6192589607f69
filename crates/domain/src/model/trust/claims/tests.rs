use proptest::prelude::*;
use serde_json::json;

use super::*;

fn claims(value: &Value) -> Claims {
    Claims::parse(value.to_string().as_bytes()).expect("an object")
}

fn pattern(text: &str) -> ClaimPattern {
    ClaimPattern::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

#[test]
fn a_condition_fits_one_claim_from_end_to_end() {
    let token = claims(&json!({
        "sub": "repo:octo/app:ref:refs/heads/main", "repository": "octo/app", "run_attempt": 1, "ref_protected": true,
        "groups": ["octo/app"], "nested": {"repository": "octo/app"}, "nothing": null, "broken": 1.5
    }));
    for fits in [
        "sub=repo:octo/app:ref:refs/heads/main",
        "sub=repo:octo/app:*",
        "sub=repo:octo/*:ref:refs/heads/main",
        "repository=octo/*",
        "repository=*",
        "run_attempt=1",
        "ref_protected=true",
    ] {
        assert!(pattern(fits).fits(&token), "{fits}");
    }
    for misses in [
        "sub=repo:octo/app",
        "sub=*/app",
        "sub=REPO:octo/app:*",
        "sub=repo:octo/app:pull_request",
        "repository=cto/app",
        "repository=octo/ap",
        "repository=octo/app?",
        "repository=octo/app/*",
        "groups=octo/app",
        "groups=*",
        "nested=*",
        "nothing=*",
        "broken=*",
        "absent=*",
        "Sub=*",
    ] {
        assert!(!pattern(misses).fits(&token), "{misses}");
    }
}

#[test]
fn what_is_no_condition_is_refused() {
    assert_eq!(pattern("sub=a=b").to_string(), "sub=a=b", "the first = divides");
    for bad in ["", "sub", "=x", "sub=", "s b=x", "*=x", "sub=a b", "süb=x"] {
        assert!(ClaimPattern::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn conditions_say_whose_tokens_are_meant() {
    let github = "https://token.actions.githubusercontent.com";
    let check = |issuer: &str, all: &[&str]| {
        let all: Vec<ClaimPattern> = all.iter().map(|text| pattern(text)).collect();
        check_patterns(&Issuer::parse(issuer).expect("an issuer"), &all)
    };
    for (issuer, all) in [
        (github, &["repository=octo/app"][..]),
        (github, &["repository=octo/*"]),
        (github, &["sub=repo:octo/app:*"]),
        (github, &["ref=refs/heads/main", "repository_owner_id=42"]),
        ("https://gitlab.com", &["project_path=group/app", "ref_protected=true"]),
        ("https://gitlab.com", &["namespace_path=group"]),
        ("https://gitlab.com", &["namespace_path=group/*"]),
        ("https://gitlab.example.com", &["sub=project_path:group*"]),
        ("https://gitlab.example.com", &["ref=main"]),
    ] {
        assert_eq!(check(issuer, all), Ok(()), "{issuer} {all:?}");
    }
    for (issuer, all) in [
        (github, &["repository=*"][..]),
        (github, &["repository=octo*"]),
        (github, &["repository=octo"]),
        ("https://gitlab.com", &["project_path=group"]),
        (github, &["repository=*/app"]),
        (github, &["repository=/*"]),
        (github, &["repository_owner=octo*"]),
        (github, &["sub=*"]),
        (github, &["sub=repo:*"]),
        (github, &["sub=repo:octo*"]),
        (github, &["sub=repo:octo*/app:ref:refs/heads/main"]),
        (github, &["sub=repo:/*"]),
        (github, &["ref=refs/heads/main"]),
        (github, &["job_workflow_ref=octo/shared/.github/workflows/build.yml@main"]),
        ("https://token.actions.githubusercontent.com/", &["ref=refs/heads/main"]),
        ("https://gitlab.com", &["namespace_path=group*"]),
        ("https://gitlab.com", &["project_id=4*"]),
        ("https://gitlab.example.com", &["sub=*"]),
        ("https://gitlab.example.com", &["sub=*main"]),
    ] {
        assert!(matches!(check(issuer, all), Err(ClaimPatternError::Everybody { .. })), "{issuer} {all:?}");
    }
    assert_eq!(check(github, &[]), Err(ClaimPatternError::Number));
    assert_eq!(check(github, &["repository=octo/app"; PATTERNS_MAX + 1]), Err(ClaimPatternError::Number));
}

#[test]
fn a_token_is_for_whom_it_names() {
    let us = Audience::parse("https://l0.example.com").expect("an audience");
    for (aud, is) in [
        (json!("https://l0.example.com"), true),
        (json!("https://l0.example.com/"), true),
        (json!(["other", "https://l0.example.com"]), true),
        (json!("https://l0.example.com.evil.com"), false),
        (json!("other, https://l0.example.com"), false),
        (json!([["https://l0.example.com"]]), false),
        (json!({"https://l0.example.com": true}), false),
        (json!([]), false),
        (json!(null), false),
    ] {
        assert_eq!(claims(&json!({"aud": aud})).is_for(&us), is, "{aud}");
    }
    assert!(!claims(&json!({})).is_for(&us));
}

#[test]
fn a_token_is_good_between_its_times() {
    let at = |value: Value| claims(&value).check_time(Timestamp(1_000_000_000));
    for good in [
        json!({"exp": 1_000_001}),
        json!({"exp": 1_000_000}),
        json!({"exp": 999_941}),
        json!({"exp": 1_000_000.5, "iat": 999_999.25}),
        json!({"exp": 1_000_300, "nbf": 1_000_060, "iat": 999_000}),
        json!({"exp": i64::MAX}),
        json!({"exp": 1e300}),
    ] {
        assert_eq!(at(good.clone()), Ok(()), "{good}");
    }
    for (bad, why) in [
        (json!({"exp": 999_940}), Unfit::Expired),
        (json!({"exp": 0}), Unfit::Expired),
        (json!({"exp": -1}), Unfit::Expired),
        (json!({"exp": -1e300}), Unfit::Expired),
        (json!({}), Unfit::Endless),
        (json!({"exp": null}), Unfit::Endless),
        (json!({"exp": "1000001"}), Unfit::Endless),
        (json!({"exp": 1_000_300, "nbf": 1_000_061}), Unfit::Early),
        (json!({"exp": 1_000_300, "iat": 1_000_061}), Unfit::Early),
        (json!({"exp": 1_000_300, "nbf": "yesterday"}), Unfit::Early),
    ] {
        assert_eq!(at(bad.clone()), Err(why), "{bad}");
    }
}

proptest! {
    /// What is before the first star is what every fitting claim begins with: the check of whose tokens are meant relies on it.
    #[test]
    fn what_fits_begins_as_its_condition_does(glob in "[ab/*]{1,8}", text in "[ab/]{0,8}") {
        let condition = pattern(&format!("sub={glob}"));
        if condition.fits(&claims(&json!({"sub": text}))) {
            prop_assert!(text.starts_with(condition.beginning().0));
        }
    }

    /// Whoever fits conditions that were let through at GitHub belongs to the one owner whom they name.
    #[test]
    fn at_a_shared_issuer_all_who_fit_have_one_owner(glob in "[ab/*]{1,8}", one in "[ab]{1,3}/[ab]{1,3}", other in "[ab]{1,3}/[ab]{1,3}") {
        let github = Issuer::parse("https://token.actions.githubusercontent.com").expect("an issuer");
        let condition = pattern(&format!("repository={glob}"));
        let fits = |repository: &str| condition.fits(&claims(&json!({"repository": repository})));
        if check_patterns(&github, std::slice::from_ref(&condition)).is_ok() && fits(&one) && fits(&other) {
            prop_assert_eq!(one.split('/').next(), other.split('/').next());
        }
    }

    #[test]
    fn nothing_that_is_sent_panics(json in "\\PC{0,60}", now in any::<i64>()) {
        if let Some(claims) = Claims::parse(json.as_bytes()) {
            let _ = claims.check_time(Timestamp(now));
        }
    }
}
