//! The one place where errors become statuses, codes and words on the wire. (The registry has its own, by the OCI
//! specification.)

use std::io::ErrorKind;

use axum::Json;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use layer0_api::error::{ErrorBody, ErrorCode, Holder as WireHolder};
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::ops::OpsError;
use layer0_domain::port::access_store::AccessStoreError;
use layer0_domain::port::engine::EngineError;
use layer0_domain::port::home_store::HomeStoreError;
use layer0_domain::port::image_source::ImageSourceError;
use layer0_domain::port::registry_store::RegistryStoreError;
use layer0_domain::port::store::{Holder, StoreError};
use serde::Serialize;
use serde_json::{Value, json};

use crate::backups::BackupError;
use crate::reconcile::tell::TellError;

/// An error on its way to the client.
#[derive(Debug)]
pub(crate) struct ApiError {
    code: ErrorCode,
    body: Box<ErrorBody>,
}

impl ApiError {
    /// An error with its words.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let body = ErrorBody {
            error_code: code.as_str().to_owned(),
            message: message.into(),
            hint: None,
            holders: vec![],
            problems: vec![],
        };
        Self { code, body: Box::new(body) }
    }

    /// A request that can't be read.
    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    /// A value that is against the rules.
    pub(crate) fn value(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidValue, message)
    }

    /// Too many wrong passwords.
    pub(crate) fn throttled(after_s: u64) -> Self {
        Self::new(ErrorCode::Throttled, "too many wrong passwords under this name or from this address")
            .hint(format!("wait {after_s} seconds; a token is not held up"))
    }

    /// The same error in other words.
    pub(crate) fn said(mut self, message: impl Into<String>) -> Self {
        self.body.message = message.into();
        self
    }

    /// With what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.body.hint = Some(hint.into());
        self
    }

    /// With every problem found.
    pub(crate) fn problems(mut self, problems: impl IntoIterator<Item = String>) -> Self {
        self.body.problems = problems.into_iter().collect();
        self
    }

    /// Others need it. Environments hold one another by their links.
    pub(crate) fn in_use(what: &str, holders: &[Holder]) -> Self {
        let names: Vec<String> =
            holders.iter().map(|holder| format!("{} `{}`", holder.entity.kind(), holder.name)).collect();
        let linked = holders.iter().any(|holder| holder.entity.kind() == EntityKind::Environment);
        let hint = if linked {
            "take these away first; an environment by `l0 environment unlink`"
        } else {
            "take these away first"
        };
        ApiError::new(ErrorCode::DependencyError, format!("{what} is in use by {}", names.join(", ")))
            .holders(holders)
            .hint(hint)
    }

    /// What the store says of a service behind a load balancer that has one: to take that one away is seldom what is wanted.
    pub(crate) fn of_service(error: OpsError) -> Self {
        match error {
            OpsError::Store(StoreError::InUse { entity: entity @ EntityRef::LoadBalancer(_), holders }) => {
                Self::in_use(&entity.to_string(), &holders)
                    .hint("a load balancer has one service: make another one with `l0 loadbalancer create`")
            }
            error => error.into(),
        }
    }

    /// The answer to a registry client: our own form, and beside it the one that such clients read and show.
    pub(crate) fn into_registry_response(self) -> Response {
        /// Both forms in one object.
        #[derive(Serialize)]
        struct Both {
            #[serde(flatten)]
            own: Box<ErrorBody>,
            errors: [Value; 1],
        }
        let code = match self.code {
            ErrorCode::Unauthorized => "UNAUTHORIZED",
            ErrorCode::StoreUnavailable => "UNAVAILABLE",
            _ => "UNSUPPORTED",
        };
        let words = match &self.body.hint {
            Some(hint) => format!("{}; {hint}", self.body.message),
            None => self.body.message.clone(),
        };
        let errors = [json!({ "code": code, "message": words })];
        answer(self.code, Both { own: self.body, errors })
    }

    fn holders(mut self, holders: &[Holder]) -> Self {
        self.body.holders = holders
            .iter()
            .map(|holder| WireHolder {
                entity_type: holder.entity.kind().as_str().to_owned(),
                entity_id: holder.entity.id().to_owned(),
                name: holder.name.clone(),
            })
            .collect();
        self
    }
}

