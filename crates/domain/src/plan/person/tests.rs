use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::person::Person;
use crate::model::user::User;

const ISSUER: &str = "https://sso.example.com";
const NOW: Timestamp = Timestamp(1_704_067_200_000);

fn claims(changed: &Value) -> Claims {
    let now = NOW.0 / 1000;
    let mut all = json!({"iss": ISSUER, "aud": "layer0", "sub": "u1", "iat": now, "exp": now + 300});
    for (name, value) in changed.as_object().expect("an object") {
        match value {
            Value::Null => drop(all.as_object_mut().expect("an object").remove(name)),
            value => all[name] = value.clone(),
        }
    }
    Claims::parse(all.to_string().as_bytes()).expect("claims")
}

fn identified(changed: &Value) -> Result<String, String> {
    let issuer = Issuer::parse(ISSUER).expect("an issuer");
    identify(&claims(changed), &issuer, "layer0", NOW).map(|it| it.to_string()).map_err(|why| why.to_string())
}

#[test]
fn a_token_for_us_says_who() {
    for good in [
        json!({}),
        json!({"azp": "layer0"}),
        json!({"aud": ["layer0"]}),
        json!({"aud": ["layer0", "other"], "azp": "layer0"}),
    ] {
        assert_eq!(identified(&good).as_deref(), Ok("u1 of https://sso.example.com"), "{good}");
    }
}

#[test]
fn a_token_that_is_not_right_in_every_way_says_nobody() {
    let now = NOW.0 / 1000;
    for (bad, says) in [
        (json!({"iss": "https://sso.example.com/"}), "and not of https://sso.example.com"),
        (json!({"iss": "https://evil.example.com"}), "is one of `https://evil.example.com`"),
        (json!({"iss": null}), "is one of ``"),
        (json!({"iss": ["https://sso.example.com"]}), "is one of ``"),
        (json!({"aud": "other"}), "was made for other"),
        (json!({"aud": "layer0/"}), "was made for layer0/"),
        (json!({"aud": "Layer0"}), "was made for Layer0"),
        (json!({"aud": []}), "not for this server"),
        (json!({"aud": null}), "was made for nobody"),
        (json!({"aud": ["layer0", "other"]}), "was made for layer0, other"),
        (json!({"azp": "other"}), "was given to `other`"),
        (json!({"aud": ["layer0", "other"], "azp": "other"}), "was given to `other`"),
        (json!({"nonce": "n"}), "nonce"),
        (json!({"nonce": ""}), "nonce"),
        (json!({"exp": now - 61}), "expired"),
        (json!({"exp": null}), "does not say when it ends"),
        (json!({"exp": "tomorrow"}), "does not say when it ends"),
        (json!({"iat": now + 61}), "not valid yet"),
        (json!({"nbf": now + 61}), "not valid yet"),
        (json!({"iat": null}), "does not say when it was made"),
        (json!({"sub": null}), "`sub` is missing"),
        (json!({"sub": ""}), "`sub` is missing"),
        (json!({"sub": ["u1"]}), "`sub` is missing"),
        (json!({"sub": "a\nb"}), "`sub` is missing"),
    ] {
        let why = identified(&bad).expect_err("refused");
        assert!(why.contains(says), "{bad}: {why}");
    }
    assert!(identified(&json!({"exp": now - 59, "iat": now + 59})).is_ok(), "clocks differ");
}

#[test]
fn a_name_comes_from_the_claim_that_is_named_or_the_usual_ones() {
    let name = |changed: Value, claim: Option<&str>| {
        name_of(&claims(&changed), claim).map(|it| it.to_string()).map_err(|why| why.to_string())
    };
    let both = json!({"preferred_username": "alice", "email": "a.smith@example.com"});
    assert_eq!(name(both, None).as_deref(), Ok("alice"));
    assert_eq!(name(json!({"preferred_username": "alice@example.com"}), None).as_deref(), Ok("alice"));
    assert_eq!(name(json!({"email": "alice@example.com"}), None).as_deref(), Ok("alice"));
    assert_eq!(name(json!({"email": "alice@example.com", "email_verified": true}), None).as_deref(), Ok("alice"));
    assert_eq!(name(json!({"preferred_username": "alice", "nick": "al"}), Some("nick")).as_deref(), Ok("al"));
    for (bad, claim, says) in [
        (json!({}), None, "the claim `preferred_username` or `email` is missing"),
        (json!({"preferred_username": "alice"}), Some("nick"), "the claim `nick` is missing"),
        (json!({"email": "alice@example.com", "email_verified": false}), None, "not verified"),
        (json!({"preferred_username": "alice smith"}), None, "`alice smith` can't be a name"),
        (json!({"preferred_username": "a.smith"}), None, "`.` is not allowed"),
        (json!({"preferred_username": "team+ci"}), None, "`+` is not allowed"),
        (json!({"preferred_username": "@example.com"}), None, "a name is required"),
        (json!({"preferred_username": "x".repeat(65)}), None, "the most is 64"),
    ] {
        let why = name(bad.clone(), claim).expect_err("refused");
        assert!(why.contains(says), "{bad}: {why}");
    }
}

