//! The policy documents that make grants true in ECR.
//!
//! A document is never edited in place: our part is computed from the grants and written whole, and the statements of
//! others are kept byte for byte. So a grant that was taken back leaves no trace, what was changed by hand in our part is put
//! right, and nobody loses what is not ours.
//!
//! Ours are the statements whose `Sid` begins with the [`Signature`] of the instance. The invariants, shown by property
//! tests with the evaluator of [`super::policy`]:
//! - an account may pull from a repository exactly when a grant that covers the repository lets it in, or a statement of
//!   others does;
//! - writing what was read changes nothing, and nothing is written when nothing would change;
//! - granting and taking back leads to the document from before.
//!
//! Rules of the documents: ECR user guide, "Private repository policies" and "Private registry permissions"; IAM user guide, "IAM
//! JSON policy elements". A repository's policy must have no `Resource`, the registry's must have one.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::model::grant::{Grant, GrantScope, Grantee};
use crate::model::image::RepositoryName;
use crate::model::image_map::{EcrHost, partition_of};

mod document;
mod holding;
#[cfg(test)]
mod tests;

use document::Present;
pub use holding::holds;

/// The most characters of a policy document (`RepositoryPolicyText` and `RegistryPolicyText` in the ECR API).
pub const POLICY_MAX: usize = 10_240;

/// What a pull needs of a repository (ECR user guide, "Amazon ECR repository policy examples"); the token, which is asked of no
/// repository, is the business of the account that pulls.
pub const PULL_ACTIONS: [&str; 3] =
    ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];

/// What tells our statements from those of others: the beginning of their `Sid`, different for each instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    prefix: String,
    partition: &'static str,
}

impl Signature {
    /// The signature of an instance, for documents in a region. A `Sid` may hold letters and digits only (IAM user guide,
    /// "IAM JSON policy elements: Sid"), so two instances whose names differ in other characters are told apart by a hash.
    #[must_use]
    pub fn new(instance: &str, region: &str) -> Self {
        let name: String = instance.chars().filter(char::is_ascii_alphanumeric).take(15).collect();
        Self { prefix: format!("Layer0{name}{}", short_hash(instance)), partition: partition_of(region) }
    }
}

/// What has to be done about a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing: it says what it should.
    Keep,
    /// Write this text in its place.
    Write(String),
    /// Delete it: nothing would be left in it, and ECR takes no empty one.
    Delete,
}

/// Why no document can be written. The text is for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantPolicyError {
    /// It is left as it is.
    #[error("the policy that is there can't be read, and is left as it is: {0}")]
    Unreadable(String),
    /// More than ECR takes.
    #[error(
        "the policy would have {length} characters, and ECR takes {POLICY_MAX}: {fit} of {accounts} accounts fit; grant \
         their organization (org:o-…) or a unit of it (ou:o-…/ou-…) instead, which takes one line however many accounts are in it"
    )]
    TooLong {
        /// How many characters it would have.
        length: usize,
        /// How many single accounts it would name.
        accounts: usize,
        /// How many of these it could name.
        fit: usize,
    },
}

/// What has to be done about the policy of a repository, so that exactly those are let in whom the grants name.
///
/// `present` is the document that is there, as ECR answers it.
///
/// # Errors
/// [`GrantPolicyError`]; the document is then not to be touched.
pub fn repository_policy(
    signature: &Signature,
    repository: &RepositoryName,
    grants: &BTreeSet<Grant>,
    present: Option<&str>,
) -> Result<Change, GrantPolicyError> {
    let covering = grants.iter().filter(|grant| grant.scope.covers(repository));
    change(signature, covering.collect(), &|_| None, present)
}

