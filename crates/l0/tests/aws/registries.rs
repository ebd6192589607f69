//! One instance in front of registries of two accounts and its own, on the fake AWS of the test kit.

use layer0_testkit::aws::{EXECUTION, FakeAws, FakeAwsConfig, Role};
use tokio::runtime::{Builder, Runtime};

use crate::common::instance::{Instance, L0};
use crate::common::run::{Said, run};

const OWN: &str = "123456789012";
const OTHER: &str = "210987654321";
const ROLE: &str = "arn:aws:iam::210987654321:role/images";
/// What somebody else has written into a policy.
const THEIRS: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"theirs","Effect":"Deny","Principal":"*","Action":"ecr:DeleteRepository"}]}"#;

struct Place {
    instance: Instance,
    aws: FakeAws,
    _runtime: Runtime,
}

fn config(external_id: &str) -> String {
    format!(
        "[[registry]]\nname = \"main\"\ndefault = true\nprefix = \"l0\"\nkeep_untagged_days = 14\ntags = {{ team = \"web\" }}\n\
         [[registry]]\nname = \"data\"\nrole_arn = \"{ROLE}\"\nexternal_id = \"{external_id}\"\naccount = \"{OTHER}\"\n\
         owners = [\"data\"]\n\
         [[registry]]\nname = \"local\"\nowners = [\"dev\"]\n"
    )
}

impl Place {
    fn prepared(external_id: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let aws = runtime.block_on(FakeAws::start(FakeAwsConfig::default()));
        aws.role("l0-execution", Role::for_tasks(&EXECUTION));
        aws.role_elsewhere(ROLE, Some("x-1"));
        let mut instance = Instance::prepared(&[]);
        let file = instance.file("registries.toml", config(external_id));
        let flags = [
            ("--config", file.as_str()),
            ("--engine", "ecs"),
            ("--aws-region", "us-east-1"),
            ("--endpoint-url", aws.endpoint()),
            ("--aws-vpc", "vpc-main"),
            ("--aws-private-subnets", "subnet-private-a,subnet-private-b"),
            ("--registry-name", "registry.example.com"),
        ];
        let words: Vec<String> = flags.iter().flat_map(|(flag, value)| [*flag, *value]).map(str::to_owned).collect();
        instance.flags_add(&words);
        Self { instance, aws, _runtime: runtime }
    }

    #[track_caller]
    fn l0(&self, words: &str) -> Said {
        self.instance.l0(&words.split_whitespace().collect::<Vec<_>>())
    }

    fn tags(&self, account: &str, repository: &str) -> Vec<String> {
        let found = self.aws.repository_tags(account, repository).expect("it is there");
        found.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
    }
}

#[test]
fn repositories_go_to_the_account_that_their_owner_has() {
    let mut place = Place::prepared("x-1");
    place.instance.server_start();
    let log = place.instance.log();
    let main = format!("{OWN}.dkr.ecr.us-east-1.amazonaws.com/l0");
    let data = format!("{OTHER}.dkr.ecr.us-east-1.amazonaws.com");
    assert!(log.contains(&format!("its images lie in {main}\n")), "{log}");
    assert!(log.contains(&format!("those of data in {data}\n")), "{log}");
    assert!(log.contains("those of dev in this machine"), "{log}");

    place.l0("account grant 333333333333").ok();
    place.l0("repository create team/app").ok().says(&format!("{main}/team/app"));
    place.l0("repository create data/set").ok().says(&format!("{data}/data/set"));
    place
        .l0("repository create dev/app")
        .ok()
        .says(&format!("localhost:{}/dev/app", place.instance.address().rsplit(':').next().expect("a port")));
    let listed = place.instance.json(&["repository", "list"]);
    assert_eq!(listed, serde_json::json!(["data/set", "dev/app", "team/app"]));
    // The grant is part of the making in each registry, and only there is anything to write.
    for (account, repository) in [(OWN, "l0/team/app"), (OTHER, "data/set")] {
        let policy = place.aws.repository_policy_text(account, repository).expect("it was made with one");
        assert!(policy.contains("333333333333"), "{policy}");
    }
    let lifecycle = place.aws.lifecycle_policy(OWN, "l0/team/app").expect("the template has one");
    assert!(lifecycle.contains("\"countNumber\":14"), "{lifecycle}");
    assert_eq!(place.aws.lifecycle_policy(OTHER, "data/set"), None);
    assert!(place.tags(OWN, "l0/team/app").contains(&"team=web".to_owned()));

    // Each owner's images are found where they lie; what lies here is nothing that ECS could pull.
    for (image, backing) in [("team/app:1", format!("{main}/team/app:1")), ("data/set:1", format!("{data}/data/set:1"))]
    {
        place
            .l0(&format!("image resolve registry.example.com/{image}"))
            .exits(3)
            .says(&backing)
            .says("it holds no image");
    }
    place.l0("image resolve registry.example.com/dev/app:1").exits(3).says("localhost:");
    place.l0("map list").ok().says(&format!("registry.example.com/data  {data}/data"));
    place.l0("repository delete data/set").ok();
    assert!(place.aws.repository_tags(OTHER, "data/set").is_none());
}

#[test]
fn a_repository_that_was_there_is_adopted_as_it_is() {
    let mut place = Place::prepared("x-1");
    for made in ["data/old", "legacy"] {
        place.aws.repository_policy(OTHER, made, (made == "data/old").then_some(THEIRS));
    }
    place.instance.server_start();
    place.l0("owner create data").ok();
    place.l0("account grant 333333333333 --owner data").ok();
    // One that was there before has its policy by the look that the grant has asked for.
    let tried = place.l0("repository import data/old --registry data --dry-run").ok();
    tried.says("data/old").says("would change: the repository gets the tag `layer0.adopted");
    assert!(place.tags(OTHER, "data/old").is_empty(), "nothing was changed");
    place.l0("repository import data/old data/old --registry data").ok().says("changed: the repository gets the tag");
    let tags = place.tags(OTHER, "data/old");
    assert!(matches!(&tags[..], [tag] if tag.starts_with("layer0.adopted=")), "{tags:?}");
    place.l0("repository import data/old --registry data").ok().says("nothing to change");
    let policy = place.aws.repository_policy_text(OTHER, "data/old").expect("it has one");
    assert!(policy.contains("\"theirs\"") && policy.contains("333333333333"), "{policy}");

    place.l0("repository import legacy").exits(4).says("can't be renamed");
    place.l0("repository import data/old team/x --registry data").exits(4).says("can't be `team/x`");
    place.l0("repository import data/old --registry nowhere").exits(4).says("`main`, `data`");
    place.l0("repository import data/none --registry data").exits(3);
    place.l0("repository delete data/old").exits(4).says("--force");
    place.l0("repository delete data/old --force").ok();
}

#[test]
fn a_role_that_is_not_given_ends_the_start_with_its_name() {
    let place = Place::prepared("wrong");
    let file = place.instance.path("registries.toml");
    let mut server = place.instance.command(L0);
    server.args(["server", "--listen", "127.0.0.1:0", "--engine", "fake", "--aws-region", "us-east-1"]);
    server.args(["--endpoint-url", place.aws.endpoint(), "--data-dir"]).arg(place.instance.path("other"));
    let said = run(server.arg("--config").arg(file), b"").exits(1);
    said.says("registry `data`").says(&format!("the role {ROLE} can't be assumed")).says("not authorized to perform");
}
