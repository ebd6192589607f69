//! buildah, with a storage of its own: zstd layers, and an index of two platforms.

use crate::common::{Doors, PASSWORD, USER};
use crate::run::{context, path, run, set_up};

async fn push_and_pull(doors: Doors) {
    let (registry, directory) = set_up(doors).await;
    let host = registry.address.to_string();
    let at = |name: &str| directory.path().join(name);
    let (root, state, auth, work) = (at("root"), at("state"), at("auth.json"), at("work"));
    std::fs::create_dir(&work).unwrap();
    context(&work, &host);
    let storage = ["--root", path(&root), "--runroot", path(&state), "--storage-driver", "vfs"];
    let buildah =
        async |arguments: &[&str], input: &str| run("buildah", &[&storage[..], arguments].concat(), input).await;
    let with = ["--tls-verify=false", "--authfile", path(&auth)];

    // What is built on this machine is named without the registry: only pushes go there. The third has another layer, since
    // Docker's format has no zstd, and buildah would take the layer that it pushed before.
    let built = [("amd64", "amd64", "noise"), ("arm64", "arm64", "noise"), ("plain", "arm64", "text")];
    for (name, architecture, file) in built {
        let container = buildah(&["from", "--arch", architecture, "scratch"], "").await.ok().out;
        let container = container.trim();
        buildah(&["copy", container, path(&work.join(file)), "/file"], "").await.ok();
        buildah(&["config", "--os", "linux", "--arch", architecture, container], "").await.ok();
        buildah(&["commit", "--quiet", container, &format!("localhost/{name}")], "").await.ok();
    }

    let image = |rest: &str| format!("docker://{host}/team/{rest}");
    let push = async |options: &[&str], from: &str, to: &str| {
        buildah(&[&["push", "--quiet"], &with[..], options, &[from, &image(to)]].concat(), "").await
    };
    push(&[], "localhost/amd64", "app:1").await.fails();
    for (password, welcome) in [("wrong", false), (PASSWORD, true)] {
        let login = ["--username", USER, "--password-stdin", &host];
        let said = buildah(&[&["login"], &with[..], &login].concat(), password).await;
        assert_eq!(said.success, welcome, "{}", said.all);
    }
    // First, since buildah takes a layer that is there in any form over compressing it.
    push(&["--compression-format", "zstd"], "localhost/amd64", "app:zstd").await.ok();
    push(&["--format", "v2s2"], "localhost/plain", "other:docker").await.ok();
    for words in [&["create", "both"][..], &["add", "both", "localhost/amd64"], &["add", "both", "localhost/arm64"]] {
        buildah(&[&["manifest"], words].concat(), "").await.ok();
    }
    let both = image("app:both");
    buildah(&[&["manifest", "push", "--all"], &with[..], &["both", &both]].concat(), "").await.ok();

    let raw = async |name: &str| {
        let reading = ["inspect", "--raw", "--tls-verify=false", "--authfile", path(&auth), &image(name)];
        run("skopeo", &reading, "").await.ok().out
    };
    assert!(raw("app:zstd").await.contains("tar+zstd"));
    let both: serde_json::Value = serde_json::from_str(&raw("app:both").await).unwrap();
    let platforms: Vec<&str> =
        both["manifests"].as_array().unwrap().iter().filter_map(|it| it["platform"]["architecture"].as_str()).collect();
    assert_eq!(platforms, ["amd64", "arm64"]);

    buildah(&["rm", "--all"], "").await.ok();
    buildah(&["rmi", "--all", "--force"], "").await.ok();
    let pushed = [("app:zstd", "amd64", "noise"), ("other:docker", "arm64", "text"), ("app:both", "arm64", "noise")];
    for (name, architecture, file) in pushed {
        let from = ["--arch", architecture, &format!("{host}/team/{name}")];
        let container = buildah(&[&["from", "--quiet"], &with[..], &from].concat(), "").await.ok().out;
        let mounted = buildah(&["mount", container.trim()], "").await.ok().out;
        let pulled = std::fs::read(std::path::Path::new(mounted.trim()).join("file")).unwrap();
        assert!(pulled == std::fs::read(work.join(file)).unwrap(), "{name}: other bytes");
        buildah(&["rm", container.trim()], "").await.ok();
    }

    let refused = push(&[], &format!("{host}/team/app:zstd"), "new:1").await.fails();
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
