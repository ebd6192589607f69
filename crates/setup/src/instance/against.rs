//! Whether wishes can be in the account that they are for.

use super::check::Problem;
use super::{Access, Certificate, Cidr, Instance, Network, WayOut};
use crate::account::{CertificateSeen, HostedZone, Identity, Quota, SubnetSeen, Vpc, Wanted, Way};

/// What was seen of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSeen {
    /// Whose the credentials are.
    pub identity: Identity,
    /// The zones of the region.
    pub zones: Vec<String>,
    /// The networks of the region, without their subnets.
    pub vpcs: Vec<Vpc>,
    /// The network that is wished, with its subnets.
    pub vpc: Option<Vpc>,
    /// The certificate that is wished.
    pub certificate: Option<CertificateSeen>,
    /// The hosted zones of the account.
    pub hosted_zones: Vec<HostedZone>,
    /// What may be had, and is had.
    pub quotas: Vec<Quota>,
    /// The instance stands already: what it has is not wanted once more.
    pub stands: bool,
}

/// The endpoints without which a task in a subnet that leads nowhere can't start: its image, its log, its secrets.
const ENDPOINTS: [&str; 5] = ["ecr.api", "ecr.dkr", "logs", "s3", "secretsmanager"];
/// "Each Availability Zone subnet must have … at least 8 free IP addresses" (ELB, "Subnets for your load balancer").
const BALANCER_ADDRESSES: u32 = 8;
/// The second byte of the first block that is taken for a new network when none is wished, and how many are tried.
const FIRST_BLOCK: u8 = 100;
const BLOCKS: u8 = 100;

/// The block of a new network when none is wished: the first that overlaps with none that is there.
#[must_use]
pub fn free_block(vpcs: &[Vpc]) -> Option<Cidr> {
    (FIRST_BLOCK..FIRST_BLOCK + BLOCKS)
        .filter_map(|second| Cidr::parse(&format!("10.{second}.0.0/16")).ok())
        .find(|block| overlapping(block, vpcs).is_none())
}

fn overlapping<'a>(block: &Cidr, vpcs: &'a [Vpc]) -> Option<(&'a Vpc, &'a Cidr)> {
    vpcs.iter().find_map(|vpc| vpc.cidrs.iter().find(|other| other.overlaps(block)).map(|other| (vpc, other)))
}

/// What can't be, each with its reason; none when all can.
#[must_use]
pub fn judge(instance: &Instance, seen: &AccountSeen) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |key: &'static str, why: String| problems.push(Problem { key, why });
    if let Some(account) = instance.account.as_ref().filter(|account| **account != seen.identity.account) {
        let (found, arn) = (&seen.identity.account, &seen.identity.arn);
        add(
            "account",
            format!("these credentials are of account {found} ({arn}), and the instance belongs to {account}"),
        );
    }
    match &instance.network {
        Network::New { cidr, zones, .. } => new(*cidr, *zones, seen, &mut add),
        Network::Given { vpc, private_subnets, public_subnets, way_out } => match &seen.vpc {
            None => add("network.vpc", format!("{} has no {vpc}", instance.region)),
            Some(vpc) => given(vpc, private_subnets, public_subnets, *way_out, &mut add),
        },
    }
    if let Access::Domain { name, certificate, zone, .. } = &instance.access {
        if let Certificate::Given(arn) = certificate {
            let problem = match &seen.certificate {
                None => Some(format!("{} has no {arn}", instance.region)),
                Some(certificate) => no_good(certificate, name, arn),
            };
            problem.into_iter().for_each(|why| add("access.certificate", why));
        }
        if let Some(why) = zone.as_ref().and_then(|zone| no_zone(zone, name, &seen.hosted_zones)) {
            add("access.zone", why);
        }
    }
    if !seen.stands {
        for quota in &seen.quotas {
            let wanted = wanted(instance, quota.of);
            if wanted > 0 && quota.used.saturating_add(wanted) > quota.limit {
                let (service, code) = &quota.code;
                add(
                    "quota",
                    format!(
                        "{}: {} of {} are used and {wanted} more are needed; ask for more with `aws service-quotas request-service-quota-increase --service-code {service} --quota-code {code} --desired-value {}`",
                        quota.name,
                        quota.used,
                        quota.limit,
                        quota.used + wanted,
                    ),
                );
            }
        }
    }
    problems
}