fn owner(text: &str) -> OwnerName {
    OwnerName::parse(text).expect("a name")
}

fn member(of: &str, role: Role, by_group: bool) -> Member {
    let user = Name::parse("alice").expect("a name");
    Member { owner: owner(of), user, role, tags: None, since: NOW, by_group }
}

fn access(admin: bool, admin_by_group: bool, members: Vec<Member>) -> UserAccess {
    let id = PersonId {
        issuer: Issuer::parse(ISSUER).expect("an issuer"),
        subject: Subject::parse("u1").expect("a subject"),
    };
    let person = Some(Person { id, admin_by_group });
    let user = User { name: Name::parse("alice").expect("a name"), admin, password: None, created: NOW, person };
    UserAccess { user, members }
}

fn given(admin: bool, places: &[(&str, Role)]) -> Given {
    Given { admin, places: places.iter().map(|(of, role)| (owner(of), *role)).collect() }
}

#[test]
fn places_follow_the_groups_and_what_was_given_by_hand_stays() {
    let before = access(
        false,
        false,
        vec![
            member("gone", Role::Writer, true),
            member("hand", Role::Reader, false),
            member("kept", Role::Writer, true),
            member("risen", Role::Reader, true),
            member("other", Role::Maintainer, false),
        ],
    );
    let wanted = given(
        false,
        &[("hand", Role::Maintainer), ("kept", Role::Writer), ("new", Role::Reader), ("risen", Role::Maintainer)],
    );
    assert_eq!(
        steps(&before, &wanted),
        [
            PersonStep::Leave(owner("gone")),
            PersonStep::Join(owner("new"), Role::Reader),
            PersonStep::Join(owner("risen"), Role::Maintainer),
        ]
    );
}

#[test]
fn an_admin_by_hand_stays_one_and_one_by_a_group_does_not() {
    let none = given(false, &[]);
    assert_eq!(steps(&access(true, false, vec![]), &none), []);
    assert_eq!(steps(&access(true, true, vec![]), &none), [PersonStep::Admin(false)]);
    let all = given(true, &[]);
    assert_eq!(steps(&access(false, false, vec![]), &all), [PersonStep::Admin(true)]);
    assert_eq!(steps(&access(true, false, vec![]), &all), []);
    assert_eq!(steps(&access(true, true, vec![]), &all), []);
}

/// What a user has after steps.
fn after(mut access: UserAccess, steps: &[PersonStep]) -> UserAccess {
    for step in steps {
        match step {
            PersonStep::Leave(of) => access.members.retain(|it| it.owner != *of),
            PersonStep::Join(of, role) => {
                access.members.retain(|it| it.owner != *of);
                access.members.push(member(of.as_str(), *role, true));
            }
            PersonStep::Admin(is_one) => {
                access.user.admin = *is_one;
                access.user.person.as_mut().expect("a person").admin_by_group = *is_one;
            }
        }
    }
    access
}

fn role() -> impl Strategy<Value = Role> {
    prop::sample::select(Role::ALL.to_vec())
}

proptest! {
    /// Nothing by hand is lost, nothing of a group is left that gives it no more, and a second time changes nothing.
    #[test]
    fn the_steps_lead_to_what_the_groups_give(
        has in prop::collection::btree_map("[a-e]", (role(), any::<bool>()), 0..5),
        wanted in prop::collection::btree_map("[a-e]", role(), 0..5),
        admin: bool, by_group: bool, wants: bool,
    ) {
        let members = has.iter().map(|(of, (role, by_group))| member(of, *role, *by_group)).collect();
        let before = access(admin, admin && by_group, members);
        let places: Vec<(&str, Role)> = wanted.iter().map(|(of, role)| (of.as_str(), *role)).collect();
        let given = given(wants, &places);
        let now = after(before.clone(), &steps(&before, &given));
        for it in before.members.iter().filter(|it| !it.by_group) {
            prop_assert!(now.members.contains(it));
        }
        for it in now.members.iter().filter(|it| it.by_group) {
            prop_assert_eq!(given.places.get(&it.owner), Some(&it.role));
        }
        for of in given.places.keys() {
            prop_assert!(now.members.iter().any(|it| it.owner == *of));
        }
        prop_assert_eq!(now.user.admin, wants || admin && !by_group);
        prop_assert_eq!(steps(&now, &given), []);
    }
}
