//! What an engine on AWS can find out about a pull: the facts behind the five checks, each known or not known.

use crate::model::digest::Digest;
use crate::model::image_map::EcrHost;
use crate::model::registry::Platform;

use super::{Fact, StartUses};

/// The facts about one image for one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsEvidence {
    /// Who pulls.
    pub puller: Puller,
    /// What ECR says; `None` for an image of another registry.
    pub ecr: Option<EcrEvidence>,
    /// The role that pulls.
    pub role: Fact<RoleEvidence>,
    /// The network that is pulled over. Unknown also when no environment was asked about.
    pub network: Fact<NetworkEvidence>,
    /// The roles that a start hands over, and whether it may; `None` when it hands none over.
    pub passing: Option<Passing>,
    /// What a start needs beyond what was asked, for what the engine itself puts into definitions (its log group).
    pub added: StartUses,
    /// Why it is not certain that a task runs on the evidence's platform, where it is not: nobody knows what machines there are.
    pub unsure_of_platform: Option<String>,
    /// Whether all of it was looked up for this question. Else a look with [`Age::Now`](super::Age::Now) may say otherwise.
    pub is_of_now: bool,
}

/// Whose tasks they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Puller {
    /// The 12 digits of the account.
    pub account: Fact<String>,
    /// The account's organization; `None` when it is in none.
    pub organization: Fact<Option<Organization>>,
    /// The region that they run in.
    pub region: String,
}

/// An account's place in an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// `o-…`
    pub id: String,
    /// `o-…/r-…/ou-…/`, down to the unit that the account is in; `None` when that may not be looked up.
    pub path: Option<String>,
}

/// What ECR says about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcrEvidence {
    /// Whose registry it is, and where.
    pub host: EcrHost,
    /// Whether the image is there.
    pub image: Fact<EcrImage>,
    /// The text of the repository's policy; `None` when it has none.
    pub repository_policy: Fact<Option<String>>,
    /// The registry's policy; `None` when it has none. Another account's can't be read (`GetRegistryPolicy` has no
    /// `registryId`).
    pub registry_policy: Fact<Option<RegistryPolicy>>,
    /// The rule by which ECR fetches an image that is not there; `None` where it is there, or no rule does.
    pub cache_rule: Fact<Option<CacheRule>>,
}

/// A pull-through cache rule: what is pulled from repositories below its prefix and is not there is fetched from another registry (ECR
/// user guide, "Sync an upstream registry with an Amazon ECR private registry").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheRule {
    /// What the repositories' names begin with, before a `/`; `ROOT` for those that no other rule is for.
    pub prefix: String,
    /// The registry that is asked: a host's name.
    pub upstream: String,
}

impl CacheRule {
    /// `ROOT`, which no repository can be called.
    const REST: &str = "ROOT";

    /// The rule that a repository's name falls under: the one that says most of it.
    #[must_use]
    pub fn of(rules: Vec<CacheRule>, repository: &str) -> Option<CacheRule> {
        let is_for = |rule: &CacheRule| {
            rule.prefix == Self::REST
                || repository.strip_prefix(rule.prefix.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        let says = |rule: &CacheRule| if rule.prefix == Self::REST { 0 } else { rule.prefix.len() };
        rules.into_iter().filter(is_for).max_by_key(says)
    }
}

/// Whether ECR has an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EcrImage {
    /// It has the manifest.
    Found {
        /// The digest behind the reference.
        digest: Digest,
        /// The platforms that it has variants for; empty when the manifest does not say.
        platforms: Fact<Vec<Platform>>,
        /// Layers of the variant that will run, or of all, that `BatchCheckLayerAvailability` does not find.
        missing: Fact<Vec<Digest>>,
    },
    /// The repository is not there.
    NoRepository,
    /// The repository is there, the tag or digest is not.
    NoImage {
        /// Some tags that are, the newest first.
        tags: Fact<Vec<String>>,
    },
}

/// A registry's policy with what it is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryPolicy {
    /// The document.
    pub text: String,
    /// Whether it is enforced on every request (account setting `REGISTRY_POLICY_SCOPE` = `V2`); if not, it says nothing
    /// about pulls.
    pub on_every_request: Fact<bool>,
}

/// The role that pulls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleEvidence {
    /// Neither the definition nor the instance names one.
    NotGiven,
    /// The one that is named does not exist.
    Missing {
        /// Its ARN or name.
        arn: String,
    },
    /// It exists.
    Found(Role),
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// Who acts as it.
    pub acted_by: ActedBy,
    /// Its trust policy (`AssumeRolePolicyDocument`, percent-decoded).
    pub trust: Fact<String>,
    /// What it may do.
    pub rights: Fact<RoleRights>,
}

/// Who acts as the role that pulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActedBy {
    /// ECS for a task: an execution role.
    Task,
    /// A machine of the environment: its instance profile's role, when there is no execution role (EC2 only).
    Machine,
}

