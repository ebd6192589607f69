//! AWS's errors by what setup can do about them.

use layer0_aws::{AwsError, Kind};

use crate::account::{AccountError, Trouble};

impl From<AwsError> for AccountError {
    fn from(error: AwsError) -> Self {
        let action = error.op.to_owned();
        if let Some(words) = error.without_credentials() {
            return Self { action, trouble: Trouble::Credentials, words: format!("{}: {words}", error.message) };
        }
        let trouble = trouble(&error.code, &error.message, error.kind);
        Self { action, trouble, words: error.message }
    }
}

fn trouble(code: &str, message: &str, kind: Kind) -> Trouble {
    match code {
        "AuthFailure"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "RequestExpired"
        | "SignatureDoesNotMatch"
        | "TokenRefreshRequired"
        | "UnrecognizedClientException" => return Trouble::Credentials,
        // What is being changed is refused with the same code as a wrong template.
        "ValidationError" if message.contains("_IN_PROGRESS") => return Trouble::Busy,
        "RequestLimitExceeded" => return Trouble::Throttled,
        _ if code.contains("LimitExceeded") || code.contains("QuotaExceeded") || code == "TooManyBuckets" => {
            return Trouble::Quota;
        }
        _ => {}
    }
    match kind {
        Kind::Throttled => Trouble::Throttled,
        Kind::Unreachable => Trouble::Unreachable,
        Kind::Denied => Trouble::Denied,
        Kind::Busy => Trouble::Busy,
        Kind::Missing | Kind::Exists | Kind::Refused => Trouble::Refused,
    }
}

/// A call that was answered in a way that nothing can be done with.
pub(super) fn refused(action: &str, words: impl Into<String>) -> AccountError {
    AccountError { action: action.to_owned(), trouble: Trouble::Refused, words: words.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_what_can_be_done() {
        for (code, words, status, expected) in [
            ("ExpiredToken", "The security token included in the request is expired", 403, Trouble::Credentials),
            ("ExpiredTokenException", "", 400, Trouble::Credentials),
            ("AccessDenied", "User: … is not authorized to perform: …", 403, Trouble::Denied),
            ("LimitExceededException", "Limit exceeded for resource of type", 400, Trouble::Quota),
            ("VpcLimitExceeded", "The maximum number of VPCs has been reached.", 400, Trouble::Quota),
            ("ServiceQuotaExceededException", "", 402, Trouble::Quota),
            ("Throttling", "Rate exceeded", 400, Trouble::Throttled),
            ("RequestLimitExceeded", "", 503, Trouble::Throttled),
            ("ValidationError", "Stack:arn is in UPDATE_IN_PROGRESS state and can not be updated.", 400, Trouble::Busy),
            ("ValidationError", "Template format error: JSON not well-formed.", 400, Trouble::Refused),
            ("OperationInProgressException", "", 400, Trouble::Busy),
            ("InternalFailure", "", 500, Trouble::Unreachable),
        ] {
            let error = AccountError::from(AwsError::refused("cloudformation:CreateChangeSet", code, words, status));
            assert_eq!(error.trouble, expected, "{code}: {words}");
            assert!(error.words.contains(words), "{code}: AWS's own words are kept");
        }
    }
}
