#[cfg(feature = "aws")]
use layer0_domain::model::image::RepositoryName;

use super::*;
use crate::config::{Asked, Config, parse};

/// The configuration of an instance of the fake engine, with flags, and with a file.
fn load(args: &[&str], file: &str) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("layer0.toml");
    std::fs::write(&path, file).expect("written");
    let path = path.to_str().expect("UTF-8");
    let all = [&["--data-dir", "data", "--engine", "fake", "--config", path], args].concat();
    let Asked::Run(args) = parse(all.iter().map(Into::into).collect())? else { panic!("no help was asked for") };
    Config::load(&args, &|_| None)
}

fn error(args: &[&str], file: &str) -> String {
    load(args, file).expect_err("refused").to_string()
}

#[test]
fn images_lie_in_ecr_only_where_the_engine_can_pull_from_there() {
    let disk = load(&["--registry-backing", "disk", "--ecr-prefix", "l0"], "").expect("disk").registries;
    assert_eq!(disk, RegistriesConfig::default());
    assert!(error(&["--registry-backing", "nfs"], "").starts_with("--registry-backing: `nfs` must be"));
    // Without it images would lie on the disk, and nobody would be told.
    let alone = error(&["--s3-bucket", "images"], "");
    assert!(alone.starts_with("--s3-bucket") && alone.contains("means nothing alone"), "{alone}");
    let ecr = ["--registry-backing", "ecr", "--ecr-prefix", "l0", "--registry-stream", "--ecr-tags", "team=web"];
    let table = "[[registry]]\nname = \"main\"\n";
    if !cfg!(feature = "aws") {
        assert!(error(&ecr, "").contains("not built into"));
        assert!(error(&[], table).contains("not built into"));
        return;
    }
    assert!(error(&["--registry-backing", "ecr", "--engine", "docker"], "").contains("goes with the engine `ecs`"));
    assert!(error(&["--engine", "docker"], table).contains("goes with the engine `ecs`"));
    assert!(error(&["--registry-backing", "ecr", "--ecr-host", "no host"], "").starts_with("--ecr-host: "));
    let found = load(&ecr, "").expect("ecr").registries;
    let (name, config) = &found.ecr[0];
    assert_eq!((name.as_str(), found.placement.default_backing()), ("ecr", name));
    assert_eq!((config.prefix.as_str(), config.stream, config.immutable_tags), ("l0", true, false));
    assert_eq!(config.tags["team"], "web");
}

#[cfg(feature = "aws")]
#[test]
fn several_registries_stand_in_the_file_with_whose_repositories_go_there() {
    let file = r#"
        registry_stream = true
        [[registry]]
        name = "main"
        default = true
        prefix = "l0"
        keep_untagged_days = 14
        tags = { team = "web" }
        [[registry]]
        name = "eu"
        backing = "ecr"
        region = "eu-central-1"
        account = "210987654321"
        role_arn = "arn:aws:iam::210987654321:role/images"
        external_id = "x-1"
        stream = false
        dual_stack = true
        owners = ["data", "team"]
        [[registry]]
        name = "local"
        owners = ["dev"]
        prefixes = ["team/scratch"]
    "#;
    let found = load(&[], file).expect("legal");
    assert_eq!(found.grants.kept, crate::config::GrantsKept::On, "there is something to grant");
    let RegistriesConfig { ecr, placement, s3: _ } = found.registries;
    let [(main, first), (eu, second)] = &ecr[..] else { panic!("{ecr:?}") };
    assert_eq!((main.as_str(), eu.as_str()), ("main", "eu"));
    assert!(first.stream && !second.stream && second.dual_stack && !second.fips);
    assert!(first.lifecycle.as_ref().is_some_and(|text| text.contains("14")) && second.lifecycle.is_none());
    let role = second.role.as_ref().expect("it was named");
    assert_eq!(
        (role.arn.as_str(), role.external_id.as_deref()),
        ("arn:aws:iam::210987654321:role/images", Some("x-1"))
    );
    let of = |name: &str| placement.of(&RepositoryName::parse(name).expect("a legal name")).to_string();
    let placed = ["data/x", "team/app", "team/scratch/x", "dev/x", "other/x"].map(of);
    assert_eq!(placed, ["eu", "eu", "local", "local", "main"]);
    // What no rule sends elsewhere stays with the instance where nothing else is said.
    let no_default = load(&[], "[[registry]]\nname = \"eu\"\nowners = [\"data\"]\n").expect("legal").registries;
    assert!(no_default.placement.default_backing().is_local());
}

#[cfg(feature = "aws")]
#[test]
fn a_registry_that_can_t_be_meant_is_refused_by_name_and_key() {
    let one = |keys: &str| error(&[], &format!("[[registry]]\nname = \"eu\"\n{keys}\n"));
    for (keys, words) in [
        ("account = \"12\"", "account of registry `eu`: `12` is no account"),
        ("role_arn = \"images\"", "role_arn of registry `eu`: `images` is no role"),
        ("external_id = \"x\"", "external_id of registry `eu`: `x` is told to a role"),
        ("backing = \"s3\"", "backing of registry `eu`: `s3` must be"),
        ("backing = \"disk\"", "what does is called `local`"),
        ("owners = [\"A\"]", "owners of registry `eu`: `A` is no beginning"),
        ("host = \"no host\"", "host of registry `eu`: "),
        ("tags = { \"aws:x\" = \"y\" }", "tags of registry `eu`"),
        ("lifecycle_policy = \"{}\"", "lifecycle_policy of registry `eu`"),
        ("colour = \"red\"", "colour"),
    ] {
        let said = one(keys);
        assert!(said.contains(words), "{said}");
    }
    let two = |keys: &str| {
        error(&[], &format!("[[registry]]\nname = \"eu\"\nowners = [\"a\"]\ndefault = true\n[[registry]]\n{keys}\n"))
    };
    assert!(two("name = \"eu\"").contains("the name of two registries"));
    assert!(two("name = \"us\"\nowners = [\"a\"]").contains("repositories of `a` can't go to both `eu` and `us`"));
    assert!(two("name = \"us\"\ndefault = true").contains("is said of `eu` too"));
    assert!(two("name = \"local\"\nprefix = \"x\"").contains("has no such setting"));
    assert!(two("name = \"local\"\nbacking = \"ecr\"").contains("the name of the embedded registry"));
    assert!(
        error(&["--registry-backing", "ecr"], "[[registry]]\nname = \"ecr\"\n").contains("the name of two registries")
    );
}