/// How much of a quota an instance wants.
fn wanted(instance: &Instance, of: Wanted) -> u32 {
    let (is_new, way_out) = match &instance.network {
        Network::New { way_out, .. } => (true, *way_out),
        Network::Given { .. } => (false, WayOut::Public),
    };
    match of {
        Wanted::Vpcs | Wanted::InternetGateways => u32::from(is_new),
        Wanted::NatGateways | Wanted::Addresses => u32::from(is_new && way_out == WayOut::Nat),
        // Those of a new network, which has none.
        Wanted::Endpoints => 0,
        Wanted::Balancers => 1,
        // Twice: new servers come before the old ones go.
        Wanted::FargateCpus => (2 * u32::from(instance.copies) * instance.cpu).div_ceil(1024),
    }
}

fn new(cidr: Cidr, zones: u8, seen: &AccountSeen, add: &mut impl FnMut(&'static str, String)) {
    if seen.zones.len() < usize::from(zones) {
        add("network.zones", format!("{zones} zones are wished, and this account has {}", seen.zones.join(", ")));
    }
    if seen.stands {
        return;
    }
    if let Some((vpc, other)) = overlapping(&cidr, &seen.vpcs) {
        let free = free_block(&seen.vpcs).map(|free| format!("; {free} is free")).unwrap_or_default();
        let words = if *other == cidr { "is".to_owned() } else { format!("overlaps {other},") };
        add("network.cidr", format!("{cidr} {words} the block of {}: the two could never be connected{free}", vpc.id));
    }
}

fn given(
    vpc: &Vpc,
    private: &[String],
    public: &[String],
    way_out: WayOut,
    add: &mut impl FnMut(&'static str, String),
) {
    let mut zones = Vec::new();
    for id in public {
        match vpc.subnets.iter().find(|subnet| subnet.id == *id) {
            None => add("network.public_subnets", format!("{} has no {id}", vpc.id)),
            Some(subnet) => {
                zones.push(&subnet.zone);
                if subnet.way != Way::Internet {
                    add(
                        "network.public_subnets",
                        format!("{id} is not public: its default route leads to {}", way_words(subnet.way)),
                    );
                }
                if subnet.free < BALANCER_ADDRESSES {
                    add(
                        "network.public_subnets",
                        format!(
                            "{id} has {} free addresses, and a load balancer needs {BALANCER_ADDRESSES}",
                            subnet.free
                        ),
                    );
                }
            }
        }
    }
    zones.sort();
    let twice = zones.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
    zones.dedup();
    if zones.len() == 1 {
        add("network.public_subnets", format!("all are in {}, and a load balancer needs two zones", zones[0]));
    } else if let Some(zone) = twice {
        add(
            "network.public_subnets",
            format!("two of them are in {zone}, and a load balancer can have one subnet of each zone"),
        );
    }
    for id in private {
        match vpc.subnets.iter().find(|subnet| subnet.id == *id) {
            None => add("network.private_subnets", format!("{} has no {id}", vpc.id)),
            Some(subnet) => {
                if let Some(why) = no_way_out(subnet, vpc, way_out) {
                    add("network.private_subnets", why);
                }
            }
        }
    }
}

fn way_words(way: Way) -> &'static str {
    match way {
        Way::Internet => "an internet gateway",
        Way::Nat => "a NAT gateway",
        Way::Other => "another network",
        Way::None => "nowhere",
    }
}

/// Why what stands in a private subnet could not start.
fn no_way_out(subnet: &SubnetSeen, vpc: &Vpc, way_out: WayOut) -> Option<String> {
    let id = &subnet.id;
    let missing: Vec<&str> =
        ENDPOINTS.into_iter().filter(|name| !vpc.endpoints.iter().any(|endpoint| endpoint == name)).collect();
    match subnet.way {
        Way::Internet => Some(format!(
            "{id} is public: its default route leads to an internet gateway, which is no way out for tasks without an address of their own. Give it as a public one, or `way_out = \"public\"`"
        )),
        Way::None if way_out == WayOut::Nat => Some(format!("{id} leads nowhere, and `way_out = \"nat\"` is wished")),
        Way::None if !missing.is_empty() => Some(format!(
            "{id} has no way out: no default route, and {} has no endpoint for {}. No image could be pulled there",
            vpc.id,
            missing.join(", ")
        )),
        Way::None | Way::Nat | Way::Other => None,
    }
}

/// Why a certificate is not good for a name.
fn no_good(certificate: &CertificateSeen, name: &str, arn: &str) -> Option<String> {
    if certificate.status != "ISSUED" {
        return Some(format!("{arn} is {}: a load balancer takes one that is ISSUED", certificate.status));
    }
    let covers = |pattern: &String| {
        pattern == name
            || pattern.strip_prefix("*.").is_some_and(|rest| name.split_once('.').is_some_and(|(_, tail)| tail == rest))
    };
    (!certificate.names.iter().any(covers))
        .then(|| format!("{arn} is for {}, and not for {name}", certificate.names.join(", ")))
}

/// Why a name can't be written into a hosted zone.
fn no_zone(id: &str, name: &str, zones: &[HostedZone]) -> Option<String> {
    let Some(zone) = zones.iter().find(|zone| zone.id == id) else {
        let known: Vec<String> = zones.iter().map(|zone| format!("{} ({})", zone.id, zone.domain)).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Some(format!("this account has no hosted zone {id}; it has {known}"));
    };
    if zone.is_private {
        return Some(format!(
            "{id} is private: neither a certificate is validated there nor a name found from outside"
        ));
    }
    let is_inside = name == zone.domain || name.strip_suffix(&zone.domain).is_some_and(|rest| rest.ends_with('.'));
    (!is_inside).then(|| format!("{id} is the zone of {}, which {name} is not in", zone.domain))
}

#[cfg(test)]
mod tests {
    use layer0_domain::model::grant::AccountId;

    use super::super::{Wishes, check};
    use super::*;

    fn subnet(id: &str, zone: &str, way: Way) -> SubnetSeen {
        let cidr = Cidr::parse("10.0.0.0/24").expect("a block");
        SubnetSeen { id: id.to_owned(), name: String::new(), zone: zone.to_owned(), cidr, free: 200, way }
    }

    fn vpc(endpoints: &[&str]) -> Vpc {
        Vpc {
            id: "vpc-00000001".to_owned(),
            name: "main".to_owned(),
            cidrs: vec![Cidr::parse("10.0.0.0/16").expect("a block")],
            subnets: vec![
                subnet("subnet-000000a1", "a", Way::Internet),
                subnet("subnet-000000a2", "a", Way::Internet),
                subnet("subnet-000000b1", "b", Way::Internet),
                subnet("subnet-000000c1", "a", Way::None),
                subnet("subnet-000000c2", "b", Way::Nat),
            ],
            endpoints: endpoints.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn seen() -> AccountSeen {
        let quota = |of, used| Quota {
            name: format!("{of:?}"),
            code: ("vpc".to_owned(), "L-1".to_owned()),
            of,
            limit: 5,
            used,
        };
        AccountSeen {
            identity: Identity {
                account: AccountId::parse("123456789012").expect("an account"),
                arn: "arn:aws:iam::123456789012:user/me".to_owned(),
            },
            zones: ["a", "b"].map(str::to_owned).to_vec(),
            vpcs: vec![vpc(&[])],
            vpc: Some(vpc(&[])),
            certificate: Some(CertificateSeen { names: vec!["*.example.com".to_owned()], status: "ISSUED".to_owned() }),
            hosted_zones: vec![
                HostedZone { id: "Z1".to_owned(), domain: "example.com".to_owned(), is_private: false },
                HostedZone { id: "Z2".to_owned(), domain: "example.com".to_owned(), is_private: true },
            ],
            quotas: vec![quota(Wanted::Vpcs, 1), quota(Wanted::Addresses, 5)],
            stands: false,
        }
    }

    fn found(more: &str, seen: &AccountSeen) -> Vec<String> {
        let file = format!("name = \"prod\"\nregion = \"eu-central-1\"\n{more}");
        let instance = check(&Wishes::read(&file).expect("it can be read")).expect("it can be");
        judge(&instance, seen).iter().map(Problem::to_string).collect()
    }

    const GIVEN: &str = "[network]\nvpc = \"vpc-00000001\"\n";
    const PUBLIC: &str = "public_subnets = [\"subnet-000000a1\", \"subnet-000000b1\"]\n";

    #[test]
    fn what_the_account_does_not_have_is_refused_with_its_reason() {
        let certificate = "certificate = \"arn:aws:acm:eu-central-1:123456789012:certificate/x\"\n";
        let private = |id: &str| format!("{GIVEN}{PUBLIC}private_subnets = [\"{id}\"]\n");
        let given = |public: &str| format!("{GIVEN}way_out = \"public\"\npublic_subnets = {public}");
        for (file, words) in [
            ("account = \"210987654321\"".to_owned(), "account: these credentials are of account 123456789012"),
            ("[network]\ncidr = \"10.0.0.0/16\"".to_owned(), "network.cidr: 10.0.0.0/16 is the block of vpc-00000001"),
            ("[network]\ncidr = \"10.0.16.0/20\"".to_owned(), "overlaps 10.0.0.0/16"),
            ("[network]\nzones = 3".to_owned(), "network.zones: 3 zones are wished, and this account has a, b"),
            ("[network]\nway_out = \"nat\"".to_owned(), "quota: Addresses: 5 of 5 are used and 1 more are needed"),
            (given("[\"subnet-000000a1\", \"subnet-000000a2\"]"), "all are in a"),
            (given("[\"subnet-000000a1\", \"subnet-000000a2\", \"subnet-000000b1\"]"), "two of them are in a"),
            (given("[\"subnet-000000a1\", \"subnet-000000c2\"]"), "subnet-000000c2 is not public"),
            (given("[\"subnet-000000a1\", \"subnet-000000b1\", \"subnet-00000bad\"]"), "has no subnet-00000bad"),
            (private("subnet-000000c1"), "has no endpoint for ecr.api, ecr.dkr, logs, s3, secretsmanager"),
            (private("subnet-000000a2"), "subnet-000000a2 is public"),
            (private("subnet-00000bad"), "network.private_subnets: vpc-00000001 has no subnet-00000bad"),
            (format!("[access]\ndomain = \"l0.example.org\"\n{certificate}"), "is for *.example.com, and not for"),
            (format!("[access]\ndomain = \"a.b.example.com\"\n{certificate}"), "not for a.b.example.com"),
            ("[access]\ndomain = \"l0.example.com\"\nzone = \"Z2\"".to_owned(), "Z2 is private"),
            ("[access]\ndomain = \"l0.example.com\"\nzone = \"Z3\"".to_owned(), "it has Z1 (example.com), Z2"),
            ("[access]\ndomain = \"l0.bexample.com\"\nzone = \"Z1\"".to_owned(), "which l0.bexample.com is not in"),
        ] {
            let problems = found(&file, &seen());
            assert!(problems.len() == 1 && problems[0].contains(words), "{file}: {problems:?}");
        }
    }

    #[test]
    fn what_the_account_has_can_be() {
        let good = seen();
        assert_eq!(found("", &good), [""; 0]);
        assert_eq!(found(&format!("{GIVEN}{PUBLIC}private_subnets = [\"subnet-000000c2\"]"), &good), [""; 0]);
        assert_eq!(found("[access]\ndomain = \"l0.example.com\"\nzone = \"Z1\"", &good), [""; 0]);
        let mut with_endpoints = seen();
        with_endpoints.vpc = Some(vpc(&ENDPOINTS));
        assert_eq!(found(&format!("{GIVEN}{PUBLIC}private_subnets = [\"subnet-000000c1\"]"), &with_endpoints), [""; 0]);
        let nat = format!("{GIVEN}way_out = \"nat\"\n{PUBLIC}private_subnets = [\"subnet-000000c1\"]");
        assert!(found(&nat, &with_endpoints)[0].contains("leads nowhere"));
    }

    #[test]
    fn an_instance_that_stands_is_not_counted_twice() {
        let mut stands = seen();
        stands.stands = true;
        assert_eq!(found("[network]\ncidr = \"10.0.0.0/16\"\nway_out = \"nat\"", &stands), [""; 0]);
    }

    #[test]
    fn the_first_free_block_is_taken() {
        let mut taken = vpc(&[]);
        taken.cidrs = ["10.100.0.0/16", "10.101.128.0/20"].map(|text| Cidr::parse(text).expect("a block")).to_vec();
        assert_eq!(free_block(&[taken]).map(|block| block.to_string()), Some("10.102.0.0/16".to_owned()));
    }
}