impl ApiError {
    /// What is answered, for an answer that has begun.
    pub(crate) fn into_body(self) -> ErrorBody {
        *self.body
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        answer(self.code, self.body)
    }
}

fn answer(code: ErrorCode, body: impl Serialize) -> Response {
    let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(body)).into_response();
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110, section 15.5.2: a 401 names a way to sign in.
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Layer0\""));
    }
    response
}

/// The code for an entity that isn't there.
fn missing_code(kind: EntityKind) -> ErrorCode {
    match kind {
        EntityKind::Deploy => ErrorCode::DeployDoesNotExist,
        EntityKind::Environment => ErrorCode::EnvironmentDoesNotExist,
        EntityKind::LoadBalancer => ErrorCode::LoadBalancerDoesNotExist,
        EntityKind::Service => ErrorCode::ServiceDoesNotExist,
        EntityKind::Task => ErrorCode::TaskDoesNotExist,
    }
}

/// An entity that isn't there.
pub(crate) fn missing(entity: &EntityRef) -> ApiError {
    ApiError::new(missing_code(entity.kind()), format!("{entity} does not exist"))
}

/// Every error with its sources, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NameTaken { by, .. } => {
                let other = match by {
                    EntityRef::Task(id) => format!("delete it: `l0 task delete {id}`"),
                    by => format!("use {by}"),
                };
                ApiError::new(ErrorCode::NameTaken, error.to_string()).hint(format!("choose another name, or {other}"))
            }
            StoreError::Conflict { .. } => {
                ApiError::new(ErrorCode::Conflict, error.to_string()).hint("look at it again, and try again")
            }
            StoreError::OwnerMissing { .. } => ApiError::new(ErrorCode::OwnerDoesNotExist, error.to_string())
                .hint("`l0 owner list` shows all, `l0 owner create` makes one"),
            StoreError::InUse { entity, holders } => ApiError::in_use(&entity.to_string(), holders),
            StoreError::Missing { entity } => missing(entity),
            StoreError::Full => disk_full(),
            StoreError::Failed { .. } => {
                tracing::error!(error = chain(&error), "the store failed");
                ApiError::new(ErrorCode::StoreUnavailable, "the store does not answer")
                    .hint("the server's log says why")
            }
        }
    }
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Elsewhere => {
                ApiError::value("this instance keeps its state in a DynamoDB table: AWS makes its backups").hint(
                    "point-in-time recovery of the table, and versioning or replication of the bucket; images on a server's own disk are in neither: copy its data directory while it is stopped; docs/backup.md says how",
                )
            }
            BackupError::Busy => ApiError::new(ErrorCode::Throttled, error.to_string())
                .hint("one that nothing is asked of ends after five minutes"),
            BackupError::Store(error) => error.into(),
            BackupError::Disk(why) if matches!(why.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => disk_full(),
            BackupError::Disk(why) => {
                tracing::error!(error = %why, "the copy of the state can't be kept: {why}");
                ApiError::new(ErrorCode::UnexpectedError, "the copy of the state can't be kept in the data directory")
                    .hint("the server's log says why")
            }
        }
    }
}

fn disk_full() -> ApiError {
    ApiError::new(ErrorCode::DiskFull, "no space is left on the server's disk; nothing was changed").hint("`l0 repository delete --force` makes room at once, `l0 image delete` and then `l0 admin gc --now` for images older than the grace; or free some space on that disk, and try again")
}

