//! Account grants, from the wire and to it.

use layer0_api::types as wire;
use layer0_domain::model::grant::{Grant, GrantScope, GrantWish, Grantee, KeptGrant};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::plan::grants::Change;

use super::read;
use crate::error::ApiError;
use crate::grants::{Preview, PreviewChange};
use crate::text_time::{rfc3339, rfc3339_or_empty};

/// The scope that an owner or a repository names.
pub(crate) fn scope(owner: &str, repository: &str) -> Result<GrantScope, ApiError> {
    let owner = read::owner(Some(owner))?;
    if repository.is_empty() {
        return Ok(owner.map_or(GrantScope::Instance, GrantScope::Owner));
    }
    let name = RepositoryName::parse(repository).map_err(|why| ApiError::value(why.to_string()))?;
    match owner {
        Some(owner) if owner.as_str() != name.owner() => {
            Err(ApiError::value(format!("repository `{name}` is none of {owner}'s")))
        }
        _ => Ok(GrantScope::Repository(name)),
    }
}

/// The grant that a request names.
pub(crate) fn grant(account: &str, owner: &str, repository: &str) -> Result<Grant, ApiError> {
    if account.is_empty() {
        return Err(ApiError::value("account is a required field"));
    }
    let grantee = Grantee::parse(account).map_err(|why| ApiError::value(why.to_string()))?;
    Ok(Grant { grantee, scope: scope(owner, repository)? })
}

/// A grant.
pub(crate) fn kept(it: &KeptGrant) -> wire::AccountGrant {
    let (owner, repository) = match &it.grant.scope {
        GrantScope::Instance => (String::new(), String::new()),
        GrantScope::Owner(owner) => (owner.to_string(), String::new()),
        GrantScope::Repository(name) => (name.owner().to_owned(), name.to_string()),
    };
    let wrong = it.report.wrong.iter();
    wire::AccountGrant {
        account: it.grant.grantee.to_string(),
        owner,
        repository,
        wish: match it.wish {
            GrantWish::Hold => "hold",
            GrantWish::TakeBack => "take_back",
        }
        .to_owned(),
        state: it.state.as_str().to_owned(),
        progress: it.progress(),
        asked: rfc3339(it.asked),
        looked: rfc3339_or_empty(it.report.looked),
        repositories: it.report.seen,
        right: it.report.right,
        changed: it.report.changed,
        wrong: wrong
            .map(|it| wire::AccountWrong { repository: it.repository.to_string(), why: it.why.clone() })
            .collect(),
    }
}

/// What would be written.
pub(crate) fn preview(it: &Preview) -> wire::AccountPlan {
    let documents = it.documents.iter().map(|document| {
        let (change, text, why) = match &document.change {
            PreviewChange::Change(Change::Keep) => ("keep", "", ""),
            PreviewChange::Change(Change::Write(text)) => ("write", text.as_str(), ""),
            PreviewChange::Change(Change::Delete) => ("delete", "", ""),
            PreviewChange::Refused(why) => ("refused", "", why.as_str()),
        };
        wire::AccountDocument {
            repository: document.repository.to_string(),
            change: change.to_owned(),
            present: document.present.clone().unwrap_or_default(),
            text: text.to_owned(),
            why: why.to_owned(),
        }
    });
    wire::AccountPlan { repositories: it.repositories, documents: documents.collect() }
}
