//! The settings of Docker and Podman that say who answers for a registry: `credHelpers` in their JSON files.
//!
//! The files belong to other programs and to people. What is changed is one member; all other members stay as they are
//! written, in their order. What can't be understood is left alone and named.
//!
//! Docker reads `$DOCKER_CONFIG/config.json`. Podman, skopeo and buildah read it too, after their own files (`auth.json`),
//! and take the first that has anything for a host (containers/image, `pkg/docker/config`, since 5.22; Podman since 4.2).
//! In each file a helper counts before a password. So Docker's file serves all of them, and theirs are touched only where
//! an entry of theirs would win.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::CliError;
use crate::file;
use crate::settings::set;

/// The member that names helpers by host.
const HELPERS: &str = "credHelpers";

/// The members of an object as they are written, in their order.
#[derive(Default)]
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl Members {
    /// The last member of a name is the one that counts, as for the programs that read the file.
    fn find(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), serde_json::Error> {
        let value = RawValue::from_string(value)?;
        match self.0.iter_mut().rev().find(|(known, _)| known == name) {
            Some(member) => member.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }

    /// As Docker writes it, with a tab for each level.
    fn text(&self, level: usize) -> String {
        if self.0.is_empty() {
            return "{}".to_owned();
        }
        let indent = "\t".repeat(level + 1);
        let member = |(name, value): &(String, Box<RawValue>)| {
            format!("{indent}{}: {}", serde_json::Value::from(name.as_str()), value.get())
        };
        let members: Vec<String> = self.0.iter().map(member).collect();
        format!("{{\n{}\n{}}}", members.join(",\n"), "\t".repeat(level))
    }
}

/// What is to be so for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Helper<'a> {
    /// This helper answers.
    Is(&'a str),
    /// This helper does not answer any more; another one stays.
    IsNot(&'a str),
}

/// The file with the helper of a host set or removed; `None` when it is so already.
fn edited(text: &str, host: &str, helper: Helper<'_>) -> Result<Option<String>, serde_json::Error> {
    // Docker takes an empty file for one that is not there.
    let mut whole: Members = if text.trim().is_empty() { Members::default() } else { serde_json::from_str(text)? };
    let mut helpers: Members = match whole.find(HELPERS) {
        Some(raw) if raw.get() != "null" => serde_json::from_str(raw.get())?,
        _ => Members::default(),
    };
    let now: Option<String> = helpers.find(host).map(|raw| serde_json::from_str(raw.get())).transpose()?;
    match helper {
        Helper::Is(name) if now.as_deref() == Some(name) => return Ok(None),
        Helper::Is(name) => helpers.set(host, serde_json::Value::from(name).to_string())?,
        Helper::IsNot(name) if now.as_deref() == Some(name) => helpers.remove(host),
        Helper::IsNot(_) => return Ok(None),
    }
    if helpers.0.is_empty() {
        whole.remove(HELPERS);
    } else {
        whole.set(HELPERS, helpers.text(1))?;
    }
    Ok(Some(format!("{}\n", whole.text(0))))
}

/// The parts of a file that we look at.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    #[serde(default)]
    auths: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(default)]
    cred_helpers: Option<BTreeMap<String, String>>,
    #[serde(default)]
    creds_store: Option<String>,
}

fn seen(path: &Path) -> Result<Seen, CliError> {
    match file::read(path)? {
        Some(text) if !text.trim().is_empty() => serde_json::from_str(&text).map_err(|why| malformed(path, &why)),
        _ => Ok(Seen::default()),
    }
}

fn malformed(path: &Path, why: &serde_json::Error) -> CliError {
    // Nothing of its text is repeated: it may hold passwords.
    CliError::usage(format!(
        "{} is malformed at line {}, column {}, and is left as it is",
        path.display(),
        why.line(),
        why.column()
    ))
}

/// What a file says of a host before it is changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The helper that answers for it.
    pub(crate) helper: Option<String>,
    /// Whether a password for it, or for a part of it, lies in the file.
    pub(crate) password: bool,
}

/// Looks a host up in a file; one that is not there says nothing.
pub(crate) fn entry(path: &Path, host: &str) -> Result<Entry, CliError> {
    let Seen { auths, cred_helpers, .. } = seen(path)?;
    let is_for = |key: &String| {
        let key = key.split_once("://").map_or(key.as_str(), |(_, rest)| rest);
        key.split('/').next().is_some_and(|key| key.eq_ignore_ascii_case(host))
    };
    Ok(Entry {
        helper: cred_helpers.and_then(|helpers| helpers.get(host).cloned()),
        password: auths.is_some_and(|auths| auths.keys().any(is_for)),
    })
}

/// Sets or removes the helper of a host in a file. Says whether the file was changed.
pub(crate) fn set_helper(path: &Path, host: &str, helper: Helper<'_>) -> Result<bool, CliError> {
    let text = file::read(path)?;
    let Some(new) = edited(text.as_deref().unwrap_or_default(), host, helper).map_err(|why| malformed(path, &why))?
    else {
        return Ok(false);
    };
    file::replace(path, &new)?;
    Ok(true)
}

