//! skopeo: copies between a directory and the registry, in several forms.

use layer0_domain::model::digest::Digest;

use crate::common::{Doors, PASSWORD, USER};
use crate::run::{path, run, set_up};

/// An OCI layout with an index of two platforms, made by hand: one layer, two configs, two manifests, the index.
mod layout {
    use std::path::Path;

    use layer0_domain::model::digest::Digest;
    use serde_json::{Value, json};

    fn blob(root: &Path, media_type: &str, content: &[u8]) -> Value {
        let digest = Digest::sha256_of(content);
        std::fs::write(root.join("blobs/sha256").join(digest.hex()), content).unwrap();
        json!({ "mediaType": media_type, "digest": digest.to_string(), "size": content.len() })
    }

    /// A tar file with one member.
    pub(crate) fn tar(text: &str) -> Vec<u8> {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, field: &str| header[at..at + field.len()].copy_from_slice(field.as_bytes());
        put(0, "hello");
        put(100, "0000644");
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{:011o}", text.len()));
        put(136, "00000000000");
        put(148, "        ");
        put(156, "0");
        put(257, "ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut all = header.to_vec();
        all.extend(text.as_bytes());
        all.resize(all.len().div_ceil(512) * 512 + 1024, 0);
        all
    }

    /// Two platforms with one layer.
    pub(crate) fn write(root: &Path, text: &str) {
        write_with(root, text, None);
    }

    /// And below it a layer that is elsewhere.
    pub(crate) fn write_foreign(root: &Path, text: &str, elsewhere: &Digest) {
        write_with(root, text, Some(elsewhere));
    }

    fn write_with(root: &Path, text: &str, elsewhere: Option<&Digest>) {
        std::fs::create_dir_all(root.join("blobs/sha256")).unwrap();
        std::fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let content = tar(text);
        let mut layers = vec![blob(root, "application/vnd.oci.image.layer.v1.tar", &content)];
        let mut diffs = vec![Digest::sha256_of(&content).to_string()];
        if let Some(elsewhere) = elsewhere {
            layers.insert(0, json!({
                "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar", "digest": elsewhere.to_string(),
                "size": 1 << 20, "urls": ["http://layers.example/base"],
            }));
            diffs.insert(0, elsewhere.to_string());
        }
        let children: Vec<Value> = ["amd64", "arm64"]
            .into_iter()
            .map(|architecture| {
                let config = json!({ "os": "linux", "architecture": architecture, "rootfs": { "type": "layers", "diff_ids": diffs } });
                let config = blob(root, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
                let manifest = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers });
                let mut child = blob(root, "application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
                child["platform"] = json!({ "os": "linux", "architecture": architecture });
                child
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": children });
        let mut entry = blob(root, "application/vnd.oci.image.index.v1+json", index.to_string().as_bytes());
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "1" });
        std::fs::write(root.join("index.json"), json!({ "schemaVersion": 2, "manifests": [entry] }).to_string())
            .unwrap();
    }
}

pub(crate) use layout::{tar, write as write_layout};

async fn copies(doors: Doors) {
    let (registry, directory) = set_up(doors).await;
    let host = registry.address;
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    write_layout(&from, &host.to_string());
    let from = format!("oci:{}:1", path(&from));
    let credentials = format!("{USER}:{PASSWORD}");
    let push = ["--dest-tls-verify=false", "--dest-creds", &credentials];
    let pull = ["--src-tls-verify=false", "--src-creds", &credentials];
    let at = |image: &str| format!("docker://{host}/{image}");
    let copy = async |options: &[&str], from: &str, to: &str| {
        run("skopeo", &[&["--insecure-policy", "copy"], options, &[from, to]].concat(), "").await
    };

    copy(&["--dest-tls-verify=false"], &from, &at("team/app:1")).await.fails();
    // First, since skopeo takes a layer that is there in any form over compressing it.
    copy(&[&push[..], &["--dest-compress-format", "zstd", "--dest-compress"]].concat(), &from, &at("team/app:zstd"))
        .await
        .ok();
    copy(&[&push[..], &["--all"]].concat(), &from, &at("team/app:1")).await.ok();
    // Docker's format has no zstd, and skopeo would take that layer again: other content.
    let plain = directory.path().join("plain");
    write_layout(&plain, "as docker has it");
    copy(&[&push[..], &["--format", "v2s2"]].concat(), &format!("oci:{}:1", path(&plain)), &at("team/app:docker"))
        .await
        .ok();
    copy(&[&push[..], &pull[..], &["--all"]].concat(), &at("team/app:1"), &at("team/other:1")).await.ok();
    copy(&[&pull[..], &["--all", "--preserve-digests"]].concat(), &at("team/other:1"), &format!("oci:{}:1", path(&to)))
        .await
        .ok();

    let inspect = |image: String| {
        let credentials = credentials.clone();
        async move { run("skopeo", &["inspect", "--raw", "--tls-verify=false", "--creds", &credentials, &image], "").await }
    };
    assert_eq!(inspect(at("team/app:1")).await.ok().out, inspect(at("team/other:1")).await.ok().out);
    assert!(inspect(at("team/app:zstd")).await.ok().out.contains("tar+zstd"));
    let tags = run("skopeo", &["list-tags", "--tls-verify=false", "--creds", &credentials, &at("team/app")], "")
        .await
        .ok()
        .out;
    let tags: serde_json::Value = serde_json::from_str(&tags).unwrap();
    assert_eq!(tags["Tags"], serde_json::json!(["1", "docker", "zstd"]));

    let refused = copy(&push, &from, &at("team/new:1")).await.fails();
    assert!(refused.all.contains("create it: l0 repository create team/new"), "{}", refused.all);
    run("skopeo", &["delete", "--tls-verify=false", "--creds", &credentials, &at("team/other:1")], "").await.ok();
    inspect(at("team/other:1")).await.fails();
}

/// A layer that may not be handed on stays where it is: its image is pushed, listed and copied without it.
async fn foreign_layers(doors: Doors) {
    let (registry, directory) = set_up(doors).await;
    let host = registry.address;
    let from = directory.path().join("from");
    let elsewhere = Digest::sha256_of(b"a base that somebody else hands out");
    layout::write_foreign(&from, &host.to_string(), &elsewhere);
    let credentials = format!("{USER}:{PASSWORD}");
    let push = ["--dest-tls-verify=false", "--dest-creds", &credentials];
    let pull = ["--src-tls-verify=false", "--src-creds", &credentials];
    let at = |image: &str| format!("docker://{host}/{image}");
    let copy = async |options: &[&str], from: &str, to: &str| {
        run("skopeo", &[&["--insecure-policy", "copy", "--all"], options, &[from, to]].concat(), "").await.ok()
    };
    copy(&push, &format!("oci:{}:1", path(&from)), &at("team/app:1")).await;
    copy(&[&push[..], &pull[..]].concat(), &at("team/app:1"), &at("team/other:1")).await;
    let of = at("team/other:1");
    let inspect = ["inspect", "--tls-verify=false", "--creds", &credentials, &of];
    let inspected = run("skopeo", &inspect, "").await.ok().out;
    assert!(inspected.contains(&elsewhere.to_string()), "{inspected}");
    assert!(!registry.blob_files().contains(&elsewhere.hex().to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_layers_with_basic() {
    foreign_layers(Doors::Basic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_layers_with_bearer() {
    foreign_layers(Doors::Bearer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_with_basic() {
    copies(Doors::Basic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_with_bearer() {
    copies(Doors::Bearer).await;
}
