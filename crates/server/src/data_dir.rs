//! The data directory: who holds it, and what lies in it for the local CLI.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use layer0_domain::model::access::Secret;
use serde::{Deserialize, Serialize};

/// A data directory that this process holds, until it is dropped.
pub(crate) struct DataDir {
    path: PathBuf,
    lock: File,
}

/// Why a data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// Another server has it.
    #[error("the data directory {path} is held by another server: {holder}")]
    Held {
        /// Which directory.
        path: String,
        /// Who has it: `l0 server, process 123, listening on 127.0.0.1:9090`.
        holder: String,
    },
    /// It can't be made, read or written.
    #[error("{what} {path}")]
    Unusable {
        /// What was tried: `can't create`.
        what: &'static str,
        /// Which path.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

fn unusable(what: &'static str, path: &Path, source: std::io::Error) -> DataDirError {
    DataDirError::Unusable { what, path: path.display().to_string(), source }
}

impl DataDir {
    /// Makes the directory where it isn't there, only for its owner, and takes hold of it.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        std::fs::create_dir_all(path).map_err(|why| unusable("can't create", path, why))?;
        let owner_only = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(path, owner_only).map_err(|why| unusable("can't protect", path, why))?;
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|why| unusable("can't open", &lock_path, why))?;
        match lock.try_lock() {
            Ok(()) => {
                let held = Self { path: path.to_owned(), lock };
                held.say("starting")?;
                Ok(held)
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = lock.read_to_string(&mut holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() { "one that has not said its name" } else { holder };
                Err(DataDirError::Held { path: path.display().to_string(), holder: holder.to_owned() })
            }
            Err(TryLockError::Error(why)) => Err(unusable("can't lock", &lock_path, why)),
        }
    }

    /// Writes into the lock file who holds it, for the one that comes second.
    pub(crate) fn say(&self, where_: &str) -> Result<(), DataDirError> {
        let text = format!("l0 server, process {}, {where_}\n", std::process::id());
        let mut lock = &self.lock;
        let write = |lock: &mut &File| {
            lock.set_len(0)?;
            lock.rewind()?;
            lock.write_all(text.as_bytes())
        };
        write(&mut lock).map_err(|why| unusable("can't write", &self.path.join("lock"), why))
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file that tells the local CLI where the server is.
    pub(crate) fn write_endpoint(&self, endpoint: &str) -> Result<(), DataDirError> {
        write_private(&self.path.join("endpoint"), endpoint)
    }

    /// Writes the first token, for the local CLI.
    pub(crate) fn write_admin_token(&self, auth: &Secret) -> Result<(), DataDirError> {
        write_private(&self.path.join("admin-token"), auth.expose())
    }

    /// The first token, if its file is still there.
    pub(crate) fn admin_token(&self) -> Option<Secret> {
        let text = std::fs::read_to_string(self.path.join("admin-token")).ok()?;
        Some(Secret::new(text.trim()))
    }
}

/// Writes a file for its owner only, whole or not at all.
fn write_private(path: &Path, text: &str) -> Result<(), DataDirError> {
    let staged = path.with_extension("new");
    let write = || {
        let _ = std::fs::remove_file(&staged);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        std::fs::rename(&staged, path)
    };
    write().map_err(|why| unusable("can't write", path, why))
}

/// What `~/.config/layer0/credentials.json` holds: for each endpoint the token of its admin, and which is meant when
/// nothing is said.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Credentials {
    #[serde(default)]
    default: String,
    #[serde(default)]
    endpoints: std::collections::BTreeMap<String, String>,
}

/// Adds an endpoint to the local CLI's credentials. The first endpoint becomes the default; a later one does not take
/// its place.
pub(crate) fn remember_for_cli(config_dir: &Path, endpoint: &str, auth: &Secret) -> Result<PathBuf, DataDirError> {
    std::fs::create_dir_all(config_dir).map_err(|why| unusable("can't create", config_dir, why))?;
    let path = config_dir.join("credentials.json");
    let mut known: Credentials =
        std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    known.endpoints.insert(endpoint.to_owned(), auth.expose().to_owned());
    if known.default.is_empty() {
        known.default = endpoint.to_owned();
    }
    let text = serde_json::to_string_pretty(&known).expect("a map of texts");
    write_private(&path, &text)?;
    Ok(path)
}

/// Where the CLI keeps its settings: `$XDG_CONFIG_HOME/layer0` or `~/.config/layer0`.
pub(crate) fn config_dir() -> Option<PathBuf> {
    let base = match std::env::var_os("XDG_CONFIG_HOME") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => PathBuf::from(std::env::var_os("HOME").filter(|home| !home.is_empty())?).join(".config"),
    };
    Some(base.join("layer0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_is_first() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = DataDir::open(dir.path()).expect("the first gets it");
        first.say("listening on 127.0.0.1:9090").expect("it can say so");
        let Err(DataDirError::Held { holder, .. }) = DataDir::open(dir.path()) else { panic!("the second got it too") };
        assert_eq!(holder, format!("l0 server, process {}, listening on 127.0.0.1:9090", std::process::id()));
        drop(first);
        assert!(DataDir::open(dir.path()).is_ok(), "free again");
    }

    #[test]
    fn secrets_are_for_their_owner_and_the_first_endpoint_stays_the_default() {
        let dir = tempfile::tempdir().expect("a directory");
        let auth = Secret::new("YWRtaW46eA==");
        let path = remember_for_cli(dir.path(), "http://localhost:1/", &auth).expect("written");
        remember_for_cli(dir.path(), "http://localhost:2/", &auth).expect("written");
        let known: Credentials = serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("JSON");
        assert_eq!(known.default, "http://localhost:1/");
        assert_eq!(known.endpoints.len(), 2);
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }
}
