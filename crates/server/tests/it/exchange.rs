//! Trusts, and tokens for what somebody from elsewhere shows: the whole way, with an issuer on this machine and a stand-in for
//! AWS that knows who signed.

use std::sync::{Arc, Mutex};

use layer0_server::testing::{TestApp, TestOptions};
use layer0_testkit::clock::FixedClock;
use layer0_testkit::oidc::OidcIssuer;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::support::{Answer, Raw, basic};

/// For whom everything is made.
const US: &str = "https://l0.example.com";

/// The clock's beginning, 2024-01-01, in seconds.
const NOW: i64 = 1_704_067_200;

struct Place {
    _app: TestApp,
    clock: Arc<FixedClock>,
    raw: Raw,
    issuer: OidcIssuer,
}

impl Place {
    /// `team` with a repository, and a trust `ci` in the main branch of `octo/app` to push.
    async fn new() -> Self {
        let place = Self::with(None).await;
        let trust = place.trust("ci", &["repository=octo/app", "ref=refs/heads/main"]);
        place.raw.post("/owner/team/trust", &trust).await.expect(201);
        place
    }

    async fn with(sts: Option<String>) -> Self {
        let clock = Arc::new(FixedClock::default());
        let app = TestApp::with(TestOptions { clock: clock.clone(), sts, ..TestOptions::default() }).await;
        let raw = Raw::of(&app);
        raw.post("/owner", &json!({"owner_name": "team"})).await.expect(201);
        raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
        raw.post("/repository/other", &json!({"name": "app"})).await.expect(201);
        Self { _app: app, clock, raw, issuer: OidcIssuer::start().await }
    }

    fn trust(&self, name: &str, claims: &[&str]) -> Value {
        json!({"trust_name": name, "issuer": self.issuer.url(), "claims": claims, "audience": US,
            "scopes": ["pull,push:team/*"]})
    }

    /// The claims of a job of the main branch, changed as the test wants it.
    fn claims(changed: &Value) -> Value {
        let mut claims = json!({"sub": "repo:octo/app:ref:refs/heads/main", "repository": "octo/app",
            "ref": "refs/heads/main", "aud": US, "iat": NOW, "nbf": NOW, "exp": NOW + 300});
        for (name, value) in changed.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        claims
    }

    /// Shows a token, as one who has nothing else.
    async fn show(&self, token: &str) -> Answer {
        self.raw.as_(None).post("/token/exchange", &json!({"oidc_token": token})).await
    }

    fn as_given(&self, given: &Value) -> Raw {
        let (user, secret) = (given["user"].as_str().expect("a user"), given["secret"].as_str().expect("a secret"));
        self.raw.as_(Some(&basic(user, secret)))
    }

    async fn audit(&self) -> Vec<String> {
        let all = self.raw.get("/admin/audit?limit=1000").await.expect(200).json();
        let text = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
        let line =
            |it: &Value| format!("{} {} {} {}", text(it, "who"), text(it, "action"), text(it, "target"), it["status"]);
        all.as_array().expect("a list").iter().map(line).filter(|it| it.contains("token_exchange")).collect()
    }
}

