use layer0_domain::model::placement::{Placement, PlacementRule, RepositoryPrefix};

use super::*;
use crate::config::{Asked, RegistriesConfig, parse};

const MAIN: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
const OTHER: &str = "210987654321.dkr.ecr.eu-central-1.amazonaws.com";

fn backing(name: &str) -> BackingName {
    BackingName::parse(name).expect("a legal name")
}

/// An instance with registries `main` and `other` in ECR.
fn addresses(current: &str) -> RegistryAddresses {
    let place = |name: &str, host: &str, prefix: &str| {
        (backing(name), BackingPlace::new(host, prefix).expect("a legal prefix"))
    };
    let places = Places::new(vec![place("main", MAIN, "l0"), place("other", OTHER, "")]).expect("side by side");
    RegistryAddresses { current: current.to_owned(), former: vec![], places }
}

fn rules(addresses: &RegistryAddresses, map: &str, default: &str, placed: &[(&str, &str)]) -> Vec<String> {
    let args = ["--engine", "fake", "--data-dir", "data", "--image-map", map].map(Into::into);
    let Ok(Asked::Run(args)) = parse(args.to_vec()) else { panic!("the flags are legal") };
    let mut config = Config::load(&args, &|_| None).expect("a configuration");
    let rule = |(prefix, to): &(&str, &str)| PlacementRule {
        prefix: RepositoryPrefix::parse(prefix).expect("a prefix"),
        backing: backing(to),
    };
    let placement = Placement::new(placed.iter().map(rule).collect(), backing(default)).expect("they go together");
    config.registries = RegistriesConfig { placement, ..RegistriesConfig::default() };
    let rules = fixed_rules(&config, addresses).expect("they hold together");
    rules.iter().map(ToString::to_string).collect()
}

/// The name of the registry leads to it, unless the configuration says where else: on AWS, to ECR.
#[test]
fn the_configuration_may_say_where_the_registrys_name_leads() {
    let disk = RegistryAddresses { places: Places::default(), ..addresses("localhost:9090") };
    let said = format!("registry.layer0.test|{MAIN}");
    assert_eq!(rules(&disk, &said, "local", &[]), [said.as_str()]);
    let other = format!("hub.example.com|{MAIN}");
    assert_eq!(rules(&disk, &other, "local", &[]), ["registry.layer0.test|localhost:9090", other.as_str()]);
    // All of the name, whatever else is said of parts of it.
    let found = rules(&addresses("localhost:9090"), &said, "other", &[("team", "main")]);
    assert_eq!(found.iter().filter(|rule| rule.starts_with("registry.layer0.test")).collect::<Vec<_>>(), [&said]);
}

#[test]
fn images_that_lie_in_ecr_are_found_there_by_each_name_that_they_are_pushed_to() {
    let own = [format!("registry.layer0.test|{MAIN}/l0"), format!("localhost:9090|{MAIN}/l0")];
    assert_eq!(rules(&addresses("localhost:9090"), "", "main", &[]), own);
}

#[test]
fn each_registry_is_a_rule_and_the_most_specific_comes_first() {
    let placed = [("team", "other"), ("team/base", "main"), ("dev", "local")];
    let found = rules(&addresses("localhost:9090"), "", "main", &placed);
    let expected = [
        format!("registry.layer0.test/team/base|{MAIN}/l0/team/base"),
        "registry.layer0.test/dev|localhost:9090/dev".to_owned(),
        format!("registry.layer0.test/team|{OTHER}/team"),
        format!("registry.layer0.test|{MAIN}/l0"),
    ];
    assert_eq!(found, expected);
    // Where the registry is called as it is reached, what lies here is exempt from where the rest goes.
    let found = rules(&addresses("registry.layer0.test"), "", "main", &[("dev", "local")]);
    assert_eq!(found[0], "registry.layer0.test/dev|registry.layer0.test/dev");
    let found = rules(&addresses("registry.layer0.test"), "", "local", &[("team", "other")]);
    assert_eq!(found, [format!("registry.layer0.test/team|{OTHER}/team")]);
}
