//! What AWS answers when it does not do what it was asked, by what a caller can do about it.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::port::BoxError;
use layer0_domain::port::engine::EngineError;

/// How long to wait after a throttled call that the SDK has already repeated, unless the answer says how long.
const THROTTLED_AFTER: Duration = Duration::from_secs(2);

/// The longest that an answer is believed to ask for.
const AFTER_MAX: Duration = Duration::from_secs(60);

/// Said of a call that was not made.
const UNSIGNED: &str = "no credential for AWS could be had";

/// What can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Slow down.
    Throttled,
    /// No answer, or the service is in trouble: the same call may succeed later.
    Unreachable,
    /// We may not.
    Denied,
    /// It isn't there (yet, or any more).
    Missing,
    /// It is there already.
    Exists,
    /// It is being changed, or others use it: later.
    Busy,
    /// It can't be done as asked.
    Refused,
}

/// One call that failed.
#[derive(Debug, thiserror::Error)]
#[error("{op}: {message}")]
pub struct AwsError {
    /// The call, as IAM writes it: `ecs:CreateService`.
    pub op: &'static str,
    /// What can be done about it.
    pub kind: Kind,
    /// AWS's code; empty when AWS did not answer.
    pub code: String,
    /// AWS's code and words.
    pub message: String,
    /// How long the answer asks to wait (`Retry-After`).
    after: Option<Duration>,
    /// Whether the call was not made for want of credentials.
    is_unsigned: bool,
    #[source]
    source: Option<BoxError>,
}

impl AwsError {
    /// Takes the SDK's error apart.
    pub fn of<E>(op: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        if let SdkError::ServiceError(context) = &error {
            let code = context.err().code().unwrap_or_default();
            let words = context.err().message().unwrap_or("no more was said");
            let after = context.raw().headers().get("retry-after").and_then(seconds);
            return Self { after, ..Self::refused(op, code, words, context.raw().status().as_u16()) };
        }
        let is_unsigned = matches!(&error, SdkError::DispatchFailure(failure) if failure.is_user());
        let message = match &error {
            SdkError::TimeoutError(_) => "no answer in time",
            _ if is_unsigned => UNSIGNED,
            SdkError::DispatchFailure(_) => "AWS could not be reached",
            SdkError::ResponseError(_) => "the answer could not be read",
            _ => "the call could not be made",
        };
        Self {
            op,
            kind: Kind::Unreachable,
            code: String::new(),
            message: message.to_owned(),
            after: None,
            is_unsigned,
            source: Some(Box::new(error)),
        }
    }

    /// A refusal of a call that no client of the SDK made.
    pub fn refused(op: &'static str, code: &str, words: &str, status: u16) -> Self {
        let kind = kind(code, status);
        let message = if code.is_empty() { words.to_owned() } else { format!("{code}: {words}") };
        Self { op, kind, code: code.to_owned(), message, after: None, is_unsigned: false, source: None }
    }

    /// A call to which nobody answered.
    pub fn unanswered(op: &'static str, message: &str, source: BoxError) -> Self {
        let (kind, code) = (Kind::Unreachable, String::new());
        Self { op, kind, code, message: message.to_owned(), after: None, is_unsigned: false, source: Some(source) }
    }

    /// A call that was not made for want of credentials.
    pub(crate) fn unsigned(op: &'static str, source: BoxError) -> Self {
        Self { is_unsigned: true, ..Self::unanswered(op, UNSIGNED, source) }
    }

    /// Whether it was not made for want of credentials, in the words of those that have none.
    #[must_use]
    pub fn without_credentials(&self) -> Option<String> {
        let mut words = Vec::new();
        let mut source = self.source.as_deref().map(|source| source as &dyn std::error::Error);
        while let Some(error) = source {
            words.push(error.to_string());
            source = error.source();
        }
        self.is_unsigned.then(|| words.join(": "))
    }

    /// Something that took too long; `op` in words.
    pub fn late(op: &'static str, source: tokio::time::error::Elapsed) -> Self {
        Self::unanswered(op, "it took too long", Box::new(source))
    }