/// What has to be done about the policy of a registry (scope V2), which speaks for all its repositories at once. The names of
/// repositories are the same in ECR and here.
///
/// # Errors
/// As [`repository_policy`].
pub fn registry_policy(
    signature: &Signature,
    registry: &EcrHost,
    grants: &BTreeSet<Grant>,
    present: Option<&str>,
) -> Result<Change, GrantPolicyError> {
    let resource = |scope: &GrantScope| {
        Some(match scope {
            GrantScope::Instance => registry.repository_arn("*"),
            GrantScope::Owner(owner) => registry.repository_arn(&format!("{owner}/*")),
            GrantScope::Repository(name) => registry.repository_arn(name.as_str()),
        })
    };
    change(signature, grants.iter().collect(), &resource, present)
}

fn change(
    signature: &Signature,
    grants: Vec<&Grant>,
    resource: &dyn Fn(&GrantScope) -> Option<String>,
    present: Option<&str>,
) -> Result<Change, GrantPolicyError> {
    let present = match present.map(str::trim) {
        None | Some("") => Present::default(),
        Some(text) => Present::parse(text, &signature.prefix).map_err(GrantPolicyError::Unreadable)?,
    };
    let wanted = statements(signature, &grants, resource);
    if present.says(&wanted) {
        return Ok(Change::Keep);
    }
    if wanted.is_empty() && present.is_ours_alone() {
        return Ok(Change::Delete);
    }
    let text = present.with(&wanted);
    let length = text.chars().count();
    if length <= POLICY_MAX {
        return Ok(Change::Write(text));
    }
    let is_account = |grant: &&Grant| matches!(grant.grantee, Grantee::Account(_));
    let (accounts, others): (Vec<&Grant>, Vec<&Grant>) = grants.into_iter().partition(|grant| is_account(grant));
    let numbers: Vec<usize> = (1..=accounts.len()).collect();
    let fit = numbers.partition_point(|number| {
        let grants: Vec<&Grant> = others.iter().chain(&accounts[..*number]).copied().collect();
        present.with(&statements(signature, &grants, resource)).chars().count() <= POLICY_MAX
    });
    Err(GrantPolicyError::TooLong { length, accounts: accounts.len(), fit })
}

/// Our statements: one for each scope and kind of grantee.
fn statements(
    signature: &Signature,
    grants: &[&Grant],
    resource: &dyn Fn(&GrantScope) -> Option<String>,
) -> Vec<Value> {
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
        let mut who = Who::default();
        here.difference(&known).for_each(|grantee| who.add(signature.partition, grantee));
        let sid = format!("{}{}", signature.prefix, scope_word(scope));
        all.extend(who.statements(&sid).into_iter().map(|mut statement| {
            if let (Some(resource), Value::Object(fields)) = (resource(scope), &mut statement) {
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

fn short_hash(text: &str) -> String {
    Sha256::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Those of a scope, by kind, each as it stands in a document.
#[derive(Default)]
struct Who {
    accounts: Vec<String>,
    organizations: Vec<String>,
    units: Vec<String>,
}

impl Who {
    fn add(&mut self, partition: &str, grantee: &Grantee) {
        match grantee {
            Grantee::Account(id) => self.accounts.push(format!("arn:{partition}:iam::{id}:root")),
            Grantee::Organization(id) => self.organizations.push(id.clone()),
            // Whatever stands between the organization and the unit: its root and the units above it.
            Grantee::Unit { organization, unit } => self.units.push(format!("{organization}/*/{unit}/*")),
        }
    }

    fn statements(self, sid: &str) -> Vec<Value> {
        let statement = |kind: &str, who: Value, condition: Option<Value>| {
            let mut statement = json!({
                "Sid": format!("{sid}{kind}"), "Effect": "Allow", "Principal": who, "Action": PULL_ACTIONS,
            });
            if let (Some(condition), Value::Object(fields)) = (condition, &mut statement) {
                fields.insert("Condition".to_owned(), condition);
            }
            statement
        };
        let Self { accounts, organizations, units } = self;
        let mut all = Vec::new();
        if !accounts.is_empty() {
            all.push(statement("Accounts", json!({ "AWS": accounts }), None));
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
