//! `l0 repository migrate` and `l0 repository migration`.

use serde_json::{Value, json};

use crate::fake::{Fake, Reply, error};

const ASK: &str = "POST /migration";
const FOLLOW: &str = "GET /migration/events?repository=team%2Fapp";
const ONE: &str = "/migration/team/app";

fn migration(state: &str, ended: bool, progress: &str) -> Value {
    json!({
        "repository": "team/app", "backing": "local", "from": "local", "to": "ecr", "state": state, "ended": ended,
        "progress": progress, "asked": "2026-11-23T10:00:00.000Z", "manifests": 4, "verified": 2, "manifests_copied": 2,
        "blobs_copied": 5, "bytes_copied": 4096, "problems": [], "problems_more": 0,
    })
}

fn frame(event: &str, data: &Value) -> String {
    format!("event: {event}\ndata: {data}\n\n")
}

#[test]
fn a_move_is_followed_to_its_end() {
    let fake = Fake::start();
    let begun = migration("copying", false, "0 of 4 manifests are in ecr");
    let half = migration("copying", false, "2 of 4 manifests are in ecr");
    let moved = migration("moved", true, "it lies in ecr now; local still has the images");
    // The server was restarted in the middle.
    fake.on(ASK, [Reply::Json(202, begun.clone())]).on(
        FOLLOW,
        [Reply::Broken(frame("migration", &begun)), Reply::Events(frame("migration", &half) + &frame("end", &moved))],
    );
    let ran = fake.run(&["repository", "migrate", "team/app", "--to", "ecr"]);
    assert_eq!(ran.code, 0);
    let text = ran.text();
    for words in ["0 of 4 manifests", "2 of 4 manifests", "it lies in ecr now", "moved"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(fake.body(ASK), json!({ "repository": "team/app", "to": "ecr", "delete_source": false }));
    let ran = fake.run(&["repository", "migrate", "team/app", "--to=ecr", "-o", "json"]);
    assert_eq!((ran.code, ran.json()), (0, json!([moved])));
}

#[test]
fn a_move_goes_on_by_itself() {
    let fake = Fake::start();
    fake.on(ASK, [Reply::Json(202, migration("copying", false, "0 of 4 manifests are in ecr"))]);
    let ran = fake.run(&["repository", "migrate", "team/app", "--to", "ecr", "--delete-source", "--no-wait"]);
    assert_eq!(ran.code, 0);
    assert_eq!(fake.body(ASK)["delete_source"], true);
    assert!(ran.text().contains("l0 repository migration get team/app"), "{}", ran.text());
}

#[test]
fn a_move_that_fails_names_the_images() {
    let fake = Fake::start();
    let mut refused = migration("refused", true, "1 images can't lie in ecr; nothing was copied");
    let problem =
        json!({ "digest": "sha512:abc", "tags": ["v1"], "why": "it is named by sha512, which is not known there" });
    refused["problems"] = json!([problem]);
    fake.on(ASK, [Reply::Json(202, migration("copying", false, "0 of 4 manifests are in ecr"))])
        .on(FOLLOW, [Reply::Events(frame("end", &refused))]);
    let ran = fake.run(&["repository", "migrate", "team/app", "--to", "ecr"]);
    assert_ne!(ran.code, 0);
    let text = ran.text();
    for words in ["sha512:abc (v1): it is named by sha512", "nothing was copied", "migration cancel team/app"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn moves_are_shown_called_off_and_cleared() {
    let fake = Fake::start();
    let moved = migration("moved", true, "it lies in ecr now; local still has the images");
    let cancelled = migration("cancelled", true, "called off; it lies in local as before");
    let cleared = migration("cleared", true, "it lies in ecr; nothing is left in local");
    fake.on("GET /migration", [Reply::Json(200, json!({ "migrations": [moved] }))])
        .on(&format!("GET {ONE}"), [Reply::Json(200, moved.clone())])
        .on(&format!("DELETE {ONE}"), [Reply::Json(202, migration("cancelling", false, "called off"))])
        .on(&format!("PATCH {ONE}"), [Reply::Json(202, migration("clearing", false, "it lies in ecr"))])
        .on(FOLLOW, [Reply::Events(frame("end", &cancelled)), Reply::Events(frame("end", &cleared))]);
    for args in [&["repository", "migration", "list"][..], &["repository", "migration", "get", "team/app"]] {
        let ran = fake.run(args);
        assert_eq!(ran.code, 0);
        assert!(ran.text().contains("local still has the images"), "{}", ran.text());
    }
    let ran = fake.run(&["repository", "migration", "cancel", "team/app", "-o", "json"]);
    assert_eq!((ran.code, ran.json()), (0, json!([cancelled])));
    let ran = fake.run(&["repository", "migration", "delete-source", "team/app", "-o", "json"]);
    assert_eq!((ran.code, ran.json()), (0, json!([cleared])));
    assert_eq!(fake.body(&format!("PATCH {ONE}")), json!({ "delete_source": true }));
}

#[test]
fn what_the_server_refuses_is_said() {
    let fake = Fake::start();
    fake.on(ASK, [error(409, "Conflict", "repository `team/app` lies in `local` already")]);
    let ran = fake.run(&["repository", "migrate", "team/app", "--to", "local"]);
    assert_ne!(ran.code, 0);
    assert!(ran.text().contains("lies in `local` already"), "{}", ran.text());
    assert_ne!(fake.run(&["repository", "migrate", "team/app"]).code, 0, "--to is needed");
}
