//! What servers on one store must learn of each other: whom another one shut out, and which host port it gave away.

use std::time::Duration;

use futures_util::future::join_all;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::access_store::AccessStore;
use layer0_domain::port::store::{LeaseAnswer, Store};
use layer0_server::testing::{TestApp, TestOptions};
use layer0_testkit::until::until;
use serde_json::json;

use crate::access;
use crate::support::{Raw, basic, deploy, environment, new_load_balancer, service};

/// Longer than any test: no lease is taken over.
const LEASE: Duration = Duration::from_secs(3600);

/// Servers ask each other's writes every two seconds; one that waited for its own look would take ten.
const HEARD: Duration = Duration::from_secs(8);

async fn two() -> [TestApp; 2] {
    let first = TestApp::with(TestOptions { shared: Some(LEASE), ..TestOptions::default() }).await;
    let second = first.beside().await;
    [first, second]
}

/// Makes a user with a token; answers its `Authorization` and the token's id.
async fn user(raw: &Raw, name: &str) -> (String, String) {
    raw.post("/user", &json!({"user_name": name})).await.expect(201);
    let made = raw.post("/token", &json!({"name": name, "user": name})).await.expect(201).json();
    let secret = made["secret"].as_str().expect("a secret");
    (basic(name, secret), made["token_id"].as_str().expect("an id").to_owned())
}

/// What goes on at the second server by a right that the first one takes away ends within seconds: an upload, a followed log,
/// a followed audit log, by a token that is revoked, a member who goes, a user who goes and an admin who is none any more. What
/// somebody else has open goes on.
#[tokio::test]
async fn what_one_server_revokes_ends_on_another() {
    let [first, second] = two().await;
    let (here, there) = (Raw::of(&first), Raw::of(&second));
    here.post("/owner", &json!({"owner_name": "team"})).await.expect(201);
    here.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    let client = first.client();
    let env = environment(&client, "dev").await;
    let web = deploy(&client, "web", &[("FAKE_EXIT", "never")]).await;
    let id = service(&client, "web", &env, &web, 1).await;

    let mut people = Vec::new();
    for name in ["revoked", "left", "gone", "demoted", "stays"] {
        let (auth, token) = user(&here, name).await;
        here.put(&format!("/owner/team/member/{name}"), &json!({"role": "writer"})).await.expect(200);
        people.push((name, auth, token));
    }
    for name in ["demoted", "gone", "revoked", "stays"] {
        here.patch(&format!("/user/{name}"), &json!({"admin": true})).await.expect(200);
    }
    let http = reqwest::Client::builder().no_proxy().danger_accept_invalid_certs(true).build().expect("a client");
    let (mut uploads, mut streams) = (Vec::new(), Vec::new());
    for (name, auth, _) in &people {
        if *name != "demoted" {
            uploads.push((*name, access::begin_at(&there, &second, auth).await));
        }
        // Only admins see what belongs to nobody.
        if *name == "left" {
            continue;
        }
        for path in [format!("/service/{id}/logs?follow=true"), "/admin/audit?follow=true".to_owned()] {
            let request = http.get(format!("{}{path}", second.endpoint())).header("authorization", auth);
            let answer = request.send().await.expect("the server answers");
            assert_eq!(answer.status(), 200, "{name}: {path}");
            streams.push((*name, tokio::spawn(answer.bytes())));
        }
    }
    here.delete(&format!("/token/{}", people[0].2)).await.expect(200);
    here.delete("/owner/team/member/left").await.expect(200);
    here.delete("/user/gone").await.expect(200);
    here.patch("/user/demoted", &json!({"admin": false})).await.expect(200);
    let (kept, ended): (Vec<_>, Vec<_>) = streams.into_iter().partition(|(name, _)| *name == "stays");
    let ended = join_all(ended.into_iter().map(|(name, stream)| async move {
        let end = tokio::time::timeout(HEARD, stream).await;
        end.unwrap_or_else(|_| panic!("what `{name}` follows goes on")).expect("no panic").expect("whole");
    }));
    let (kept_uploads, uploads): (Vec<_>, Vec<_>) = uploads.into_iter().partition(|(name, _)| *name == "stays");
    let broken = join_all(uploads.into_iter().map(|(name, open)| async move {
        let end = tokio::time::timeout(HEARD, open.answer).await;
        // The answer, or the connection's end in the middle of the body.
        if let Ok(answer) = end.unwrap_or_else(|_| panic!("the upload of `{name}` goes on")).expect("no panic") {
            assert!([401, 403].contains(&answer.status().as_u16()), "{name}: {}", answer.status());
        }
        // Open until here: a body that came to its end would be answered as whole.
        drop(open.more);
    }));
    tokio::join!(ended, broken);
    assert!(kept.iter().all(|(_, stream)| !stream.is_finished()), "nobody took anything from `stays`");
    for (_, open) in kept_uploads {
        assert!(!open.answer.is_finished());
        drop(open.more);
        assert_eq!(open.answer.await.expect("no panic").expect("an answer").status(), 202);
    }
}

