//! A server with two repositories, and clients that have nothing but what a test gives them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::instance::Instance;
use crate::common::run::{Said, run};

/// Where `scripts/clients.sh` put the clients.
const CLIENTS: &str = "LAYER0_GO_CLIENTS";

/// How every push into a repository that is not there ends.
pub(crate) const CREATE_IT: &str = "repository demo/new does not exist; create it: l0 repository create demo/new";

/// How a push of too large a manifest ends.
pub(crate) const TOO_LARGE: &str = "the manifest has more than 4194304 bytes";

/// How a server asks its clients to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    Basic,
    Bearer,
}

impl Asks {
    /// How a server that asks so refuses a wrong secret.
    pub(crate) fn refusal(self) -> &'static str {
        match self {
            Asks::Basic => "this user and password or token are not good here",
            Asks::Bearer => "no valid user and token were given; `l0 token create` makes a token",
        }
    }
}

/// Where a program is that was built.
pub(crate) fn program(name: &str) -> PathBuf {
    let clients = std::env::var_os(CLIENTS)
        .map(PathBuf::from)
        .unwrap_or_else(|| panic!("{CLIENTS} does not say where the Go clients are; `make clients` builds them"));
    let program = clients.join(name);
    assert!(program.is_file(), "{} is missing; `make clients` builds it", program.display());
    program
}

/// The server and the surroundings of its clients.
pub(crate) struct Place {
    pub(crate) instance: Instance,
}

impl std::ops::Deref for Place {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

impl Place {
    /// A server with `demo/app` and `demo/other`. No client is signed in.
    pub(crate) fn new(asks: Asks) -> Self {
        let challenge = match asks {
            Asks::Basic => "basic",
            Asks::Bearer => "bearer",
        };
        let instance = Instance::start(&[
            "--engine",
            "fake",
            "--registry-challenge",
            challenge,
            // Each request is looked for there.
            "--log",
            "info,layer0_server=debug",
        ]);
        for repository in ["demo/app", "demo/other"] {
            instance.l0(&["repository", "create", repository]).ok();
        }
        Self { instance }
    }

    /// `localhost:PORT/rest`.
    pub(crate) fn at(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address())
    }

    /// A client that is to be run.
    pub(crate) fn client(&self, program: &str, arguments: &[&str]) -> Command {
        let program = self::program(program);
        let mut command = self.command(program.to_str().expect("a path in text"));
        command.args(arguments);
        command
    }

    /// Runs a client.
    pub(crate) fn runs(&self, program: &str, arguments: &[&str]) -> Said {
        run(&mut self.client(program, arguments), b"")
    }

    /// Runs a client with this on its standard input.
    pub(crate) fn runs_with(&self, program: &str, arguments: &[&str], input: &[u8]) -> Said {
        run(&mut self.client(program, arguments), input)
    }

    /// Signs all clients in: they read docker's file.
    pub(crate) fn signs_in(&self) {
        let (user, secret) = self.user_and_secret();
        self.runs("crane", &["auth", "login", &self.address(), "--username", &user, "--password", &secret]).ok();
    }

    /// Pushes an image with one file for each platform, and an index of both: `demo/app:amd64`, `:arm64`, `:both`.
    pub(crate) fn fill(&self) {
        let file = self.file("hello.txt", format!("hello from {}", self.name));
        let layer = self.path("layer.tar");
        let layer = layer.to_str().expect("a path in text");
        run(self.command("tar").args(["-cf", layer, "hello.txt"]), b"").ok();
        assert!(Path::new(&file).is_file());
        let plain = self.at("demo/app:plain");
        self.runs("crane", &["append", "--new_layer", layer, "--new_tag", &plain]).ok();
        let mut index = vec!["index".to_owned(), "append".to_owned()];
        for architecture in ["amd64", "arm64"] {
            let (platform, to) = (format!("linux/{architecture}"), self.at(&format!("demo/app:{architecture}")));
            self.runs("crane", &["mutate", &plain, "--set-platform", &platform, "--tag", &to]).ok();
            index.extend(["--manifest".to_owned(), to]);
        }
        index.extend(["--tag".to_owned(), self.at("demo/app:both")]);
        self.runs("crane", &index.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    }

    /// The digest of an image.
    pub(crate) fn digest(&self, image: &str) -> String {
        self.runs("crane", &["digest", &self.at(image)]).ok().out.trim().to_owned()
    }
}

/// A client failed, and said why.
#[track_caller]
pub(crate) fn refused(said: Said, words: &str) {
    assert_ne!(said.code, Some(0), "{}", said.all());
    said.says(words);
}

/// Bytes that do not compress, and differ by `seed`.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let words =
        (0_u64..).flat_map(|word| (word ^ seed.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    words.take(length).collect()
}
