//! Principals of AWS: who signed a request, and whose is wanted.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::glob::{Glob, matches};
use crate::model::grant::AccountId;

/// Whose requests are wanted.
///
/// ```text
/// principal = account                                          everybody in it
///           | "arn:" partition ":iam::" account ":role/" name  name may hold "*"
///           | "arn:" partition ":iam::" account ":user/" name
/// ```
/// The account is always written out. Of the path of a role (`role/path/name`) AWS says nothing when its session calls; names are
/// unique in an account whatever their path (IAM, "IAM identifiers"), so the name alone decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AwsPrincipal {
    account: AccountId,
    named: Option<Named>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    partition: String,
    kind: Kind,
    name: Glob,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Role,
    User,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Role => "role",
            Kind::User => "user",
        }
    }
}

/// Why a text is no [`AwsPrincipal`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AwsPrincipalError {
    /// It is none.
    #[error(
        "`{0}` is no principal: write the 12 digits of an account, or arn:aws:iam::ACCOUNT:role/NAME, in whose NAME `*` stands for any characters"
    )]
    Form(String),
    /// A star in a role that has a path.
    #[error(
        "`{0}` has a path and a `*`: AWS does not say the path of a role, so all roles of the name would be meant; leave the path out"
    )]
    Path(String),
}

/// Whether a text is a partition: `aws`, `aws-cn`, `aws-us-gov`.
fn is_partition(text: &str) -> bool {
    text.starts_with("aws") && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

impl AwsPrincipal {
    /// Reads a principal.
    ///
    /// # Errors
    /// [`AwsPrincipalError`].
    pub fn parse(text: &str) -> Result<Self, AwsPrincipalError> {
        let shown = || text.chars().take(120).collect::<String>();
        let form = || AwsPrincipalError::Form(shown());
        if let Ok(account) = AccountId::parse(text) {
            return Ok(Self { account, named: None });
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, "iam", "", account, what] = parts[..] else { return Err(form()) };
        let account = AccountId::parse(account).map_err(|_| form())?;
        let (kind, path) = what.split_once('/').ok_or_else(form)?;
        let kind = match kind {
            "role" => Kind::Role,
            "user" => Kind::User,
            _ => return Err(form()),
        };
        let (path, name) = path.rsplit_once('/').map_or(("", path), |(path, name)| (path, name));
        if !is_partition(partition) {
            return Err(form());
        }
        if !path.is_empty() && what.contains('*') {
            return Err(AwsPrincipalError::Path(shown()));
        }
        let named = Named { partition: partition.to_owned(), kind, name: Glob::parse(name).map_err(|_| form())? };
        Ok(Self { account, named: Some(named) })
    }

    /// Whether somebody is wanted.
    #[must_use]
    pub fn fits(&self, caller: &AwsCaller) -> bool {
        let Some(named) = &self.named else { return self.account == caller.account };
        let kind = match caller.kind {
            CallerKind::Role => Some(Kind::Role),
            CallerKind::User => Some(Kind::User),
            CallerKind::Other => None,
        };
        self.account == caller.account
            && named.partition == caller.partition
            && kind == Some(named.kind)
            && matches(named.name.as_str(), &caller.name)
    }
}

impl fmt::Display for AwsPrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.named {
            None => write!(f, "{}", self.account),
            Some(Named { partition, kind, name }) => {
                write!(f, "arn:{partition}:iam::{}:{}/{name}", self.account, kind.as_str())
            }
        }
    }
}

impl TryFrom<String> for AwsPrincipal {
    type Error = AwsPrincipalError;
    fn try_from(text: String) -> Result<Self, AwsPrincipalError> {
        Self::parse(&text)
    }
}

impl From<AwsPrincipal> for String {
    fn from(principal: AwsPrincipal) -> String {
        principal.to_string()
    }
}

/// Who signed a request, as AWS says it (`Arn` in the answer to `GetCallerIdentity`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsCaller {
    partition: String,
    account: AccountId,
    kind: CallerKind,
    name: String,
    arn: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallerKind {
    /// A session of a role; the name is the role's.
    Role,
    User,
    /// The account itself, or a federated user: in the account, and neither a role nor a user.
    Other,
}

impl AwsCaller {
    /// Reads what AWS says; `None` for what is no caller.
    #[must_use]
    pub fn parse(arn: &str) -> Option<Self> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", partition, service, "", account, what] = parts[..] else { return None };
        let account = AccountId::parse(account).ok()?;
        let (kind, name) = match (service, what.split_once('/')) {
            ("sts", Some(("assumed-role", rest))) => {
                let (role, session) = rest.split_once('/')?;
                // A role's name has no `/`, and neither has a session's.
                if session.is_empty() || session.contains('/') {
                    return None;
                }
                (CallerKind::Role, role)
            }
            ("iam", Some(("user", path))) => (CallerKind::User, path.rsplit('/').next()?),
            ("sts", Some(("federated-user", name))) => (CallerKind::Other, name),
            ("iam", None) if what == "root" => (CallerKind::Other, what),
            _ => return None,
        };
        let legal = is_partition(partition) && !name.is_empty() && arn.bytes().all(|byte| byte.is_ascii_graphic());
        legal.then(|| Self {
            partition: partition.to_owned(),
            account,
            kind,
            name: name.to_owned(),
            arn: arn.to_owned(),
        })
    }
}

