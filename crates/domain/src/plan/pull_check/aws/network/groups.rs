//! What security groups let through on port 443.

use std::net::IpAddr;

use crate::port::pull::aws::{Endpoint, Peer, Rule, SecurityGroup, Subnet};

/// All that is asked of AWS is asked by HTTPS.
const HTTPS: u16 = 443;

/// Whether something comes through.
pub(super) enum Passage {
    Open,
    Shut { why: String, remedy: String },
    Uncertain(String),
}

impl Passage {
    /// Through this and then the next.
    pub(super) fn and(self, next: impl FnOnce() -> Passage) -> Passage {
        match self {
            Passage::Open => next(),
            Passage::Uncertain(why) => match next() {
                shut @ Passage::Shut { .. } => shut,
                Passage::Open | Passage::Uncertain(_) => Passage::Uncertain(why),
            },
            shut @ Passage::Shut { .. } => shut,
        }
    }
}

/// The other sides of all rules that are for HTTPS.
fn https(rules: &[Rule]) -> impl Iterator<Item = &Peer> {
    rules
        .iter()
        .filter(|rule| rule.protocol.as_deref().is_none_or(|protocol| protocol.eq_ignore_ascii_case("tcp")))
        .filter(|rule| rule.ports.is_none_or(|(first, last)| (first..=last).contains(&HTTPS)))
        .map(|rule| &rule.peer)
}

fn ids(groups: &[SecurityGroup]) -> String {
    let ids: Vec<&str> = groups.iter().map(|group| group.id.as_str()).collect();
    ids.join(", ")
}

fn egress(own: &[SecurityGroup]) -> Vec<&Peer> {
    own.iter().flat_map(|group| https(&group.egress)).collect()
}

fn is_everywhere(peer: &Peer) -> bool {
    matches!(peer, Peer::Cidr(cidr) if cidr == "0.0.0.0/0")
}

fn no_egress(own: &[SecurityGroup], to: &str) -> Passage {
    let id = own.first().map_or("the security group", |group| group.id.as_str());
    Passage::Shut {
        why: format!("{} lets nothing out to {to} on port 443", ids(own)),
        remedy: format!(
            "let {id} out to {to}: `aws ec2 authorize-security-group-egress --group-id {id} --ip-permissions {}`",
            permission(to)
        ),
    }
}

fn permission(to: &str) -> String {
    let peer = if to.starts_with("sg-") {
        format!("UserIdGroupPairs=[{{GroupId={to}}}]")
    } else if to.starts_with("pl-") {
        format!("PrefixListIds=[{{PrefixListId={to}}}]")
    } else {
        format!("IpRanges=[{{CidrIp={to}}}]")
    };
    format!("IpProtocol=tcp,FromPort=443,ToPort=443,{peer}")
}

/// Out to any address.
pub(super) fn out_to_internet(own: &[SecurityGroup]) -> Passage {
    let peers = egress(own);
    if peers.iter().any(|peer| is_everywhere(peer)) {
        return Passage::Open;
    }
    // The addresses of AWS's services and of registries change.
    if peers.iter().any(|peer| matches!(peer, Peer::Cidr(_) | Peer::PrefixList(_))) {
        return Passage::Uncertain(format!("{} lets out to some addresses only", ids(own)));
    }
    no_egress(own, "0.0.0.0/0")
}

/// Out to a gateway endpoint.
pub(super) fn out_to_gateway(own: &[SecurityGroup], prefix_list: Option<&str>) -> Passage {
    let peers = egress(own);
    let names_it = |peer: &&Peer| matches!(peer, Peer::PrefixList(id) if Some(id.as_str()) == prefix_list);
    if peers.iter().any(|peer| is_everywhere(peer)) || peers.iter().any(names_it) {
        return Passage::Open;
    }
    if peers.iter().any(|peer| matches!(peer, Peer::Cidr(_) | Peer::PrefixList(_))) {
        return Passage::Uncertain(format!("{} lets out to some addresses only", ids(own)));
    }
    no_egress(own, prefix_list.unwrap_or("0.0.0.0/0"))
}

