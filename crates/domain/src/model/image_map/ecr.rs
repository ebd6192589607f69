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

/// The forms of a registry's host. All lead to the same registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EcrHostForm {
    /// IPv4 alone: what ECR says by itself.
    #[default]
    Plain,
    /// With validated cryptography, where the region has it.
    Fips,
    /// IPv4 and IPv6.
    DualStack,
    /// Both of these.
    DualStackFips,
}

/// A partition: its name, how its regions begin, and the domains of its registries, over IPv4 and over both.
///
/// Names, regions and the first domain are those of AWS's own `partitions.json` (`regionRegex`, `dnsSuffix`); the second is in
/// the patterns of the cloud provider's `ecr-credential-provider`, and of no certain form for the European Sovereign Cloud.
struct Partition {
    name: &'static str,
    regions: &'static str,
    domain: &'static str,
    dual_stack: Option<&'static str>,
}

const PARTITIONS: [Partition; 8] = [
    Partition {
        name: "aws-cn",
        regions: "cn-",
        domain: "amazonaws.com.cn",
        dual_stack: Some("on.amazonwebservices.com.cn"),
    },
    Partition { name: "aws-us-gov", regions: "us-gov-", domain: "amazonaws.com", dual_stack: Some("on.aws") },
    Partition { name: "aws-iso-b", regions: "us-isob-", domain: "sc2s.sgov.gov", dual_stack: Some("on.aws.scloud") },
    Partition {
        name: "aws-iso-f",
        regions: "us-isof-",
        domain: "csp.hci.ic.gov",
        dual_stack: Some("on.aws.hci.ic.gov"),
    },
    Partition { name: "aws-iso", regions: "us-iso-", domain: "c2s.ic.gov", dual_stack: Some("on.aws.ic.gov") },
    Partition {
        name: "aws-iso-e",
        regions: "eu-isoe-",
        domain: "cloud.adc-e.uk",
        dual_stack: Some("on.cloud-aws.adc-e.uk"),
    },
    Partition { name: "aws-eusc", regions: "eusc-", domain: "amazonaws.eu", dual_stack: None },
    // Every other region, so it comes last.
    Partition { name: "aws", regions: "", domain: "amazonaws.com", dual_stack: Some("on.aws") },
];

impl Partition {
    fn of(region: &str) -> &'static Self {
        let found = PARTITIONS.iter().find(|it| region.starts_with(it.regions));
        found.expect("the last one has every region")
    }
}

impl EcrHost {
    /// Reads a host; `None` when it is not one of ECR's. Case does not matter.
    #[must_use]
    pub fn parse(host: &str) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        let (account, rest) = host.split_once('.')?;
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let (rest, is_dual) = match rest.strip_prefix("dkr.ecr") {
            Some(rest) => (rest, false),
            None => (rest.strip_prefix("dkr-ecr")?, true),
        };
        let rest = rest.strip_prefix("-fips").unwrap_or(rest);
        let (region, domain) = rest.strip_prefix('.')?.split_once('.')?;
        let legal_region =
            !region.is_empty() && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let mut domains = PARTITIONS.iter().filter_map(|it| if is_dual { it.dual_stack } else { Some(it.domain) });
        (legal_region && domains.any(|known| known == domain))
            .then(|| Self { account: account.to_owned(), region: region.to_owned() })
    }

    /// The host in one of its forms; `None` where the partition has none that is known.
    #[must_use]
    pub fn name(&self, form: EcrHostForm) -> Option<String> {
        let Self { account, region } = self;
        let partition = Partition::of(region);
        let dual = |kind: &str| Some(format!("{account}.{kind}.{region}.{}", partition.dual_stack?));
        match form {
            EcrHostForm::Plain => Some(format!("{account}.dkr.ecr.{region}.{}", partition.domain)),
            EcrHostForm::Fips => Some(format!("{account}.dkr.ecr-fips.{region}.{}", partition.domain)),
            EcrHostForm::DualStack => dual("dkr-ecr"),
            EcrHostForm::DualStackFips => dual("dkr-ecr-fips"),
        }
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

/// The partition of a region, by the region's name.
#[must_use]
pub fn partition_of(region: &str) -> &'static str {
    Partition::of(region).name
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
