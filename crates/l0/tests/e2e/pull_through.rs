//! One instance mirrors another, which wants a password, and the real docker and the engine pull through it.

use serde_json::json;

use crate::common::instance::Instance;
use crate::stage::Stage;

/// An instance whose prefix `hub` mirrors another one's `demo`, and that other one.
fn mirrored() -> (Stage, Stage) {
    let upstream = Stage::with_versions(&["v1"]);
    let (user, secret) = upstream.user_and_secret();
    let mut instance = Instance::prepared(&[]);
    let table = format!(
        "[[mirror]]\nprefix = \"hub\"\nupstream = \"http://{}\"\nusername = \"{user}\"\npassword_env = \"HUB_PASSWORD\"\ntag_minutes = 0\n",
        upstream.address()
    );
    let file = instance.file("layer0.toml", table);
    instance.flags_add(&["--config".to_owned(), file]);
    instance.variable_set("HUB_PASSWORD", &secret);
    instance.server_start();
    let stage = Stage::around(instance, None);
    stage.login().ok();
    (stage, upstream)
}

#[test]
fn docker_pulls_through_a_mirror_and_goes_on_without_its_upstream() {
    let (stage, mut upstream) = mirrored();
    let image = format!("{}/hub/demo/app:v1", stage.address());
    stage.docker(&["pull", &image]).ok().says("Downloaded newer image");
    stage.docker(&["rmi", &image]).ok();

    // Nothing is pushed to it, and docker says why.
    let pushed = stage.import("hub/demo/app", "v9");
    let said = stage.docker(&["push", &pushed]);
    assert_ne!(said.code, Some(0), "{}", said.all());
    said.says("what is there is pulled from there, and nothing is pushed to it");

    // A tag that is not there is said to be nowhere.
    let said = stage.docker(&["pull", &image.replace(":v1", ":v2")]);
    assert_ne!(said.code, Some(0), "{}", said.all());

    upstream.server_kill();
    stage.docker(&["pull", &image]).ok();
    stage.docker(&["rmi", &image]).ok();
    assert!(stage.log().contains("is served as it was"), "it is said that the upstream is away: {}", stage.log());
    let (_, secret) = upstream.user_and_secret();
    assert!(!stage.log().contains(&secret), "no password is in the log");
}

#[test]
fn a_service_runs_an_image_that_only_the_upstream_has() {
    let (stage, _upstream) = mirrored();
    stage.l0(&["environment", "create", "dev"]).ok();
    let image = "registry.layer0.test/hub/demo/app:v1";
    let container = json!({ "name": "app", "image": image, "memory": 64, "command": ["print", "from afar", "sleep"] });
    stage.deploy_of("app", json!({ "containerDefinitions": [container] }));
    stage.l0(&["service", "create", "dev", "app", "app:1"]).ok().says("app:1 healthy");
    stage.l0(&["environment", "delete", "--recursive", "dev"]).ok();
}
