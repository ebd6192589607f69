//! What this machine has of an instance: `~/.layer0/<name>/instance.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use layer0_setup::instance::{Instance, Problem, Wishes, check};

use crate::error::{CliError, Exit};
use crate::file;
use crate::settings::set;

const FILE: &str = "instance.toml";

/// The directory with one directory for each instance.
pub(super) struct Home(PathBuf);

impl Home {
    pub(super) fn of(env: &BTreeMap<String, String>) -> Result<Self, CliError> {
        match set(env, "HOME") {
            Some(home) => Ok(Self(PathBuf::from(home).join(".layer0"))),
            None => Err(CliError::usage("HOME is not set: there is no place for instance.toml")),
        }
    }

    /// The file of an instance. The name comes from a command line and must not lead elsewhere.
    pub(super) fn path(&self, name: &str) -> Result<PathBuf, CliError> {
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !name.is_empty();
        if !is_plain {
            return Err(CliError::usage(format!(
                "`{name}` is no name for an instance: 1 to 16 lower-case letters and digits, a letter first"
            )));
        }
        Ok(self.0.join(name).join(FILE))
    }

    /// What is wished of an instance; `None` when nothing is.
    pub(super) fn read(&self, name: &str) -> Result<Option<Wishes>, CliError> {
        let path = self.path(name)?;
        let Some(text) = file::read(&path)? else { return Ok(None) };
        let wishes = Wishes::read(&text)
            .map_err(|why| CliError::usage(why.to_string()).hint(format!("the file is {}", path.display())))?;
        if wishes.name != name {
            let words = format!("{} is about instance `{}`, and lies where `{name}` is", path.display(), wishes.name);
            return Err(CliError::usage(words));
        }
        Ok(Some(wishes))
    }

    /// What is wished of an instance that can be.
    pub(super) fn wished(&self, name: &str) -> Result<(Wishes, Instance), CliError> {
        let wishes = self.read(name)?.ok_or_else(|| {
            CliError::new(Exit::NotFound, format!("this machine knows no instance `{name}`"))
                .hint(format!("`l0 setup init {name}` wishes for one; `l0 setup pull {name}` gets it from the account"))
        })?;
        let instance = check(&wishes).map_err(|problems| refused(&problems))?;
        Ok((wishes, instance))
    }

    pub(super) fn write(&self, wishes: &Wishes) -> Result<PathBuf, CliError> {
        let path = self.path(&wishes.name)?;
        file::replace(&path, &wishes.text())?;
        Ok(path)
    }

    /// The instances that this machine knows, by name.
    pub(super) fn names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.0) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| self.path(name).is_ok_and(|path| path.is_file()))
            .collect();
        names.sort();
        names
    }

    /// Forgets an instance.
    pub(super) fn forget(&self, name: &str) -> Result<(), CliError> {
        let path = self.path(name)?;
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(why) => return Err(file::unusable("removed", &path, &why)),
        }
        // What others put there stays.
        let _ = path.parent().map(std::fs::remove_dir);
        Ok(())
    }
}

/// Wishes that can't be.
pub(super) fn refused(problems: &[Problem]) -> CliError {
    let mut error = match problems {
        [one] => CliError::usage(one.to_string()),
        _ => CliError::usage(format!("{} wishes can't be", problems.len())),
    };
    if problems.len() > 1 {
        error.details = problems.iter().map(|problem| format!("  {problem}")).collect();
    }
    let list: Vec<serde_json::Value> =
        problems.iter().map(|problem| serde_json::json!({ "Key": problem.key, "Reason": problem.why })).collect();
    error.field("Problems", list)
}