/// Whoever is shut out is counted in the store itself, so that a server that dies after its write hides nothing.
#[tokio::test]
async fn a_shut_out_is_counted_with_its_write() {
    let [first, second] = two().await;
    let here = Raw::of(&first);
    let (_, token) = user(&here, "bob").await;
    let before = second.store().shut_out_count().await.expect("the store answers");
    here.delete(&format!("/token/{token}")).await.expect(200);
    assert_eq!(second.store().shut_out_count().await.expect("the store answers"), before + 1);
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970");
    Timestamp(i64::try_from(since.as_millis()).expect("the year is below 292 million"))
}

/// Of several who ask different servers for the same host port at once, exactly one gets it, and each of the others is told
/// who has it.
#[tokio::test]
async fn a_host_port_goes_to_one_whichever_server_is_asked() {
    let [first, second] = two().await;
    let third = second.beside().await;
    let clients = [first.client(), second.client(), third.client()];
    let env = environment(&clients[0], "dev").await;
    for round in 0..6_i64 {
        let port = 8_000 + round;
        let answers = join_all(clients.iter().enumerate().map(|(number, client)| {
            let new = new_load_balancer(&format!("lb{round}-{number}"), &env, &[port]);
            async move { client.load_balancer_create(&new).await }
        }))
        .await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "{lost:?}");
        let holder = won.into_iter().next().and_then(Result::ok).expect("it was made").entity_id;
        for refused in lost {
            let (status, body) = crate::support::refused(refused);
            assert_eq!((status, body.error_code.as_str()), (409, "NameTaken"), "{body:?}");
            assert_eq!(body.holders[0].entity_id, holder, "{body:?}");
        }
    }
    for server in [&first, &second, &third] {
        let seen = Raw::of(server).get("/operation").await.expect(200).json();
        assert!(seen.as_array().is_some_and(|all| all.iter().all(|it| it["state"] != "failed")), "{seen}");
    }
    settled(&first).await;
}

/// Waits until no operation runs.
async fn settled(app: &TestApp) {
    until("all operations to end", || async {
        let running = app.store().operation_list_running().await.expect("the store answers");
        if running.is_empty() { Ok(()) } else { Err(format!("{running:?}")) }
    })
    .await;
}

/// The turn to compare host ports is in the store: while another server has it, a request waits, and goes on when it is free.
#[tokio::test]
async fn the_turn_to_compare_host_ports_is_in_the_store() {
    let [first, second] = two().await;
    let client = first.client();
    let env = environment(&client, "dev").await;
    let taken = second.store().lease_take("host_ports", "another server", now(), now().plus_ms(600_000)).await;
    let LeaseAnswer::Taken(lease) = taken.expect("the store answers") else { panic!("nobody else has it") };
    let request = {
        let (client, new) = (client.clone(), new_load_balancer("lb", &env, &[8_080]));
        tokio::spawn(async move { client.load_balancer_create(&new).await })
    };
    // It has come as far as it can: something else that is asked for later is done.
    environment(&client, "other").await;
    assert!(!request.is_finished(), "another server has the turn");
    assert_eq!(client.load_balancer_list().await.expect("a list"), []);
    second.store().lease_release(&lease, now()).await.expect("the store answers");
    request.await.expect("no panic").expect("the turn is free");
    settled(&first).await;
    // A service's own writes need no turn.
    let taken = second.store().lease_take("host_ports", "another server", now(), now().plus_ms(600_000)).await;
    assert!(matches!(taken, Ok(LeaseAnswer::Taken(_))), "it was given back: {taken:?}");
    let web = deploy(&client, "web", &[]).await;
    service(&client, "web", &env, &web, 1).await;
}
