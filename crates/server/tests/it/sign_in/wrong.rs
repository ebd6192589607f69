//! What a provider may answer that signs nobody in.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{CLIENT, NOW, Place};

#[tokio::test]
async fn what_is_not_right_in_every_way_signs_nobody_in() {
    let place = Place::new().await;
    let issuer = &place.issuer;
    let good = Place::claims(&json!({"iss": issuer.url()}));
    let of = |changed: Value| issuer.token(&Place::claims(&changed));
    let right = issuer.token(&good);
    let parts: Vec<&str> = right.split('.').collect();
    let none = issuer.signed(&json!({"alg": "none", "kid": "rsa-1"}), &good);
    let other = of(json!({"sub": "u2"}));
    for (what, token, says) in [
        (
            "another issuer",
            of(json!({"iss": "https://accounts.google.com"})),
            "is one of `https://accounts.google.com`",
        ),
        ("an issuer that is longer", of(json!({"iss": format!("{}/", issuer.url())})), "and not of"),
        ("another client", of(json!({"aud": "other"})), "was made for other"),
        ("several clients and no party", of(json!({"aud": [CLIENT, "other"]})), "was made for layer0, other"),
        ("another party", of(json!({"azp": "other"})), "was given to `other`"),
        ("no audience", of(json!({"aud": null})), "was made for nobody"),
        ("a nonce of another sign-in", of(json!({"nonce": "n-0S6_WzA2Mj"})), "nonce"),
        ("expired", of(json!({"exp": NOW - 61})), "expired"),
        ("without an end", of(json!({"exp": null})), "does not say when it ends"),
        ("of tomorrow", of(json!({"iat": NOW + 86_400})), "not valid yet"),
        ("without a beginning", of(json!({"iat": null})), "does not say when it was made"),
        ("nobody", of(json!({"sub": null})), "does not say who"),
        ("no algorithm", format!("{}.", none.rsplit_once('.').expect("three parts").0), "only RS256 and ES256"),
        (
            "the public key as a shared one",
            issuer.signed(&json!({"alg": "HS256", "kid": "rsa-1"}), &good),
            "only RS256",
        ),
        ("another key's algorithm", issuer.signed(&json!({"alg": "ES256", "kid": "rsa-1"}), &good), "has no key"),
        ("a key of another name", issuer.signed(&json!({"alg": "RS256", "kid": "rsa-2"}), &good), "has no key"),
        ("other words", format!("{}.{}.{}", parts[0], other.split('.').nth(1).expect("claims"), parts[2]), "signature"),
        ("no signature", format!("{}.{}.", parts[0], parts[1]), "signature"),
        ("no token", "x".to_owned(), "no signed token"),
    ] {
        issuer.device_answers(200, json!({"id_token": token}));
        let error = place.ask().await.error(401);
        assert!(error.message.contains(says), "{what}: {error:?}");
    }
    issuer.device_answers(200, json!({"access_token": "a"}));
    assert!(place.ask().await.error(401).message.contains("there is no ID token"));
    assert_eq!(place.raw.get("/user").await.expect(200).json().as_array().map(Vec::len), Some(1), "nobody was made");
    let audit = place.audit().await;
    assert!(audit.len() >= 20 && audit.iter().all(|line| line.ends_with("401")), "{audit:?}");
    assert!(!audit.join("\n").contains(parts[1]), "no token is written down");
    issuer.device_answers(200, json!({"id_token": right}));
    place.ask().await.expect(200);
}

#[tokio::test]
async fn keys_that_were_changed_are_found_and_old_ones_open_nothing() {
    let place = Place::new().await;
    place.signed_in(json!({})).await;
    let old = place.issuer.token(&Place::claims(&json!({})));
    place.issuer.keys_change();
    place.clock.advance_ms(60_000);
    place.signed_in(json!({})).await;
    assert_eq!(place.issuer.fetches(), 2);
    place.issuer.device_answers(200, json!({"id_token": old}));
    assert!(place.ask().await.error(401).message.contains("has no key"));
    assert_eq!(place.issuer.fetches(), 2, "whoever invents names of keys makes the server fetch once a minute at most");
    place.issuer.keys_huge();
    place.clock.advance_ms(25 * 60 * 60 * 1000);
    place.issuer.device_agrees(&Place::claims(&json!({"exp": NOW + 900_000})));
    assert!(place.ask().await.error(503).message.contains("does not answer now"));
}

