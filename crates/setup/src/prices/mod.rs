//! What an instance costs a month because it is there, whatever is done with it: an estimate by a small dated table.
//!
//! What is paid by use (requests, gigabytes, what environments run) is named and not estimated: nobody knows it beforehand.
//! Discounts, free tiers and taxes are left out.

mod table;

use std::fmt;

use self::table::{DATE, PAGES, Price, SOURCES, USUAL, price};
use crate::image::Architecture;
use crate::instance::{Access, Backing, Instance, Network, WayOut};

/// The hours of a month, as AWS's own calculator counts them.
const HOURS: u64 = 730;

/// The endpoints that cost something (`template/network.rs`).
const ENDPOINTS: u64 = 5;

/// One thing that is always on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is, with how many of it.
    pub what: String,
    /// Millionths of a dollar a month.
    pub micros: u64,
    /// Whether no price of the region is known, and that of `us-east-1` was taken.
    pub is_usual: bool,
}

/// What is always on, and what is paid besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// The region.
    pub region: String,
    /// What is always on.
    pub lines: Vec<Line>,
    /// What is paid by use.
    pub besides: Vec<&'static str>,
}

/// The estimate for an instance whose servers run on that architecture.
#[must_use]
pub fn estimate(instance: &Instance, architecture: Architecture) -> Estimate {
    let mut lines = Vec::new();
    let mut add = |what: String, of: Price, times: u64| {
        let (micros, is_usual) = price(&instance.region, of);
        // Parts of a vCPU and of a gigabyte are in thousands and twenty-fourths; both are counted in 1/1024.
        lines.push(Line { what, micros: micros * times / 1024, is_usual });
    };
    let hours = |count: u64| count * HOURS * 1024;
    let copies = u64::from(instance.copies);
    let (cpu, memory) = match architecture {
        Architecture::Amd64 => (Price::CpuAmd64, Price::MemoryAmd64),
        Architecture::Arm64 => (Price::CpuArm64, Price::MemoryArm64),
    };
    add("Application Load Balancer".to_owned(), Price::Balancer, hours(1));
    let (cpus, memories) = (copies * u64::from(instance.cpu), copies * u64::from(instance.memory_mib));
    add(format!("Fargate, {} vCPU for {copies} servers", decimal(cpus)), cpu, cpus * HOURS);
    add(format!("Fargate, {} GB of memory for {copies} servers", decimal(memories)), memory, memories * HOURS);
    let network = Counted::of(instance);
    if network.gateways > 0 {
        add("NAT gateway".to_owned(), Price::Nat, hours(network.gateways));
    }
    if network.endpoints > 0 {
        let what = format!("{ENDPOINTS} interface endpoints in {} zones", network.endpoints / ENDPOINTS);
        add(what, Price::Endpoint, hours(network.endpoints));
    }
    if network.addresses > 0 {
        add(format!("{} public IPv4 addresses", network.addresses), Price::Address, hours(network.addresses));
    }
    add("Secret of the first admin token".to_owned(), Price::Secret, 1024);
    Estimate { region: instance.region.clone(), lines, besides: besides(instance) }
}

/// What a network has that costs by the hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counted {
    gateways: u64,
    /// Endpoints, each in each zone.
    endpoints: u64,
    addresses: u64,
}

impl Counted {
    fn of(instance: &Instance) -> Self {
        let (zones, way_out, is_new) = match &instance.network {
            Network::New { zones, way_out, .. } => (u64::from(*zones), *way_out, true),
            Network::Given { public_subnets, way_out, .. } => (public_subnets.len() as u64, *way_out, false),
        };
        let is_outside = match &instance.access {
            Access::Domain { .. } => true,
            Access::Bare { allow } => !allow.is_empty(),
        };
        let gateways = u64::from(is_new && way_out == WayOut::Nat);
        let servers = if way_out == WayOut::Nat { 0 } else { u64::from(instance.copies) };
        Self {
            gateways,
            endpoints: if is_new && way_out == WayOut::Endpoints { ENDPOINTS * zones } else { 0 },
            // A load balancer that is reached from outside has one in each of its subnets.
            addresses: gateways + servers + if is_outside { zones } else { 0 },
        }
    }
}

fn besides(instance: &Instance) -> Vec<&'static str> {
    let mut all = vec![
        "what environments run: tasks, machines, load balancers",
        "the load balancer's capacity units",
        "DynamoDB: reads, writes, gigabytes and their backups",
        "CloudWatch Logs: gigabytes written and kept",
        match instance.backing {
            Backing::Ecr => "ECR: gigabytes kept",
            Backing::S3 => "S3: gigabytes kept, and requests",
        },
        "gigabytes to the internet and between zones",
    ];
    match &instance.network {
        Network::New { way_out: WayOut::Nat, .. } => all.push("gigabytes through the NAT gateway, pulls among them"),
        Network::New { way_out: WayOut::Endpoints, .. } => {
            all.push("gigabytes through the endpoints; S3's, which has the layers, is free")
        }
        Network::New { way_out: WayOut::Public, .. } => all.push("the public address of each task"),
        Network::Given { .. } => all.push("the VPC itself, with its gateways and endpoints"),
    }
    all
}

impl Estimate {
    /// Millionths of a dollar a month in all.
    #[must_use]
    pub fn micros(&self) -> u64 {
        self.lines.iter().map(|line| line.micros).sum()
    }

