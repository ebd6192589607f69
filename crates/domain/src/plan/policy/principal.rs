//! Who asks, and whom a statement of a resource's policy means.

use serde_json::Value;

use super::Truth;
use super::document::PolicyError;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requester {
    /// A role or user of IAM. A role asks through sessions, whose names nobody knows beforehand.
    Iam {
        /// The 12 digits of its account.
        account: String,
        /// ARN of the role or user; `None` when it is not known.
        arn: Option<String>,
    },
    /// A service of AWS, such as `ecs-tasks.amazonaws.com`.
    Service(String),
}

/// How a statement reaches the requester. It decides whether the statement is enough by itself within one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// It names the role, user or service, or one of its sessions; or the policy is the requester's own.
    Named,
    /// It names everybody.
    Everyone,
    /// It names the account: that hands the decision to the account's own policies.
    Account,
}

/// Whom a statement means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Principals {
    /// No word of it: a policy of the requester itself.
    Own,
    /// These.
    Only(Vec<Principal>),
    /// All but these.
    AllBut(Vec<Principal>),
}

/// One entry of `Principal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Principal {
    Everyone,
    Account(String),
    /// A role or user.
    Arn(String),
    /// A session of a role.
    Session {
        account: String,
        role: String,
    },
    Service(String),
    /// A federated or canonical user, or the id of a principal that was deleted: nobody who asks here.
    Stranger,
}

impl Principals {
    /// Reads `Principal` or `NotPrincipal`; `None` when the statement has neither.
    pub(super) fn parse(statement: &serde_json::Map<String, Value>, at: &str) -> Result<Self, PolicyError> {
        match (statement.get("Principal"), statement.get("NotPrincipal")) {
            (None, None) => Ok(Principals::Own),
            (Some(only), None) => Ok(Principals::Only(entries(only, at)?)),
            (None, Some(but)) => Ok(Principals::AllBut(entries(but, at)?)),
            (Some(_), Some(_)) => Err(PolicyError::new(at, "has both Principal and NotPrincipal")),
        }
    }

    /// Whether the requester is meant, entry by entry, and how each would reach it.
    pub(super) fn mean(&self, requester: &Requester) -> Vec<(Truth, Reach)> {
        match self {
            Principals::Own => vec![(Truth::Yes, Reach::Named)],
            Principals::Only(entries) => entries.iter().map(|entry| entry.means(requester)).collect(),
            // Whoever is exempted has to be named with session, role and account, and how far one name goes differs from
            // service to service (IAM user guide, "NotPrincipal"): a requester that is named at all may be exempted.
            Principals::AllBut(entries) => {
                let named = Truth::any(entries.iter().map(|entry| entry.means(requester).0));
                let meant = match named {
                    Truth::No => Truth::Yes,
                    Truth::Yes if entries.contains(&Principal::Everyone) => Truth::No,
                    Truth::Yes | Truth::Unknown(_) => {
                        Truth::Unknown("whom its NotPrincipal exempts is not certain".to_owned())
                    }
                };
                vec![(meant, Reach::Everyone)]
            }
        }
    }
}

impl Principal {
    fn means(&self, requester: &Requester) -> (Truth, Reach) {
        match (self, requester) {
            (Principal::Everyone, _) => (Truth::Yes, Reach::Everyone),
            (Principal::Service(named), Requester::Service(asks)) => (Truth::of(named == asks), Reach::Named),
            (Principal::Account(named), Requester::Iam { account, .. }) => {
                (Truth::of(named == account), Reach::Account)
            }
            (Principal::Arn(named), Requester::Iam { account, arn }) => {
                let truth = match arn {
                    Some(arn) => Truth::of(named == arn),
                    None if account_of(named) == Some(account) => {
                        Truth::Unknown(format!("it names {named}, and the role that asks is not known"))
                    }
                    None => Truth::No,
                };
                (truth, Reach::Named)
            }
            (Principal::Session { account: of, role }, Requester::Iam { account, arn }) => {
                let may_be = of == account
                    && arn.as_deref().is_none_or(|arn| arn.contains(":role/") && arn.rsplit('/').next() == Some(role));
                let truth =
                    if may_be { Truth::Unknown(format!("it names one session of the role {role}")) } else { Truth::No };
                (truth, Reach::Named)
            }
            (Principal::Stranger | Principal::Account(_) | Principal::Arn(_) | Principal::Session { .. }, _)
            | (Principal::Service(_), Requester::Iam { .. }) => (Truth::No, Reach::Named),
        }
    }
}

fn account_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(4)
}

fn entries(value: &Value, at: &str) -> Result<Vec<Principal>, PolicyError> {
    match value {
        Value::String(text) if text == "*" => Ok(vec![Principal::Everyone]),
        Value::Object(kinds) => {
            let mut all = Vec::new();
            for (kind, names) in kinds {
                for name in super::document::texts(names, &format!("{at}.Principal.{kind}"))? {
                    all.push(entry(kind, &name));
                }
            }
            Ok(all)
        }
        _ => Err(PolicyError::new(at, "has a Principal that is neither \"*\" nor an object")),
    }
}

fn entry(kind: &str, name: &str) -> Principal {
    match kind {
        "AWS" => aws(name),
        "Service" => Principal::Service(name.to_owned()),
        _ => Principal::Stranger,
    }
}

fn aws(name: &str) -> Principal {
    let is_account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if name == "*" {
        return Principal::Everyone;
    }
    if is_account(name) {
        return Principal::Account(name.to_owned());
    }
    let parts: Vec<&str> = name.splitn(6, ':').collect();
    let ["arn", _, service, _, account, resource] = parts[..] else { return Principal::Stranger };
    match service {
        "iam" if resource == "root" => Principal::Account(account.to_owned()),
        "iam" => Principal::Arn(name.to_owned()),
        "sts" => match resource.strip_prefix("assumed-role/").and_then(|rest| rest.split_once('/')) {
            Some((role, _)) => Principal::Session { account: account.to_owned(), role: role.to_owned() },
            None => Principal::Stranger,
        },
        _ => Principal::Stranger,
    }
}