#[tokio::test]
async fn a_job_gets_a_token_that_opens_what_its_trust_says_and_ends() {
    let place = Place::new().await;
    for token in [
        place.issuer.token(&Place::claims(&json!({}))),
        place.issuer.token_es256(&Place::claims(&json!({"aud": ["https://other.example.com", US]}))),
    ] {
        let answer = place.show(&token).await.expect(201);
        let given = answer.json();
        assert_eq!((given["user"].as_str(), given["owner"].as_str()), (Some("team+ci"), Some("team")));
        assert_eq!(given["expires"], "2024-01-01T01:00:00.000Z");
        assert_eq!(given["scopes"], json!(["pull,push:team/*"]));
        let job = place.as_given(&given);
        assert_eq!(job.get("/whoami").await.expect(200).json()["who"], "team+ci");
        job.push("team/app", "1", "amd64", "x").await;
        job.send(Method::POST, "/v2/other/app/blobs/uploads/", &[], "").await.expect(403);
        // What docker gets ends with it.
        let credential = job.get("/token/registry").await.expect(200).json();
        place.as_given(&credential).get("/v2/team/app/manifests/1").await.expect(200);
        // It lives no longer than the trust says, whoever has it.
        let id = given["token_id"].as_str().expect("an id");
        job.post(&format!("/token/{id}/rotate"), &json!({})).await.error(403);
        job.post("/token", &json!({"owner": "team", "scopes": ["pull:team/*"]})).await.error(403);
        place.clock.advance_ms(60 * 60 * 1000);
        job.get("/whoami").await.error(401);
        place.as_given(&credential).get("/v2/team/app/manifests/1").await.expect(401);
        place.clock.advance_ms(-60 * 60 * 1000);
    }
    let audit = place.audit().await;
    let said = format!("team+ci token_exchange for repo:octo/app:ref:refs/heads/main of {} 201", place.issuer.url());
    assert_eq!(audit, [said.clone(), said]);
    // For fewer minutes, and for no more.
    let token = place.issuer.token(&Place::claims(&json!({})));
    for (minutes, end) in [(5, "2024-01-01T00:05:00.000Z"), (600, "2024-01-01T01:00:00.000Z")] {
        let request = json!({"oidc_token": token, "minutes": minutes, "trust": "team/ci"});
        assert_eq!(place.raw.post("/token/exchange", &request).await.expect(201).json()["expires"], end);
    }
    for minutes in [0, -1, 721] {
        place.raw.post("/token/exchange", &json!({"oidc_token": token, "minutes": minutes})).await.error(422);
    }
}

#[tokio::test]
async fn what_is_not_right_in_every_way_opens_nothing() {
    let place = Place::new().await;
    let issuer = &place.issuer;
    let good = Place::claims(&json!({"iss": issuer.url()}));
    let with = |changed: Value| issuer.token(&Place::claims(&changed));
    let right = issuer.token(&good);
    let parts: Vec<&str> = right.split('.').collect();
    let other_claims = with(json!({"repository": "octo/other"}));
    let unsigned = {
        let none = issuer.signed(&json!({"alg": "none", "kid": "rsa-1"}), &good);
        format!("{}.", none.rsplit_once('.').expect("three parts").0)
    };
    for (what, token, says) in [
        ("another audience", with(json!({"aud": "https://other.example.com"})), "not for this server"),
        ("no audience", with(json!({"aud": null})), "not for this server"),
        ("another branch", with(json!({"ref": "refs/heads/x"})), "no trust lets"),
        ("another repository", with(json!({"repository": "octo/app2"})), "no trust lets"),
        ("a list for a text", with(json!({"repository": ["octo/app"]})), "no trust lets"),
        ("expired", with(json!({"exp": NOW - 61})), "expired"),
        ("without an end", with(json!({"exp": null})), "does not say when it ends"),
        ("of tomorrow", with(json!({"nbf": NOW + 86_400})), "not valid yet"),
        ("another issuer", with(json!({"iss": "https://token.actions.githubusercontent.com"})), "no trust is about"),
        ("an issuer that is longer", with(json!({"iss": format!("{}/", issuer.url())})), "no trust is about"),
        ("no issuer", with(json!({"iss": null})), "no trust is about"),
        ("no algorithm", unsigned, "only RS256 and ES256"),
        ("a shared key", issuer.signed(&json!({"alg": "HS256", "kid": "rsa-1"}), &good), "only RS256 and ES256"),
        ("the other key's algorithm", issuer.signed(&json!({"alg": "ES256", "kid": "rsa-1"}), &good), "has no key"),
        ("a key of another name", issuer.signed(&json!({"alg": "RS256", "kid": "rsa-2"}), &good), "has no key"),
        ("no key", issuer.signed(&json!({"alg": "RS256"}), &good), "which key"),
        (
            "what must be understood",
            issuer.signed(&json!({"alg": "RS256", "kid": "rsa-1", "crit": ["x"]}), &good),
            "crit",
        ),
        (
            "other words",
            format!("{}.{}.{}", parts[0], other_claims.split('.').nth(1).expect("claims"), parts[2]),
            "signature",
        ),
        ("no signature", format!("{}.{}.", parts[0], parts[1]), "signature"),
        ("half of it", parts[..2].join("."), "no signed token"),
        ("nothing", String::new(), "no signed token"),
    ] {
        let error = place.show(&token).await.error(401);
        assert!(error.message.contains(says), "{what}: {error:?}");
        assert!(
            !error.message.contains("refs/heads/main") || error.message.contains("repo:octo"),
            "the rule stays hidden"
        );
    }
    place.show(&right).await.expect(201);
    let audit = place.audit().await;
    assert!(
        audit.len() > 15 && audit.iter().filter(|line| line.ends_with("401")).count() == audit.len() - 1,
        "{audit:?}"
    );
    assert!(audit.iter().any(|line| line.starts_with("repo:octo/app:ref:refs/heads/main of")), "{audit:?}");
    let text = audit.join("\n");
    assert!(!text.contains(parts[1]), "no token is written down");
    for body in ["", "{", "[]", r#"{"oidc_token": "x", "aws": {}}"#, r#"{"oidc_token": 1}"#] {
        let answer = place.raw.send(Method::POST, "/token/exchange", &[], body).await;
        assert!([400, 422].contains(&answer.status), "{body}: {}", answer.text());
    }
    let large = json!({"oidc_token": "x".repeat(100_000)}).to_string();
    place.raw.send(Method::POST, "/token/exchange", &[], large).await.error(413);
}

