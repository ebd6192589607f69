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

use crate::model::grant::{Grant, GrantScope, Grantee, Wording};
use crate::model::image::RepositoryName;
use crate::model::image_map::partition_of;

mod document;
mod due;
mod holding;
mod registry;
mod statements;
#[cfg(test)]
mod tests;

use document::Present;
pub use due::{Due, registry_due, repository_due};
pub use holding::{holds, mentions};
pub use registry::RegistryNames;
use statements::{short_hash, statements};

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

/// A document that grants are written into.
#[derive(Debug, Clone, Copy)]
pub enum Sheet<'a> {
    /// The policy of a repository, which has no `Resource`: it speaks of that repository.
    Repository(&'a RepositoryName),
    /// The policy of a registry (scope V2), which speaks for all its repositories at once.
    Registry(&'a RegistryNames, Wording),
}

impl Sheet<'_> {
    /// Whether a grant has a place in it.
    #[must_use]
    pub fn bears(&self, grant: &Grant) -> bool {
        match self {
            Sheet::Repository(name) => grant.scope.covers(name),
            Sheet::Registry(..) => true,
        }
    }

    fn resource(&self, scope: &GrantScope) -> Option<String> {
        match self {
            Sheet::Repository(_) => None,
            Sheet::Registry(names, _) => Some(names.arn(scope)),
        }
    }

    fn wording(&self) -> Wording {
        match self {
            Sheet::Repository(_) => Wording::Lists,
            Sheet::Registry(_, wording) => *wording,
        }
    }
}

/// What has to be done about a document, so that exactly those are let in by it whom the grants name.
///
/// `present` is the document that is there, as ECR answers it.
///
/// # Errors
/// [`GrantPolicyError`]; the document is then not to be touched.
pub fn policy_change(
    signature: &Signature,
    sheet: Sheet<'_>,
    grants: &BTreeSet<Grant>,
    present: Option<&str>,
) -> Result<Change, GrantPolicyError> {
    let present = match present.map(str::trim) {
        None | Some("") => Present::default(),
        Some(text) => Present::parse(text, &signature.prefix).map_err(GrantPolicyError::Unreadable)?,
    };
    let grants: Vec<&Grant> = grants.iter().filter(|grant| sheet.bears(grant)).collect();
    let wanted = statements(signature, &grants, sheet);
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
        present.with(&statements(signature, &grants, sheet)).chars().count() <= POLICY_MAX
    });
    Err(GrantPolicyError::TooLong { length, accounts: accounts.len(), fit })
}

/// [`policy_change`] of a repository's policy.
///
/// # Errors
/// As there.
pub fn repository_policy(
    signature: &Signature,
    repository: &RepositoryName,
    grants: &BTreeSet<Grant>,
    present: Option<&str>,
) -> Result<Change, GrantPolicyError> {
    policy_change(signature, Sheet::Repository(repository), grants, present)
}
