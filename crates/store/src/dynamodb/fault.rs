//! What can go wrong underneath, and its way into the errors of the ports.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use layer0_domain::port::access_store::AccessStoreError;
use layer0_domain::port::home_store::HomeStoreError;
use layer0_domain::port::registry_store::RegistryStoreError;
use layer0_domain::port::store::StoreError;

/// A failure that is nobody's decision. The SDK's own errors are not kept: their debug form shows requests and answers,
/// and those hold task definitions with their secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// No answer came, also after the SDK's retries. Whether a write happened is not known.
    #[error("DynamoDB did not answer {call}: {why}")]
    Unanswered {
        /// Which call.
        call: &'static str,
        /// What the connection said.
        why: String,
    },
    /// The table or the account is asked too much, also after the SDK's retries. Nothing was written.
    #[error("DynamoDB slows {call} down ({code})")]
    Throttled {
        /// Which call.
        call: &'static str,
        /// The error's code.
        code: String,
    },
    /// DynamoDB refuses the call: rights, a table that isn't there, an item that is too large.
    #[error("DynamoDB refused {call}: {code}: {message}")]
    Refused {
        /// Which call.
        call: &'static str,
        /// The error's code.
        code: String,
        /// What it says.
        message: String,
    },
    /// A stored value is none that this version knows.
    #[error("the stored {what} can't be read")]
    Unreadable {
        /// Of which item and attribute.
        what: &'static str,
    },
    /// A value can't be stored.
    #[error("the {what} can't be stored")]
    Unstorable {
        /// Which value.
        what: &'static str,
    },
    /// Something that is to be new has an id or a secret that is in use already.
    #[error("there is such a {what} already")]
    Twice {
        /// What.
        what: &'static str,
    },
    /// More would have to change at once than one transaction takes.
    #[error("{count} items would have to change at once, {most} is the most")]
    TooMuch {
        /// How many.
        count: usize,
        /// How many may.
        most: usize,
    },
    /// Others kept changing what this call decides on.
    #[error("others kept changing the same items")]
    Contended,
    /// The operating system gave no randomness.
    #[error("the system's source of randomness failed")]
    Randomness,
}

/// Codes that mean "later": those of the service, and those of one item's part in a transaction.
const THROTTLES: [&str; 6] = [
    "ProvisionedThroughputExceededException",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "ThrottlingException",
    "ThrottlingError",
    "Throttling",
];

/// Codes after which nobody knows whether a write happened. `unknown` stands for an answer without a code, such as one of a
/// proxy in between.
const UNKNOWN_OUTCOME: [&str; 4] =
    ["InternalServerError", "ServiceUnavailable", "TransactionInProgressException", "unknown"];

/// Whether a code means that too much is asked.
pub(super) fn is_throttle(code: &str) -> bool {
    THROTTLES.contains(&code)
}

impl Fault {
    /// What the SDK answered to a call after its own retries.
    pub(super) fn of<E, R>(call: &'static str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        match error {
            SdkError::ServiceError(answer) => {
                let code = answer.err().code().unwrap_or("unknown").to_owned();
                if is_throttle(&code) {
                    return Self::Throttled { call, code };
                }
                if UNKNOWN_OUTCOME.contains(&code.as_str()) {
                    return Self::Unanswered { call, why: code };
                }
                Self::Refused { call, code, message: answer.err().message().unwrap_or_default().to_owned() }
            }
            SdkError::TimeoutError(_) => Self::Unanswered { call, why: "the time for it ran out".to_owned() },
            SdkError::DispatchFailure(failure) => {
                let why = failure.as_connector_error().map_or_else(String::new, |it| chain(it));
                Self::Unanswered { call, why }
            }
            SdkError::ResponseError(_) => {
                Self::Unanswered { call, why: "the answer broke off, or was none of DynamoDB's".to_owned() }
            }
            _ => Self::Unstorable { what: "request" },
        }
    }
}

/// An error's text with those below it: of connections, which know addresses and no items.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        StoreError::Failed { source: Box::new(fault) }
    }
}

impl From<Fault> for AccessStoreError {
    fn from(fault: Fault) -> Self {
        AccessStoreError::Failed { source: Box::new(fault) }
    }
}

impl From<Fault> for HomeStoreError {
    fn from(fault: Fault) -> Self {
        HomeStoreError::Failed { source: Box::new(fault) }
    }
}

impl From<Fault> for RegistryStoreError {
    fn from(fault: Fault) -> Self {
        RegistryStoreError::Failed { source: Box::new(fault) }
    }
}
