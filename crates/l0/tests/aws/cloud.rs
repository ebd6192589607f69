//! The emulator, an image in its registry, and instances on it.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::common::archive::archive;
use crate::common::http::Connection;
use crate::common::instance::Instance;
use crate::common::run::{Said, run};
use crate::emulator::{Network, emulator, execution_role, repository_create};
use crate::script::Place;

/// The network that ministack has from its start.
const VPC: &str = "vpc-00000001";
/// Its subnets.
const SUBNETS: &str = "subnet-00000001,subnet-00000002";

/// An instance on the emulator, with an image of its own in the emulator's registry.
pub(crate) struct Cloud {
    pub(crate) instance: Instance,
    repository: String,
}

impl std::ops::Deref for Cloud {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

impl std::ops::DerefMut for Cloud {
    fn deref_mut(&mut self) -> &mut Instance {
        &mut self.instance
    }
}

impl Place for Cloud {
    fn instance(&self) -> &Instance {
        &self.instance
    }
}

/// The flags of a server on the emulator whose state is in the table, in the network that the emulator has from its start.
pub(crate) fn flags(table: &str) -> Vec<String> {
    flags_by(&emulator(), table)
}

/// The same for one that reaches the emulator by way of `host:port`. Images are pulled from the emulator itself.
pub(crate) fn flags_by(way: &str, table: &str) -> Vec<String> {
    let network = Network { vpc: VPC.to_owned(), subnets: SUBNETS.to_owned() };
    flags_in(way, table, &network, "arn:aws:iam::123456789012:role/l0-execution", &[])
}

fn flags_in(way: &str, table: &str, network: &Network, role: &str, rules: &[String]) -> Vec<String> {
    let map = [&[format!("registry.example.com|{}", emulator())], rules].concat().join(",");
    let endpoint = format!("http://{way}");
    let pairs = [
        ("--engine", "ecs"),
        ("--aws-region", "us-east-1"),
        ("--endpoint-url", &endpoint),
        ("--table", table),
        ("--aws-vpc", &network.vpc),
        ("--aws-private-subnets", &network.subnets),
        ("--aws-public-subnets", &network.subnets),
        ("--aws-execution-role", role),
        ("--image-map", &map),
    ];
    pairs.iter().flat_map(|(flag, value)| [(*flag).to_owned(), (*value).to_owned()]).collect()
}

impl Cloud {
    /// A server, and `VERSION`s of an image in the registry of the emulator.
    #[track_caller]
    pub(crate) fn with_versions(versions: &[&str]) -> Self {
        Self::with_flags(versions, flags)
    }

    /// The same, with other flags for a server with a table.
    #[track_caller]
    pub(crate) fn with_flags(versions: &[&str], flags: impl FnOnce(&str) -> Vec<String>) -> Self {
        let instance = Instance::prepared(&[]);
        let flags = flags(&format!("layer0-{}", instance.name));
        let it = Self::started(instance, &flags, "app");
        it.fill(versions);
        it
    }

    /// As [`with_versions`](Self::with_versions), in a network and with a role that stand up to the pull check.
    #[track_caller]
    pub(crate) fn checked(versions: &[&str]) -> Self {
        let it = Self::of("app");
        it.fill(versions);
        it
    }

    /// As [`checked`](Self::checked), with a repository of this name, and no image in it yet. What is written as
    /// `registry.layer0.test/NAME` lies there.
    #[track_caller]
    pub(crate) fn of(repository: &str) -> Self {
        let instance = Instance::prepared(&[]);
        let role = execution_role(&format!("{}-execution", instance.name));
        let rule = format!("registry.layer0.test|{}/{}", emulator(), instance.name);
        let mut flags = flags_in(&emulator(), &format!("layer0-{}", instance.name), &Network::create(), &role, &[rule]);
        flags.push("--aws-public-ip".to_owned());
        flags.extend(["--account-grants", "on"].map(str::to_owned));
        Self::started(instance, &flags, repository)
    }

    /// As [`checked`](Self::checked), with a registry of its own that keeps its images in the emulator's, under the instance's
    /// name, and no repository yet. `repository` is the one that the test is about.
    #[track_caller]
    pub(crate) fn with_registry(repository: &str) -> Self {
        Self::with_registry_by(&emulator(), repository)
    }