impl From<AccessStoreError> for ApiError {
    fn from(error: AccessStoreError) -> Self {
        match &error {
            AccessStoreError::Exists { what, name } => {
                let taken = ApiError::new(ErrorCode::NameTaken, error.to_string());
                match *what {
                    "owner" => taken.hint(format!(
                        "its first repository makes an owner; `l0 owner update {name} --quota SIZE` gives it a quota"
                    )),
                    _ => taken,
                }
            }
            AccessStoreError::Missing { what, .. } => {
                let code = match *what {
                    "user" => ErrorCode::UserDoesNotExist,
                    "owner" => ErrorCode::OwnerDoesNotExist,
                    "member" => ErrorCode::MemberDoesNotExist,
                    "token" => ErrorCode::TokenDoesNotExist,
                    "trust" => ErrorCode::TrustDoesNotExist,
                    "retention rule" => ErrorCode::RetentionRuleDoesNotExist,
                    _ => ErrorCode::TagRuleDoesNotExist,
                };
                ApiError::new(code, error.to_string())
            }
            AccessStoreError::LastWayIn { .. } => ApiError::new(
                ErrorCode::DependencyError,
                format!("{error}: nobody could administer the instance any more"),
            )
            .hint("let another admin in first: `l0 token create`, or `l0 user create --admin`"),
            AccessStoreError::OwnerInUse { .. } => {
                ApiError::new(ErrorCode::DependencyError, error.to_string()).hint("delete these first")
            }
            AccessStoreError::Full => disk_full(),
            AccessStoreError::Failed { .. } => {
                tracing::error!(error = chain(&error), "the store of users and tokens failed");
                ApiError::new(ErrorCode::StoreUnavailable, "the store does not answer")
                    .hint("the server's log says why")
            }
        }
    }
}

