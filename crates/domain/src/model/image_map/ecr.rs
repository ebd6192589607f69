//! What ECR demands of an address.

/// The host of a private ECR registry.
///
/// Forms: `<account>.dkr.ecr[-fips].<region>.<domain>` and the dual-stack `<account>.dkr-ecr[-fips].<region>.on.aws`, in every
/// AWS partition (ECR user guide, "Private registry"; "Making API requests over IPv6").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcrHost {
    /// The 12 digits of the account.
    pub account: String,
    /// The region, such as `eu-central-1`.
    pub region: String,
}

/// Domains of ECR registries by partition: commercial and GovCloud, China, the European Sovereign Cloud, and the isolated ones.
const DOMAINS: [&str; 7] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];

/// Domains of the dual-stack hosts.
const DUAL_STACK_DOMAINS: [&str; 2] = ["on.aws", "on.amazonwebservices.com.cn"];

impl EcrHost {
    /// Reads a host; `None` when it is not one of ECR's. Case does not matter.
    #[must_use]
    pub fn parse(host: &str) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        let (account, rest) = host.split_once('.')?;
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let (rest, domains): (&str, &[&str]) = if let Some(rest) = rest.strip_prefix("dkr.ecr") {
            (rest, &DOMAINS)
        } else {
            (rest.strip_prefix("dkr-ecr")?, &DUAL_STACK_DOMAINS)
        };
        let rest = rest.strip_prefix("-fips").unwrap_or(rest);
        let (region, domain) = rest.strip_prefix('.')?.split_once('.')?;
        let legal_region =
            !region.is_empty() && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        (legal_region && domains.contains(&domain))
            .then(|| Self { account: account.to_owned(), region: region.to_owned() })
    }

    /// The partition that the registry is in.
    #[must_use]
    pub fn partition(&self) -> &'static str {
        partition_of(&self.region)
    }

    /// The ARN of a repository there.
    #[must_use]
    pub fn repository_arn(&self, path: &str) -> String {
        format!("arn:{}:ecr:{}:{}:repository/{path}", self.partition(), self.region, self.account)
    }
}

/// The partition of a region. By the region's name, as AWS's own `partitions.json` does it (`regionRegex`).
#[must_use]
pub fn partition_of(region: &str) -> &'static str {
    const BY_PREFIX: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("us-iso-", "aws-iso"),
        ("eu-isoe-", "aws-iso-e"),
        ("eusc-", "aws-eusc"),
    ];
    BY_PREFIX.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

/// Checks what ECR asks of a repository name beyond the reference grammar, whose components are ECR's own: its length
/// (`RepositoryName` in the ECR API: 2 to 256 characters).
pub(super) fn check_repository(path: &str) -> Result<(), String> {
    match path.len() {
        0 | 1 => Err(format!("{path:?} is shorter than 2 characters")),
        2..=256 => Ok(()),
        found => Err(format!("it has {found} characters; at most 256 are legal")),
    }
}
