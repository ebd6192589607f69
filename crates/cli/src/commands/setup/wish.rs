//! `l0 setup set` and `unset`: one wish by its key.

use layer0_setup::instance::{Wishes, check};
use toml::{Table, Value};

use super::home::{Home, refused};
use crate::error::{CliError, Exit};

/// Puts a value under a key such as `server.copies`.
fn put(table: &mut Table, key: &str, value: Value) -> Result<(), CliError> {
    let (way, last) = key.rsplit_once('.').unwrap_or(("", key));
    let mut at = table;
    for part in way.split('.').filter(|part| !part.is_empty()) {
        at = at
            .entry(part)
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .ok_or_else(|| CliError::usage(format!("`{part}` in `{key}` is a value, and no table")))?;
    }
    at.insert(last.to_owned(), value);
    Ok(())
}

/// Takes a key away; `false` when it was not there.
fn take(table: &mut Table, key: &str) -> bool {
    let (way, last) = key.rsplit_once('.').unwrap_or(("", key));
    let mut at = table;
    for part in way.split('.').filter(|part| !part.is_empty()) {
        let Some(next) = at.get_mut(part).and_then(Value::as_table_mut) else { return false };
        at = next;
    }
    at.remove(last).is_some()
}

/// A value as TOML writes it, else a text: nobody quotes a name for a shell and for TOML.
fn value(text: &str) -> Value {
    let read: Result<Table, _> = toml::from_str(&format!("v = {text}"));
    match read.ok().and_then(|mut table| table.remove("v")) {
        Some(value) => value,
        None => Value::String(text.to_owned()),
    }
}

fn changed(home: &Home, name: &str, change: impl FnOnce(&mut Table) -> Result<(), CliError>) -> Result<(), CliError> {
    let (wishes, _) = home.wished(name)?;
    let mut table: Table = toml::from_str(&wishes.text())
        .map_err(|why| CliError::new(Exit::Other, format!("instance.toml can't be read again: {why}")))?;
    change(&mut table)?;
    let text = toml::to_string(&table).map_err(|why| CliError::usage(why.to_string()))?;
    let wishes = Wishes::read(&text).map_err(|why| CliError::usage(why.to_string()))?;
    if wishes.name != name {
        return Err(CliError::usage("an instance can't get another name: everything in the account bears it")
            .hint("`l0 setup init` makes another instance"));
    }
    check(&wishes).map_err(|problems| refused(&problems))?;
    home.write(&wishes).map(drop)
}

pub(super) fn set(home: &Home, name: &str, inputs: &[String]) -> Result<(), CliError> {
    changed(home, name, |table| {
        for input in inputs {
            let (key, text) = input
                .split_once('=')
                .ok_or_else(|| CliError::usage(format!("`{input}` is no KEY=VALUE, such as server.copies=3")))?;
            put(table, key.trim(), value(text.trim()))?;
        }
        Ok(())
    })
}

pub(super) fn unset(home: &Home, name: &str, keys: &[String]) -> Result<(), CliError> {
    changed(home, name, |table| {
        for key in keys {
            if !take(table, key) {
                return Err(CliError::new(
                    Exit::NotFound,
                    format!("instance.toml of `{name}` says nothing of `{key}`"),
                ));
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn wishes_are_changed_by_key_and_what_can_t_be_changes_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let env = BTreeMap::from([("HOME".to_owned(), dir.path().display().to_string())]);
        let home = Home::of(&env).expect("a home");
        home.write(&Wishes::read("name = \"prod\"\nregion = \"eu-central-1\"").expect("wishes")).expect("written");
        let input = |text: &str| [text.to_owned()];
        set(&home, "prod", &input("server.copies=3")).expect("set");
        set(&home, "prod", &input("registry.image_map=[\"a.example.com|b.example.com\"]")).expect("set");
        set(&home, "prod", &input("access.allow=[\"10.0.0.0/8\"]")).expect("set");
        let wishes = home.wished("prod").expect("wishes").0;
        assert_eq!((wishes.server.copies, wishes.registry.image_map.len()), (3, 1));
        for (text, words) in [
            ("server.copies=99", "99 servers"),
            ("server.kopies=3", "kopies"),
            ("name=other", "another name"),
            ("region.of=x", "no table"),
            ("server.copies", "KEY=VALUE"),
        ] {
            let error = set(&home, "prod", &input(text)).expect_err(text);
            assert!(error.message.contains(words), "{text}: {}", error.message);
            assert_eq!(home.wished("prod").expect("wishes").0, wishes, "{text}");
        }
        unset(&home, "prod", &input("server.copies")).expect("unset");
        assert_eq!(home.wished("prod").expect("wishes").0.server.copies, 2);
        assert_eq!(unset(&home, "prod", &input("registry.nothing")).expect_err("absent").exit, Exit::NotFound);
        assert_eq!(set(&home, "../prod", &input("a=b")).expect_err("a name").exit, Exit::Usage);
    }
}
