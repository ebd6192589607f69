//! regctl: blobs in chunks, indexes, artefacts, and copies to and from a directory.

use crate::layout;
use crate::place::{Asks, CREATE_IT, Place, noise, refused};

fn chunks_and_trees(asks: Asks) {
    let place = Place::new(asks);
    let regctl = |arguments: &[&str]| place.runs("regctl", arguments);
    let (user, secret) = place.user_and_secret();
    let address = place.address();
    // Blobs above a mebibyte go in chunks of half of one.
    let how = ["registry", "set", "--tls", "disabled", "--blob-max", "1048576", "--blob-chunk", "524288"];
    regctl(&[&how[..], &["--skip-check", &address]].concat()).ok();
    let login = |secret: &str| {
        let arguments = ["registry", "login", &address, "--user", &user, "--pass-stdin"];
        place.runs_with("regctl", &arguments, secret.as_bytes())
    };
    refused(login("wrong"), "unauthorized");
    login(&secret).ok();
    place.signs_in();
    place.fill();

    let data = noise(2, 3_000_001);
    let digest = layout::digest(&data);
    let app = place.at("demo/app");
    let put = place.runs_with("regctl", &["blob", "put", &app], &data).ok();
    assert_eq!(put.out.trim(), digest);
    let patches = place.log().lines().filter(|line| line.contains("PATCH /v2/{*path} answered 202")).count();
    assert!(patches >= 6, "{patches} chunks");
    regctl(&["blob", "head", &app, &digest]).ok().says("Content-Length: 3000001");
    let other = place.at("demo/other");
    // Mounted: it warns where it has to upload instead.
    regctl(&["blob", "copy", &app, &other, &digest]).ok().keeps_quiet_about("Failed to mount");
    regctl(&["blob", "head", &other, &digest]).ok().says(&digest);

    let (both, index) = (place.at("demo/app:both"), place.at("demo/app:index"));
    let (amd64, arm64) = (place.at("demo/app:amd64"), place.at("demo/app:arm64"));
    regctl(&["index", "create", &index, "--ref", &amd64, "--ref", &arm64]).ok();
    regctl(&["manifest", "get", &index, "--platform", "linux/arm64"]).ok().says(&place.digest("demo/app:arm64"));

    let sbom = ["artifact", "put", "--artifact-type", "application/spdx+json", "--subject", &both];
    place.runs_with("regctl", &sbom, b"{\"spdxVersion\":\"SPDX-2.3\"}").ok();
    let tree = regctl(&["artifact", "tree", &both]).ok().says("linux/arm64").says("application/spdx+json");
    let get = ["artifact", "get", "--subject", &both, "--filter-artifact-type", "application/spdx+json"];
    regctl(&get).ok().says("SPDX-2.3");
    let none = ["artifact", "list", &both, "--filter-artifact-type", "application/x.other"];
    regctl(&none).ok().keeps_quiet_about("spdx");

    // To a directory and back into another repository, with all that refers to it.
    let there = format!("ocidir://{}:both", place.path("directory").display());
    let back = place.at("demo/other:both");
    for (from, to) in [(&both, &there), (&there, &back)] {
        regctl(&["image", "copy", "--referrers", from, to]).ok().keeps_quiet_about("Failed to mount");
    }
    let children = |text: &str| text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(children(&regctl(&["artifact", "tree", &back]).ok().out), children(&tree.out));

    let zstd = place.at("demo/app:zstd");
    regctl(&["image", "mod", &amd64, "--layer-compress", "zstd", "--create", &zstd]).ok();
    regctl(&["manifest", "get", &zstd]).ok().says("tar.zstd");

    regctl(&["tag", "rm", &back]).ok();
    refused(regctl(&["manifest", "head", &back]), "not found");
    regctl(&["manifest", "delete", &place.at(&format!("demo/app@{}", place.digest("demo/app:zstd")))]).ok();
    assert_eq!(regctl(&["tag", "ls", &app]).ok().out, "amd64\narm64\nboth\nindex\nplain\n");

    place.runs_with("regctl", &["blob", "put", &app], layout::EMPTY).ok();
    let (manifest, large) = (layout::manifest(layout::MOST), place.at("demo/app:large"));
    let put = ["manifest", "put", "--content-type", layout::MANIFEST, &large];
    place.runs_with("regctl", &put, manifest.as_bytes()).ok();
    assert!(regctl(&["manifest", "get", "--format", "raw-body", &large]).ok().out == manifest, "other bytes came back");

    refused(place.runs_with("regctl", &["blob", "put", &place.at("demo/new")], &data), CREATE_IT);
}

#[test]
fn chunks_and_trees_with_basic() {
    chunks_and_trees(Asks::Basic);
}

#[test]
fn chunks_and_trees_with_bearer() {
    chunks_and_trees(Asks::Bearer);
}
