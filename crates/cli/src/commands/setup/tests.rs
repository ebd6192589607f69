//! The commands over an account in memory, as the terminal prints them.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use clap::FromArgMatches as _;
use layer0_setup::account::fake::{FakeAccount, Fault};
use layer0_setup::account::{Kind, Remain, SubnetSeen, Vpc, Way};
use layer0_setup::instance::Cidr;
use layer0_setup::ops::News;

use super::*;
use crate::args::{self, Cli, Noun};

/// What was written.
#[derive(Clone, Default)]
struct Paper(Rc<RefCell<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).expect("text")
    }
}

#[derive(Default)]
struct Quick(AtomicU64);

#[async_trait]
impl Watch for Quick {
    fn hear(&self, _: News<'_>) {}

    async fn pause(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

struct Open;

#[async_trait]
impl Door for Open {
    async fn health(&self, _: &str) -> Result<Option<String>, String> {
        Ok(None)
    }
}

/// A machine with a home, and an account.
struct Desk {
    home: tempfile::TempDir,
    account: FakeAccount,
}

/// How a command ended, and what it said.
struct Ended {
    exit: u8,
    stdout: String,
    stderr: String,
}

impl Desk {
    fn new() -> Self {
        let account = serde_json::from_value(json!("123456789012")).expect("an account");
        let home = tempfile::tempdir().expect("a directory");
        let executable = |version: &str| {
            let mut bytes = vec![0_u8; 64];
            bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
            bytes[18] = 62;
            bytes.extend_from_slice(format!("{}{version}\n", layer0_setup::image::MARK).as_bytes());
            bytes
        };
        for version in ["1.0.0", "1.1.0"] {
            std::fs::write(home.path().join(format!("l0-{version}")), executable(version)).expect("written");
        }
        std::fs::write(home.path().join("ca.pem"), "certificates").expect("written");
        Self { home, account: FakeAccount::new(account, "eu-central-1") }
    }

    fn run(&self, line: &str) -> Ended {
        self.typed(line, None)
    }

    /// Runs a command line; `typed` is what a person types.
    fn typed(&self, line: &str, typed: Option<&str>) -> Ended {
        let (out, err) = (Paper::default(), Paper::default());
        let printer = Printer::new(Box::new(out.clone()), Box::new(err.clone()));
        let home = self.home.path().display().to_string();
        let env = BTreeMap::from([
            ("HOME".to_owned(), home.clone()),
            ("SSL_CERT_FILE".to_owned(), format!("{home}/ca.pem")),
            ("ECR_BACKED_REPO".to_owned(), String::new()),
        ]);
        let words = line.split_whitespace().map(|word| word.replace('~', &home));
        let matches = args::command().try_get_matches_from(std::iter::once("l0".to_owned()).chain(words));
        let cli = Cli::from_arg_matches(&matches.expect("a command line")).expect("a command");
        let settings = Settings::read(&cli.globals, &env).expect("settings");
        printer.configure(settings.output, settings.debug);
        let Noun::Setup(verb) = &cli.noun else { panic!("another noun") };
        let stdin = std::io::Cursor::new(typed.unwrap_or_default().to_owned().into_bytes());
        let input = Input { stdin: RefCell::new(Box::new(stdin)), is_terminal: typed.is_some() };
        let program = self.home.path().join("l0-1.0.0");
        let context = Context {
            printer: &printer,
            input: &input,
            env: &env,
            home: Home::of(&env).expect("a home"),
            account: &self.account,
            door: &Open,
            region: "eu-central-1".to_owned(),
            executable: Some(&program),
            stdout_is_terminal: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let home = Home::of(&env).expect("a home");
        let done = match verb {
            Setup::Set { which, input } => wish::set(&home, &which.name, input),
            Setup::Unset { which, keys } => wish::unset(&home, &which.name, keys),
            Setup::Init(args) => {
                init::former(&args.former).and_then(|()| runtime.block_on(command(&context, &Quick::default(), verb)))
            }
            _ => runtime.block_on(command(&context, &Quick::default(), verb)),
        };
        let exit = match done {
            Ok(()) => 0,
            Err(error) => {
                printer.error(&error);
                error.exit.code()
            }
        };
        let clean = |paper: &Paper| paper.text().replace(&self.home.path().display().to_string(), "~");
        Ended { exit, stdout: clean(&out), stderr: clean(&err) }
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.home.path().join(".layer0/prod/instance.toml")).expect("a file")
    }
}

impl Ended {
    #[track_caller]
    fn good(self) -> Self {
        assert_eq!(self.exit, 0, "{}{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    fn says(self, words: &str) -> Self {
        assert!(self.stdout.contains(words) || self.stderr.contains(words), "{words}:\n{}{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    fn ends(self, exit: Exit) -> Self {
        assert_eq!(self.exit, exit.code(), "{}{}", self.stdout, self.stderr);
        self
    }
}

#[test]
fn an_instance_comes_changes_and_goes() {
    let desk = Desk::new();
    desk.run("setup init prod --yes --allow 203.0.113.7/32").good().says("Next: l0 setup plan prod");
    let plan = desk.run("setup plan prod").good();
    assert!(plan.stdout.contains("Vpc") && plan.stderr.is_empty(), "{}", plan.stdout);
    desk.run("setup apply prod").ends(Exit::Usage).says("--yes");
    desk.typed("setup apply prod", Some("n\n")).ends(Exit::Refused).says("nothing was changed");
    desk.typed("setup apply prod", Some("y\n")).good().says("eval \"$(l0 setup endpoint prod)\"");
    desk.run("setup apply prod").good().says("Nothing to change.");
    desk.run("setup endpoint prod").good().says("export LAYER0_API_ENDPOINT=\"http://");
    desk.run("setup endpoint prod --dev -s powershell").good().says("$env:LAYER0_INSTANCE=\"prod\"");
    desk.run("setup status prod").good().says("servers   2 of 2 run, version 1.0.0");
    desk.run("setup doctor prod").good().says("good     stack         l0-prod is in CREATE_COMPLETE");
    desk.run("setup list").good().says("lr      prod  CREATE_COMPLETE");

    desk.run("setup set prod --input server.copies=3").good();
    desk.run("setup doctor prod").ends(Exit::Failed).says("another one is in the account");
    desk.run("setup push prod").good();
    desk.run("setup doctor prod").good();
    desk.run("setup unset prod server.copies").good();
    desk.run("setup pull prod").ends(Exit::Refused).says("--force");
    desk.run("setup pull prod --force").good();
    assert!(desk.file().contains("copies = 3"), "{}", desk.file());
    desk.run("setup apply prod --yes").good().says("stands");

    desk.run("setup upgrade prod --executable ~/l0-1.1.0 2.0.0")
        .ends(Exit::Usage)
        .says("is version 1.1.0, and not 2.0.0");
    desk.run("setup upgrade prod --executable ~/l0-1.1.0 --yes").good().says("1.0.0 -> 1.1.0");
    desk.run("setup status prod").good().says("servers   3 of 3 run, version 1.1.0");
    desk.run("setup apply prod").good().says("Nothing to change.");
    desk.run("setup upgrade prod --yes").ends(Exit::Refused).says("1.0.0 is older than 1.1.0");
    desk.run("setup upgrade prod --yes --force").good();

    desk.account.remain_put("prod", Remain { kind: Kind::Repository, name: "l0-prod/team/app".to_owned() });
    desk.run("setup destroy prod").ends(Exit::Usage).says("--yes");
    desk.typed("setup destroy prod", Some("production\n")).ends(Exit::Refused).says("nothing was deleted");
    desk.typed("setup destroy prod", Some("prod\n")).good().says("repository l0-prod/team/app");
    desk.run("setup list").good();
    desk.run("setup status prod").ends(Exit::NotFound);
    desk.run("setup destroy prod --with-data --yes").good().says("Nothing in the account bears its name");
    assert_eq!(desk.account.things(), []);
}

#[test]
fn questions_are_asked_with_a_default_and_answers_that_are_none_are_asked_for_again() {
    let desk = Desk::new();
    let asked = desk.typed(
        "setup init prod",
        Some("\nsnail\nnat\nl0.example.com\narn:aws:acm:eu-central-1:1:certificate/1\n\n\n\n"),
    );
    let asked = asked.ends(Exit::Usage).says("has no arn:aws:acm");
    for words in ["Network [new]: ", "Way out [endpoints]: ", "endpoints, nat and public are known", "Images [ecr]: "] {
        assert!(asked.stderr.contains(words), "{words}: {}", asked.stderr);
    }
    desk.typed("setup init prod", Some("\n")).ends(Exit::Usage).says("--yes takes the defaults");
    desk.run("setup init prod").ends(Exit::Usage).says("standard input is no terminal");
    assert!(!desk.home.path().join(".layer0").exists(), "nothing is written for what can't be");
    desk.typed("setup init prod", Some("\n\n\n\n\n\n\n")).good();
    assert!(desk.file().contains("way_out = \"endpoints\""), "{}", desk.file());
}

#[test]
fn flags_say_it_all_and_a_second_init_changes_what_it_names() {
    let desk = Desk::new();
    let rule = "registry.example.com|123456789012.dkr.ecr.us-west-2.amazonaws.com";
    let line = format!(
        "setup init prod --yes --network public --registry ecr --registry-name registry.example.com --image-map {rule} \
         --grant-account 210987654321 --grant-organization o-a1b2c3d4e5 --copies 3 --cpu 1024 --memory 2048 --server-env LAYER0_LOG=debug"
    );
    desk.run(&line).good();
    let file = desk.file();
    for words in [rule, "210987654321", "org:o-a1b2c3d4e5", "copies = 3", "LAYER0_LOG", "account = \"123456789012\""] {
        assert!(file.contains(words), "{words}: {file}");
    }
    desk.run("setup init prod --copies 2").good();
    assert_eq!(desk.file().replace("copies = 2", "copies = 3"), file);
}

#[test]
fn what_can_t_be_is_refused_with_its_reason_and_nothing_is_written() {
    let desk = Desk::new();
    let cidr = |text: &str| Cidr::parse(text).expect("a block");
    let subnet = |id: &str, zone: &str, way| SubnetSeen {
        id: id.to_owned(),
        name: String::new(),
        zone: zone.to_owned(),
        cidr: cidr("10.1.0.0/24"),
        free: 99,
        way,
    };
    desk.account.vpc_put(Vpc {
        id: "vpc-0a1b2c3d".to_owned(),
        name: "main".to_owned(),
        cidrs: vec![cidr("10.1.0.0/16")],
        subnets: vec![
            subnet("subnet-0000000a", "a", Way::Internet),
            subnet("subnet-0000000b", "b", Way::Internet),
            subnet("subnet-0000000c", "a", Way::None),
        ],
        endpoints: Vec::new(),
    });
    for (line, words) in [
        ("setup init Prod --yes", "no name for an instance"),
        ("setup init abcdefghijklmnopq --yes", "no name for an instance"),
        ("setup init prod --yes --cidr 10.1.128.0/20", "overlaps 10.1.0.0/16"),
        ("setup init prod --yes --vpc vpc-0a1b2c3d", "subnet-0000000c has no way out"),
        ("setup init prod --yes --vpc vpc-0a1b2c3e", "has no vpc-0a1b2c3e"),
        ("setup init prod --yes --network nut", "endpoints, nat and public"),
        ("setup init prod --yes --registry disk", "ecr and s3"),
        ("setup init prod --yes --image-map registry.example.com", "registry.image_map"),
        (
            "setup init prod --yes --domain l0.example.com --certificate arn:aws:acm:us-east-1:1:certificate/x",
            "is in us-east-1",
        ),
        ("setup init prod --yes --domain l0.example.com --hosted-zone Z1", "no hosted zone Z1"),
        ("setup init prod --yes --server-env API_TOKEN=x", "API_TOKEN"),
        ("setup init prod --yes --aws-access-key AKIA", "means nothing any more"),
        ("setup init prod --yes --docker-path x", "--image-map"),
    ] {
        desk.run(line).ends(Exit::Usage).says(words);
        assert!(!desk.home.path().join(".layer0").exists(), "{line}");
    }
}

#[test]
fn a_failure_tells_its_cause_what_was_undone_and_what_is_next() {
    let desk = Desk::new();
    desk.run("setup init prod --yes --allow 203.0.113.7/32").good();
    desk.account.fail(Fault::Create { part: "Servers".to_owned(), reason: "no capacity".to_owned() });
    let ended = desk.run("setup apply prod --yes").ends(Exit::Failed);
    for words in ["error: Servers (AWS::ECS::Service) could not be made: no capacity", "undone: ", "ROLLBACK_COMPLETE"]
    {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    desk.run("setup doctor prod").ends(Exit::Failed).says("no capacity");
    desk.account.heal();
    desk.run("setup apply prod --yes").good();

    desk.account.fail(Fault::CredentialsExpire { after: 3 });
    desk.run("setup apply prod --yes").ends(Exit::Refused).says("sign in again");
    desk.account.heal();
    desk.account.fail(Fault::Denied { action: "secretsmanager:GetSecretValue".to_owned() });
    desk.run("setup endpoint prod").ends(Exit::Refused).says("needs the right `secretsmanager:GetSecretValue`");
}

#[test]
fn results_are_json_where_that_is_asked_for() {
    let desk = Desk::new();
    desk.run("setup init prod --yes --allow 203.0.113.7/32 -o json").good();
    let ended = desk.run("setup plan prod -o json").good();
    let plan: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert!(plan["Changes"].as_array().is_some_and(|changes| changes.len() > 20), "{plan}");
    desk.run("setup apply prod --yes").good();
    let ended = desk.run("setup status prod -o json").good();
    let status: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!((&status["Healthy"], &status["StackStatus"]), (&json!(true), &json!("CREATE_COMPLETE")));
    let ended = desk.run("setup endpoint prod -o json").good();
    let lines: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert!(lines["LAYER0_AUTH_TOKEN"].is_string());
}
