//! Which crate may depend on which. The list is the design's; a crate that is not on it may not exist.

use anyhow::Result;

use super::Findings;
use crate::project::{Need, Package, Packages, Project};

/// A crate of the workspace, and those it may depend on.
struct Arrow {
    from: &'static str,
    /// For what is shipped.
    to: &'static [&'static str],
    /// For its tests, beyond `to` and the test kit.
    tests: &'static [&'static str],
}

/// The test kit. Nothing that is shipped may depend on it.
const TESTKIT: &str = "layer0-testkit";

/// The arrows.
const ARROWS: &[Arrow] = &[
    Arrow { from: "layer0-domain", to: &[], tests: &[] },
    Arrow { from: "layer0-aws", to: &["layer0-domain"], tests: &[] },
    Arrow { from: "layer0-store", to: &["layer0-domain"], tests: &[] },
    Arrow { from: "layer0-engine", to: &["layer0-domain", "layer0-aws"], tests: &[] },
    // Its tests push and pull with the real clients, over the store that is shipped.
    Arrow { from: "layer0-registry", to: &["layer0-domain"], tests: &["layer0-store"] },
    Arrow { from: "layer0-api", to: &["layer0-domain"], tests: &[] },
    Arrow { from: "layer0-setup", to: &["layer0-domain", "layer0-aws"], tests: &[] },
    Arrow {
        from: "layer0-server",
        to: &["layer0-domain", "layer0-store", "layer0-engine", "layer0-registry", "layer0-api"],
        tests: &[],
    },
    // An instance in an account is made by the command line itself: there is no server yet.
    Arrow { from: "layer0-cli", to: &["layer0-api", "layer0-setup"], tests: &[] },
    // Its tests drive the executable and look at the server through the typed client.
    Arrow { from: "l0", to: &["layer0-server", "layer0-cli"], tests: &["layer0-api"] },
    // Beyond the domain only for TestApp, which is behind a feature.
    Arrow {
        from: TESTKIT,
        to: &["layer0-domain", "layer0-server", "layer0-store", "layer0-engine", "layer0-api"],
        tests: &[],
    },
    Arrow { from: "xtask", to: &[], tests: &[] },
];

/// Crates from outside that one crate has for itself, so that what it hides stays hidden.
const OWNED: &[(&str, &str)] = &[("bollard", "layer0-engine"), ("rusqlite", "layer0-store")];

/// Crates that have a clock, randomness, files or sockets, to which no way may lead from the domain.
const CLOSED_TO_DOMAIN: &[&str] = &[
    "tokio",
    "mio",
    "socket2",
    "getrandom",
    "rand",
    "jiff",
    "chrono",
    "uuid",
    "hyper",
    "reqwest",
    "axum",
    "rusqlite",
    "bollard",
    "tempfile",
];

/// The parts of the domain that the API may not use: it knows ids and names only.
const CLOSED_TO_API: &[&str] = &["layer0_domain::plan", "layer0_domain::port", "layer0_domain::ops"];

/// Looks at `cargo metadata`, and at the sources of the API.
pub(crate) fn check(project: &Project) -> Result<Findings> {
    let mut findings = Findings::default();
    judge(project.packages()?, &mut findings);
    for file in project.files()? {
        if !file.starts_with("crates/api/src/") {
            continue;
        }
        let text = project.text(file)?.unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            if let Some(part) = CLOSED_TO_API.iter().find(|part| line.contains(**part)) {
                findings.broken(format!(
                    "{file}:{}: the API knows only the domain's ids and names, not `{part}`",
                    number + 1
                ));
            }
        }
    }
    Ok(findings)
}

fn judge(packages: &Packages, findings: &mut Findings) {
    for package in packages.members() {
        let Some(arrow) = ARROWS.iter().find(|arrow| arrow.from == package.name) else {
            findings.broken(format!("{}: a crate without arrows; a new one needs a reason of direction", package.name));
            continue;
        };
        judge_one(packages, package, arrow, findings);
        if package.name == "layer0-domain" {
            for closed in CLOSED_TO_DOMAIN {
                if let Some(way) = packages.path(package, closed) {
                    findings.broken(format!("{} (the domain may not reach `{closed}`)", way.join(" -> ")));
                }
            }
        }
    }
}