#[tokio::test]
async fn keys_are_fetched_seldom_and_outlive_their_issuers_absence() {
    let place = Place::new().await;
    let issuer = &place.issuer;
    let token = || issuer.token(&Place::claims(&json!({"exp": NOW + 90_000})));
    for _ in 0..5 {
        place.show(&token()).await.expect(201);
    }
    assert_eq!(issuer.fetches(), 1);
    // Whoever invents names of keys makes the server fetch once a minute at most.
    let claims = Place::claims(&json!({"iss": issuer.url(), "exp": NOW + 90_000}));
    for number in 0..10 {
        let unknown = issuer.signed(&json!({"alg": "RS256", "kid": format!("x{number}")}), &claims);
        place.show(&unknown).await.error(401);
    }
    assert_eq!(issuer.fetches(), 1);
    issuer.keys_change();
    place.clock.advance_ms(60_000);
    place.show(&token()).await.expect(201);
    assert_eq!(issuer.fetches(), 2, "a key that is new is found");
    // Away for hours: the keys that were known are good for a day.
    issuer.away(true);
    place.clock.advance_ms(2 * 60 * 60 * 1000);
    place.show(&token()).await.expect(201);
    place.clock.advance_ms(22 * 60 * 60 * 1000);
    assert_eq!(place.show(&token()).await.error(503).error_code, "EngineUnavailable");
    issuer.away(false);
    place.clock.advance_ms(5_000);
    place.show(&token()).await.expect(201);
}

#[tokio::test]
async fn keys_that_change_are_found_after_the_clock_was_set_back() {
    const YEAR_S: i64 = 365 * 24 * 60 * 60;
    let place = Place::new().await;
    let ahead = json!({"iat": NOW + YEAR_S, "nbf": NOW + YEAR_S, "exp": NOW + YEAR_S + 300});
    place.clock.advance_ms(YEAR_S * 1000);
    place.show(&place.issuer.token(&Place::claims(&ahead))).await.expect(201);
    place.issuer.keys_change();
    place.clock.advance_ms(-YEAR_S * 1000);
    place.show(&place.issuer.token(&Place::claims(&json!({})))).await.expect(201);
}

