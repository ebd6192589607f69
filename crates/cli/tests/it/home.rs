//! A home directory of a test's own, with a keyring that is a script.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::fake::Fake;

/// A keyring as Docker's helpers are one: a file for each URL. `locked` refuses everything, as one that nobody unlocked.
const KEYRING: &str = r#"#!/bin/sh
umask 077
[ -e "$HOME/locked" ] && { echo "the collection is locked"; exit 1; }
input=$(cat)
url=$(printf %s "$input" | sed 's/.*"ServerURL": *"\([^"]*\)".*/\1/')
entry="$HOME/keyring-$(printf %s "$url" | tr -c 'a-z0-9\n' _)"
case "$1" in
store) printf %s "$input" > "$entry" ;;
get) [ -e "$entry" ] || { echo "credentials not found in native keychain"; exit 1; }; cat "$entry" ;;
erase) rm -f "$entry" ;;
*) exit 1 ;;
esac
"#;

pub(crate) struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The environment of this home and nothing else.
    pub(crate) fn env(&self) -> BTreeMap<String, String> {
        let text = |path: &Path| path.to_str().expect("a path of text").to_owned();
        let path = format!("{}:/usr/bin:/bin", text(&self.path("bin")));
        [("HOME", text(self.dir.path())), ("PATH", path), ("LAYER0_SKIP_VERSION_VERIFY", "1".to_owned())]
            .map(|(key, value)| (key.to_owned(), value))
            .into()
    }

    /// The same, with more variables.
    pub(crate) fn env_with(&self, more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut env = self.env();
        env.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        env
    }

    /// Puts a program into the PATH.
    pub(crate) fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path("bin").join(name);
        self.write(&format!("bin/{name}"), text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
        path
    }

    /// Puts a keyring `test` into the PATH.
    pub(crate) fn keyring(&self) {
        self.program("docker-credential-test", KEYRING);
    }

    /// Takes all secrets out of the keyring.
    pub(crate) fn keyring_clear(&self) {
        for entry in std::fs::read_dir(self.dir.path()).expect("read").filter_map(Result::ok) {
            if entry.file_name().to_string_lossy().starts_with("keyring-") {
                std::fs::remove_file(entry.path()).expect("removed");
            }
        }
    }

    /// How many secrets the keyring has.
    pub(crate) fn keyring_entries(&self) -> usize {
        let entries = std::fs::read_dir(self.dir.path()).expect("read").filter_map(Result::ok);
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("keyring-")).count()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The file of the logins.
    pub(crate) fn credentials(&self) -> Value {
        serde_json::from_str(&self.read(".config/layer0/credentials.json")).unwrap_or(Value::Null)
    }
}

/// The URL of a server.
pub(crate) fn url(fake: &Fake) -> String {
    format!("http://{}/", fake.address)
}