impl From<RegistryStoreError> for ApiError {
    fn from(error: RegistryStoreError) -> Self {
        match &error {
            RegistryStoreError::RepositoryExists(_) => ApiError::new(ErrorCode::NameTaken, error.to_string()),
            RegistryStoreError::RepositoryMissing(_) => {
                ApiError::new(ErrorCode::RepositoryDoesNotExist, error.to_string())
            }
            RegistryStoreError::RepositoryNotEmpty { repository, .. } => {
                ApiError::new(ErrorCode::DependencyError, error.to_string()).hint(format!(
                    "delete its images first (`l0 image list {repository}`, with `--untagged` those without a tag), or delete it with `--force`"
                ))
            }
            RegistryStoreError::ContentMissing { .. } => ApiError::value(error.to_string()),
            RegistryStoreError::QuotaExceeded { .. } => ApiError::new(ErrorCode::QuotaExceeded, error.to_string()),
            // Pushes go through the registry, which has words of its own.
            RegistryStoreError::TagImmutable { repository, rule, .. } => {
                ApiError::new(ErrorCode::TagImmutable, error.to_string()).hint(format!(
                    "`l0 repository immutable remove '{}/{}' --tags '{}'` takes the rule away",
                    repository.owner(),
                    rule.repositories,
                    rule.tags
                ))
            }
            RegistryStoreError::Refused { .. } => ApiError::value(error.to_string()),
            RegistryStoreError::Full => disk_full(),
            RegistryStoreError::Failed { .. } => {
                tracing::error!(error = chain(&error), "the registry's store failed");
                ApiError::new(ErrorCode::StoreUnavailable, "the store does not answer")
                    .hint("the server's log says why")
            }
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match &error {
            EngineError::Missing { entity } => missing(entity),
            EngineError::Throttled { .. } => ApiError::new(ErrorCode::Throttled, error.to_string()),
            EngineError::Unavailable { .. } => ApiError::new(ErrorCode::EngineUnavailable, chain(&error))
                .hint("start the engine; what is under way goes on by itself"),
            EngineError::Refused { failure } => {
                let refused = ApiError::value(failure.message.clone());
                match &failure.hint {
                    Some(hint) => refused.hint(hint.clone()),
                    None => refused,
                }
            }
            EngineError::Outdated { .. } => ApiError::new(ErrorCode::Conflict, error.to_string()),
            EngineError::Failed { .. } => {
                tracing::error!(error = chain(&error), "the engine failed");
                ApiError::new(ErrorCode::EngineUnavailable, error.to_string()).hint("the server's log says why")
            }
        }
    }
}

impl From<TellError> for ApiError {
    fn from(error: TellError) -> Self {
        match error {
            TellError::Store(error) => error.into(),
            TellError::Engine(error) => error.into(),
        }
    }
}

impl From<OpsError> for ApiError {
    fn from(error: OpsError) -> Self {
        match error {
            OpsError::Missing { entity } => missing(&entity),
            OpsError::Deleting { entity } => ApiError::new(ErrorCode::Conflict, format!("{entity} is being deleted")),
            OpsError::Invalid { message, hint } => {
                let invalid = ApiError::value(message);
                match hint {
                    Some(hint) => invalid.hint(hint),
                    None => invalid,
                }
            }
            OpsError::Document(error) => {
                let problems: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
                let code = match error {
                    layer0_domain::model::task_definition::DocumentError::TooLarge { .. } => ErrorCode::TooLarge,
                    _ => ErrorCode::InvalidValue,
                };
                ApiError::new(code, format!("the task definition can't be used: {error}")).problems(problems)
            }
            OpsError::Mapping(error) => ApiError::value(chain(&error)),
            OpsError::Map(error) => ApiError::value(chain(&error)),
            OpsError::MapRule(error) => ApiError::value(chain(&error)),
            OpsError::MapConflict => ApiError::new(ErrorCode::Conflict, error.to_string()).hint("try again"),
            OpsError::MapRuleMissing { ref prefix, fixed: true } => {
                ApiError::value(format!("the rule for `{prefix}` stands in the instance's configuration"))
                    .hint("change the server's `--registry-name` or `--image-map` instead")
            }
            OpsError::MapRuleMissing { fixed: false, .. } => {
                ApiError::new(ErrorCode::MapRuleDoesNotExist, error.to_string())
            }
            OpsError::GrantMissing { .. } => {
                ApiError::new(ErrorCode::GrantDoesNotExist, error.to_string()).hint("`l0 account list` shows all")
            }
            OpsError::MigrationMissing { .. } => ApiError::new(ErrorCode::RepositoryDoesNotExist, error.to_string())
                .hint("`l0 repository migration list` shows those that were"),
            OpsError::MigrationConflict { message, hint } => ApiError::new(ErrorCode::Conflict, message).hint(hint),
            OpsError::Home(HomeStoreError::Full) => disk_full(),
            OpsError::Home(HomeStoreError::Failed { .. }) => {
                tracing::error!(error = chain(&error), "it could not be read or written where repositories lie");
                ApiError::new(ErrorCode::StoreUnavailable, "the store does not answer")
                    .hint("the server's log says why")
            }
            OpsError::GrantConflict { .. } => ApiError::new(ErrorCode::Conflict, error.to_string()).hint("try again"),
            OpsError::PullCheck { ref failures } => {
                let problems = failures.iter().map(|(_, failure)| failure.message.clone());
                let refused = ApiError::new(ErrorCode::PullCheckFailed, error.to_string()).problems(problems);
                match failures.first().and_then(|(_, failure)| failure.hint.clone()) {
                    Some(hint) => refused.hint(hint),
                    None => refused,
                }
            }
            OpsError::PortTaken { ref holder, .. } => {
                let holders = [holder.clone()];
                ApiError::new(ErrorCode::NameTaken, error.to_string())
                    .holders(&holders)
                    .hint("choose another host port")
            }
            OpsError::Denied { message, hint } => {
                let denied = ApiError::new(ErrorCode::Forbidden, message);
                match hint {
                    Some(hint) => denied.hint(hint),
                    None => denied,
                }
            }
            OpsError::Access(error) => error.into(),
            OpsError::Store(error) => error.into(),
            OpsError::Engine(error) => error.into(),
            OpsError::ImageSource(ImageSourceError::Upstream { said }) => {
                tracing::warn!(error = said, "an upstream could not be asked about an image: {said}");
                ApiError::new(ErrorCode::StoreUnavailable, said).hint(
                    "try again when the mirrored registry answers; what was pulled before is still here by its digest",
                )
            }
            OpsError::ImageSource(error @ ImageSourceError::Failed { .. }) => {
                tracing::error!(error = chain(&error), "the registry could not be asked");
                ApiError::new(ErrorCode::StoreUnavailable, error.to_string()).hint("the server's log says why")
            }
        }
    }
}
