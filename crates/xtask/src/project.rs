//! What the checks look at: the work tree's files and what Cargo knows of the packages.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// The work tree.
#[derive(Debug)]
pub(crate) struct Project {
    /// The directory of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    files: OnceCell<Vec<String>>,
    packages: OnceCell<Packages>,
}

impl Project {
    /// Finds the work tree that this program was built from.
    pub(crate) fn load() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .context("crates/xtask lies two levels below the root")?
            .to_owned();
        Ok(Self { root, files: OnceCell::new(), packages: OnceCell::new() })
    }

    /// Every file that is tracked, or would be if it were added: relative to the root, with `/`, sorted.
    pub(crate) fn files(&self) -> Result<&[String]> {
        if let Some(files) = self.files.get() {
            return Ok(files);
        }
        let listed = output(
            Command::new("git")
                .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
                .current_dir(&self.root),
        )?;
        let files: BTreeSet<&str> = listed.split('\0').filter(|name| !name.is_empty()).collect();
        let files = files.into_iter().filter(|name| self.root.join(name).is_file()).map(str::to_owned).collect();
        Ok(self.files.get_or_init(|| files))
    }

    /// The text of one of [`Project::files`]; `None` when it is no UTF-8.
    pub(crate) fn text(&self, file: &str) -> Result<Option<String>> {
        let bytes = fs::read(self.root.join(file)).with_context(|| format!("reading {file}"))?;
        Ok(String::from_utf8(bytes).ok())
    }

    /// The packages of the workspace and all they need on this platform.
    pub(crate) fn packages(&self) -> Result<&Packages> {
        if let Some(packages) = self.packages.get() {
            return Ok(packages);
        }
        let version = output(Command::new("rustc").arg("-vV"))?;
        let host =
            version.lines().find_map(|line| line.strip_prefix("host: ")).context("`rustc -vV` names its host")?;
        let json = output(
            Command::new(env!("CARGO"))
                .args(["metadata", "--format-version=1", "--locked"])
                .args(["--filter-platform", host])
                .current_dir(&self.root),
        )?;
        let packages = Packages::parse(&json)?;
        Ok(self.packages.get_or_init(|| packages))
    }

    /// A command that will run at the root. Of what `cargo xtask` has told this program about its package it hears nothing: the
    /// build of `ring` takes that for its own, and would begin anew, and with it whatever is signed or encrypted.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        for (name, _) in std::env::vars_os() {
            if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|told| name.to_string_lossy().starts_with(told)) {
                command.env_remove(name);
            }
        }
        command
    }
}

/// Runs a command and gives its stdout.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let out = command.output().with_context(|| format!("running {}", command.get_program().display()))?;
    if !out.status.success() {
        bail!("{} failed: {}", command.get_program().display(), String::from_utf8_lossy(&out.stderr).trim());
    }
    String::from_utf8(out.stdout).context("its output is text")
}

/// What `cargo metadata` says.
#[derive(Debug)]
pub(crate) struct Packages {
    by_id: BTreeMap<String, Package>,
    members: BTreeSet<String>,
    edges: BTreeMap<String, Vec<Edge>>,
}

/// One package, of the workspace or from outside.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// Its name, as in a `Cargo.toml`.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Its licence as an SPDX expression, when it names one.
    pub(crate) license: Option<String>,
    id: String,
}

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// The library or program itself, or its build script.
    Normal,
    /// Only its tests, examples and benches.
    Dev,
}

#[derive(Debug)]
struct Edge {
    to: String,
    needs: BTreeSet<Need>,
}

impl Packages {
    fn parse(json: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Metadata {
            packages: Vec<Package>,
            workspace_members: BTreeSet<String>,
            resolve: Resolve,
        }
        #[derive(Deserialize)]
        struct Resolve {
            nodes: Vec<Node>,
        }
        #[derive(Deserialize)]
        struct Node {
            id: String,
            deps: Vec<Dep>,
        }
        #[derive(Deserialize)]
        struct Dep {
            pkg: String,
            dep_kinds: Vec<DepKind>,
        }
        #[derive(Deserialize)]
        struct DepKind {
            kind: Option<String>,
        }

        let metadata: Metadata = serde_json::from_str(json).context("reading `cargo metadata`")?;
        let edges = metadata.resolve.nodes.into_iter().map(|node| {
            let edges = node.deps.into_iter().map(|dep| Edge {
                to: dep.pkg,
                needs: dep
                    .dep_kinds
                    .iter()
                    .map(|kind| match kind.kind.as_deref() {
                        Some("dev") => Need::Dev,
                        _ => Need::Normal,
                    })
                    .collect(),
            });
            (node.id, edges.collect())
        });
        Ok(Self {
            edges: edges.collect(),
            members: metadata.workspace_members,
            by_id: metadata.packages.into_iter().map(|package| (package.id.clone(), package)).collect(),
        })
    }

    /// The packages of this workspace, by id.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.members.iter().filter_map(|id| self.by_id.get(id))
    }

    /// The packages from outside.
    pub(crate) fn outside(&self) -> impl Iterator<Item = &Package> {
        self.by_id.values().filter(|package| !self.members.contains(&package.id))
    }

    /// The packages that one names in its `Cargo.toml`, and for what.
    pub(crate) fn direct<'a>(&'a self, from: &Package) -> Vec<(&'a Package, &'a BTreeSet<Need>)> {
        self.edges
            .get(&from.id)
            .into_iter()
            .flatten()
            .filter_map(|edge| Some((self.by_id.get(&edge.to)?, &edge.needs)))
            .collect()
    }

    /// The shortest way from a package to one of another name, over normal dependencies: both ends and all between.
    pub(crate) fn path<'a>(&'a self, from: &'a Package, to: &str) -> Option<Vec<&'a str>> {
        let mut ways = std::collections::VecDeque::from([vec![from]]);
        let mut seen = BTreeSet::from([from.id.as_str()]);
        while let Some(way) = ways.pop_front() {
            let last = *way.last()?;
            for (next, needs) in self.direct(last) {
                if !needs.contains(&Need::Normal) || !seen.insert(next.id.as_str()) {
                    continue;
                }
                let mut longer = way.clone();
                longer.push(next);
                if next.name == to {
                    return Some(longer.iter().map(|package| package.name.as_str()).collect());
                }
                ways.push_back(longer);
            }
        }
        None
    }

    /// For tests: packages `(name, version, licence)` and edges `(from, to, dev)`, all of them members.
    #[cfg(test)]
    pub(crate) fn of(packages: &[(&str, &str, &str)], edges: &[(&str, &str, bool)]) -> Self {
        let nodes: Vec<_> = packages
            .iter()
            .map(|(name, ..)| {
                let deps: Vec<_> = edges
                    .iter()
                    .filter(|(from, ..)| from == name)
                    .map(|(_, to, dev)| {
                        let kind = if *dev { Some("dev") } else { None };
                        serde_json::json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] })
                    })
                    .collect();
                serde_json::json!({ "id": name, "deps": deps })
            })
            .collect();
        let listed: Vec<_> = packages
            .iter()
            .map(|(name, version, license)| {
                serde_json::json!({ "id": name, "name": name, "version": version, "license": license })
            })
            .collect();
        let members: Vec<_> = packages.iter().map(|(name, ..)| name).collect();
        let json = serde_json::json!({
            "packages": listed, "workspace_members": members, "resolve": { "nodes": nodes }
        });
        Self::parse(&json.to_string()).expect("the shape of `cargo metadata`")
    }
}
