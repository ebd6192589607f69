//! The roles that a start hands over to ECS: who this server is, whether it may pass them, and whether the task's own is there.

use layer0_domain::model::image_map::partition_of;
use layer0_domain::plan::pull_check::PASSED_TO;
use layer0_domain::port::pull::Fact;
use layer0_domain::port::pull::aws::{PassedRole, Passer, Passing, PolicyText, RoleRights, UsedAs};

use super::Gathering;
use super::role::name;
use super::simulations::Asked;
use crate::ecs::aws::{AwsError, Caller, Kind, RoleSeen};

/// The action and the condition key that are asked about.
const PASS_ROLE: &str = "iam:PassRole";
const PASSED_TO_SERVICE: &str = "iam:PassedToService";

impl Gathering<'_> {
    /// What is handed over, and whether it may be; `None` when nothing is.
    pub(super) async fn passing(&self) -> Option<Passing> {
        let given = |role: &Option<String>| role.clone().filter(|role| !role.is_empty());
        let execution = given(&self.question.execution_role).or_else(|| given(&self.shared.config.execution_role));
        let task = given(&self.question.task_role);
        if execution.is_none() && task.is_none() {
            return None;
        }
        let caller = self.fact(self.shared.aws.caller().await);
        let account = caller.known().map(|caller| caller.account.clone()).unwrap_or_default();
        let mut roles = Vec::new();
        if let Some(named) = execution {
            roles.push(PassedRole { arn: self.role_arn(&named, &account), used_as: UsedAs::Execution });
        }
        if let Some(named) = task {
            let arn = self.role_arn(&named, &account);
            let trust = self.task_role_trust(&arn, &account).await;
            roles.push(PassedRole { arn, used_as: UsedAs::Task { trust } });
        }
        let passer = match caller {
            Fact::Known(Caller { account, arn }) => Fact::Known(self.passer(&account, &arn, &roles).await),
            Fact::Unknown(why) => Fact::Unknown(why),
        };
        Some(Passing { passer, roles })
    }

    /// A definition may name a role without its ARN.
    fn role_arn(&self, named: &str, account: &str) -> String {
        if named.starts_with("arn:") {
            return named.to_owned();
        }
        format!(
            "arn:{}:iam::{account}:role/{}",
            partition_of(&self.shared.config.region),
            named.trim_start_matches('/')
        )
    }

    async fn task_role_trust(&self, arn: &str, account: &str) -> Fact<Option<String>> {
        let owner = arn.split(':').nth(4).unwrap_or_default();
        // IAM is asked by name alone: it would show a role of this account instead.
        if !account.is_empty() && owner != account {
            return Fact::Unknown(format!("{arn} is a role of account {owner}, which can't be asked from {account}"));
        }
        match self.role_seen(name(arn)).await {
            Fact::Known(Some(seen)) if seen.arn == arn => match seen.trust {
                Some(trust) => Fact::Known(Some(trust)),
                None => Fact::Unknown("IAM shows no trust policy of it".to_owned()),
            },
            // There is none, or another of the same name on another path.
            Fact::Known(_) => Fact::Known(None),
            Fact::Unknown(why) => Fact::Unknown(why),
        }
    }

    /// Who this server is to IAM, and whether it may pass the roles.
    async fn passer(&self, account: &str, caller: &str, roles: &[PassedRole]) -> Passer {
        if caller.ends_with(":root") {
            return root(caller);
        }
        // `arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION` leaves out the role's path.
        let assumed = caller.split_once(":assumed-role/").and_then(|(_, rest)| rest.split('/').next());
        let (arn, seen) = match assumed {
            None => {
                (caller.to_owned(), Fact::Unknown(format!("{caller} is no role, and only a role's policies are read")))
            }
            Some(role) => match self.role_seen(role).await {
                Fact::Known(Some(seen)) => (seen.arn.clone(), Fact::Known(seen)),
                Fact::Known(None) => {
                    (self.role_arn(role, account), Fact::Unknown(format!("IAM shows no role `{role}`")))
                }
                Fact::Unknown(why) => (self.role_arn(role, account), Fact::Unknown(why)),
            },
        };
        let rights = self.passer_rights(&arn, &seen, roles).await;
        Passer { arn, rights }
    }

    async fn passer_rights(&self, arn: &str, seen: &Fact<RoleSeen>, roles: &[PassedRole]) -> Fact<RoleRights> {
        let asked = roles.iter().map(|role| Asked {
            role: arn,
            action: PASS_ROLE,
            resource: &role.arn,
            region: self.shared.config.region.clone(),
            more: Some((PASSED_TO_SERVICE, PASSED_TO)),
        });
        match self.simulations(asked.collect()).await {
            Ok(results) => self.fact(Ok(RoleRights::Simulated(results))),
            Err(error) => self.passer_documents(error, seen).await,
        }
    }

    async fn passer_documents(&self, error: AwsError, seen: &Fact<RoleSeen>) -> Fact<RoleRights> {
        let is_denied = error.kind == Kind::Denied;
        let simulation = self.reason(error);
        if !is_denied {
            return Fact::Unknown(simulation);
        }
        match self.documents(seen).await {
            Fact::Known(documents) => Fact::Known(documents),
            Fact::Unknown(why) if why == simulation => Fact::Unknown(why),
            Fact::Unknown(why) => Fact::Unknown(format!("{simulation}, and {why}")),
        }
    }
}

/// The user that owns the account: no policy of IAM gives or takes its rights (IAM user guide, "AWS account root user"), and
/// none can be read.
fn root(arn: &str) -> Passer {
    let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let all = PolicyText { name: "of the account's owner".to_owned(), text: text.to_owned() };
    let rights = RoleRights::Documents { policies: vec![all], boundary: None };
    Passer { arn: arn.to_owned(), rights: Fact::Known(rights) }
}
