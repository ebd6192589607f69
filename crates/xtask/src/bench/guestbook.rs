//! An instance with the guest book's image in its registry: what most rows run.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::Bench;
use super::instance::{Api, Engine, Instance};

/// An instance that runs, with an environment, a deploy and the image.
pub(crate) struct Guestbook {
    pub(crate) instance: Instance,
    pub(crate) api: Api,
    pub(crate) environment: String,
    pub(crate) deploy: String,
    /// The image as the Docker client names it.
    pub(crate) image: String,
}

/// The name of the environment that all of it runs in.
pub(crate) const ENVIRONMENT: &str = "bench";

impl Guestbook {
    /// Starts an instance, builds the image and pushes it with the real client.
    pub(crate) fn start(bench: &Bench) -> Result<Self> {
        let mut instance = bench.instance()?;
        instance.start(Engine::Docker)?;
        let registry = format!("localhost:{}", instance.address.port());
        let image = format!("{registry}/bench/guestbook:v1");
        let mut api = instance.api()?;
        let answer = api.ask("POST", "/repository/bench", Some(&json!({ "name": "guestbook" }).to_string()))?;
        if answer.status >= 300 {
            bail!("no repository was made: {}", answer.text());
        }
        run(Command::new(bench.root.join("scripts/guestbook-image.sh")).args(["v1", &image]))?;
        // The client's credentials go into a directory of the instance's, not into the user's.
        let credentials = json!({ "auths": { (registry): { "auth": instance.token()? } } });
        let settings = instance.dir.join("docker");
        fs::create_dir_all(&settings)?;
        fs::write(settings.join("config.json"), credentials.to_string())?;
        run(Command::new("docker").args(["push", "--quiet", &image]).env("DOCKER_CONFIG", &settings))?;

        let environment = api.environment(ENVIRONMENT)?;
        let deploy = api.deploy("guestbook", &container("Hello"))?;
        Ok(Self { instance, api, environment, deploy, image })
    }

    /// What makes a service of the guest book.
    pub(crate) fn service(&self, name: &str, load_balancer: &str, scale: usize) -> Value {
        json!({
            "service_name": name, "environment_id": self.environment, "deploy_id": self.deploy,
            "load_balancer_id": load_balancer, "scale": scale,
        })
    }

    /// Makes `count` services of one copy each and waits until all run; gives their ids.
    pub(crate) fn services(&mut self, count: usize, load_balancers: &[String]) -> Result<Vec<String>> {
        let mut made = Vec::new();
        for number in 0..count {
            let load_balancer = load_balancers.get(number).map_or("", String::as_str);
            made.push(self.api.create("/service", &self.service(&format!("web{number}"), load_balancer, 1))?);
        }
        let mut ids = Vec::new();
        for (id, operation) in made {
            self.api.succeeded(&operation.context("a service takes an operation")?)?;
            ids.push(id);
        }
        Ok(ids)
    }

    /// Containers of this instance that run.
    pub(crate) fn running(&self) -> Result<std::collections::BTreeMap<String, super::docker::Container>> {
        self.instance.docker.running(&self.instance.stem)
    }
}

impl Drop for Guestbook {
    fn drop(&mut self) {
        // Its containers go first, with the instance; then the tag can.
        drop(self.instance.kill());
        drop(self.instance.docker.sweep(&self.instance.stem));
        drop(self.instance.docker.remove("images", &self.image));
    }
}

/// The guest book's container; the greeting tells one deploy from the next.
pub(crate) fn container(greeting: &str) -> Value {
    json!({
        "name": "guestbook", "image": "registry.layer0.test/bench/guestbook:v1", "essential": true,
        "memory": 64, "stopTimeout": 10, "portMappings": [{ "containerPort": 8080 }],
        "environment": [{ "name": "GREETING", "value": greeting }],
    })
}

/// A health check by HTTP, every second.
pub(crate) fn quick_check() -> Value {
    json!({ "path": "/health", "interval": 1, "timeout": 1, "healthy_threshold": 2, "unhealthy_threshold": 2 })
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let name = Path::new(command.get_program()).display().to_string();
    let output = command.output().with_context(|| format!("running {name}"))?;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
