//! cosign with a pair of keys and no network: signatures and attestations as referrers, and signatures by tag as before.

use crate::common::run::{Said, run};
use crate::place::{Asks, Place, refused};

const SIGN: [&str; 6] =
    ["--allow-http-registry", "--tlog-upload=false", "--use-signing-config=false", "--yes", "--key", "cosign.key"];
const VERIFY: [&str; 3] = ["--allow-http-registry", "--insecure-ignore-tlog=true", "--key"];
/// The form of version 2: an image under a tag that is made of the digest.
const BY_TAG: &str = "--new-bundle-format=false";

fn cosign(place: &Place, arguments: &[&str]) -> Said {
    run(place.client("cosign", arguments).env("COSIGN_PASSWORD", "a password"), b"")
}

fn signatures(asks: Asks) {
    let place = Place::new(asks);
    place.signs_in();
    place.fill();
    cosign(&place, &["generate-key-pair"]).ok();
    cosign(&place, &["generate-key-pair", "--output-key-prefix", "other"]).ok();
    let sign = |verb: &str, more: &[&str]| cosign(&place, &[&[verb], &SIGN[..], more].concat());
    let verify = |verb: &str, key: &str, more: &[&str]| cosign(&place, &[&[verb], &VERIFY[..], &[key], more].concat());
    let digest = place.digest("demo/app:both");
    let image = place.at(&format!("demo/app@{digest}"));

    refused(verify("verify", "cosign.pub", &[&image]), "no signatures found");
    sign("sign", &[&image]).ok();
    verify("verify", "cosign.pub", &[&image]).ok().says(&digest);
    refused(verify("verify", "other.pub", &[&image]), "failed to verify signature");
    refused(verify("verify", "cosign.pub", &[BY_TAG, &image]), "no signatures found");
    sign("sign", &[BY_TAG, &image]).ok();
    verify("verify", "cosign.pub", &[BY_TAG, &image]).ok().says(&digest);
    place.runs("crane", &["ls", &place.at("demo/app")]).ok().says(&format!("{}.sig", digest.replace(':', "-")));

    place.file("sbom.json", r#"{"spdxVersion":"SPDX-2.3","name":"app"}"#);
    sign("attest", &["--type", "spdxjson", "--predicate", "sbom.json", &image]).ok();
    verify("verify-attestation", "cosign.pub", &["--type", "spdxjson", &image]).ok();
    let tree = cosign(&place, &["tree", "--allow-http-registry", &image]).ok();
    tree.says("sigstore.dev/cosign/sign").says("spdx.dev/Document").says("Signatures for an image tag");
    let seen = place.runs("oras", &["discover", "--plain-http", "--format", "json", &image]).ok().json();
    assert_eq!(seen["referrers"].as_array().expect("a list").len(), 2, "{seen}");

    // What was signed is signed in the other repository too, when what refers to it goes along.
    let copied = place.at("demo/other:both");
    let copy = ["cp", "--recursive", "--from-plain-http", "--to-plain-http", &image, &copied];
    place.runs("oras", &copy).ok();
    verify("verify", "cosign.pub", &[&copied]).ok().says(&digest);
    cosign(&place, &["clean", "--allow-http-registry", "--force", &copied]).ok();
    refused(verify("verify", "cosign.pub", &[&copied]), "no signatures found");
    place.runs("crane", &["validate", "--remote", &copied]).ok();
}

#[test]
fn signatures_with_basic() {
    signatures(Asks::Basic);
}

#[test]
fn signatures_with_bearer() {
    signatures(Asks::Bearer);
}