/// Docker's file: `$DOCKER_CONFIG/config.json`, else `$HOME/.docker/config.json`.
pub(crate) fn docker_file(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let directory = set(env, "DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| set(env, "HOME").map(|home| PathBuf::from(home).join(".docker")))?;
    Some(directory.join("config.json"))
}

/// Podman's own files that come before Docker's, in the order that they are read in. The one that `REGISTRY_AUTH_FILE`
/// names may be the only one that is read.
pub(crate) fn podman_files(env: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let named = set(env, "REGISTRY_AUTH_FILE").map(PathBuf::from);
    let runtime = set(env, "XDG_RUNTIME_DIR").map(PathBuf::from);
    let config = set(env, "XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| set(env, "HOME").map(|home| PathBuf::from(home).join(".config")));
    let own = [runtime, config].into_iter().flatten().map(|directory| directory.join("containers").join("auth.json"));
    named.into_iter().chain(own).collect()
}

/// The helper that Docker asks for every host (`credsStore`). A file that can't be read has none.
pub(crate) fn creds_store(env: &BTreeMap<String, String>) -> Option<String> {
    let found = seen(&docker_file(env)?).ok()?;
    found.creds_store.filter(|name| !name.is_empty())
}

/// Where a program is that a shell would find.
pub(crate) fn on_path(program: &str, env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let program = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(set(env, "PATH")?).map(|directory| directory.join(&program)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    let Ok(about) = std::fs::metadata(path) else { return false };
    #[cfg(unix)]
    let runs = std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let runs = true;
    about.is_file() && runs
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn to(text: &str, helper: Helper<'_>) -> Option<String> {
        edited(text, "l0.example.com", helper).expect("an object")
    }

    /// One as Docker and people write it: an order, numbers that no float holds, escapes, another helper.
    const FILE: &str = "{\n\t\"auths\": {\n\t\t\"quay.io\": {\"auth\": \"eDp5\"}\n\t},\n\t\"psFormat\": \"table {{.ID}}\\t\\u00e9\",\n\t\"big\": 12345678901234567890123,\n\t\"credHelpers\": {\"1.dkr.ecr.us-east-1.amazonaws.com\": \"ecr-login\"},\n\t\"HttpHeaders\": {}\n}\n";

    #[test]
    fn a_helper_is_added_and_all_else_stays_as_it_is_written() {
        let new = to(FILE, Helper::Is("layer0")).expect("a change");
        assert_eq!(
            new,
            FILE.replace(
                "{\"1.dkr.ecr.us-east-1.amazonaws.com\": \"ecr-login\"}",
                "{\n\t\t\"1.dkr.ecr.us-east-1.amazonaws.com\": \"ecr-login\",\n\t\t\"l0.example.com\": \"layer0\"\n\t}"
            )
        );
        assert_eq!(to(&new, Helper::Is("layer0")), None, "it is so already");
        let value = |text: &str| -> Value {
            serde_json::from_str(&text.replace("12345678901234567890123", "1")).expect("JSON")
        };
        let back = to(&new, Helper::IsNot("layer0")).expect("a change");
        assert_eq!(value(&back), value(FILE));
        assert_eq!(to(&back, Helper::IsNot("layer0")), None);
    }

    #[test]
    fn a_file_that_is_empty_or_has_no_helpers_gets_them() {
        for text in ["", " \n", "{}", r#"{"credHelpers": null}"#, r#"{"credHelpers": {}}"#] {
            let new = to(text, Helper::Is("layer0")).expect("a change");
            let new: Value = serde_json::from_str(&new).expect("JSON");
            assert_eq!(new, json!({"credHelpers": {"l0.example.com": "layer0"}}), "{text}");
        }
        let gone = to(r#"{"credHelpers": {"l0.example.com": "layer0"}, "a": 1}"#, Helper::IsNot("layer0"));
        assert_eq!(gone.expect("a change"), "{\n\t\"a\": 1\n}\n");
    }

    #[test]
    fn anothers_helper_is_replaced_when_asked_and_never_removed() {
        let others = r#"{"credHelpers": {"l0.example.com": "pass"}}"#;
        assert_eq!(to(others, Helper::IsNot("layer0")), None);
        assert!(to(others, Helper::Is("layer0")).expect("a change").contains("\"layer0\""));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["[]", "\"x\"", "{", r#"{"credHelpers": []}"#, r#"{"credHelpers": {"l0.example.com": 1}}"#] {
            assert!(edited(text, "l0.example.com", Helper::Is("layer0")).is_err(), "{text}");
        }
    }

    #[test]
    fn passwords_for_a_host_are_seen_however_they_are_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("auth.json");
        assert_eq!(entry(&path, "l0.example.com").expect("nothing"), Entry::default());
        for (key, password) in [
            ("l0.example.com", true),
            ("https://l0.example.com/v1/", true),
            ("l0.example.com/team", true),
            ("l0.example.com:5000", false),
            ("example.com", false),
        ] {
            std::fs::write(&path, json!({"auths": {key: {"auth": "eDp5"}}}).to_string()).expect("written");
            assert_eq!(entry(&path, "l0.example.com").expect("read").password, password, "{key}");
        }
    }
}
