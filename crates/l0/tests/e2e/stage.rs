//! An instance on the real Docker engine, with images of the test program in its registry. Dropping it takes away all that
//! bears the instance's label and all images that bear its address, and nothing else.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::common::archive::archive;
use crate::common::http;
use crate::common::instance::Instance;
use crate::common::port::free_port;
use crate::common::run::{Said, run};
use crate::common::until::until;

/// The instance and its engine.
pub(crate) struct Stage {
    pub(crate) instance: Instance,
    /// Where its engine is, when that is not the machine's.
    host: Option<String>,
}

impl std::ops::Deref for Stage {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

impl std::ops::DerefMut for Stage {
    fn deref_mut(&mut self) -> &mut Instance {
        &mut self.instance
    }
}

impl Stage {
    /// A server, and no image yet.
    #[track_caller]
    pub(crate) fn bare(flags: &[&str]) -> Self {
        Self { instance: Instance::start(flags), host: None }
    }

    /// A server with `demo/app` of these versions.
    #[track_caller]
    pub(crate) fn with_versions(versions: &[&str]) -> Self {
        let it = Self::bare(&[]);
        it.fill(versions);
        it
    }

    /// On another engine.
    pub(crate) fn around(instance: Instance, host: Option<&str>) -> Self {
        Self { instance, host: host.map(str::to_owned) }
    }

    /// Creates `demo/app` and pushes these versions to it.
    #[track_caller]
    pub(crate) fn fill(&self, versions: &[&str]) {
        self.l0(&["repository", "create", "demo/app"]).ok();
        self.login().ok();
        for version in versions {
            let image = self.import("demo/app", version);
            self.docker(&["push", &image]).ok();
            // What a service runs then was pulled by Layer0, not built here.
            self.docker(&["rmi", &image]).ok();
        }
    }

    /// The docker client signs in, with a configuration of the instance's own.
    #[track_caller]
    pub(crate) fn login(&self) -> Said {
        let (user, secret) = self.user_and_secret();
        let mut command = self.docker_command(&["login", "--username", &user, "--password-stdin", &self.address()]);
        run(&mut command, secret.as_bytes())
    }

    /// Makes the image `localhost:PORT/repository:version` on the engine; its content differs from every other image's.
    #[track_caller]
    pub(crate) fn import(&self, repository: &str, version: &str) -> String {
        let image = format!("{}/{repository}:{version}", self.address());
        let (entry, version) = ("ENTRYPOINT [\"/tool\"]", format!("ENV VERSION={version} OF={}", self.name));
        let mut command = self.docker_command(&["import", "--change", entry, "--change", &version]);
        run(command.arg(archive()).arg(&image), b"").ok();
        image
    }

    /// An image of the test program that is on the engine, for containers that the test makes by itself.
    #[track_caller]
    pub(crate) fn any_image(&self) -> String {
        self.import("by-hand/tool", "v0")
    }

    /// The docker client, on this engine and with a configuration of its own.
    pub(crate) fn docker_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("docker");
        if let Some(host) = &self.host {
            command.env("DOCKER_HOST", host);
        }
        command.args(arguments);
        command
    }

    /// Runs the docker client.
    #[track_caller]
    pub(crate) fn docker(&self, arguments: &[&str]) -> Said {
        run(&mut self.docker_command(arguments), b"")
    }

    /// The value of the label `layer0.instance` on what this instance made, and on nothing else.
    pub(crate) fn label(&self) -> Option<String> {
        for list in [&["ps", "--all"][..], &["network", "ls"], &["volume", "ls"]] {
            let format = ["--filter", "label=layer0.instance", "--format", "{{.Label \"layer0.instance\"}}"];
            let said = self.docker(&[list, &format].concat());
            if let Some(label) = said.out.lines().find(|label| label.starts_with(&format!("{}-", self.name))) {
                return Some(label.to_owned());
            }
        }
        None
    }

