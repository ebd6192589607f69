//! The tables of who may do what: users, owners, members, tokens, and the audit log.

use layer0_api::types::{
    AuditEntry, Member, Owner, RetentionRule, TagRule, TokenSummary, Trust, User, UserOwner, WhoAmI,
};

use super::rows::moment;
use super::table::{Running, Table};
use crate::age::Hours;
use crate::size;

/// What stands for no limit: a token's scopes, a member's tags.
const ALL: &str = "all";

fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn moment_or_never(text: &str) -> String {
    if text.is_empty() { "never".to_owned() } else { moment(text) }
}

/// `team (writer)`, and the tags where they are bounded.
fn place(it: &UserOwner) -> String {
    match &it.tags {
        Some(tags) => format!("{} ({}, tags {tags})", it.owner_name, it.role),
        None => format!("{} ({})", it.owner_name, it.role),
    }
}

/// Users. Further places in owners stand under the first one.
pub(crate) fn user_table(items: &[User]) -> String {
    let mut table = Table::new(&["USER", "ADMIN", "PASSWORD", "CREATED", "OWNERS"]);
    for item in items {
        let mut places = item.owners.iter().map(place);
        table.row([
            item.user_name.as_str(),
            truth(item.admin),
            if item.has_password { "set" } else { "none" },
            &moment(&item.created_at),
            &places.next().unwrap_or_default(),
        ]);
        for place in places {
            table.below(4, &place);
        }
    }
    table.text()
}

/// The caller. Further scopes and places stand under the first ones.
pub(crate) fn whoami_table(items: &[WhoAmI]) -> String {
    let mut table = Table::new(&["WHO", "KIND", "ADMIN", "TOKEN ID", "SCOPES", "OWNERS"]);
    for item in items {
        let scopes = item.scopes.clone().unwrap_or_else(|| vec![ALL.to_owned()]);
        let places: Vec<String> = item.owners.iter().map(place).collect();
        let at = |cells: &[String], index: usize| cells.get(index).cloned().unwrap_or_default();
        let head = [item.who.as_str(), &item.kind, truth(item.admin), item.token_id.as_deref().unwrap_or_default()];
        for index in 0..scopes.len().max(places.len()).max(1) {
            let left = if index == 0 { head } else { [""; 4] };
            let right = [at(&scopes, index), at(&places, index)];
            table.row(left.iter().map(|cell| (*cell).to_owned()).chain(right));
        }
    }
    table.text()
}

/// Owners.
pub(crate) fn owner_table(items: &[Owner]) -> String {
    let bytes = |count: i64| u64::try_from(count).unwrap_or(0);
    let mut table = Table::new(&["OWNER", "REPOSITORIES", "USED", "QUOTA"]);
    for item in items {
        table.row([
            item.owner_name.clone(),
            item.repositories.to_string(),
            size::rounded(bytes(item.used_bytes)),
            item.quota_bytes.map_or_else(|| "none".to_owned(), |quota| size::exact(bytes(quota))),
        ]);
    }
    table.text()
}

/// The rules for immutable tags of an owner, with the repositories as commands take them.
pub(crate) fn tag_rule_table(owner: &str, items: &[TagRule]) -> String {
    let mut table = Table::new(&["REPOSITORIES", "IMMUTABLE TAGS", "EXCEPT"]);
    for item in items {
        table.row([&format!("{owner}/{}", item.repositories), &item.tags, &item.except.join(", ")]);
    }
    table.text()
}

/// The rules for which images of an owner are kept.
pub(crate) fn retention_rule_table(owner: &str, items: &[RetentionRule]) -> String {
    let age = |hours: Option<u32>| hours.map(|hours| Hours(hours).to_string()).unwrap_or_default();
    let mut table = Table::new(&["REPOSITORIES", "TAGS", "KEEP LAST", "KEEP", "UNTAGGED GO"]);
    for item in items {
        table.row([
            format!("{owner}/{}", item.repositories.as_deref().unwrap_or("*")).as_str(),
            item.tags.as_deref().unwrap_or("*"),
            &item.keep_last.map(|last| last.to_string()).unwrap_or_default(),
            &age(item.keep_hours),
            &age(item.untagged_hours),
        ]);
    }
    table.text()
}

/// Members.
pub(crate) fn member_table(items: &[Member]) -> String {
    let mut table = Table::new(&["OWNER", "USER", "ROLE", "TAGS", "GIVEN BY", "SINCE"]);
    for item in items {
        let tags = item.tags.as_deref().unwrap_or(ALL);
        let by = if item.by_group { "group" } else { "hand" };
        table.row([item.owner_name.as_str(), &item.user_name, &item.role, tags, by, &moment(&item.since)]);
    }
    table.text()
}

/// Trusts. Further conditions and scopes stand under the first one.
pub(crate) fn trust_table(items: &[Trust]) -> String {
    let mut table = Table::new(&["OWNER", "TRUST", "WHO", "MADE FOR", "MINUTES", "SCOPES"]);
    for item in items {
        let who = item.issuer.as_ref().or(item.aws.as_ref()).cloned().unwrap_or_default();
        let mut scopes = item.scopes.iter();
        table.row([
            item.owner_name.as_str(),
            &item.trust_name,
            &who,
            &item.audience,
            &item.minutes.to_string(),
            scopes.next().map_or("", String::as_str),
        ]);
        for claim in &item.claims {
            table.below(2, claim);
        }
        for scope in scopes {
            table.below(5, scope);
        }
    }
    table.text()
}

/// Tokens. Further scopes stand under the first one.
pub(crate) fn token_table(items: &[TokenSummary]) -> String {
    let mut table = Table::new(&["TOKEN ID", "NAME", "USER", "CREATED", "EXPIRES", "LAST USED", "SUBJECT", "SCOPES"]);
    for item in items {
        let subject = match &item.owner {
            Some(owner) => format!("{owner}+{}", item.name),
            None => item.user.clone(),
        };
        let scopes = item.scopes.clone().unwrap_or_else(|| vec![ALL.to_owned()]);
        let mut scopes = scopes.iter();
        table.row([
            item.token_id.as_str(),
            &item.name,
            &item.user,
            &moment(&item.created),
            &moment_or_never(&item.expires),
            &moment_or_never(&item.last_used),
            &subject,
            scopes.next().map_or("", String::as_str),
        ]);
        for scope in scopes {
            table.below(7, scope);
        }
    }
    table.text()
}

/// How wide the columns of a followed audit log are at least, in the order of its columns: a moment, most names, an IPv4
/// address, most actions and targets. What is longer widens its column then and there.
pub(crate) const AUDIT_FOLLOWED: [usize; 5] = [19, 16, 15, 20, 32];

/// The audit log, which is printed part by part.
pub(crate) fn audit_table() -> Running {
    Running::new(&["AT", "WHO", "FROM", "ACTION", "TARGET", "STATUS"])
}

/// One row of [`audit_table`].
pub(crate) fn audit_row(item: &AuditEntry) -> [String; 6] {
    [
        moment(&item.at),
        item.who.clone(),
        item.from.clone(),
        item.action.clone(),
        item.target.clone(),
        item.status.to_string(),
    ]
}
