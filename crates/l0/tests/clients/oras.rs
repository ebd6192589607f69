//! oras: artefacts, what is attached to them, and copies with all of it.

use std::fs;

use serde_json::Value;

use crate::layout;
use crate::place::{Asks, CREATE_IT, Place, noise, refused};

const KIND: &str = "application/vnd.example.chart";
const SBOM: &str = "application/spdx+json";

/// The digests that name this one as their subject.
fn referrers(place: &Place, image: &str, filter: &[&str]) -> Vec<String> {
    let arguments = [&["discover", "--plain-http", "--format", "json", image], filter].concat();
    let found = place.runs("oras", &arguments).ok().json();
    let list = found["referrers"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|it| it["digest"].as_str().expect("a digest").to_owned()).collect()
}

fn artefacts(asks: Asks) {
    let place = Place::new(asks);
    // It resolves names of files where it runs, which is the place's directory.
    let oras = |arguments: &[&str]| place.runs("oras", &[arguments, &["--plain-http"]].concat());
    let (user, secret) = place.user_and_secret();
    let login = |secret: &str| {
        let arguments = ["login", &place.address(), "--username", &user, "--password-stdin", "--plain-http"];
        place.runs_with("oras", &arguments, secret.as_bytes())
    };
    refused(login("wrong"), asks.refusal());
    login(&secret).ok();

    let data = noise(1, 3_000_000);
    for (name, content) in [("values.yaml", &b"name: chart"[..]), ("data.bin", &data), ("sbom.json", b"{}")] {
        place.file(name, content);
    }
    let chart = place.at("demo/app:chart");
    oras(&["push", &chart, "--artifact-type", KIND, "values.yaml:application/yaml", "data.bin"]).ok().says(KIND);
    oras(&["pull", &chart, "--output", "pulled"]).ok();
    assert!(fs::read(place.path("pulled").join("data.bin")).expect("pulled") == data, "other bytes came back");

    oras(&["attach", &chart, "--artifact-type", SBOM, "sbom.json"]).ok();
    let attached = referrers(&place, &chart, &[]);
    assert_eq!(attached.len(), 1, "{attached:?}");
    assert_eq!(referrers(&place, &chart, &["--artifact-type", SBOM]), attached);
    assert!(referrers(&place, &chart, &["--artifact-type", "application/x.other"]).is_empty());

    // With all that refers to it, and nothing is uploaded twice.
    let copied = place.at("demo/other:chart");
    let copy = ["cp", "--recursive", "--from-plain-http", "--to-plain-http", &chart, &copied];
    place.runs("oras", &copy).ok().says("Mounted").keeps_quiet_about("Copied  data.bin");
    assert_eq!(referrers(&place, &copied, &[]), attached);

    oras(&["tag", &chart, "again", "last"]).ok();
    oras(&["manifest", "index", "create", &place.at("demo/app:index"), "again"]).ok();
    assert_eq!(oras(&["repo", "tags", &place.at("demo/app")]).ok().out, "again\nchart\nindex\nlast\n");
    assert_eq!(oras(&["repo", "ls", &place.address()]).ok().out, "demo/app\ndemo/other\n");
    let blob = place.at(&format!("demo/app@{}", layout::digest(&data)));
    oras(&["blob", "fetch", &blob, "--output", "blob"]).ok();
    assert!(fs::read(place.path("blob")).expect("fetched") == data, "other bytes came back");
    oras(&["manifest", "delete", "--force", &copied]).ok();
    refused(oras(&["resolve", &copied]), "not found");

    // A manifest of the full size.
    place.file("empty.json", layout::EMPTY);
    let manifest = layout::manifest(layout::MOST);
    place.file("large.json", &manifest);
    oras(&["blob", "push", &place.at("demo/app"), "empty.json"]).ok();
    let large = place.at("demo/app:large");
    oras(&["manifest", "push", &large, "large.json", "--media-type", layout::MANIFEST]).ok();
    assert_eq!(oras(&["manifest", "fetch", &large]).ok().json(), manifest.parse::<Value>().expect("JSON"));

    refused(oras(&["push", &place.at("demo/new:1"), "values.yaml"]), CREATE_IT);
}

#[test]
fn artefacts_with_basic() {
    artefacts(Asks::Basic);
}

#[test]
fn artefacts_with_bearer() {
    artefacts(Asks::Bearer);
}
