//! Whether wishes can be: every refusal with its key and its reason, all of them at once.

use std::fmt;

use layer0_domain::model::grant::{AccountId, Grantee};
use layer0_domain::model::image_map::{ImageMap, MapRule};

use super::environment::refusals;
use super::{Access, Backing, Certificate, Cidr, Instance, Network, WayOut, Wishes};

/// The addresses of a new VPC when none are said.
const CIDR: &str = "10.100.0.0/16";
/// The zones of a new VPC when none are said.
const ZONES: u8 = 2;
/// An ALB needs subnets in two zones ("Application Load Balancers": "You must select at least two Availability Zone subnets").
const ZONES_MIN: u8 = 2;
const ZONES_MAX: u8 = 3;
/// The longest block of which a sixteenth is enough for a load balancer beside the endpoints ("Application Load Balancers": subnets
/// of a /27 or more, with eight free addresses).
const VPC_BITS_MAX: u8 = 23;

/// For how many days CloudWatch keeps a log (`PutRetentionPolicy`, `retentionInDays`).
const LOG_DAYS: [u16; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

/// What can't be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key in `instance.toml`.
    pub key: &'static str,
    /// Why not.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.why)
    }
}

/// The problems found so far.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, key: &'static str, why: impl Into<String>) {
        self.0.push(Problem { key, why: why.into() });
    }

    /// The value, or the problem noted.
    fn take<T, E: fmt::Display>(&mut self, key: &'static str, result: Result<T, E>) -> Option<T> {
        result.map_err(|why| self.add(key, why.to_string())).ok()
    }
}

/// The instance that is wished.
///
/// # Errors
/// All that can't be; never none.
pub fn check(wishes: &Wishes) -> Result<Instance, Vec<Problem>> {
    let mut problems = Problems::default();
    if !is_name(&wishes.name) {
        let why = format!(
            "`{}` is no name for an instance: 1 to 16 lower-case letters and digits, a letter first",
            wishes.name
        );
        problems.add("name", why);
    }
    if !is_region(&wishes.region) {
        problems.add("region", format!("`{}` is no region, such as `eu-central-1`", wishes.region));
    }
    let account = match &wishes.account {
        Some(account) => problems.take("account", AccountId::parse(account)),
        None => None,
    };
    let network = network(wishes, &mut problems);
    let access = access(wishes, &mut problems);
    if let Some(name) = wishes.registry.name.as_ref().filter(|name| !is_domain(name)) {
        problems.add("registry.name", format!("`{name}` is no domain name"));
    }
    let mut image_map = Vec::new();
    for rule in &wishes.registry.image_map {
        image_map.extend(problems.take("registry.image_map", MapRule::parse(rule)));
    }
    if image_map.len() == wishes.registry.image_map.len() {
        problems.take("registry.image_map", ImageMap::new(image_map.clone()));
    }
    let mut grants = Vec::new();
    for grantee in &wishes.registry.grants {
        grants.extend(problems.take("registry.grants", Grantee::parse(grantee)));
    }
    if wishes.registry.backing == Backing::S3 && !grants.is_empty() {
        problems.add(
            "registry.grants",
            "accounts are let into repositories of ECR; with `backing = \"s3\"` there are none",
        );
    }
    if !(1..=10).contains(&wishes.server.copies) {
        problems.add("server.copies", format!("{} servers; 1 to 10 can be", wishes.server.copies));
    }
    if let Some(why) = no_fargate_size(wishes.server.cpu, wishes.server.memory_mib) {
        problems.add("server.memory_mib", why);
    }
    if !LOG_DAYS.contains(&wishes.server.log_days) {
        let days: Vec<String> = LOG_DAYS.iter().map(u16::to_string).collect();
        let why =
            format!("CloudWatch keeps no log for {} days; it does for {}", wishes.server.log_days, days.join(", "));
        problems.add("server.log_days", why);
    }
    for why in refusals(&wishes.server.environment) {
        problems.add("server.environment", why);
    }
    match (network, access) {
        (Some(network), Some(access)) if problems.0.is_empty() => Ok(Instance {
            name: wishes.name.clone(),
            region: wishes.region.clone(),
            account,
            network,
            access,
            backing: wishes.registry.backing,
            registry_name: wishes.registry.name.clone(),
            image_map,
            grants,
            copies: wishes.server.copies,
            cpu: wishes.server.cpu,
            memory_mib: wishes.server.memory_mib,
            log_days: wishes.server.log_days,
            environment: wishes.server.environment.clone(),
        }),
        _ => Err(problems.0),
    }
}