fn judge_one(packages: &Packages, package: &Package, arrow: &Arrow, findings: &mut Findings) {
    let internal = |name: &str| ARROWS.iter().any(|arrow| arrow.from == name);
    for (to, needs) in packages.direct(package) {
        let name = to.name.as_str();
        let owner = OWNED.iter().find(|(owned, _)| *owned == name);
        if needs.contains(&Need::Normal) {
            if internal(name) && !arrow.to.contains(&name) {
                let way = way_from_executable(packages, package, name);
                findings.broken(format!("{way} ({} may depend on: {})", arrow.from, or_nobody(arrow.to)));
            }
            if let Some((_, owner)) = owner.filter(|(_, owner)| *owner != package.name) {
                findings.broken(format!("{} -> {name} (only {owner} knows {name})", package.name));
            }
        }
        // A crate that names itself turns on one of its own features for its tests.
        let itself = name == package.name;
        let for_tests = itself || name == TESTKIT || arrow.to.contains(&name) || arrow.tests.contains(&name);
        if needs.contains(&Need::Dev) && internal(name) && !for_tests {
            findings.broken(format!(
                "{} -> {name} (a dev-dependency; its tests may use: {}, {TESTKIT})",
                package.name,
                or_nobody(arrow.to)
            ));
        }
    }
}

/// The path to show: from the executable through the crate that breaks the rule, where there is one.
fn way_from_executable(packages: &Packages, package: &Package, to: &str) -> String {
    let mut way = packages
        .members()
        .find(|member| member.name == "l0")
        .and_then(|executable| packages.path(executable, &package.name))
        .unwrap_or_else(|| vec![package.name.as_str()]);
    way.push(to);
    way.join(" -> ")
}

fn or_nobody(names: &[&str]) -> String {
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(names: &[&str], edges: &[(&str, &str, bool)]) -> Vec<String> {
        let packages: Vec<_> = names.iter().map(|name| (*name, "1.0.0", "MIT")).collect();
        let mut findings = Findings::default();
        // Outside crates are members here too; only the complaint that they have no arrow is left out.
        judge(&Packages::of(&packages, edges), &mut findings);
        findings.broken.into_iter().filter(|line| !line.contains("without arrows")).collect()
    }

    #[test]
    fn the_designs_own_arrows_are_kept() {
        let names: Vec<_> = ARROWS.iter().map(|arrow| arrow.from).collect();
        let mut edges = Vec::new();
        for arrow in ARROWS {
            edges.extend(arrow.to.iter().map(|to| (arrow.from, *to, false)));
            edges.push((arrow.from, TESTKIT, true));
        }
        assert_eq!(broken(&names, &edges), Vec::<String>::new());
    }

    #[test]
    fn a_forbidden_arrow_is_shown_with_its_path() {
        let found = broken(
            &["l0", "layer0-cli", "layer0-api", "layer0-domain"],
            &[("l0", "layer0-cli", false), ("layer0-cli", "layer0-domain", false)],
        );
        assert_eq!(found, ["l0 -> layer0-cli -> layer0-domain (layer0-cli may depend on: layer0-api, layer0-setup)"]);
    }

    #[test]
    fn nothing_shipped_depends_on_the_test_kit() {
        let found = broken(&["layer0-store", TESTKIT], &[("layer0-store", TESTKIT, false)]);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn the_domain_reaches_no_runtime_through_others() {
        let found = broken(
            &["layer0-domain", "futures", "tokio"],
            &[("layer0-domain", "futures", false), ("futures", "tokio", false)],
        );
        assert_eq!(found, ["layer0-domain -> futures -> tokio (the domain may not reach `tokio`)"]);
    }

    #[test]
    fn an_owned_crate_is_used_by_its_owner_only() {
        let names = ["layer0-server", "layer0-store", "rusqlite"];
        let found = broken(&names, &[("layer0-store", "rusqlite", false), ("layer0-server", "rusqlite", false)]);
        assert_eq!(found, ["layer0-server -> rusqlite (only layer0-store knows rusqlite)"]);
        assert!(broken(&names, &[("layer0-server", "rusqlite", true)]).is_empty(), "tests may");
    }
}
