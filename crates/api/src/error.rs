//! Error codes and the body of every error.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal),+ $(,)?) => {
        /// What went wrong, as a word that programs can match. Each code belongs to one HTTP status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        pub enum ErrorCode {
            $($(#[$doc])* $name),+
        }

        impl ErrorCode {
            /// All codes, for the reference page and for tests.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name),+];

            /// The HTTP status that goes with the code.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(ErrorCode::$name => $status),+ }
            }

            /// The code as it is spelled on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$name => stringify!($name)),+ }
            }
        }
    };
}

codes! {
    /// The request can't be read: no JSON, a missing field, a bad query.
    InvalidRequest = 400,
    /// No credential, or one that opens nothing.
    Unauthorized = 401,
    /// The credential does not allow this.
    Forbidden = 403,
    /// The owner's quota does not allow it.
    QuotaExceeded = 403,
    /// No deploy with this id.
    DeployDoesNotExist = 404,
    /// No environment with this id.
    EnvironmentDoesNotExist = 404,
    /// No load balancer with this id.
    LoadBalancerDoesNotExist = 404,
    /// No service with this id.
    ServiceDoesNotExist = 404,
    /// No task with this id.
    TaskDoesNotExist = 404,
    /// No operation with this id.
    OperationDoesNotExist = 404,
    /// No repository with this name.
    RepositoryDoesNotExist = 404,
    /// No image with this tag or digest.
    ImageDoesNotExist = 404,
    /// No token with this id.
    TokenDoesNotExist = 404,
    /// No user with this name.
    UserDoesNotExist = 404,
    /// No owner with this name.
    OwnerDoesNotExist = 404,
    /// No such member of the owner.
    MemberDoesNotExist = 404,
    /// No such trust of the owner.
    TrustDoesNotExist = 404,
    /// No such rule of immutable tags.
    TagRuleDoesNotExist = 404,
    /// No such retention rule.
    RetentionRuleDoesNotExist = 404,
    /// No map rule with this prefix.
    MapRuleDoesNotExist = 404,
    /// No such account grant.
    GrantDoesNotExist = 404,
    /// No such tag on the entity.
    TagDoesNotExist = 404,
    /// No such backup is being made.
    BackupDoesNotExist = 404,
    /// The bytes of a blob are not there.
    BlobDoesNotExist = 404,
    /// No such route.
    RouteDoesNotExist = 404,
    /// The route has no such method.
    MethodNotAllowed = 405,
    /// Another entity has the name, or the port.
    NameTaken = 409,
    /// Others need it.
    DependencyError = 409,
    /// The tag may be neither moved nor deleted.
    TagImmutable = 409,
    /// Somebody else changed it meanwhile.
    Conflict = 409,
    /// The request is larger than it may be.
    TooLarge = 413,
    /// Well-formed, but against the rules.
    InvalidValue = 422,
    /// The engine would not be able to pull an image.
    PullCheckFailed = 422,
    /// Too much at once.
    Throttled = 429,
    /// A defect of ours; the log has more.
    UnexpectedError = 500,
    /// The server runs the registry only: there is no engine for this.
    RegistryOnly = 501,
    /// The engine does not answer.
    EngineUnavailable = 503,
    /// The store does not answer.
    StoreUnavailable = 503,
    /// The server is stopping.
    Stopping = 503,
    /// No disk space is left.
    DiskFull = 507,
}

/// The body of every error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// One of [`ErrorCode`]; a string, so that a client of today reads the errors of tomorrow's server.
    pub error_code: String,
    /// What happened.
    pub message: String,
    /// What to do next, where there is something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// With `DependencyError`: what holds the entity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<Holder>,
    /// With `InvalidValue` and `PullCheckFailed`: every problem found, not only the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// What holds an entity that was to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Holder {
    /// Its kind: `service`.
    pub entity_type: String,
    /// Its id.
    pub entity_id: String,
    /// Its name.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_serialises_as_it_is_spelled() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).expect("a unit variant"), code.as_str());
            assert!((400..=507).contains(&code.status()));
        }
    }
}
