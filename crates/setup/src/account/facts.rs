//! What is read from an account before anything is made in it.

use layer0_domain::model::grant::AccountId;

use crate::instance::Cidr;

/// Whose credentials they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub account: AccountId,
    /// The user or role.
    pub arn: String,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vpc {
    /// `vpc-…`
    pub id: String,
    /// Its tag `Name`; empty without one.
    pub name: String,
    /// Its blocks of IPv4 addresses.
    pub cidrs: Vec<Cidr>,
    /// Its subnets.
    pub subnets: Vec<SubnetSeen>,
    /// The services that it has endpoints for, without the region: `ecr.api`, `s3`.
    pub endpoints: Vec<String>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetSeen {
    /// `subnet-…`
    pub id: String,
    /// Its tag `Name`; empty without one.
    pub name: String,
    /// `eu-central-1a`
    pub zone: String,
    /// Its addresses.
    pub cidr: Cidr,
    /// How many of them are free.
    pub free: u32,
    /// Where its default route leads: its own route table's, or the VPC's main one's.
    pub way: Way,
}

/// Where a default route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To an internet gateway: public.
    Internet,
    /// To a NAT gateway or instance.
    Nat,
    /// To a transit gateway, a peering, a firewall's endpoint: out by somebody else's rules.
    Other,
    /// Nowhere: endpoints of the VPC are all that can be reached.
    None,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSeen {
    /// The names that it is good for, some with a `*`.
    pub names: Vec<String>,
    /// `ISSUED`, `PENDING_VALIDATION`, `EXPIRED`, … (ACM API reference, `CertificateDetail`).
    pub status: String,
}

/// A hosted zone of Route 53.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostedZone {
    /// `Z…`
    pub id: String,
    /// Its domain, without the dot at the end.
    pub domain: String,
    /// Seen from VPCs alone.
    pub is_private: bool,
}

/// What may be had of something, and is had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// AWS's name for it: `VPCs per Region`.
    pub name: String,
    /// Its code, by which more can be asked for: `vpc`, `L-F678F1CE`.
    pub code: (String, String),
    /// What a stack wants of it.
    pub of: Wanted,
    /// How many there may be.
    pub limit: u32,
    /// How many there are.
    pub used: u32,
}

/// What a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// VPCs of a region.
    Vpcs,
    /// Internet gateways of a region.
    InternetGateways,
    /// NAT gateways of a zone, the fullest one.
    NatGateways,
    /// Elastic addresses of a region.
    Addresses,
    /// Interface endpoints of a VPC; of a new one none are used.
    Endpoints,
    /// Application load balancers of a region.
    Balancers,
    /// vCPUs of Fargate on demand.
    FargateCpus,
}
