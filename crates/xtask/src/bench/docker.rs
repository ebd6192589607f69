//! The Docker engine, asked over its socket: what the bench compares with, and what it must remove again. Its command-line
//! client is used only where that is what is measured.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::http::{Answer, Http};
use super::stats;

/// The label under which Layer0 puts all that belongs to one instance.
const INSTANCE: &str = "layer0.instance";

/// A container, as far as the bench cares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) started_at: String,
    /// In its first network.
    pub(crate) address: String,
}

/// The engine's socket. Each call has a connection of its own: they are few.
#[derive(Debug, Clone)]
pub(crate) struct Docker {
    pub(crate) socket: PathBuf,
}

impl Docker {
    /// The socket that `DOCKER_HOST` names, or the usual one.
    pub(crate) fn find() -> Result<Self> {
        let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
        let Some(path) = host.strip_prefix("unix://") else {
            bail!("DOCKER_HOST is {host}: the bench needs a Docker engine on this machine, at a unix:// socket");
        };
        let docker = Self { socket: path.into() };
        docker.get("/_ping").or_else(|why| bail!("no Docker engine answers at {path}: {why:#}"))?;
        Ok(docker)
    }

    fn ask(&self, method: &str, path: &str) -> Result<Answer> {
        let mut http: Http<UnixStream> = Http::unix(&self.socket)?;
        http.ask(method, path, None).with_context(|| format!("{method} {path}"))
    }

    fn get(&self, path: &str) -> Result<Answer> {
        let answer = self.ask("GET", path)?;
        if answer.status != 200 {
            bail!("Docker answers GET {path} with {}: {}", answer.status, answer.text());
        }
        Ok(answer)
    }

    fn json(&self, path: &str) -> Result<Value> {
        serde_json::from_slice(&self.get(path)?.body).with_context(|| format!("reading {path}"))
    }

    /// The engine's version.
    pub(crate) fn version(&self) -> Result<String> {
        Ok(text(&self.json("/version")?["Version"]))
    }

    /// One container by id or name.
    pub(crate) fn container(&self, id: &str) -> Result<Container> {
        let it = self.json(&format!("/containers/{id}/json"))?;
        let networks = it["NetworkSettings"]["Networks"].as_object();
        let address = networks.and_then(|all| all.values().next()).map(|one| text(&one["IPAddress"]));
        Ok(Container {
            id: text(&it["Id"]),
            started_at: text(&it["State"]["StartedAt"]),
            address: address.unwrap_or_default(),
        })
    }

    /// The running containers of an instance, by id.
    pub(crate) fn running(&self, stem: &str) -> Result<BTreeMap<String, Container>> {
        let listed = self.labelled("/containers/json", stem)?;
        let mut all = BTreeMap::new();
        for one in listed {
            let container = self.container(&text(&one["Id"]))?;
            all.insert(container.id.clone(), container);
        }
        Ok(all)
    }

    /// Ids of the running containers of an instance: one call.
    pub(crate) fn running_ids(&self, stem: &str) -> Result<Vec<String>> {
        Ok(self.labelled("/containers/json", stem)?.iter().map(|one| text(&one["Id"])).collect())
    }

    fn labelled(&self, path: &str, stem: &str) -> Result<Vec<Value>> {
        let filters = format!("%7B%22label%22%3A%5B%22{INSTANCE}%22%5D%7D");
        let join = if path.contains('?') { '&' } else { '?' };
        let listed = self.json(&format!("{path}{join}filters={filters}"))?;
        let prefix = format!("{stem}-");
        let ours = |one: &&Value| one["Labels"][INSTANCE].as_str().is_some_and(|it| it.starts_with(&prefix));
        Ok(listed.as_array().map(|all| all.iter().filter(ours).cloned().collect()).unwrap_or_default())
    }

    /// Sends a container SIGKILL.
    pub(crate) fn kill(&self, id: &str) -> Result<()> {
        let answer = self.ask("POST", &format!("/containers/{id}/kill"))?;
        if answer.status != 204 {
            bail!("Docker did not kill a container: {}", answer.text());
        }
        Ok(())
    }

    /// Makes a network such as an environment has; it goes with the instance.
    pub(crate) fn network_create(&self, stem: &str, name: &str) -> Result<()> {
        let labels = serde_json::json!({ (INSTANCE): format!("{stem}-bench") });
        let body = serde_json::json!({ "Name": name, "Driver": "bridge", "Labels": labels }).to_string();
        let answer = Http::unix(&self.socket)?.ask("POST", "/networks/create", Some(&body))?;
        if answer.status != 201 {
            bail!("Docker made no network: {}", answer.text());
        }
        Ok(())
    }

    /// Removes a container, a network or an image; one that is gone already is none the worse.
    pub(crate) fn remove(&self, kind: &str, id: &str) -> Result<()> {
        let forced = if kind == "networks" { "" } else { "?force=1" };
        let answer = self.ask("DELETE", &format!("/{kind}/{id}{forced}"))?;
        match answer.status {
            200 | 204 | 404 => Ok(()),
            // It is being removed by another call.
            409 if kind == "containers" => Ok(()),
            status => bail!("Docker did not remove {kind}/{id}: {status} {}", answer.text()),
        }
    }

    /// Removes all that an instance made. The instance must not run any more.
    pub(crate) fn sweep(&self, stem: &str) -> Result<()> {
        let containers = self.labelled("/containers/json?all=1", stem)?;
        stats::in_parallel(4, containers.len(), |number| self.remove("containers", &text(&containers[number]["Id"])))?;
        for network in self.labelled("/networks", stem)? {
            self.remove("networks", &text(&network["Id"]))?;
        }
        Ok(())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