    /// The same for a server that reaches the emulator by way of `host:port`.
    #[track_caller]
    pub(crate) fn with_registry_by(way: &str, repository: &str) -> Self {
        let mut instance = Instance::prepared(&[]);
        let role = execution_role(&format!("{}-execution", instance.name));
        let mut flags = flags_in(way, &format!("layer0-{}", instance.name), &Network::create(), &role, &[]);
        let more = ["--registry-backing", "ecr", "--ecr-prefix", &instance.name, "--ecr-host", &emulator()];
        flags.extend(more.map(str::to_owned));
        flags.push("--aws-public-ip".to_owned());
        instance.flags_add(&flags);
        instance.server_start();
        let repository = format!("{}/{repository}", instance.name);
        Self { instance, repository }
    }

    #[track_caller]
    fn started(mut instance: Instance, flags: &[String], repository: &str) -> Self {
        instance.flags_add(flags);
        instance.server_start();
        let repository = format!("{}/{repository}", instance.name);
        repository_create(&repository);
        Self { instance, repository }
    }

    #[track_caller]
    fn fill(&self, versions: &[&str]) {
        for version in versions {
            self.push(version);
        }
    }

    #[track_caller]
    fn push(&self, version: &str) {
        let image = self.image(version);
        let (entry, version) = ("ENTRYPOINT [\"/tool\"]", format!("ENV VERSION={version} OF={}", self.name));
        let mut import = self.command("docker");
        import.args(["import", "--change", entry, "--change", &version]);
        run(import.arg(archive()).arg(&image), b"").ok();
        run(self.command("docker").args(["push", "--quiet", &image]), b"").ok();
    }

    /// Where a version of the image really lies.
    pub(crate) fn image(&self, version: &str) -> String {
        format!("{}/{}:{version}", emulator(), self.repository)
    }

    /// Makes a deploy of one container that does these steps, by the image's friendly name.
    #[track_caller]
    pub(crate) fn deploy(&self, name: &str, version: &str, steps: &[&str], port: Option<u16>) -> Said {
        let file = self.document(&format!("{name}-{version}.json"), name, version, steps, port);
        self.l0(&["deploy", "create", &file, name]).ok()
    }

    /// Writes the task definition of one container that does these steps.
    pub(crate) fn document(&self, file: &str, name: &str, version: &str, steps: &[&str], port: Option<u16>) -> String {
        let mut container = serde_json::json!({
            "name": name,
            "image": format!("registry.example.com/{}:{version}", self.repository),
            "command": steps,
        });
        if let Some(port) = port {
            container["portMappings"] = serde_json::json!([{ "containerPort": port }]);
        }
        let document = serde_json::json!({ "AWSEBDockerrunVersion": 2, "containerDefinitions": [container] });
        self.file(file, document.to_string())
    }

    /// The containers that really run with images of this instance, by id.
    #[track_caller]
    pub(crate) fn containers(&self) -> BTreeSet<String> {
        let said = run(Command::new("docker").args(["ps", "--no-trunc", "--format", "{{.ID}} {{.Image}}"]), b"").ok();
        let ours = format!("{}/{}", emulator(), self.repository);
        let lines = said.out.lines().filter_map(|line| line.split_once(' '));
        lines.filter(|(_, image)| image.starts_with(&ours)).map(|(id, _)| id.to_owned()).collect()
    }

    /// A page by way of a load balancer: the emulator tells them apart by the host that is asked for.
    pub(crate) fn page(&self, balancer: &Value) -> Result<String, String> {
        let host = balancer["url"].as_str().unwrap_or_default();
        let host = host.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let mut connection = Connection::open_as(&emulator(), &host)?;
        let answer = connection.request("GET", "/", "Connection: close\r\n", b"")?;
        if answer.status == 200 { Ok(answer.body) } else { Err(format!("{answer:?}")) }
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.instance.server_end();
        for id in self.containers() {
            drop(run(Command::new("docker").args(["rm", "--force", &id]), b""));
        }
        let listed = run(Command::new("docker").args(["images", "--format", "{{.Repository}}:{{.Tag}}"]), b"");
        let ours = format!("{}/{}", emulator(), self.repository);
        for image in listed.out.lines().filter(|image| image.starts_with(&ours)) {
            drop(run(Command::new("docker").args(["rmi", "--force", image]), b""));
        }
    }
}
