//! What is in an account for an instance.

use std::fmt;

/// One thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remain {
    /// What it is; the order is the one in which they go.
    pub kind: Kind,
    /// What it is called by: a name where that is enough to delete it, else an ARN or id.
    pub name: String,
}

/// What a remaining thing is, in the order in which they can go: nothing before what uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The service of ECS that keeps the servers alive, by `cluster/service`: while it lives it makes again what is taken away.
    Servers,
    /// A service of ECS that servers made, by `cluster/service`.
    Service,
    /// A task that runs alone, by `cluster/id`.
    Task,
    /// A stack of a load balancer, by name.
    BalancerStack,
    /// A stack of an environment, by name.
    EnvironmentStack,
    /// A task definition, by `family:revision`.
    TaskDefinition,
    /// A log group, by name.
    LogGroup,
    /// The instance's own stack, by name.
    Stack,
    /// A secret that waits for its deletion or was left, by ARN.
    Secret,
    /// A parameter, by name.
    Parameter,
    /// The repository of the servers' image, with what is in it.
    ServerRepository,
    /// A repository of a team's images, with what is in it. Data.
    Repository,
    /// The bucket of images, with what is in it. Data.
    Bucket,
    /// The table with the state. Data.
    Table,
    /// What has the instance's tag and is none of the others, by ARN: only a person can say what it is.
    Other,
}

impl Kind {
    /// Whether it holds what can't be made again: it goes with `--with-data` alone.
    #[must_use]
    pub fn is_data(self) -> bool {
        matches!(self, Self::Repository | Self::Bucket | Self::Table)
    }
}

impl fmt::Display for Remain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Servers => "servers",
            Kind::Service => "service",
            Kind::Task => "task",
            Kind::BalancerStack => "load balancer's stack",
            Kind::EnvironmentStack => "environment's stack",
            Kind::TaskDefinition => "task definition",
            Kind::LogGroup => "log group",
            Kind::Stack => "stack",
            Kind::Secret => "secret",
            Kind::Parameter => "parameter",
            Kind::ServerRepository => "repository of the servers' image",
            Kind::Repository => "repository",
            Kind::Bucket => "bucket",
            Kind::Table => "table",
            Kind::Other => "other",
        })
    }
}
