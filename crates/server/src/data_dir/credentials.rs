//! What the local CLI knows of the servers that were started here.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use layer0_domain::model::access::Secret;
use serde::{Deserialize, Serialize};

use super::{DataDirError, unusable, write_private};

/// How long another server may take to write the file; it takes milliseconds.
const LOCK_MAX: Duration = Duration::from_secs(5);

/// What `~/.config/layer0/credentials.json` holds: for each endpoint the token of its admin, and which is meant when
/// nothing is said.
#[derive(Default, Serialize, Deserialize)]
struct Credentials {
    #[serde(default)]
    default: Option<String>,
    #[serde(default)]
    endpoints: BTreeMap<String, String>,
    /// What others wrote, kept.
    #[serde(flatten)]
    more: BTreeMap<String, serde_json::Value>,
}

/// Adds an endpoint to the local CLI's credentials. The first endpoint becomes the default; a later one does not take
/// its place. A file that can't be read or understood is left as it is: it holds what nobody else knows any more.
///
/// Several servers may do this at the same time; none loses what another one wrote.
pub(crate) fn remember_for_cli(config_dir: &Path, endpoint: &str, auth: &Secret) -> Result<PathBuf, DataDirError> {
    std::fs::create_dir_all(config_dir).map_err(|why| unusable("can't create", config_dir, why))?;
    let _turn = turn(config_dir)?;
    let path = config_dir.join("credentials.json");
    let mut known: Credentials = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|why| DataDirError::Malformed {
            path: path.display().to_string(),
            line: why.line(),
            column: why.column(),
        })?,
        Err(why) if why.kind() == ErrorKind::NotFound => Credentials::default(),
        Err(why) => return Err(unusable("can't read", &path, why)),
    };
    let told = known.endpoints.insert(endpoint.to_owned(), auth.expose().to_owned());
    if told.as_deref() == Some(auth.expose()) && known.default.as_deref().is_some_and(|it| !it.is_empty()) {
        // As after nearly every start.
        return Ok(path);
    }
    if known.default.as_deref().is_none_or(str::is_empty) {
        known.default = Some(endpoint.to_owned());
    }
    let text = serde_json::to_string_pretty(&known).expect("a map of texts");
    write_private(&path, &text)?;
    Ok(path)
}

/// The right to read and write the credentials, until the file is dropped. The lock has a file of its own, because the
/// credentials are replaced by another file when they are written.
fn turn(config_dir: &Path) -> Result<File, DataDirError> {
    let path = config_dir.join("credentials.lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(|why| unusable("can't open", &path, why))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(why)) => return Err(unusable("can't lock", &path, why)),
    }
    // The lock has no timeout of its own, so a thread waits for it. When nobody waits for the thread any more, it lets go of
    // the lock as soon as it gets it.
    let (give, get) = mpsc::channel();
    std::thread::spawn(move || {
        let locked = file.lock().map(|()| file);
        let _ = give.send(locked);
    });
    let locked = get.recv_timeout(LOCK_MAX).unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
    locked.map_err(|why| unusable("can't lock", &path, why))
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
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(path: &Path) -> Credentials {
        serde_json::from_slice(&std::fs::read(path).expect("read")).expect("JSON")
    }

    #[test]
    fn secrets_are_for_their_owner_and_the_first_endpoint_stays_the_default() {
        let dir = tempfile::tempdir().expect("a directory");
        let auth = Secret::new("YWRtaW46eA==");
        let path = remember_for_cli(dir.path(), "http://localhost:1/", &auth).expect("written");
        remember_for_cli(dir.path(), "http://localhost:2/", &auth).expect("written");
        let known = read(&path);
        assert_eq!(known.default.as_deref(), Some("http://localhost:1/"));
        assert_eq!(known.endpoints.len(), 2);
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_cant_be_understood_stays_and_one_that_can_loses_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("credentials.json");
        std::fs::write(&path, "{\"endpoints\": {\"http://a/\": ").expect("written");
        let auth = Secret::new("secret");
        let why = remember_for_cli(dir.path(), "http://b/", &auth).expect_err("refused");
        assert!(matches!(why, DataDirError::Malformed { .. }), "{why}");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "{\"endpoints\": {\"http://a/\": ");

        std::fs::write(&path, r#"{"default": "http://a/", "endpoints": {"http://a/": "x"}, "theme": "dark"}"#)
            .expect("written");
        remember_for_cli(dir.path(), "http://b/", &auth).expect("written");
        let known = read(&path);
        assert_eq!((known.default.as_deref(), known.endpoints.len()), (Some("http://a/"), 2));
        assert_eq!(known.more.get("theme").and_then(|value| value.as_str()), Some("dark"));
    }

    #[test]
    fn of_many_servers_that_start_together_none_is_forgotten() {
        let dir = tempfile::tempdir().expect("a directory");
        std::thread::scope(|scope| {
            for number in 0..20 {
                let dir = dir.path();
                scope.spawn(move || {
                    let auth = Secret::new(format!("secret-{number}"));
                    remember_for_cli(dir, &format!("http://localhost:{number}/"), &auth).expect("written");
                });
            }
        });
        assert_eq!(read(&dir.path().join("credentials.json")).endpoints.len(), 20);
        let drafts = std::fs::read_dir(dir.path()).expect("read").filter_map(Result::ok);
        let drafts = drafts.filter(|entry| entry.file_name().to_string_lossy().ends_with(".new")).count();
        assert_eq!(drafts, 0);
    }
}
