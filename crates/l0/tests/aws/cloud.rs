//! The emulator, an image in its registry, and instances on it.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::common::archive::archive;
use crate::common::http::Connection;
use crate::common::instance::Instance;
use crate::common::run::{Said, run};

/// The network that ministack has from its start.
const VPC: &str = "vpc-00000001";
/// Its subnets.
const SUBNETS: &str = "subnet-00000001,subnet-00000002";

/// `host:port` of the emulator.
pub(crate) fn emulator() -> String {
    let url = std::env::var("LAYER0_TEST_MINISTACK").expect("LAYER0_TEST_MINISTACK is set by scripts/aws.sh");
    url.trim_start_matches("http://").trim_end_matches('/').to_owned()
}

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

/// The flags of a server on the emulator whose state is in the table.
pub(crate) fn flags(table: &str) -> Vec<String> {
    flags_by(&emulator(), table)
}

/// The same for one that reaches the emulator by way of `host:port`. Images are pulled from the emulator itself.
pub(crate) fn flags_by(way: &str, table: &str) -> Vec<String> {
    let map = format!("registry.example.com|{}", emulator());
    let endpoint = format!("http://{way}");
    let pairs = [
        ("--engine", "ecs"),
        ("--aws-region", "us-east-1"),
        ("--endpoint-url", &endpoint),
        ("--table", table),
        ("--aws-vpc", VPC),
        ("--aws-private-subnets", SUBNETS),
        ("--aws-public-subnets", SUBNETS),
        ("--aws-execution-role", "arn:aws:iam::123456789012:role/l0-execution"),
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
        let mut instance = Instance::prepared(&[]);
        let table = format!("layer0-{}", instance.name);
        instance.flags_add(&flags(&table));
        instance.server_start();
        let repository = format!("{}/app", instance.name);
        let it = Self { instance, repository };
        it.repository_create();
        for version in versions {
            it.push(version);
        }
        it
    }

    /// ECR makes no repository on a push.
    #[track_caller]
    fn repository_create(&self) {
        let headers = "X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.CreateRepository\r\n\
             Content-Type: application/x-amz-json-1.1\r\nConnection: close\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/ecr/aws4_request, SignedHeaders=host, Signature=0\r\n";
        let body = format!("{{\"repositoryName\": \"{}\"}}", self.repository);
        let mut connection = Connection::open(&emulator()).expect("the emulator listens");
        let answer = connection.request("POST", "/", headers, body.as_bytes()).expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
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
        let mut container = serde_json::json!({
            "name": name,
            "image": format!("registry.example.com/{}:{version}", self.repository),
            "command": steps,
        });
        if let Some(port) = port {
            container["portMappings"] = serde_json::json!([{ "containerPort": port }]);
        }
        let document = serde_json::json!({ "AWSEBDockerrunVersion": 2, "containerDefinitions": [container] });
        let file = self.file(&format!("{name}-{version}.json"), document.to_string());
        self.l0(&["deploy", "create", &file, name]).ok()
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
