//! The tables of account grants.

use layer0_api::types::{AccountGrant, AccountList, AccountPlan, AccountStrategy, AccountWrong};

use super::rows::moment;
use super::table::Table;

/// Which repositories a grant is about.
fn scope(it: &AccountGrant) -> &str {
    match (it.owner.as_str(), it.repository.as_str()) {
        ("", "") => "all",
        (owner, "") => owner,
        (_, repository) => repository,
    }
}

fn state(it: &AccountGrant) -> String {
    if it.wish == "take_back" { format!("{}, to be taken back", it.state) } else { it.state.clone() }
}

/// Grants.
pub(crate) fn grant_table(items: &[AccountGrant]) -> String {
    let mut table = Table::new(&["ACCOUNT", "REPOSITORIES", "STATE", "ASKED"]);
    for item in items {
        table.row([item.account.as_str(), scope(item), &state(item), &moment(&item.asked)]);
    }
    table.text()
}

/// Where grants stand, and on how many repositories each is true.
pub(crate) fn status(list: &AccountList) -> String {
    let strategy = list.strategy.as_ref().map(strategy).unwrap_or_default();
    strategy + &status_table(&list.grants)
}

fn strategy(it: &AccountStrategy) -> String {
    let since = if it.since.is_empty() { String::new() } else { format!(", since {}", moment(&it.since)) };
    let state = match (it.state.as_str(), &it.standing[..]) {
        ("settled", _) => String::new(),
        (state, []) => format!(" ({state})"),
        (state, standing) => format!(" ({state}, beside {})", standing.join(" and ")),
    };
    let mut out = format!("strategy {}{state}{since}: {}\n", it.strategy, it.progress);
    wrong_list(&mut out, &it.wrong);
    out.push('\n');
    out
}

fn wrong_list(out: &mut String, all: &[AccountWrong]) {
    for wrong in all {
        out.push_str(&format!("  {}: {}\n", wrong.repository, wrong.why));
    }
}

/// Grants, and on how many repositories each is true. Those on which it is not stand below.
fn status_table(items: &[AccountGrant]) -> String {
    let mut table = Table::new(&["ACCOUNT", "REPOSITORIES", "STATE", "RIGHT ON", "LOOKED", "PROGRESS"]);
    for item in items {
        let looked = if item.looked.is_empty() { "never".to_owned() } else { moment(&item.looked) };
        let right = format!("{} of {}", item.right, item.repositories);
        table.row([item.account.as_str(), scope(item), &state(item), &right, &looked, &item.progress]);
    }
    let mut out = table.text();
    for item in items.iter().filter(|item| !item.wrong.is_empty()) {
        out.push_str(&format!("\n{} is not right on:\n", item.account));
        wrong_list(&mut out, &item.wrong);
        let more = (item.repositories - item.right.min(item.repositories)).saturating_sub(item.wrong.len() as u64);
        if more > 0 {
            out.push_str(&format!("  and {more} more\n"));
        }
    }
    out
}

/// What would become of policies.
pub(crate) fn plan(item: &AccountPlan) -> String {
    let mut out = String::new();
    for document in &item.documents {
        let what = match document.change.as_str() {
            "keep" => "stays as it is".to_owned(),
            "write" => "would be written:".to_owned(),
            "delete" => "would be deleted: nothing would be left in it".to_owned(),
            _ => format!("can't be written: {}", document.why),
        };
        let of = if document.registry.is_empty() {
            document.repository.clone()
        } else {
            format!("the registry {}", document.registry)
        };
        out.push_str(&format!("{of}: {what}\n"));
        for line in pretty(&document.text).lines() {
            out.push_str(&format!("  {line}\n"));
        }
    }
    out
}

/// A document with a line for each part; as it is when it is none.
fn pretty(text: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => serde_json::to_string_pretty(&value).unwrap_or_else(|_| text.to_owned()),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(right: u64, wrong: &[&str]) -> AccountGrant {
        AccountGrant {
            account: "123456789012".to_owned(),
            owner: "team".to_owned(),
            repository: String::new(),
            wish: "hold".to_owned(),
            state: "incomplete".to_owned(),
            progress: "true on some".to_owned(),
            asked: "2026-11-23T10:00:00.000Z".to_owned(),
            looked: "2026-11-23T10:01:00.000Z".to_owned(),
            repositories: 5,
            right,
            changed: 0,
            wrong: wrong
                .iter()
                .map(|name| AccountWrong { repository: (*name).to_owned(), why: "because".to_owned() })
                .collect(),
        }
    }

    #[test]
    fn a_status_names_what_is_not_right_and_counts_the_rest() {
        let text = status_table(&[grant(2, &["team/app"])]);
        assert!(text.contains("2 of 5"), "{text}");
        assert!(text.ends_with("123456789012 is not right on:\n  team/app: because\n  and 2 more\n"), "{text}");
        assert!(!status_table(&[grant(5, &[])]).contains("not right"));
    }
}
