//! What must hold for any grants and any document of others.

use proptest::prelude::*;

use super::world::{ASKERS, NONE_OF_OURS, REPOSITORIES, WHAT, WHO, after, is_granted, may_pull};
use super::*;

pub(super) fn some_grants() -> impl Strategy<Value = Grants> {
    prop::collection::vec(one_grant(), 0..8).prop_map(|all| all.into_iter().collect())
}

pub(super) fn one_grant() -> impl Strategy<Value = Grant> {
    let one = (prop::sample::select(WHAT.to_vec()), prop::sample::select(WHO.to_vec()));
    one.prop_map(|one| grants(&[one]).pop_first().expect("it was one"))
}

fn wording() -> impl Strategy<Value = Wording> {
    prop::sample::select(vec![Wording::Lists, Wording::Conditions])
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
pub(super) fn document() -> impl Strategy<Value = Option<String>> {
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

fn made(name: &str, grants: &Grants, before: Option<&str>) -> Option<String> {
    let change = repository_policy(&signature(), &repository(name), grants, before).expect("there is room");
    after(change, before)
}

proptest! {
    /// Whoever is granted may pull, and nobody else, by the repositories' policies as by a registry's in either wording.
    #[test]
    fn documents_allow_exactly_what_was_granted(all in some_grants(), there in document()) {
        for name in REPOSITORIES {
            let text = made(name, &all, there.as_deref());
            for asker in ASKERS {
                let granted = is_granted(&all, name, asker);
                prop_assert_eq!(may_pull(&[text.as_deref()], name, asker), granted, "{} {:?}: {:?}", name, asker, text);
            }
        }
        for wording in [Wording::Lists, Wording::Conditions] {
            for prefix in ["", "l0"] {
                let change = registry_policy(prefix, wording, &all, there.as_deref()).expect("there is room");
                let text = after(change, there.as_deref());
                for asker in ASKERS {
                    for name in REPOSITORIES {
                        let path = format!("{prefix}/{name}");
                        let may = may_pull(&[text.as_deref()], path.trim_start_matches('/'), asker);
                        prop_assert_eq!(may, is_granted(&all, name, asker), "{} {:?}: {:?}", name, asker, text);
                    }
                    for path in NONE_OF_OURS.iter().copied().chain((!prefix.is_empty()).then_some("team/app")) {
                        prop_assert!(!may_pull(&[text.as_deref()], path, asker), "{} is none of ours: {:?}", path, text);
                    }
                }
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

    /// Of a registry's policy as of a repository's: a second time changes nothing, others keep their words, and what was
    /// granted and taken back, in whichever wording, leaves the statements of before.
    #[test]
    fn a_registrys_policy_keeps_the_same_promises(
        before in some_grants(), now in some_grants(), there in document(), first in wording(), then in wording(),
    ) {
        let write = |wording, grants: &Grants, present: Option<&str>| {
            after(registry_policy("", wording, grants, present).expect("there is room"), present)
        };
        let other_way = write(first, &before, there.as_deref());
        let text = write(then, &now, other_way.as_deref());
        prop_assert_eq!(registry_policy("", then, &now, text.as_deref()), Ok(Change::Keep));
        let straight = write(then, &now, there.as_deref());
        let statements = |text: &Option<String>| text.as_deref().map(statements_of);
        prop_assert_eq!(statements(&text), statements(&straight));
        prop_assert_eq!(statements(&write(then, &Grants::new(), text.as_deref())), statements(&there));
    }

    /// Grants are a set: in whichever order they were asked for, the document is the same.
    #[test]
    fn the_order_of_asking_is_of_no_account(all in prop::collection::vec(one_grant(), 0..8), seed in any::<u64>()) {
        let mut other = all.clone();
        let mut state = seed;
        for at in (1..other.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            other.swap(at, usize::try_from(state >> 33).expect("31 bits") % (at + 1));
        }
        let one_by_one = |all: &[Grant]| {
            let (mut so_far, mut text) = (Grants::new(), None);
            for grant in all {
                so_far.insert(grant.clone());
                text = made("team/app", &so_far, text.as_deref());
            }
            text
        };
        prop_assert_eq!(one_by_one(&all), one_by_one(&other));
    }

    /// Granting what was not granted and taking it back leaves the grants' document as it was; so does taking back and
    /// granting again.
    #[test]
    fn granting_and_taking_back_is_nothing(all in some_grants(), one in one_grant(), there in document()) {
        let before = made("team/app", &all, there.as_deref());
        let mut others = all.clone();
        others.insert(one.clone());
        let with = made("team/app", &others, before.as_deref());
        others.remove(&one);
        let without = made("team/app", &others, with.as_deref());
        if all.contains(&one) {
            prop_assert_eq!(made("team/app", &all, without.as_deref()), before);
        } else if others.iter().any(|grant| grant.scope.covers(&repository("team/app"))) {
            prop_assert_eq!(without, before);
        } else {
            prop_assert_eq!(without.as_deref().map(statements_of), there.as_deref().map(statements_of));
        }
    }

    /// What is written is never longer than ECR takes; what is not written says truly how many would fit.
    #[test]
    fn the_size_is_honest(number in 0_usize..900, others in 0_usize..9_000, wording in wording(), of_registry: bool) {
        let there = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"x","Effect":"Deny","Principal":"*","Action":"ecr:{}"}}]}}"#,
            "x".repeat(others)
        );
        let name = repository("team/app");
        let write = |number| match of_registry {
            true => registry_policy("", wording, &accounts(number), Some(&there)),
            false => repository_policy(&signature(), &name, &accounts(number), Some(&there)),
        };
        match write(number) {
            Ok(Change::Write(text)) => prop_assert!(text.chars().count() <= POLICY_MAX),
            Ok(change) => prop_assert_eq!((change, number), (Change::Keep, 0)),
            Err(GrantPolicyError::TooLong { length, accounts, fit }) => {
                prop_assert!(length > POLICY_MAX && accounts == number && fit < number);
                if fit > 0 {
                    let some = write(fit);
                    prop_assert!(some.is_ok(), "{} of {}: {:?}", fit, number, some);
                }
                let more = write(fit + 1);
                prop_assert!(more.is_err(), "{:?}", more);
            }
            Err(why) => prop_assert!(false, "{}", why),
        }
    }
}