    /// Whether AWS said nothing at all.
    pub fn is_silence(&self) -> bool {
        self.kind == Kind::Unreachable && self.source.is_some()
    }

    /// Why something is not known, in words for people: names the call, and what is to be allowed.
    pub fn reason(&self) -> String {
        let op = self.op;
        match self.kind {
            Kind::Denied if self.is_denial() => format!("access denied to {op}"),
            Kind::Denied => format!("access denied to {op} ({})", self.code),
            Kind::Throttled => format!("{op} is throttled"),
            Kind::Unreachable => format!("{op} was not answered: {}", self.message),
            Kind::Missing | Kind::Exists | Kind::Busy | Kind::Refused => format!("{op} was refused: {}", self.message),
        }
    }

    /// The same error once more, for another who asked the same. Without what it came from.
    pub fn again(&self) -> Self {
        let (op, kind, after) = (self.op, self.kind, self.after);
        Self {
            op,
            kind,
            code: self.code.clone(),
            message: self.message.clone(),
            after,
            is_unsigned: self.is_unsigned,
            source: None,
        }
    }

    /// The same error, as something else can be done about it than its code says.
    pub fn with_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// An answer that lacks what it must have.
    pub fn incomplete(op: &'static str, what: &str) -> Self {
        Self {
            op,
            kind: Kind::Unreachable,
            code: String::new(),
            message: format!("the answer has no {what}"),
            after: None,
            is_unsigned: false,
            source: None,
        }
    }

    /// Whether ECS does not find a task definition, for which it has no code: one that was just registered becomes visible
    /// late ("Amazon ECS API … eventual consistency").
    pub fn lacks_definition(&self) -> bool {
        let text = self.message.to_ascii_lowercase();
        matches!(self.code.as_str(), "ClientException" | "InvalidParameterException")
            && (text.contains("taskdefinition") || text.contains("task definition"))
            && (text.contains("not found") || text.contains("unable to find") || text.contains("unable to describe"))
    }

    /// Whether whoever asked is known and has no right to it.
    pub fn is_denial(&self) -> bool {
        matches!(self.code.as_str(), "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation")
    }

    /// Whether it isn't there.
    pub fn is_missing(&self) -> bool {
        self.kind == Kind::Missing
    }

    /// Whether the same call may succeed later without anyone changing what is asked.
    pub fn retryable(&self) -> bool {
        match self.kind {
            Kind::Throttled | Kind::Unreachable | Kind::Missing | Kind::Busy => true,
            Kind::Denied | Kind::Exists | Kind::Refused => false,
        }
    }

    /// As the cause of an operation's failure.
    pub fn failure(&self) -> Failure {
        let mut failure = match self.kind {
            Kind::Denied => {
                let text = format!("AWS does not let this instance call {}: {}", self.op, self.message);
                let mut failure = Failure::new(FailureClass::Other, text);
                failure.hint = Some(format!("let the role that this server runs as call {}", self.op));
                return failure;
            }
            Kind::Throttled => Failure::new(FailureClass::Throttled, String::new()),
            Kind::Unreachable => Failure::new(FailureClass::EngineUnavailable, String::new()),
            Kind::Missing | Kind::Exists | Kind::Busy | Kind::Refused => {
                Failure::new(FailureClass::Other, String::new())
            }
        };
        if self.kind == Kind::Unreachable {
            failure.hint = Some("nothing: it is tried again".to_owned());
        }
        failure.message = match self.kind {
            Kind::Unreachable => format!("AWS did not answer {}: {}", self.op, self.message),
            _ => format!("AWS refused {}: {}", self.op, self.message),
        };
        failure
    }
}

impl From<AwsError> for EngineError {
    fn from(error: AwsError) -> Self {
        match error.kind {
            Kind::Throttled => EngineError::Throttled { after: error.after.unwrap_or(THROTTLED_AFTER) },
            Kind::Unreachable => EngineError::Unavailable { engine: "AWS".to_owned(), source: Box::new(error) },
            Kind::Missing | Kind::Busy => EngineError::Failed { op: error.op, source: Box::new(error) },
            Kind::Denied | Kind::Exists | Kind::Refused => EngineError::Refused { failure: Box::new(error.failure()) },
        }
    }
}

