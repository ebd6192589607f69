//! List prices, on demand, in millionths of a US dollar: by the hour, the secret by the month.
//!
//! AWS's pages show them by region to people alone; where a region's was found nowhere, `us-east-1`'s stands in, and the estimate
//! says so. Change [`DATE`] with them.

/// What the prices are of.
pub(super) const DATE: &str = "March 2026";

/// AWS's own pages, which are right when this table is not.
pub(super) const PAGES: &[&str] = &[
    "https://aws.amazon.com/elasticloadbalancing/pricing/",
    "https://aws.amazon.com/fargate/pricing/",
    "https://aws.amazon.com/privatelink/pricing/",
    "https://aws.amazon.com/secrets-manager/pricing/",
    "https://aws.amazon.com/vpc/pricing/",
];

/// Where the prices were read: pages that say what those of AWS said.
pub(super) const SOURCES: &[&str] = &[
    "https://awsnegotiations.com/privatelink-cost-analysis.html",
    "https://basavytix.com/blog/aws-nat-gateway-pricing",
    "https://cloudburn.io/blog/aws-nat-gateway-pricing",
    "https://github.com/gordonmurray/terraform_aws_ecs",
    "https://hivebook.wiki/wiki/aws-secrets-manager-rotated-secrets-dynamic-db-credentials-kms",
    "https://mint041223techblog.netlify.app/en/blog/ecs-fixed-cost-alb-nat/",
    "https://www.vantage.sh/blog/fargate-pricing",
];

/// The region whose prices stand in for those that are not known.
pub(super) const USUAL: &str = "us-east-1";

/// What has a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Price {
    /// An Application Load Balancer.
    Balancer,
    /// A vCPU of Fargate, Linux on amd64.
    CpuAmd64,
    /// A gigabyte of Fargate.
    MemoryAmd64,
    /// A vCPU of Fargate, Linux on arm64.
    CpuArm64,
    /// A gigabyte of Fargate.
    MemoryArm64,
    /// A NAT gateway.
    Nat,
    /// An interface endpoint in one zone.
    Endpoint,
    /// A public IPv4 address, wherever it is.
    Address,
    /// A secret, by the month.
    Secret,
}

/// Regions with the same prices, as far as they are known.
struct Group {
    regions: &'static [&'static str],
    prices: &'static [(Price, u64)],
}

const GROUPS: &[Group] = &[
    Group {
        regions: &[USUAL, "us-east-2", "us-west-2"],
        prices: &[
            (Price::Balancer, 22_500),
            (Price::CpuAmd64, 40_480),
            (Price::MemoryAmd64, 4_445),
            (Price::CpuArm64, 32_380),
            (Price::MemoryArm64, 3_560),
            (Price::Nat, 45_000),
            (Price::Endpoint, 10_000),
        ],
    },
    Group {
        regions: &["ap-northeast-1"],
        prices: &[(Price::Balancer, 24_300), (Price::Nat, 62_000), (Price::Endpoint, 14_000)],
    },
    Group { regions: &["ap-southeast-1"], prices: &[(Price::Nat, 59_000)] },
    Group {
        regions: &["sa-east-1"],
        prices: &[
            (Price::CpuAmd64, 69_600),
            (Price::MemoryAmd64, 7_600),
            (Price::CpuArm64, 55_700),
            (Price::MemoryArm64, 6_120),
        ],
    },
];

/// The same everywhere.
const EVERYWHERE: &[(Price, u64)] = &[(Price::Address, 5_000), (Price::Secret, 400_000)];

/// The price of something in a region, and whether it is another region's.
pub(super) fn price(region: &str, of: Price) -> (u64, bool) {
    let known = |prices: &[(Price, u64)]| prices.iter().find(|(what, _)| *what == of).map(|(_, micros)| *micros);
    let in_region = |region: &str| {
        GROUPS.iter().filter(|group| group.regions.contains(&region)).find_map(|group| known(group.prices))
    };
    match known(EVERYWHERE).or_else(|| in_region(region)) {
        Some(micros) => (micros, false),
        None => (in_region(USUAL).unwrap_or_default(), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_a_price_and_a_region_that_lacks_one_has_the_usual() {
        for of in [
            Price::Balancer,
            Price::CpuAmd64,
            Price::MemoryAmd64,
            Price::CpuArm64,
            Price::MemoryArm64,
            Price::Nat,
            Price::Endpoint,
            Price::Address,
            Price::Secret,
        ] {
            let (micros, is_usual) = price(USUAL, of);
            assert!(micros > 0 && !is_usual, "{of:?}");
        }
        assert_eq!(price("ap-northeast-1", Price::Nat), (62_000, false));
        assert_eq!(price("ap-northeast-1", Price::CpuAmd64), (40_480, true));
        assert_eq!(price("eu-central-1", Price::Secret), (400_000, false));
        let mut regions: Vec<&str> = GROUPS.iter().flat_map(|group| group.regions).copied().collect();
        regions.sort_unstable();
        let count = regions.len();
        regions.dedup();
        assert_eq!(regions.len(), count, "a region is in one group");
    }
}
