//! An error as a service of AWS answers it.

use serde_json::Value;

/// A refusal: what every service's protocol says in a form of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct AwsError {
    /// The code of the API reference, `ClusterNotFoundException`.
    pub code: String,
    /// The text.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
    /// Further members of a JSON error, `{"resourceIds": [..]}`.
    pub members: Option<Value>,
}

impl AwsError {
    /// The client's fault, status 400.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), status: 400, members: None }
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same with members of its own (JSON services only).
    #[must_use]
    pub fn with_members(mut self, members: Value) -> Self {
        self.members = Some(members);
        self
    }

    /// What ECS and ECR call a bad argument.
    #[must_use]
    pub fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    /// What ECS calls a request that can't be done.
    #[must_use]
    pub fn client(message: impl Into<String>) -> Self {
        Self::new("ClientException", message)
    }

    /// What the services with the query protocol call a bad argument.
    #[must_use]
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationError", message)
    }
}
