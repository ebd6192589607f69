//! crane: images and indexes, copies within the registry, tags, and what it says when it is refused.

use crate::common::run::run;
use crate::layout;
use crate::place::{Asks, CREATE_IT, Place, TOO_LARGE, refused};

fn images(asks: Asks) {
    let place = Place::new(asks);
    let crane = |arguments: &[&str]| place.runs("crane", arguments);
    let (user, secret) = place.user_and_secret();
    let login = ["auth", "login", &place.address(), "--username", &user, "--password", "wrong"];
    crane(&login).ok();
    refused(crane(&["catalog", &place.address()]), asks.refusal());
    crane(&["auth", "login", &place.address(), "--username", &user, "--password", &secret]).ok();

    place.fill();
    let both = place.at("demo/app:both");
    let index = crane(&["manifest", &both]).ok().json();
    let platforms: Vec<_> =
        index["manifests"].as_array().expect("a list").iter().map(|it| &it["platform"]["architecture"]).collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    let archive = place.path("pulled.tar");
    crane(&["pull", "--platform", "linux/arm64", &both, archive.to_str().expect("text")]).ok();
    run(place.command("tar").arg("-tf").arg(&archive), b"").ok().says("manifest.json");
    let config = crane(&["config", "--platform", "linux/arm64", &both]).ok().json();
    assert_eq!(config["architecture"], "arm64");

    // Nothing is uploaded twice.
    let copied = place.at("demo/other:both");
    crane(&["copy", &both, &copied]).ok().says("mounted blob").keeps_quiet_about("pushed blob");
    crane(&["validate", "--remote", &copied]).ok().says("PASS");
    assert_eq!(place.digest("demo/other:both"), place.digest("demo/app:both"));

    crane(&["tag", &both, "again"]).ok();
    assert_eq!(crane(&["ls", &place.at("demo/app")]).ok().out, "again\namd64\narm64\nboth\nplain\n");
    assert_eq!(crane(&["catalog", &place.address()]).ok().out, "demo/app\ndemo/other\n");
    crane(&["delete", &copied]).ok();
    refused(crane(&["delete", &copied]), "manifest both is not in this repository");

    refused(crane(&["copy", &both, &place.at("demo/new:1")]), CREATE_IT);
    refused(crane(&["copy", &both, &place.at("new:1")]), "repository \"new\" has no owner; write owner/name");
    let directory = place.path("large");
    let directory = directory.to_str().expect("text");
    let to = place.at("demo/app:large");
    for (size, taken) in [(layout::MOST, true), (layout::MOST + 1, false), (8 * layout::MOST, false)] {
        layout::write(directory.as_ref(), &layout::manifest(size));
        let said = crane(&["push", directory, &to]);
        if taken { drop(said.ok()) } else { refused(said, TOO_LARGE) }
    }
}

#[test]
fn images_with_basic() {
    images(Asks::Basic);
}

#[test]
fn images_with_bearer() {
    images(Asks::Bearer);
}