/// Out to an interface endpoint.
pub(super) fn out_to_endpoint(own: &[SecurityGroup], theirs: &[SecurityGroup], endpoint: &Endpoint) -> Passage {
    let peers = egress(own);
    let is_theirs = |peer: &&Peer| matches!(peer, Peer::Group(id) if theirs.iter().any(|group| group.id == *id));
    if peers.iter().any(|peer| is_everywhere(peer)) || peers.iter().any(is_theirs) {
        return Passage::Open;
    }
    if peers.iter().any(|peer| matches!(peer, Peer::Cidr(_) | Peer::PrefixList(_))) {
        return Passage::Uncertain(format!(
            "{} lets out to some addresses only, and which {} has is not known",
            ids(own),
            endpoint.id
        ));
    }
    no_egress(own, theirs.first().map_or("0.0.0.0/0", |group| group.id.as_str()))
}

/// Into an interface endpoint.
pub(super) fn into_endpoint(
    own: &[SecurityGroup],
    theirs: &[SecurityGroup],
    endpoint: &Endpoint,
    subnet: &Subnet,
) -> Passage {
    let mut hangs_on = None;
    for peer in theirs.iter().flat_map(|group| https(&group.ingress)) {
        match peer {
            Peer::Group(id) if own.iter().any(|group| group.id == *id) => return Passage::Open,
            Peer::Group(_) => {}
            Peer::Cidr(cidr) => match subnet.cidr.get() {
                Ok(inner) if covers(cidr, inner) == Some(true) => return Passage::Open,
                Ok(inner) if overlaps(cidr, inner) != Some(false) => {
                    hangs_on = Some(format!("{} lets in {cidr} only, a part of {inner}", endpoint.id));
                }
                Ok(_) => {}
                Err(_) if is_everywhere(peer) => return Passage::Open,
                Err(why) => hangs_on = Some(format!("the addresses of the subnet could not be read: {why}")),
            },
            Peer::PrefixList(id) => {
                hangs_on = Some(format!("{} lets in the prefix list {id}, which was not read", endpoint.id))
            }
        }
    }
    if let Some(why) = hangs_on {
        return Passage::Uncertain(why);
    }
    let from = own.first().map_or("SECURITY_GROUP", |group| group.id.as_str());
    let to = theirs.first().map_or("SECURITY_GROUP", |group| group.id.as_str());
    Passage::Shut {
        why: format!("{} ({}) does not let {} in on port 443", endpoint.id, ids(theirs), ids(own)),
        remedy: format!(
            "let {from} into {}: `aws ec2 authorize-security-group-ingress --group-id {to} --protocol tcp --port 443 --source-group {from}`",
            endpoint.id
        ),
    }
}

/// A range of addresses: its first bits, how many count, and how many there are.
fn range(cidr: &str) -> Option<(u128, u32, u32)> {
    let (base, length) = cidr.split_once('/')?;
    let (bits, width) = match base.parse::<IpAddr>().ok()? {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let length: u32 = length.parse().ok()?;
    (length <= width).then_some((bits, length, width))
}

fn same_front(one: u128, other: u128, length: u32, width: u32) -> bool {
    let shift = width - length;
    one.checked_shr(shift).unwrap_or(0) == other.checked_shr(shift).unwrap_or(0)
}

/// Whether the one range has all of the other; `None` when one is none.
fn covers(outer: &str, inner: &str) -> Option<bool> {
    let ((outer, outer_length, width), (inner, inner_length, inner_width)) = (range(outer)?, range(inner)?);
    Some(width == inner_width && outer_length <= inner_length && same_front(outer, inner, outer_length, width))
}

/// Whether two ranges have an address in common; `None` when one is none.
fn overlaps(one: &str, other: &str) -> Option<bool> {
    Some(covers(one, other)? || covers(other, one)?)
}