impl ActedBy {
    /// The service that the role has to trust.
    #[must_use]
    pub fn service(self) -> &'static str {
        match self {
            ActedBy::Task => "ecs-tasks.amazonaws.com",
            ActedBy::Machine => "ec2.amazonaws.com",
        }
    }
}

/// What a role may do, by whichever way it could be learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleRights {
    /// Its documents: all that are attached, and the inline ones.
    Documents {
        /// The policies.
        policies: Vec<PolicyText>,
        /// Its permissions boundary.
        boundary: Option<PolicyText>,
    },
    /// What `SimulatePrincipalPolicy` came to for what `plan::pull_check::needed_rights` lists.
    Simulated(Vec<Simulated>),
}

/// The roles that ECS is handed with a definition. Whoever registers it and starts from it must be allowed to pass each
/// (`iam:PassRole`); it is this server that does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passing {
    /// Who hands them over.
    pub passer: Fact<Passer>,
    /// Which.
    pub roles: Vec<PassedRole>,
}

/// Who hands roles over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passer {
    /// ARN of the role or user.
    pub arn: String,
    /// What it may do; a simulation is about `iam:PassRole` on each of the roles.
    pub rights: Fact<RoleRights>,
}

/// A role that is handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedRole {
    /// Its ARN.
    pub arn: String,
    /// As what.
    pub used_as: UsedAs,
}

/// As what a role is handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsedAs {
    /// To pull, write logs and read secrets: looked at by itself ([`AwsEvidence::role`]).
    Execution,
    /// By the task's own containers.
    Task {
        /// Its trust policy; `None` when there is no such role.
        trust: Fact<Option<String>>,
    },
}

/// A policy document with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyText {
    /// For people: the managed policy's or the inline policy's name.
    pub name: String,
    /// The document, percent-decoded.
    pub text: String,
}

/// One result of a simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulated {
    /// `service:Action`.
    pub action: String,
    /// The ARN that was asked for.
    pub resource: String,
    /// What came out.
    pub decision: Decision,
    /// Condition keys that the simulation missed (`MissingContextValues`); not empty: the decision is not certain.
    pub missing_keys: Vec<String>,
}

/// `PolicyEvaluationDecisionType` of the IAM API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allowed,
    /// A statement denies it.
    ExplicitDeny,
    /// Nothing allows it.
    ImplicitDeny,
}

/// The network that tasks of an environment get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkEvidence {
    /// The VPC.
    pub vpc: String,
    /// The subnets that tasks may be put into; a start may land in any of them.
    pub subnets: Vec<Subnet>,
    /// Whether what pulls has a public address: `assignPublicIp` of a task, the machine's own address on EC2.
    pub public_ip: bool,
    /// The security groups around what pulls.
    pub security_groups: Fact<Vec<SecurityGroup>>,
    /// The VPC's endpoints that are available.
    pub endpoints: Fact<Vec<Endpoint>>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// `subnet-…`
    pub id: String,
    /// Its addresses, such as `10.0.1.0/24`.
    pub cidr: Fact<String>,
    /// `rtb-…` that counts for it, the VPC's main one where it has none of its own.
    pub route_table: Fact<String>,
    /// Where `0.0.0.0/0` leads to.
    pub default_route: Fact<DefaultRoute>,
}

/// Where a subnet's default route leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultRoute {
    /// An internet gateway, by its id: a way only for what has a public address.
    InternetGateway(String),
    /// A NAT gateway or instance, by its id.
    Nat(String),
    /// Something whose own way on can't be seen (a transit gateway, a peering, an appliance), by its id.
    Elsewhere(String),
    /// There is none, or it leads nowhere (a black hole).
    Nowhere,
}

/// A security group with its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroup {
    /// `sg-…`
    pub id: String,
    /// What may come in.
    pub ingress: Vec<Rule>,
    /// What may go out.
    pub egress: Vec<Rule>,
}

/// One rule of a security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `tcp`, `udp`, …; `None` for all.
    pub protocol: Option<String>,
    /// First and last port; `None` for all.
    pub ports: Option<(u16, u16)>,
    /// The other side.
    pub peer: Peer,
}

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Addresses, IPv4 or IPv6.
    Cidr(String),
    /// Whatever has a security group.
    Group(String),
    /// A prefix list, such as S3's.
    PrefixList(String),
}

/// An endpoint of the VPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `vpce-…`
    pub id: String,
    /// The service's name, such as `com.amazonaws.us-west-2.ecr.dkr`.
    pub service: String,
    /// How it is reached.
    pub kind: EndpointKind,
    /// Its policy; `None` when it lets everything through.
    pub policy: Fact<Option<String>>,
}

/// How an endpoint is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointKind {
    /// By an address in the VPC.
    Interface {
        /// Whether the service's own name leads to it from inside the VPC. Without that nobody who pulls finds it.
        private_dns: bool,
        /// The groups around it.
        security_groups: Fact<Vec<SecurityGroup>>,
    },
    /// By a route.
    Gateway {
        /// The route tables that lead to it.
        route_tables: Vec<String>,
        /// `pl-…`, the list that rules of security groups name it by.
        prefix_list: Option<String>,
    },
}
