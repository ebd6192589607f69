//! Our statements of a document.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{PULL_ACTIONS, Sheet, Signature};
use crate::model::grant::{AccountId, Grant, GrantScope, Grantee, Wording};

/// Our statements: one for each scope and kind of grantee.
pub(super) fn statements(signature: &Signature, grants: &[&Grant], sheet: Sheet<'_>) -> Vec<Value> {
    // In the order of scopes, from the widest on.
    let scopes: BTreeSet<&GrantScope> = grants.iter().map(|grant| &grant.scope).collect();
    let mut all = Vec::new();
    for scope in scopes {
        // Whom a wider scope lets in anyway is not named again: a document has little room.
        let wider = |grant: &&&Grant| match (scope, &grant.scope) {
            (GrantScope::Instance, _) => false,
            (_, GrantScope::Instance) => true,
            (GrantScope::Repository(name), GrantScope::Owner(owner)) => owner.as_str() == name.owner(),
            _ => false,
        };
        let known: BTreeSet<&Grantee> = grants.iter().filter(wider).map(|grant| &grant.grantee).collect();
        let here: BTreeSet<&Grantee> =
            grants.iter().filter(|grant| grant.scope == *scope).map(|grant| &grant.grantee).collect();
        let mut who = Who::of(signature.partition);
        here.difference(&known).for_each(|grantee| who.add(grantee));
        let sid = format!("{}{}", signature.prefix, scope_word(scope));
        all.extend(who.statements(&sid, sheet.wording()).into_iter().map(|mut statement| {
            if let (Some(resource), Value::Object(fields)) = (sheet.resource(scope), &mut statement) {
                fields.insert("Resource".to_owned(), Value::String(resource));
            }
            statement
        }));
    }
    all
}

/// What a statement's `Sid` says of its scope; unique in a document, as IAM demands it.
fn scope_word(scope: &GrantScope) -> String {
    match scope {
        GrantScope::Instance => "All".to_owned(),
        GrantScope::Owner(owner) => format!("Owner{}", short_hash(owner.as_str())),
        GrantScope::Repository(name) => format!("Repository{}", short_hash(name.as_str())),
    }
}

pub(super) fn short_hash(text: &str) -> String {
    Sha256::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Those of a scope, by kind, each as it stands in a document.
struct Who {
    partition: &'static str,
    accounts: Vec<AccountId>,
    organizations: Vec<String>,
    units: Vec<String>,
}

impl Who {
    fn of(partition: &'static str) -> Self {
        Self { partition, accounts: Vec::new(), organizations: Vec::new(), units: Vec::new() }
    }

    fn add(&mut self, grantee: &Grantee) {
        match grantee {
            Grantee::Account(id) => self.accounts.push(id.clone()),
            Grantee::Organization(id) => self.organizations.push(id.clone()),
            // Whatever stands between the organization and the unit: its root and the units above it.
            Grantee::Unit { organization, unit } => self.units.push(format!("{organization}/*/{unit}/*")),
        }
    }

    fn statements(self, sid: &str, wording: Wording) -> Vec<Value> {
        let statement = |kind: &str, who: Value, condition: Option<Value>| {
            let mut statement = json!({
                "Sid": format!("{sid}{kind}"), "Effect": "Allow", "Principal": who, "Action": PULL_ACTIONS,
            });
            if let (Some(condition), Value::Object(fields)) = (condition, &mut statement) {
                fields.insert("Condition".to_owned(), condition);
            }
            statement
        };
        let Self { partition, accounts, organizations, units } = self;
        let mut all = Vec::new();
        if !accounts.is_empty() {
            all.push(match wording {
                Wording::Lists => {
                    let roots = accounts.iter().map(|id| format!("arn:{partition}:iam::{id}:root"));
                    statement("Accounts", json!({ "AWS": roots.collect::<Vec<_>>() }), None)
                }
                // Every request of an account's principals has the key (IAM user guide, "aws:PrincipalAccount").
                Wording::Conditions => {
                    let condition = json!({ "StringEquals": { "aws:PrincipalAccount": accounts } });
                    statement("Accounts", json!("*"), Some(condition))
                }
            });
        }
        if !organizations.is_empty() {
            let condition = json!({ "StringEquals": { "aws:PrincipalOrgID": organizations } });
            all.push(statement("Organizations", json!("*"), Some(condition)));
        }
        if !units.is_empty() {
            let condition = json!({ "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": units } });
            all.push(statement("Units", json!("*"), Some(condition)));
        }
        all
    }
}
