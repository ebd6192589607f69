//! docker, against the machine's engine. Images are named after the registry's port, so no test sees another's.

use crate::common::{Doors, PASSWORD, TestRegistry, USER};
use crate::run::{Said, context, path, run, set_up};

/// The docker client with a configuration of its own.
struct Docker<'a> {
    config: &'a str,
    images: Vec<String>,
}

impl Docker<'_> {
    async fn docker(&self, arguments: &[&str], input: &str) -> Said {
        run("docker", &[&["--config", self.config], arguments].concat(), input).await
    }

    /// Without the engine's cache: to look into it, the engine opens each image that begins with nothing, and gives the
    /// build up when another test takes one of them away in that moment.
    async fn build(&mut self, directory: &str, image: &str) {
        self.images.push(image.to_owned());
        let words = ["build", "--quiet", "--no-cache", "--label", "layer0.test=registry", "--tag", image, directory];
        self.docker(&words, "").await.ok();
    }

    async fn tag(&mut self, image: &str, to: &str) {
        self.images.push(to.to_owned());
        self.docker(&["tag", image, to], "").await.ok();
    }
}

impl Drop for Docker<'_> {
    /// Removes what the test put on the engine, also when it has failed.
    fn drop(&mut self) {
        std::process::Command::new("docker").args(["rmi", "--force"]).args(&self.images).output().ok();
    }
}

async fn login(docker: &Docker<'_>, registry: &TestRegistry) {
    let host = registry.address.to_string();
    let wrong = docker.docker(&["login", "--username", USER, "--password-stdin", &host], "wrong").await.fails();
    assert!(wrong.all.to_lowercase().contains("unauthorized"), "{}", wrong.all);
    docker.docker(&["login", "--username", USER, "--password-stdin", &host], PASSWORD).await.ok();
}

async fn push_and_pull(doors: Doors) {
    let (registry, directory) = set_up(doors).await;
    let host = registry.address;
    let work = directory.path().join("image");
    std::fs::create_dir(&work).unwrap();
    context(&work, &host.to_string());
    let config = directory.path().join("config");
    let mut docker = Docker { config: path(&config), images: Vec::new() };
    let image = format!("{host}/team/app:1");
    docker.build(path(&work), &image).await;

    docker.docker(&["push", &image], "").await.fails();
    login(&docker, &registry).await;
    let pushed = docker.docker(&["push", &image], "").await.ok();
    let digest = pushed.out.split("digest: ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
    // Layers are there already, or are mounted from the other repository.
    let other = format!("{host}/team/other:2");
    docker.tag(&image, &other).await;
    let mounted = docker.docker(&["push", &other], "").await.ok();
    assert!(mounted.out.contains("Mounted from team/app"), "{}", mounted.all);

    let id = docker.docker(&["inspect", "--format", "{{.Id}}", &image], "").await.ok().out;
    docker.docker(&["rmi", "--force", &image, &other], "").await.ok();
    docker.docker(&["pull", &image], "").await.ok();
    assert_eq!(docker.docker(&["inspect", "--format", "{{.Id}}", &image], "").await.ok().out, id);
    let pinned = format!("{host}/team/other@{digest}");
    docker.images.push(pinned.clone());
    docker.docker(&["pull", &pinned], "").await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_and_pull_with_basic() {
    push_and_pull(Doors::Basic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_and_pull_with_bearer() {
    push_and_pull(Doors::Bearer).await;
}

async fn an_index(doors: Doors) {
    let (registry, directory) = set_up(doors).await;
    let host = registry.address;
    let work = directory.path().join("image");
    std::fs::create_dir(&work).unwrap();
    let config = directory.path().join("config");
    let mut docker = Docker { config: path(&config), images: Vec::new() };
    login(&docker, &registry).await;
    let image = |tag: &str| format!("{host}/team/app:{tag}");
    for tag in ["amd64", "arm64"] {
        context(&work, &image(tag));
        docker.build(path(&work), &image(tag)).await;
        docker.docker(&["push", &image(tag)], "").await.ok();
    }
    let list = image("list");
    for words in [
        &["create", "--insecure", &list, &image("amd64"), &image("arm64")][..],
        &["annotate", "--os", "linux", "--arch", "arm64", "--variant", "v8", &list, &image("arm64")],
        &["push", "--insecure", "--purge", &list],
    ] {
        docker.docker(&[&["manifest"], words].concat(), "").await.ok();
    }
    let shown = docker.docker(&["manifest", "inspect", "--insecure", &list], "").await.ok().out;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["manifests"][1]["platform"]["variant"], "v8", "{shown}");

    let id = docker.docker(&["inspect", "--format", "{{.Id}}", &image("amd64")], "").await.ok().out;
    docker.docker(&["rmi", "--force", &image("amd64"), &image("arm64")], "").await.ok();
    docker.images.push(list.clone());
    docker.docker(&["pull", "--platform", "linux/amd64", &list], "").await.ok();
    assert_eq!(docker.docker(&["inspect", "--format", "{{.Id}}", &list], "").await.ok().out, id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_with_basic() {
    an_index(Doors::Basic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_with_bearer() {
    an_index(Doors::Bearer).await;
}

/// Docker prints our sentences, and prints them at once (it tries five times, for 50 seconds, after errors that it
/// thinks may pass).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_prints_what_to_do() {
    let (registry, directory) = set_up(Doors::Bearer).await;
    let host = registry.address;
    context(directory.path(), &host.to_string());
    let config = directory.path().join("config");
    let mut docker = Docker { config: path(&config), images: Vec::new() };
    let missing = format!("{host}/team/new:1");
    docker.build(path(directory.path()), &missing).await;
    login(&docker, &registry).await;
    let no_owner = format!("{host}/app:1");
    docker.tag(&missing, &no_owner).await;
    for (image, words) in [
        (&missing, "repository team/new does not exist; create it: l0 repository create team/new"),
        (&no_owner, "repository \"app\" has no owner; write owner/name"),
    ] {
        let said = docker.docker(&["push", image], "").await.fails();
        assert!(said.all.contains(words), "{}", said.all);
        assert!(!said.all.contains("Retrying"), "{}", said.all);
    }
    let said = docker.docker(&["pull", &format!("{host}/team/app:none")], "").await.fails();
    assert!(said.all.contains("manifest none is not in this repository"), "{}", said.all);
}
