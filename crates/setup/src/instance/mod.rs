//! An instance: what is wished of it, and whether that can be.

mod against;
mod check;
mod cidr;
mod environment;
mod wishes;

use std::collections::BTreeMap;

use layer0_domain::model::grant::{AccountId, Grantee};
use layer0_domain::model::image_map::MapRule;

pub use self::against::{AccountSeen, free_block, judge};
pub use self::check::{Problem, check};
pub use self::cidr::{Cidr, CidrError};
#[cfg(test)]
pub(crate) use self::environment::OWN;
pub use self::wishes::{AccessWish, Backing, NetworkWish, RegistryWish, ServerWish, WayOut, Wishes, WishesError};

/// Wishes that can be. Made by [`check()`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Its account, where that was said.
    pub account: Option<AccountId>,
    /// Its network.
    pub network: Network,
    /// How it is reached.
    pub access: Access,
    /// Where the registry's bytes lie.
    pub backing: Backing,
    /// The registry's name; `None` for what the domain is, or for no name of its own.
    pub registry_name: Option<String>,
    /// The image map.
    pub image_map: Vec<MapRule>,
    /// Who else may pull.
    pub grants: Vec<Grantee>,
    /// How many servers.
    pub copies: u8,
    /// Fargate's CPU units of each.
    pub cpu: u32,
    /// Fargate's memory of each.
    pub memory_mib: u32,
    /// For how many days the servers' own log is kept.
    pub log_days: u16,
    /// Further settings of the servers.
    pub environment: BTreeMap<String, String>,
}

/// The network of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// A VPC of its own.
    New {
        /// Its addresses.
        cidr: Cidr,
        /// In how many zones it has subnets.
        zones: u8,
        /// How tasks reach AWS.
        way_out: WayOut,
    },
    /// One that is there.
    Given {
        /// Its id.
        vpc: String,
        /// Subnets for tasks.
        private_subnets: Vec<String>,
        /// Subnets for what is reached from outside.
        public_subnets: Vec<String>,
        /// How what stands in the private ones gets out.
        way_out: WayOut,
    },
}

/// How an instance is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// By a domain name, over TLS.
    Domain {
        /// The name.
        name: String,
        /// Its certificate.
        certificate: Certificate,
        /// The hosted zone that the name is written into; `None`: its owner does that.
        zone: Option<String>,
        /// From which blocks.
        allow: Vec<Cidr>,
    },
    /// Without a name and without TLS, so from some blocks of addresses alone; from inside the VPC when there are none.
    Bare {
        /// From which blocks.
        allow: Vec<Cidr>,
    },
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// It is there: its ARN.
    Given(String),
    /// It is made, and validated through the hosted zone.
    Made,
}