#[tokio::test]
async fn an_issuer_that_says_it_is_another_is_none() {
    let place = Place::new().await;
    place.issuer.says("https://token.actions.githubusercontent.com");
    let error = place.show(&place.issuer.token(&Place::claims(&json!({})))).await.error(503);
    assert!(error.message.contains("can't be had now"), "{error:?}");
    assert_eq!(place.issuer.fetches(), 0);
}

#[tokio::test]
async fn what_a_trust_gave_ends_with_it() {
    let place = Place::new().await;
    let token = place.issuer.token(&Place::claims(&json!({})));
    let given = async || place.as_given(&place.show(&token).await.expect(201).json());
    let job = given().await;
    job.get("/v2/").await.expect(200);
    place.raw.delete("/owner/team/trust/ci").await.expect(200);
    job.get("/v2/").await.expect(401);
    place.show(&token).await.error(401);
    assert_eq!(place.raw.delete("/owner/team/trust/ci").await.error(404).error_code, "TrustDoesNotExist");
    // Under the same name again: what the first gave stays shut out.
    place.raw.post("/owner/team/trust", &place.trust("ci", &["repository=octo/app"])).await.expect(201);
    job.get("/v2/").await.expect(401);
    let job = given().await;
    job.get("/v2/").await.expect(200);
    // One token alone, as any other.
    let listed = place.raw.get("/token").await.expect(200).json();
    let listed =
        listed.as_array().expect("a list").iter().find(|it| it["owner"] == "team").expect("it is listed").clone();
    place.raw.delete(&format!("/token/{}", listed["token_id"].as_str().expect("an id"))).await.expect(200);
    job.get("/v2/").await.expect(401);
    let job = given().await;
    place.raw.delete("/repository/team/app").await.expect(200);
    place.raw.delete("/owner/team").await.expect(200);
    job.get("/v2/").await.expect(401);
    place.show(&token).await.error(401);
}

#[tokio::test]
async fn of_several_trusts_one_is_named() {
    let place = Place::new().await;
    place.raw.post("/owner/team/trust", &place.trust("all", &["repository=octo/*"])).await.expect(201);
    let token = place.issuer.token(&Place::claims(&json!({})));
    let several = place.show(&token).await.error(422);
    assert!(several.message.contains("team/all, team/ci"), "{several:?}");
    let named =
        async |name: &str| place.raw.post("/token/exchange", &json!({"oidc_token": token, "trust": name})).await;
    assert_eq!(named("team/all").await.expect(201).json()["user"], "team+all");
    named("team/none").await.error(401);
    named("other/ci").await.error(401);
    named("ci").await.error(422);
}