#[tokio::test]
async fn a_refusal_at_the_provider_is_said_in_words() {
    let place = Place::new().await;
    for (refusal, status, says) in [
        ("access_denied", 403, "refused at the provider"),
        ("expired_token", 401, "the code has expired"),
        ("invalid_grant", 401, "the code has expired"),
        ("invalid_client", 401, "gives this server no token (invalid_client)"),
        ("server_error", 503, "gives no token (server_error)"),
        ("\u{1b}[31m", 503, "gives no token"),
    ] {
        place.issuer.device_refuses(refusal);
        let error = place.ask().await.error(status);
        assert!(error.message.contains(says) && !error.message.contains('\u{1b}'), "{refusal}: {error:?}");
    }
    for body in [json!("text"), json!([]), json!({"id_token": 1})] {
        place.issuer.device_answers(200, body);
        place.ask().await.error(503);
    }
    let begin = async || place.raw.as_(None).post("/auth/device", &json!({})).await;
    place.issuer.device_begins(400, json!({"error": "invalid_scope", "error_description": "\u{1b}[31m"}));
    assert!(begin().await.error(503).message.contains("does not let this server begin a sign-in (invalid_scope)"));
    let begun = |name: &str, value: Value| {
        let mut begun = json!({"device_code": "d", "user_code": "A", "verification_uri": "https://sso.example.com/x",
            "expires_in": 600});
        begun[name] = value;
        begun
    };
    place.issuer.device_begins(200, begun("expires_in", json!(600)));
    assert_eq!(begin().await.expect(200).json()["interval"], 5, "as the standard says when nothing is said");
    for (name, value) in [
        ("verification_uri", json!("javascript:alert(1)")),
        ("verification_uri", json!("https://sso.example.com/\u{1b}[31m")),
        ("verification_uri_complete", json!("file:///etc/passwd")),
        ("user_code", json!("\u{1b}[31m")),
        ("user_code", json!("x".repeat(101))),
        ("device_code", json!(1)),
    ] {
        place.issuer.device_begins(200, begun(name, value.clone()));
        assert!(begin().await.error(503).message.contains("answered what can't be"), "{name} {value}");
    }
    for body in ["", "{", "[]", r#"{"device_code": 1}"#, "{}", r#"{"device_code": "x", "name": "a b"}"#] {
        let answer = place.raw.send(Method::POST, "/auth/device/token", &[], body).await;
        assert!([400, 422].contains(&answer.status), "{body}: {}", answer.text());
    }
}

#[tokio::test]
async fn while_the_provider_is_away_tokens_go_on_signing_in() {
    let place = Place::with(None, Duration::from_millis(200)).await;
    let (_, alice) = place.signed_in(json!({})).await;
    let asked = place.issuer.device_asked();
    assert!(asked[0].authorization.is_empty() && asked[0].form.ends_with("&client_id=layer0"), "{asked:?}");
    place.issuer.hangs(true);
    for answer in [place.ask().await, place.raw.as_(None).post("/auth/device", &json!({})).await] {
        let error = answer.error(503);
        assert!(error.message.contains("does not answer") && error.hint.is_some(), "{error:?}");
    }
    place.issuer.hangs(false);
    place.issuer.away(true);
    place.clock.advance_ms(25 * 60 * 60 * 1000);
    place.raw.get("/whoami").await.expect(200);
    alice.get("/whoami").await.error(401);
    assert!(place.ask().await.error(503).message.contains("does not answer now"));
    // Asked again after a while, and found.
    place.issuer.away(false);
    place.clock.advance_ms(5_000);
    place.signed_in(json!({"exp": NOW + 900_000})).await;
}