    /// The containers of this instance, by id.
    #[track_caller]
    pub(crate) fn containers(&self) -> BTreeMap<String, Value> {
        let Some(label) = self.label() else { return BTreeMap::new() };
        let ids = self
            .docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &format!("label=layer0.instance={label}")])
            .ok();
        let ids: Vec<&str> = ids.out.lines().collect();
        if ids.is_empty() {
            return BTreeMap::new();
        }
        // One may go between the two calls: what is said of the others counts.
        let said = self.docker(&[&["inspect", "--type", "container"], &ids[..]].concat());
        let list: Vec<Value> = serde_json::from_str(&said.out).unwrap_or_default();
        list.into_iter().map(|one| (one["Id"].as_str().expect("an id").to_owned(), one)).collect()
    }

    /// Those of a service or task that do its work, running or not.
    #[track_caller]
    pub(crate) fn copies(&self, name: &str) -> BTreeMap<String, Value> {
        let mut all = self.containers();
        all.retain(|_, one| {
            one["Config"]["Labels"]["layer0.name"] == name && one["Config"]["Labels"]["layer0.role"] == "app"
        });
        all
    }

    /// When each running container of a service was started, by id.
    #[track_caller]
    pub(crate) fn started(&self, name: &str) -> BTreeMap<String, String> {
        let running = self.copies(name).into_iter().filter(|(_, one)| one["State"]["Running"] == true);
        running.map(|(id, one)| (id, one["State"]["StartedAt"].as_str().expect("a time").to_owned())).collect()
    }

    /// Creates a deploy of one container `app` that does these steps. `more` goes into the container's definition.
    #[track_caller]
    pub(crate) fn deploy(&self, name: &str, version: &str, steps: &[&str], more: &Value) -> Said {
        self.deploy_of(name, json!({ "containerDefinitions": [container("app", version, steps, more)] }))
    }

    /// Creates a deploy of a whole document.
    #[track_caller]
    pub(crate) fn deploy_of(&self, name: &str, document: Value) -> Said {
        let path = self.file("Dockerrun.aws.json", document.to_string());
        self.l0(&["deploy", "create", &path, name]).ok()
    }

    /// Creates a load balancer `name` that checks `/health` every second, and gives its port.
    #[track_caller]
    pub(crate) fn balancer(&self, environment: &str, name: &str, more: &[&str]) -> u16 {
        let port = free_port();
        let listener = format!("{port}:8080/http");
        let check = ["--healthcheck-path", "/health", "--healthcheck-interval", "1", "--healthcheck-timeout", "1"];
        self.l0(&[&["loadbalancer", "create", environment, name, "--port", &listener], &check[..], more].concat()).ok();
        port
    }

    /// The only service of this name.
    #[track_caller]
    pub(crate) fn service(&self, name: &str) -> Value {
        self.one(&["service", "get", name])
    }

    /// Waits until exactly this many copies of a service run. A failed copy may be kept beside them, for its logs.
    #[track_caller]
    pub(crate) fn settled(&self, name: &str, count: usize) {
        until(&format!("{count} running copies of {name}"), || match self.started(name).len() {
            running if running == count => Ok(()),
            running => Err(format!("{running} run")),
        });
    }

    /// Fetches through a load balancer's own URL, from this machine.
    #[track_caller]
    pub(crate) fn page(&self, balancer: &str) -> String {
        let host = self.host_of(balancer);
        let answer = until(&format!("a page from {host}"), || {
            http::get(&host, "/")
                .and_then(|answer| if answer.status == 200 { Ok(answer) } else { Err(format!("{answer:?}")) })
        });
        answer.body
    }

    /// `host:port` of a load balancer's URL.
    #[track_caller]
    pub(crate) fn host_of(&self, balancer: &str) -> String {
        until("the load balancer to have its URL", || {
            let one = self.one(&["loadbalancer", "get", balancer]);
            let url = one["url"].as_str().unwrap_or_default();
            let host = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
            if host.is_empty() { Err(one.to_string()) } else { Ok(host) }
        })
    }

    /// The addresses of a service's copies in their environment, `host:port`.
    #[track_caller]
    pub(crate) fn addresses(&self, name: &str, port: u16) -> Vec<String> {
        self.network_addresses(name, port, |network| !network.starts_with("l0-link-"))
    }

    /// The addresses of a service's copies in the networks of links, `host:port`.
    #[track_caller]
    pub(crate) fn link_addresses(&self, name: &str, port: u16) -> Vec<String> {
        self.network_addresses(name, port, |network| network.starts_with("l0-link-"))
    }

    fn network_addresses(&self, name: &str, port: u16, which: impl Fn(&str) -> bool) -> Vec<String> {
        // A copy's address is that of whichever of its containers has a network: the app or its pause container.
        let containers = self.containers();
        let of_name = containers.values().filter(|one| one["Config"]["Labels"]["layer0.name"] == name);
        let networks = of_name.filter_map(|one| one["NetworkSettings"]["Networks"].as_object());
        let own = networks.flat_map(|all| all.iter().filter(|(name, _)| which(name)).map(|(_, one)| one));
        let addresses = own.filter_map(|one| one["IPAddress"].as_str()).filter(|address| !address.is_empty());
        addresses.map(|address| format!("{address}:{port}")).collect()
    }
}

/// A container's definition: an image of `demo/app`, named as a user names it.
pub(crate) fn container(name: &str, version: &str, steps: &[&str], more: &Value) -> Value {
    let mut one = json!({
        "name": name,
        "image": format!("registry.layer0.test/demo/app:{version}"),
        "memory": 32,
        "essential": true,
        "command": steps,
        "portMappings": [{ "containerPort": 8080 }],
        "stopTimeout": 2,
    });
    if let (Some(one), Some(more)) = (one.as_object_mut(), more.as_object()) {
        one.extend(more.clone());
    }
    one
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.instance.server_end();
        if let Some(label) = self.label() {
            let filter = format!("label=layer0.instance={label}");
            for (list, remove) in [
                (vec!["ps", "--all", "--quiet", "--filter", &filter], vec!["rm", "--force", "--volumes"]),
                (vec!["network", "ls", "--quiet", "--filter", &filter], vec!["network", "rm"]),
                (vec!["volume", "ls", "--quiet", "--filter", &filter], vec!["volume", "rm"]),
            ] {
                let ids = self.docker(&list).out;
                let ids: Vec<&str> = ids.lines().collect();
                if !ids.is_empty() {
                    self.docker(&[remove, ids].concat());
                }
            }
        }
        let images = self.docker(&["images", "--all", "--format", "{{.Repository}} {{.ID}}"]).out;
        let own = format!("{}/", self.address());
        let mut ids: Vec<&str> =
            images.lines().filter(|line| line.starts_with(&own)).filter_map(|line| line.split(' ').nth(1)).collect();
        ids.sort_unstable();
        ids.dedup();
        if !ids.is_empty() {
            self.docker(&[&["rmi", "--force"], &ids[..]].concat());
        }
    }
}
