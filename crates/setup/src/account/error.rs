//! What goes wrong in an account.

/// Why a call was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{action}: {words}")]
pub struct AccountError {
    /// The call, as IAM writes it: `cloudformation:CreateChangeSet`.
    pub action: String,
    /// What sort of trouble it is.
    pub trouble: Trouble,
    /// AWS's own words, or ours where it gave none. Without secrets.
    pub words: String,
}

/// What sort of trouble, for whoever decides what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The caller may not do that.
    Denied,
    /// The credentials are no longer, or never were, good.
    Credentials,
    /// A quota of the account is reached.
    Quota,
    /// AWS did not answer, or was in trouble; again later.
    Unreachable,
    /// Too many calls; again later.
    Throttled,
    /// It is in use or in the middle of a change; again later.
    Busy,
    /// AWS does not do that.
    Refused,
}

impl Trouble {
    /// Whether the same call may do later.
    #[must_use]
    pub fn passes(self) -> bool {
        matches!(self, Self::Unreachable | Self::Throttled | Self::Busy)
    }
}