/// The predecessor's rule, so that `l0-<name>-<id>` fits everywhere.
fn is_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=16).contains(&text.len()) && text.bytes().all(legal) && text.as_bytes()[0].is_ascii_lowercase()
}

/// By its form; whether there is such a region only AWS knows.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    match parts.split_last() {
        Some((number, words)) => {
            words.len() >= 2
                && words.iter().all(is_word)
                && number.len() == 1
                && number.bytes().all(|b| b.is_ascii_digit())
        }
        None => false,
    }
}

fn network(wishes: &Wishes, problems: &mut Problems) -> Option<Network> {
    let wish = &wishes.network;
    let Some(vpc) = &wish.vpc else {
        for (key, given) in
            [("network.private_subnets", &wish.private_subnets), ("network.public_subnets", &wish.public_subnets)]
        {
            if !given.is_empty() {
                problems.add(key, "these are subnets of a VPC that is there: say which, with `vpc`");
            }
        }
        let cidr = problems.take("network.cidr", Cidr::parse(wish.cidr.as_deref().unwrap_or(CIDR)))?;
        if !cidr.is_private() {
            problems.add(
                "network.cidr",
                format!("{cidr} belongs to others on the internet: take one for private use (RFC 1918)"),
            );
        } else if !cidr.fits_vpc() || cidr.bits() > VPC_BITS_MAX {
            problems
                .add("network.cidr", format!("{cidr}: a VPC with room for its subnets has 16 to {VPC_BITS_MAX} bits"));
        }
        let zones = wish.zones.unwrap_or(ZONES);
        if !(ZONES_MIN..=ZONES_MAX).contains(&zones) {
            problems.add(
                "network.zones",
                format!("{zones} zones; {ZONES_MIN} or {ZONES_MAX} can be, a load balancer needs two"),
            );
        }
        return Some(Network::New { cidr, zones, way_out: wish.way_out });
    };
    if !is_id(vpc, "vpc-") {
        problems.add("network.vpc", format!("`{vpc}` is no id of a VPC, such as `vpc-0a1b2c3d`"));
    }
    for (key, is_given) in [("network.cidr", wish.cidr.is_some()), ("network.zones", wish.zones.is_some())] {
        if is_given {
            problems.add(key, format!("{vpc} has its own: this is for a new VPC"));
        }
    }
    let given = [("network.private_subnets", &wish.private_subnets), ("network.public_subnets", &wish.public_subnets)];
    for (key, subnets) in given {
        for subnet in subnets.iter().filter(|subnet| !is_id(subnet, "subnet-")) {
            problems.add(key, format!("`{subnet}` is no id of a subnet, such as `subnet-0a1b2c3d`"));
        }
    }
    if wish.public_subnets.len() < usize::from(ZONES_MIN) {
        problems.add("network.public_subnets", "a load balancer needs subnets in two zones");
    }
    if wish.private_subnets.is_empty() && wish.way_out != WayOut::Public {
        problems.add(
            "network.private_subnets",
            "tasks need subnets; with `way_out = \"public\"` they stand in the public ones",
        );
    }
    Some(Network::Given {
        vpc: vpc.clone(),
        private_subnets: wish.private_subnets.clone(),
        public_subnets: wish.public_subnets.clone(),
        way_out: wish.way_out,
    })
}

fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| {
        (8..=17).contains(&rest.len())
            && rest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

fn access(wishes: &Wishes, problems: &mut Problems) -> Option<Access> {
    let wish = &wishes.access;
    let mut allow = Vec::new();
    for block in &wish.allow {
        allow.extend(problems.take("access.allow", Cidr::parse(block)));
    }
    let Some(name) = &wish.domain else {
        for (key, is_given) in
            [("access.certificate", wish.certificate.is_some()), ("access.zone", wish.zone.is_some())]
        {
            if is_given {
                problems.add(key, "of no use without `domain`");
            }
        }
        if allow.iter().any(|block| block.bits() == 0) {
            problems.add(
                "access.allow",
                "without a domain there is no TLS, and tokens would cross the internet in the open",
            );
        }
        return Some(Access::Bare { allow });
    };
    if !is_domain(name) {
        problems.add("access.domain", format!("`{name}` is no domain name"));
    }
    let certificate = match (&wish.certificate, &wish.zone) {
        (Some(arn), _) => {
            if let Some(why) = no_certificate(arn, &wishes.region) {
                problems.add("access.certificate", why);
            }
            Certificate::Given(arn.clone())
        }
        (None, Some(_)) => Certificate::Made,
        (None, None) => {
            problems.add(
                "access.certificate",
                "give a certificate of ACM, or the hosted zone in which one can be validated",
            );
            return None;
        }
    };
    Some(Access::Domain { name: name.clone(), certificate, zone: wish.zone.clone(), allow })
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(is_label)
}

/// What is wrong with a certificate's ARN: a load balancer takes those of its own region alone.
fn no_certificate(arn: &str, region: &str) -> Option<String> {
    match arn.split(':').collect::<Vec<_>>()[..] {
        ["arn", _, "acm", found, _, id] if id.starts_with("certificate/") => (found != region)
            .then(|| format!("{arn} is in {found}: a load balancer takes certificates of its own region, {region}")),
        _ => Some(format!("`{arn}` is no ARN of a certificate of ACM")),
    }
}

/// Why Fargate has no such pair ("Task CPU and memory"), of those that suit a server.
fn no_fargate_size(cpu: u32, memory_mib: u32) -> Option<String> {
    let (least, most, step) = match cpu {
        256 => (512, 2048, 512),
        512 => (1024, 4096, 1024),
        1024 => (2048, 8192, 1024),
        2048 => (4096, 16384, 1024),
        4096 => (8192, 30720, 1024),
        _ => return Some(format!("Fargate has no {cpu} CPU units; 256, 512, 1024, 2048 and 4096 can be")),
    };
    let fits =
        (least..=most).contains(&memory_mib) && memory_mib.is_multiple_of(step) || (cpu == 256 && memory_mib == 512);
    (!fits)
        .then(|| format!("with {cpu} CPU units Fargate has {least} to {most} MiB in steps of {step}, not {memory_mib}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "name = \"prod\"\nregion = \"eu-central-1\"\n";

    fn found(more: &str) -> Result<Instance, Vec<String>> {
        let wishes = Wishes::read(&format!("{FILE}{more}")).expect("it can be read");
        check(&wishes).map_err(|problems| problems.iter().map(Problem::to_string).collect())
    }

    #[test]
    fn little_need_be_said() {
        let instance = found("").expect("it can be");
        let cidr = Cidr::parse("10.100.0.0/16").expect("a block");
        assert_eq!(instance.network, Network::New { cidr, zones: 2, way_out: WayOut::Endpoints });
        assert_eq!(instance.access, Access::Bare { allow: Vec::new() });
        assert_eq!((instance.backing, instance.copies), (Backing::Ecr, 2));
    }

    #[test]
    fn what_can_t_be_is_refused_with_its_key_and_its_reason() {
        for (file, key, words) in [
            ("[network]\ncidr = \"10.100.3.0/16\"", "network.cidr", "10.100.0.0/16"),
            ("[network]\ncidr = \"8.8.0.0/16\"", "network.cidr", "RFC 1918"),
            ("[network]\ncidr = \"10.0.0.0/8\"", "network.cidr", "16 to 23 bits"),
            ("[network]\nzones = 1", "network.zones", "load balancer needs two"),
            ("[network]\nprivate_subnets = [\"subnet-12345678\"]", "network.private_subnets", "say which, with `vpc`"),
            (
                "[network]\nway_out = \"public\"\nvpc = \"main\"\npublic_subnets = [\"subnet-12345678\", \"subnet-87654321\"]",
                "network.vpc",
                "vpc-",
            ),
            (
                "[network]\nvpc = \"vpc-12345678\"\npublic_subnets = [\"subnet-12345678\", \"subnet-87654321\"]",
                "network.private_subnets",
                "tasks need subnets",
            ),
            (
                "[access]\ndomain = \"l0.example.com\"\ncertificate = \"arn:aws:acm:us-east-1:123456789012:certificate/x\"",
                "access.certificate",
                "is in us-east-1",
            ),
            ("[access]\ndomain = \"l0.example.com\"", "access.certificate", "hosted zone"),
            ("[access]\ndomain = \"l0\"\nzone = \"Z1\"", "access.domain", "no domain name"),
            ("[access]\nzone = \"Z1\"", "access.zone", "without `domain`"),
            ("[access]\nallow = [\"0.0.0.0/0\"]", "access.allow", "no TLS"),
            ("[registry]\nimage_map = [\"registry.example.com\"]", "registry.image_map", "registry.example.com"),
            ("[registry]\ngrants = [\"1234\"]", "registry.grants", "1234"),
            ("[registry]\nbacking = \"s3\"\ngrants = [\"123456789012\"]", "registry.grants", "s3"),
            ("[server]\ncopies = 0", "server.copies", "0 servers"),
            ("[server]\ncpu = 512\nmemory_mib = 512", "server.memory_mib", "1024 to 4096"),
            ("[server]\ncpu = 500", "server.memory_mib", "no 500 CPU units"),
            ("[server]\nlog_days = 31", "server.log_days", "for 31 days; it does for 1, 3, 5"),
            ("[server.environment]\nAPI_TOKEN = \"x\"", "server.environment", "API_TOKEN looks like a secret"),
            ("[registry]\nname = \"{{x}}\"", "registry.name", "no domain name"),
        ] {
            let problems = found(file).expect_err(file);
            assert_eq!(problems.len(), 1, "{file}: {problems:?}");
            assert!(
                problems[0].starts_with(&format!("{key}: ")) && problems[0].contains(words),
                "{file}: {problems:?}"
            );
        }
    }

    #[test]
    fn all_is_said_at_once_and_names_have_a_rule() {
        let mut wishes = Wishes::read(FILE).expect("it can be read");
        for (name, is_good) in [("a", true), ("prod7", true), ("abcdefghijklmnop", true), ("abcdefghijklmnopq", false)]
        {
            name.clone_into(&mut wishes.name);
            assert_eq!(check(&wishes).is_ok(), is_good, "{name}");
        }
        for name in ["", "Prod", "7prod", "pr-od", "prod.", "größe"] {
            name.clone_into(&mut wishes.name);
            wishes.region = "Frankfurt".to_owned();
            wishes.network.zones = Some(9);
            assert_eq!(check(&wishes).expect_err(name).len(), 3, "{name}");
        }
    }

    #[test]
    fn wishes_are_written_as_they_are_read() {
        let more = "[network]\nway_out = \"nat\"\n[registry]\nimage_map = [\"a.example.com|b.example.com\"]\n\
                    [server]\nlog_days = 30\n[server.environment]\nLAYER0_LOG = \"debug\"\n";
        let wishes = Wishes::read(&format!("{FILE}{more}")).expect("it can be read");
        assert_eq!(Wishes::read(&wishes.text()).expect("it can be read"), wishes);
        assert_eq!(check(&wishes).expect("it can be").environment["LAYER0_LOG"], "debug");
    }

    #[test]
    fn what_is_not_known_is_not_read() {
        let error = Wishes::read(&format!("{FILE}secret_key = \"x\"\n")).expect_err("refused").to_string();
        assert!(error.contains("secret_key"), "{error}");
    }
}