#[tokio::test]
async fn a_trust_hands_out_no_more_than_its_maker_may() {
    let place = Place::new().await;
    let raw = &place.raw;
    raw.post("/user", &json!({"user_name": "mara"})).await.expect(201);
    raw.put("/owner/team/member/mara", &json!({"role": "maintainer"})).await.expect(200);
    let made = raw.post("/token", &json!({"name": "t", "user": "mara"})).await.expect(201).json();
    let mara = place.as_given(&made);
    let good = json!({"trust_name": "gh", "issuer": "https://token.actions.githubusercontent.com",
        "claims": ["repository=octo/app"], "audience": US, "scopes": ["pull,push:team/*"]});
    let with = |changed: &Value| {
        let mut body = good.clone();
        for (name, value) in changed.as_object().expect("an object") {
            body[name] = value.clone();
        }
        body
    };
    for (changed, status, says) in [
        (json!({"scopes": ["pull:other/*"]}), 422, "not about team"),
        (json!({"scopes": ["pull:*"]}), 422, "not about team"),
        (json!({"scopes": ["admin:team/*"]}), 422, "for good"),
        (json!({"scopes": []}), 422, "needs scopes"),
        (json!({"claims": []}), 422, "conditions"),
        (json!({"claims": ["repository=octo*"]}), 422, "everybody"),
        (json!({"claims": ["nonsense"]}), 422, "CLAIM=PATTERN"),
        (json!({"issuer": "http://gitlab.com"}), 422, "issuer"),
        (json!({"issuer": "https://10.0.0.1"}), 403, "only an admin"),
        (json!({"issuer": place.issuer.url()}), 403, "only an admin"),
        (json!({"aws": "111122223333"}), 422, "one of them"),
        (json!({"issuer": null, "claims": [], "aws": "*"}), 422, "no principal"),
        (json!({"audience": ""}), 422, "audience"),
        (json!({"minutes": 721}), 422, "minutes"),
        (json!({"trust_name": "a b"}), 422, "name"),
    ] {
        let error = mara.post("/owner/team/trust", &with(&changed)).await.error(status);
        assert!(error.message.contains(says), "{changed}: {error:?}");
    }
    let made = mara.post("/owner/team/trust", &good).await.expect(201).json();
    assert_eq!((made["created_by"].as_str(), made["minutes"].as_i64()), (Some("mara"), Some(60)));
    assert_eq!(mara.post("/owner/team/trust", &good).await.error(409).error_code, "NameTaken");
    let aws = json!({"trust_name": "aws", "aws": "arn:aws:iam::111122223333:role/ci", "audience": format!("{US}/"),
        "scopes": ["pull:team/*"], "minutes": 5});
    mara.post("/owner/team/trust", &aws).await.expect(201);
    let listed = mara.get("/owner/team/trust").await.expect(200).json();
    let names: Vec<&str> =
        listed.as_array().expect("a list").iter().filter_map(|it| it["trust_name"].as_str()).collect();
    assert_eq!(names, ["aws", "ci", "gh"]);
    assert_eq!((listed[0]["audience"].as_str(), listed[0]["issuer"].as_str()), (Some(US), None));
}

#[tokio::test]
async fn whoever_shows_too_much_waits() {
    let place = Place::new().await;
    let mut refused = 0;
    let answer = loop {
        match place.show("a.b.c").await {
            answer if answer.status == 401 => refused += 1,
            answer => break answer,
        }
        assert!(refused < 1000);
    };
    assert_eq!((answer.error(429).error_code.as_str(), refused), ("Throttled", 50));
    place.show(&place.issuer.token(&Place::claims(&json!({})))).await.error(429);
    place.clock.advance_ms(6_000);
    place.show(&place.issuer.token(&Place::claims(&json!({})))).await.expect(201);
}

/// Answers every call as AWS would one that this principal signed, or with a refusal; keeps what came.
async fn sts(arn: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let host = listener.local_addr().expect("a bound socket has an address").to_string();
    let came = Arc::new(Mutex::new(Vec::new()));
    let seen = came.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (mut stream, mut text) = (BufReader::new(stream), String::new());
            while matches!(stream.read_line(&mut text).await, Ok(length) if length > 2) {}
            let mut body = [0; 43];
            let _ = stream.read_exact(&mut body).await;
            text.push_str(&String::from_utf8_lossy(&body));
            let (status, answer) = match text.contains("bad0") {
                false => (200, format!("<R><GetCallerIdentityResult><Arn>{arn}</Arn></GetCallerIdentityResult></R>")),
                true => (403, "<E><Error><Code>SignatureDoesNotMatch</Code></Error></E>".to_owned()),
            };
            seen.lock().expect("nobody panics").push(text);
            let head = format!("HTTP/1.1 {status} .\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", answer.len());
            let _ = stream.get_mut().write_all(format!("{head}{answer}").as_bytes()).await;
        }
    });
    (host, came)
}

