//! Account grants, from the wire and to it.

use layer0_api::types as wire;
use layer0_domain::model::grant::{Grant, GrantScope, GrantStrategy, GrantWish, Grantee, KeptGrant, KeptStrategy};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::image_map::EcrHost;
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

/// The strategy of the grants.
pub(crate) fn strategy(it: &KeptStrategy) -> wire::AccountStrategy {
    let wrong = it.report.wrong.iter();
    wire::AccountStrategy {
        strategy: it.wish.to_string(),
        state: it.phase.as_str().to_owned(),
        standing: it.standing.iter().map(ToString::to_string).collect(),
        progress: it.progress(),
        since: rfc3339_or_empty(it.since),
        wrong: wrong
            .map(|it| wire::AccountWrong { repository: it.repository.to_string(), why: it.why.clone() })
            .collect(),
    }
}

/// The strategy that a text names; `None` for an empty one.
pub(crate) fn strategy_read(text: &str) -> Result<Option<GrantStrategy>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let none = || ApiError::value(format!("`{text}` is no strategy: it is repositories, registry or organization"));
    GrantStrategy::parse(text).ok_or_else(none).map(Some)
}

/// What would be written.
pub(crate) fn preview(it: &Preview, registry: &EcrHost) -> wire::AccountPlan {
    let documents = it.documents.iter().map(|document| {
        let (change, text, why) = match &document.change {
            PreviewChange::Change(Change::Keep) => ("keep", "", ""),
            PreviewChange::Change(Change::Write(text)) => ("write", text.as_str(), ""),
            PreviewChange::Change(Change::Delete) => ("delete", "", ""),
            PreviewChange::Refused(why) => ("refused", "", why.as_str()),
        };
        wire::AccountDocument {
            repository: document.repository.as_ref().map(ToString::to_string).unwrap_or_default(),
            registry: match &document.repository {
                Some(_) => String::new(),
                None => format!("{}/{}", registry.account, registry.region),
            },
            change: change.to_owned(),
            present: document.present.clone().unwrap_or_default(),
            text: text.to_owned(),
            why: why.to_owned(),
        }
    });
    wire::AccountPlan { repositories: it.repositories, documents: documents.collect() }
}