impl fmt::Display for AwsCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(principal: &str, caller: &str) -> bool {
        let principal = AwsPrincipal::parse(principal).unwrap_or_else(|why| panic!("{why}"));
        AwsCaller::parse(caller).is_some_and(|caller| principal.fits(&caller))
    }

    const SESSION: &str = "arn:aws:sts::111122223333:assumed-role/ci-build/i-0123456789abcdef0";
    const USER: &str = "arn:aws:iam::111122223333:user/people/alice";

    #[test]
    fn a_role_an_account_and_a_user_are_told_apart() {
        for (principal, caller) in [
            ("111122223333", SESSION),
            ("111122223333", USER),
            ("111122223333", "arn:aws:iam::111122223333:root"),
            ("111122223333", "arn:aws:sts::111122223333:federated-user/bob"),
            ("arn:aws:iam::111122223333:role/ci-build", SESSION),
            ("arn:aws:iam::111122223333:role/service/ci-build", SESSION),
            ("arn:aws:iam::111122223333:role/ci-*", SESSION),
            ("arn:aws:iam::111122223333:user/alice", USER),
            ("arn:aws-cn:iam::111122223333:role/*", "arn:aws-cn:sts::111122223333:assumed-role/x/y"),
        ] {
            assert!(fits(principal, caller), "{principal} {caller}");
        }
        for (principal, caller) in [
            ("111122223334", SESSION),
            ("arn:aws:iam::111122223333:role/ci", SESSION),
            ("arn:aws:iam::111122223333:role/CI-build", SESSION),
            ("arn:aws:iam::111122223333:role/i-*", SESSION),
            ("arn:aws:iam::111122223334:role/ci-build", SESSION),
            ("arn:aws-cn:iam::111122223333:role/ci-build", SESSION),
            ("arn:aws:iam::111122223333:user/ci-build", SESSION),
            ("arn:aws:iam::111122223333:role/alice", USER),
            ("arn:aws:iam::111122223333:role/*", USER),
            ("arn:aws:iam::111122223333:role/*", "arn:aws:iam::111122223333:root"),
            ("arn:aws:iam::111122223333:user/*", "arn:aws:sts::111122223333:federated-user/bob"),
        ] {
            assert!(!fits(principal, caller), "{principal} {caller}");
        }
    }

    #[test]
    fn what_is_no_principal_is_refused() {
        for bad in [
            "",
            "*",
            "1111222233",
            "arn:aws:iam::*:role/ci",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:role",
            "arn:aws:iam::111122223333:root",
            "arn:aws:iam::111122223333:group/x",
            "arn:*:iam::111122223333:role/x",
            "arn:aws:sts::111122223333:assumed-role/x/y",
            "arn:aws:iam:eu-west-1:111122223333:role/x",
            "arn:aws:iam::111122223333:role/a b",
        ] {
            assert!(matches!(AwsPrincipal::parse(bad), Err(AwsPrincipalError::Form(_))), "{bad}");
        }
        for bad in ["arn:aws:iam::111122223333:role/ci/*", "arn:aws:iam::111122223333:role/c*/x"] {
            assert!(matches!(AwsPrincipal::parse(bad), Err(AwsPrincipalError::Path(_))), "{bad}");
        }
        for text in ["111122223333", "arn:aws:iam::111122223333:role/ci-*", "arn:aws-us-gov:iam::111122223333:user/x"] {
            assert_eq!(AwsPrincipal::parse(text).expect("a principal").to_string(), text);
        }
    }

    #[test]
    fn what_is_no_caller_is_nobody() {
        for bad in [
            "",
            "arn:aws:sts::111122223333:assumed-role/x",
            "arn:aws:sts::111122223333:assumed-role/x/",
            "arn:aws:sts::111122223333:assumed-role//y",
            "arn:aws:sts::111122223333:assumed-role/x/y/z",
            "arn:aws:iam::111122223333:assumed-role/x/y",
            "arn:aws:sts::111122223333:user/x",
            "arn:aws:iam::111122223333:user/",
            "arn:aws:iam::1:user/x",
            "arn:aws:iam::111122223333:user/a\nb",
        ] {
            assert_eq!(AwsCaller::parse(bad), None, "{bad}");
        }
    }
}