fn call(host: &str, signature: &str) -> Value {
    let headers = "content-type;host;x-amz-date;x-amz-security-token;x-layer0-server";
    let credential = "AKIDEXAMPLE/20240101/us-east-1/sts/aws4_request";
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={headers}, Signature={}",
        signature.repeat(64 / signature.len())
    );
    json!({"host": host, "authorization": authorization, "date": "20240101T000000Z", "security_token": "session",
        "server": US})
}

#[tokio::test]
async fn who_signed_a_call_of_aws_gets_a_token() {
    let (host, came) = sts("arn:aws:sts::111122223333:assumed-role/ci-build/run-7").await;
    let place = Place::with(Some(format!("http://{host}/"))).await;
    let show = async |call: Value| place.raw.as_(None).post("/token/exchange", &json!({"aws": call})).await;
    show(call(&host, "a1")).await.error(401);
    let trust = json!({"trust_name": "build", "aws": "arn:aws:iam::111122223333:role/ci-*", "audience": US,
        "scopes": ["pull,push:team/app"], "minutes": 30});
    place.raw.post("/owner/team/trust", &trust).await.expect(201);
    let given = show(call(&host, "a1")).await.expect(201).json();
    assert_eq!(
        (given["user"].as_str(), given["expires"].as_str()),
        (Some("team+build"), Some("2024-01-01T00:30:00.000Z"))
    );
    place.as_given(&given).push("team/app", "1", "amd64", "x").await;
    let said = "team+build token_exchange for arn:aws:sts::111122223333:assumed-role/ci-build/run-7 201";
    assert_eq!(place.audit().await.last().map(String::as_str), Some(said));
    // Nothing but this one call was made, with all that was signed.
    let sent = came.lock().expect("nobody panics").last().expect("a call came").to_ascii_lowercase();
    assert!(
        sent.starts_with("post / http/1.1\r\n") && sent.ends_with("action=getcalleridentity&version=2011-06-15"),
        "{sent}"
    );
    for line in ["x-layer0-server: https://l0.example.com", "x-amz-security-token: session", &format!("host: {host}")] {
        assert!(sent.contains(line), "{sent}");
    }
    let before = came.lock().expect("nobody panics").len();
    let with = |changed: &Value| {
        let mut call = call(&host, "a1");
        for (name, value) in changed.as_object().expect("an object") {
            call[name] = value.clone();
        }
        call
    };
    for (changed, says) in [
        (json!({"host": "evil.example.com"}), "no host of AWS"),
        (json!({"host": "sts.us-east-1.amazonaws.com"}), "no host of AWS"),
        (json!({"date": "20231231T235459Z"}), "signature"),
        (json!({"server": ""}), "audience"),
        (json!({"server": "a\r\nb"}), "audience"),
        (json!({"security_token": "a\r\nhost: b"}), "signature"),
        (json!({"authorization": "Basic YTpi"}), "signature"),
        (
            json!({"authorization": call(&host, "a1")["authorization"].as_str().expect("text").replace(";x-layer0-server", "")}),
            "does not cover `x-layer0-server`",
        ),
    ] {
        let error = show(with(&changed)).await.error(401);
        assert!(error.message.contains(says), "{changed}: {error:?}");
    }
    assert_eq!(came.lock().expect("nobody panics").len(), before, "AWS is not asked about any of them");
    let other = show(with(&json!({"server": "https://other.example.com"}))).await.error(401);
    assert!(other.message.contains("made for https://other.example.com"), "{other:?}");
    let wrong = show(call(&host, "bad0")).await.error(401);
    assert!(wrong.message.contains("SignatureDoesNotMatch"), "{wrong:?}");
    place.clock.advance_ms(5 * 60 * 1000 + 1);
    let late = show(call(&host, "a1")).await.error(401);
    assert!(late.message.contains("of these minutes"), "{late:?}");
}
