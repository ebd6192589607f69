//! podman, with a storage of its own.

use crate::common::{Doors, PASSWORD, USER};
use crate::run::{path, run, set_up};
use crate::skopeo::tar;

async fn push_and_pull(doors: Doors) {
    let (registry, directory) = set_up(doors).await;
    let host = registry.address.to_string();
    let at = |name: &str| directory.path().join(name);
    let (root, state, layer, auth) = (at("root"), at("state"), at("layer.tar"), at("auth.json"));
    std::fs::write(&layer, tar(&host)).unwrap();
    let storage = ["--root", path(&root), "--runroot", path(&state), "--storage-driver", "vfs"];
    let podman =
        async |arguments: &[&str], input: &str| run("podman", &[&storage[..], arguments].concat(), input).await;
    let with = ["--tls-verify=false", "--authfile", path(&auth)];

    let imported = podman(&["import", "--quiet", path(&layer)], "").await.ok().out;
    let id = imported.trim().trim_start_matches("sha256:").to_owned();
    let image = format!("{host}/team/app:1");
    podman(&["tag", &id, &image], "").await.ok();
    podman(&[&["push"], &with[..], &[&image]].concat(), "").await.fails();
    podman(&[&["login"], &with[..], &["--username", USER, "--password-stdin", &host]].concat(), "wrong").await.fails();
    podman(&[&["login"], &with[..], &["--username", USER, "--password-stdin", &host]].concat(), PASSWORD).await.ok();
    podman(&[&["push"], &with[..], &[&image]].concat(), "").await.ok();
    podman(&["rmi", "--force", &id], "").await.ok();
    let pulled = podman(&[&["pull", "--quiet"], &with[..], &[&image]].concat(), "").await.ok();
    assert_eq!(pulled.out.trim(), id);

    let missing = format!("{host}/team/new:1");
    podman(&["tag", &id, &missing], "").await.ok();
    let refused = podman(&[&["push"], &with[..], &[&missing]].concat(), "").await.fails();
    assert!(refused.all.contains("create it: l0 repository create team/new"), "{}", refused.all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_and_pull_with_basic() {
    push_and_pull(Doors::Basic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_and_pull_with_bearer() {
    push_and_pull(Doors::Bearer).await;
}
