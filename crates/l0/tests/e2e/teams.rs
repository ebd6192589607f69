//! Several teams on one instance, with the real docker: what each may, and what docker prints of a refusal.

use crate::common::run::{Said, run};
use crate::stage::Stage;

/// Signs docker in as somebody with a token.
fn docker_login(stage: &Stage, user: &str, secret: &str) -> Said {
    let address = stage.address();
    let mut command = stage.docker_command(&["login", "--username", user, "--password-stdin", &address]);
    run(&mut command, secret.as_bytes())
}

/// The user name and password of a new token.
fn token(stage: &Stage, arguments: &[&str]) -> (String, String) {
    let made = stage.one(&[&["token", "create"], arguments].concat());
    let text = |key: &str| made[key].as_str().expect("text").to_owned();
    (text("user"), text("secret"))
}

fn refused(said: Said, words: &str) {
    assert_ne!(said.code, Some(0), "{}", said.all());
    said.says(words);
}

fn teams_with(challenge: &str) {
    let stage = Stage::bare(&["--registry-challenge", challenge]);
    // With Basic docker asks nobody: the words are its own.
    let nobody = if challenge == "basic" { "no basic auth credentials" } else { "sign in first" };
    stage.l0(&["owner", "create", "team"]).ok();
    stage.l0(&["user", "create", "rita"]).ok();
    stage.l0(&["member", "add", "team", "rita", "--role", "reader"]).ok();
    stage.l0(&["repository", "create", "team/app"]).ok();
    let image = stage.import("team/app", "v1");
    let (user, secret) = token(&stage, &["laptop", "--user", "rita"]);

    // Nobody, and with a wrong password.
    refused(stage.docker(&["push", &image]), nobody);
    assert_ne!(docker_login(&stage, &user, "wrong horse").code, Some(0));

    // A reader pulls and does not push; docker says why at once.
    docker_login(&stage, &user, &secret).ok();
    refused(stage.docker(&["push", &image]), "rita may not push to team/app");

    // A writer bounded to some tags.
    stage.l0(&["member", "add", "team", "rita", "--role", "writer", "--tags", "dev-*"]).ok();
    refused(stage.docker(&["push", &image]), "the right is bounded to other tags");
    let dev = image.replace(":v1", ":dev-1");
    stage.docker(&["tag", &image, &dev]).ok();
    stage.docker(&["push", &dev]).ok();

    // A tag that stays, and a quota.
    stage.l0(&["repository", "immutable", "add", "team/app", "--tags", "dev-*"]).ok();
    let other = stage.import("team/app", "v2");
    stage.docker(&["tag", &other, &dev]).ok();
    refused(stage.docker(&["push", &dev]), "is immutable by the rule");
    stage.l0(&["repository", "immutable", "remove", "team/app", "--tags", "dev-*"]).ok();
    stage.l0(&["owner", "update", "team", "--quota", "10"]).ok();
    refused(stage.docker(&["push", &dev]), "raised");
    stage.l0(&["owner", "update", "team", "--quota", "none"]).ok();
    stage.docker(&["push", &dev]).ok();

    // A robot, in the name that goes with its token.
    let (robot, password) = token(&stage, &["ci", "--owner", "team", "--scope", "pull,push:team/app"]);
    assert_eq!(robot, "team+ci");
    docker_login(&stage, &robot, &password).ok();
    stage.docker(&["push", &image]).ok();

    // What is public is pulled without signing in, and pushed by nobody.
    let address = stage.address();
    stage.docker(&["logout", &address]).ok();
    refused(stage.docker(&["pull", &image]), nobody);
    stage.l0(&["repository", "update", "team/app", "--public"]).ok();
    // Asked with Basic, docker goes no further without a password (other clients do).
    if challenge == "bearer" {
        stage.docker(&["pull", &image]).ok();
    }
    refused(stage.docker(&["push", &image]), nobody);

    // Whoever is put out is out.
    docker_login(&stage, &user, &secret).ok();
    stage.l0(&["user", "delete", "rita"]).ok();
    assert_ne!(stage.docker(&["push", &dev]).code, Some(0));
    let mut log = stage.l0(&["admin", "audit", "--tail", "1000"]).ok();
    for words in ["manifest_push", "team/app:dev-1", "team+ci", "user_delete", "sign_in"] {
        log = log.says(words);
    }
}

#[test]
fn each_team_has_its_rights_with_basic() {
    teams_with("basic");
}

#[test]
fn each_team_has_its_rights_with_bearer() {
    teams_with("bearer");
}