/// The seconds of a `Retry-After`; AWS writes no dates there.
fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs).map(|after| after.min(AFTER_MAX))
}

/// The kind of an error code ("Common errors" and the error lists of the API references).
fn kind(code: &str, status: u16) -> Kind {
    match code {
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown" => Kind::Throttled,
        "AccessDeniedException"
        | "AccessDenied"
        | "UnauthorizedOperation"
        | "NotAuthorized"
        | "OptInRequired"
        | "AuthFailure"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "IncompleteSignature"
        | "ExpiredToken"
        | "ExpiredTokenException" => Kind::Denied,
        "ClusterNotFoundException"
        | "ServiceNotFoundException"
        | "ServiceNotActiveException"
        | "ServiceDeploymentNotFoundException"
        | "ResourceNotFoundException"
        | "StackNotFoundException"
        | "TargetGroupNotFound"
        | "TargetGroupNotFoundException"
        | "LoadBalancerNotFound"
        | "LoadBalancerNotFoundException"
        | "RepositoryNotFoundException"
        | "RepositoryPolicyNotFoundException"
        | "RegistryPolicyNotFoundException"
        | "ImageNotFoundException"
        | "ChangeSetNotFound"
        | "ChangeSetNotFoundException"
        | "NoSuchBucket"
        | "NoSuchKey"
        | "NoSuchTagSet"
        | "NoSuchUpload"
        | "ParameterNotFound"
        | "NoSuchEntity" => Kind::Missing,
        "AlreadyExistsException" | "ResourceAlreadyExistsException" | "RepositoryAlreadyExistsException" => {
            Kind::Exists
        }
        "UpdateInProgressException"
        | "OperationInProgressException"
        | "OperationAbortedException"
        | "ResourceInUseException"
        | "ResourceInUse"
        | "DependencyViolation"
        | "ClusterContainsServicesException"
        | "ClusterContainsTasksException"
        | "ClusterContainsContainerInstancesException" => Kind::Busy,
        _ if code.ends_with(".NotFound") => Kind::Missing,
        _ if status == 429 => Kind::Throttled,
        _ if status >= 500 => Kind::Unreachable,
        _ if status == 403 => Kind::Denied,
        _ => Kind::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_what_can_be_done() {
        for (code, status, expected) in [
            ("ThrottlingException", 400, Kind::Throttled),
            ("ClusterNotFoundException", 400, Kind::Missing),
            ("InvalidParameterException", 400, Kind::Refused),
            ("ServerException", 500, Kind::Unreachable),
            ("", 503, Kind::Unreachable),
            ("AccessDeniedException", 400, Kind::Denied),
            ("SomethingNew", 403, Kind::Denied),
            ("ClusterContainsServicesException", 400, Kind::Busy),
        ] {
            assert_eq!(kind(code, status), expected, "{code} {status}");
        }
    }

    #[test]
    fn an_answer_that_asks_for_time_gets_it_within_bounds() {
        assert_eq!(seconds(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(seconds("86400"), Some(AFTER_MAX));
        assert_eq!(seconds("Fri, 31 Dec 1999 23:59:59 GMT"), None);
    }

    #[test]
    fn a_denial_names_the_action_and_who_can_help() {
        let error = AwsError {
            op: "ecs:CreateService",
            kind: Kind::Denied,
            code: "AccessDeniedException".to_owned(),
            message: "AccessDeniedException: User: arn:aws:iam::1:role/l0 is not authorized".to_owned(),
            after: None,
            is_unsigned: false,
            source: None,
        };
        let failure = error.failure();
        assert!(failure.message.contains("ecs:CreateService"), "{}", failure.message);
        assert_eq!(failure.hint.as_deref(), Some("let the role that this server runs as call ecs:CreateService"));
    }
}