    /// The same in dollars and cents.
    #[must_use]
    pub fn dollars(&self) -> String {
        dollars(self.micros())
    }
}

/// 1/1024 as a decimal number, without zeros at its end.
fn decimal(parts: u64) -> String {
    let thousandths = parts * 1000 / 1024;
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Dollars and cents, rounded.
fn dollars(micros: u64) -> String {
    let cents = (micros + 5_000) / 10_000;
    format!("{}.{:02}", cents / 100, cents % 100)
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "About {} USD a month for what is always on (an estimate: {HOURS} hours, list prices of {DATE})",
            dollars(self.micros())
        )?;
        for line in &self.lines {
            let mark = if line.is_usual { " *" } else { "" };
            writeln!(f, "  {:>8}  {}{mark}", dollars(line.micros), line.what)?;
        }
        if self.lines.iter().any(|line| line.is_usual) {
            writeln!(f, "  * no price for {} is in the table: estimated at {USUAL}'s prices", self.region)?;
        }
        writeln!(f, "Besides, by use: {}.", self.besides.join("; "))
    }
}

/// AWS's own pages, and where the prices were read.
#[must_use]
pub fn sources() -> [&'static [&'static str]; 2] {
    [PAGES, SOURCES]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::tests::instance;

    fn sum(more: &str, architecture: Architecture) -> String {
        dollars(estimate(&instance(more), architecture).micros())
    }

    /// Each sum was worked out by hand; in a region whose prices are `us-east-1`'s.
    #[test]
    fn sums_are_those_worked_out_by_hand() {
        let at = |more: &str| {
            let mut instance = instance(more);
            instance.region = "us-west-2".to_owned();
            estimate(&instance, Architecture::Amd64).micros()
        };
        // 16.425 balancer + 29.5504 vCPU + 6.4897 GB + 73 endpoints + 7.30 addresses of servers + 0.40
        assert_eq!(at(""), 133_165_100);
        // … + two addresses of a balancer that is reached from outside
        assert_eq!(at("[access]\nallow = [\"203.0.113.0/24\"]"), 140_465_100);
        // 16.425 + 36.0401 + 32.85 gateway + 4 × 3.65 (three of the balancer, one of the gateway) + 0.40
        let nat = "[network]\nway_out = \"nat\"\nzones = 3\n[access]\ndomain = \"l0.example.com\"\nzone = \"Z1\"";
        assert_eq!(at(nat), 100_315_100);
        // 16.425 + 36.0401 + 4 × 3.65 (two servers, two of the balancer) + 0.40
        let public = "[network]\nway_out = \"public\"\n[access]\ndomain = \"l0.example.com\"\nzone = \"Z1\"";
        assert_eq!(at(public), 67_465_100);
        // The table in docs/setup.md: two zones and a domain.
        let of = |way_out: &str| {
            at(&format!("[network]\nway_out = \"{way_out}\"\n[access]\ndomain = \"l0.example.com\"\nzone = \"Z1\""))
        };
        assert_eq!(["endpoints", "nat", "public"].map(|way| dollars(of(way))), ["140.47", "96.67", "67.47"]);
        // One server of a quarter vCPU and half a gigabyte: 16.425 + 7.3876 + 1.622425 + 73 + 3.65 + 0.40
        assert_eq!(at("[server]\ncopies = 1\ncpu = 256\nmemory_mib = 512"), 102_485_025);
    }

    #[test]
    fn a_vpc_that_is_there_is_no_part_of_it() {
        let given = "[network]\nvpc = \"vpc-0a1b2c3d\"\nway_out = \"nat\"\nprivate_subnets = [\"subnet-0a1b2c3d\"]\n\
                     public_subnets = [\"subnet-1a1b2c3d\", \"subnet-2a1b2c3d\"]";
        let counted = Counted::of(&instance(given));
        assert_eq!(counted, Counted::default());
        let public = "[network]\nvpc = \"vpc-0a1b2c3d\"\nway_out = \"public\"\n\
                      public_subnets = [\"subnet-1a1b2c3d\", \"subnet-2a1b2c3d\"]\n[access]\nallow = [\"203.0.113.7/32\"]";
        assert_eq!(Counted::of(&instance(public)), Counted { addresses: 4, ..Counted::default() });
    }

    #[test]
    fn arm64_costs_less_and_an_unknown_region_says_so() {
        // 16.425 + 23.6374 + 5.1976 + 73 + 7.30 + 0.40
        assert_eq!(sum("", Architecture::Arm64), "125.96");
        let mut known = instance("");
        known.region = "us-east-2".to_owned();
        let known = estimate(&known, Architecture::Amd64).to_string();
        assert!(!known.contains('*'), "{known}");
        insta::assert_snapshot!(estimate(&instance("[access]\nallow = [\"203.0.113.0/24\"]"), Architecture::Amd64));
    }

    #[test]
    fn cents_are_rounded_and_parts_are_told() {
        assert_eq!(
            (dollars(4_999), dollars(5_000), dollars(133_165_100)),
            ("0.00".into(), "0.01".into(), "133.17".into())
        );
        assert_eq!((decimal(1024), decimal(256), decimal(1536)), ("1".into(), "0.25".into(), "1.5".into()));
    }
}
