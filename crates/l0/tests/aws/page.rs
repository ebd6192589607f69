//! `docs/private-images-on-fargate.md`: its commands are run in their order, and print what the page says they do.
//!
//! A comment before a block says where it is run: `<!-- at own -->` on an instance on the emulator, which keeps its images in the
//! emulator's registry; `<!-- at check -->` on one on the fake AWS, for the pull check, which knows ECR by its hosts; `<!-- at
//! other -->` on one there in another account. The addresses of the page stand for theirs.
//! In what is expected, `…` alone on a line is any lines, in a line any text; how wide columns are is all the same. With
//! `LAYER0_TEST_PAGE=print` all that is printed is shown, and compared with nothing: for whoever writes the page.

use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use layer0_testkit::aws::{FakeAwsConfig, FakeImage};

use crate::cloud::Cloud;
use crate::common::archive::archive;
use crate::common::instance::{Instance, L0};
use crate::common::run::run;
use crate::ecr::policy_of;
use crate::emulator::emulator;
use crate::on_fake::OnFake;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/private-images-on-fargate.md");
const HOST: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
const OTHER: &str = "210987654321";

/// What the page asks to be done.
#[derive(Debug)]
enum Ask {
    File { name: String, text: String },
    Command { line: String, says: Vec<String> },
}

/// The page's blocks, each with the place that it is for. Every console block has one: else it would be believed unseen.
fn asks() -> Vec<(String, Ask)> {
    let page = std::fs::read_to_string(PAGE).expect("the page is there");
    let mut asks = Vec::new();
    let mut at: Option<(String, Option<String>)> = None;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(comment) = line.strip_prefix("<!-- at ").and_then(|rest| rest.strip_suffix(" -->")) {
            let (place, file) = match comment.split_once(", file ") {
                Some((place, file)) => (place, Some(file.to_owned())),
                None => (comment, None),
            };
            at = Some((place.to_owned(), file));
        } else if let Some(kind) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            match (kind, at.take()) {
                ("console", Some((place, None))) => asks.extend(commands(&block).map(|ask| (place.clone(), ask))),
                (_, Some((place, Some(name)))) => asks.push((place, Ask::File { name, text: block.join("\n") })),
                ("console", place) => panic!("a console block at {place:?}: {block:?}"),
                (_, _) => {}
            }
        }
    }
    asks
}

fn commands<'a>(block: &'a [&'a str]) -> impl Iterator<Item = Ask> + 'a {
    let first = block.first().expect("a block has lines");
    assert!(first.starts_with("$ "), "a block begins with a command: {first}");
    let starts = block.iter().enumerate().filter(|(_, line)| line.starts_with("$ ")).map(|(at, _)| at);
    starts.map(|at| {
        let says = block[at + 1..].iter().take_while(|line| !line.starts_with("$ "));
        Ask::Command { line: block[at][2..].to_owned(), says: says.map(|line| (*line).to_owned()).collect() }
    })
}

/// Whether lines are as expected.
fn fits(said: &[&str], expected: &[String]) -> bool {
    match expected {
        [] => said.is_empty(),
        [any, rest @ ..] if any == "…" => (0..=said.len()).any(|at| fits(&said[at..], rest)),
        [line, rest @ ..] => said.split_first().is_some_and(|(first, said)| line_fits(first, line) && fits(said, rest)),
    }
}

fn line_fits(said: &str, expected: &str) -> bool {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let (said, expected) = (words(said), words(expected));
    let mut parts = expected.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = said.strip_prefix(first) else { return false };
    let mut last_is_open = false;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last_is_open = part.is_empty();
    }
    rest.is_empty() || last_is_open
}

#[test]
fn a_page_is_read_as_it_is_meant() {
    let expected = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert!(fits(&["a", "b c d", "e"], &expected(&["a", "b … d", "e"])));
    assert!(fits(&["a", "b", "c"], &expected(&["…", "c"])));
    assert!(!fits(&["a", "b"], &expected(&["a"])));
    assert!(!fits(&["a"], &expected(&["a", "b"])));
    assert!(line_fits("a  b", "a      b") && !line_fits("ab", "a b"));
    assert!(!line_fits("b c", "b … d") && !line_fits("xb", "b…") && line_fits("b", "b…"));
    assert!(asks().len() > 20, "{:?}", asks());
}

/// Texts that stand for each other: the page's, and the test's.
struct Names(Vec<(String, String)>);

impl Names {
    /// What the page writes, as it is here. The longer ones come first.
    fn here(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (page, here)| text.replace(page, here))
    }

    /// What was printed here, as the page writes it.
    fn page(&self, text: &str) -> String {
        // What the test's instance calls its registry.
        let text = text.replace("registry.layer0.test", "registry.example.com");
        self.0.iter().fold(text, |text, (page, here)| text.replace(here, page))
    }
}

/// Runs a command of the page, with the login of the instance and docker's helper of it.
#[expect(clippy::print_stderr, reason = "it was asked for")]
fn obey(instance: &Instance, names: &Names, line: &str, says: &[String]) {
    let path = std::env::var("PATH").expect("a PATH");
    let shell = instance.l0_command(&[]);
    let mut command = Command::new("sh");
    command.args(["-c", &names.here(line)]);
    command.current_dir(shell.get_current_dir().expect("the test's own directory"));
    for (name, value) in shell.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("PATH", format!("{}:{path}", instance.path("bin").display()));
    let said = run(&mut command, b"");
    let printed = names.page(&format!("{}{}", said.out, said.err));
    if std::env::var("LAYER0_TEST_PAGE").is_ok_and(|what| what == "print") {
        eprintln!("$ {line}\n{printed}");
        return;
    }
    let lines: Vec<&str> = printed.lines().collect();
    assert!(fits(&lines, says), "$ {line}\n{printed}\nis not as the page has it:\n{}", says.join("\n"));
}

fn programs(instance: &Instance) {
    let bin = instance.path("bin");
    std::fs::create_dir(&bin).expect("a directory of our own");
    for name in ["l0", "docker-credential-layer0"] {
        symlink(L0, bin.join(name)).expect("a link");
    }
}

#[test]
fn the_page_prints_what_it_says() {
    let cloud = Cloud::with_registry("team/app");
    let (there, address) = (format!("{}/{}", emulator(), cloud.name), cloud.address());
    let image = format!("{}-my-app", cloud.name);
    let names = |list: &[(&str, &str)]| {
        Names(list.iter().map(|(page, here)| ((*page).to_owned(), (*here).to_owned())).collect())
    };
    let own = names(&[
        (&format!("{HOST}/l0"), &there),
        (HOST, &emulator()),
        ("registry.example.com", &address),
        ("my-app", &image),
    ]);
    programs(&cloud.instance);
    let helpers = format!(r#"{{ "credHelpers": {{ "{address}": "layer0" }} }}"#);
    std::fs::write(cloud.path("docker/config.json"), helpers).expect("written");
    let mut import = cloud.command("docker");
    import.args(["import", "--change", "ENTRYPOINT [\"/tool\"]", "--change", &format!("ENV OF={}", cloud.name)]);
    run(import.arg(archive()).arg(&image), b"").ok();

    // The other account sees of the first one's registry what its policies let it see.
    let other = OnFake::start(
        FakeAwsConfig { account: OTHER.to_owned(), ..FakeAwsConfig::default() },
        "vpc-main",
        "subnet-private-a,subnet-private-b",
    );
    programs(&other.instance);
    let of_first = FakeImage { registry: Some("123456789012".to_owned()), ..FakeImage::default() };
    other.aws.image("l0/team/app", "v1", of_first);
    let is_let_in = Arc::new(AtomicBool::new(false));
    let lets_in = is_let_in.clone();
    other.aws.ecr_access(move |_, _, action| lets_in.load(Ordering::SeqCst) && action != "ecr:GetRepositoryPolicy");
    let plain = names(&[]);
    let check = OnFake::start(FakeAwsConfig::default(), "vpc-main", "subnet-private-a,subnet-private-b");
    programs(&check.instance);
    check.aws.image("l0/team/app", "v1", FakeImage::default());
    check.instance.l0(&["map", "add", &format!("registry.example.com/team|{HOST}/l0/team")]).ok();
    check.instance.l0(&["environment", "create", "dev"]).ok();

    for (place, ask) in asks() {
        let (instance, names) = match place.as_str() {
            "own" => (&cloud.instance, &own),
            "check" => (&check.instance, &plain),
            "other" => (&other.instance, &plain),
            place => panic!("the page is at {place}"),
        };
        match ask {
            Ask::File { name, text } => drop(instance.file(&name, names.here(&text))),
            Ask::Command { line, says } => {
                obey(instance, names, &line, &says);
                if line.starts_with("l0 account grant") {
                    let policy = policy_of(&format!("{}/team/app", cloud.name));
                    is_let_in.store(policy.contains(OTHER), Ordering::SeqCst);
                }
            }
        }
    }
    for version in ["v1", "v2"] {
        for name in [format!("{address}/team/app:{version}"), format!("{there}/team/app:{version}")] {
            drop(run(Command::new("docker").args(["rmi", "--force", &name]), b""));
        }
    }
    drop(run(Command::new("docker").args(["rmi", "--force", &image]), b""));
    cloud.l0(&["service", "delete", "app"]).ok();
    cloud.l0(&["environment", "delete", "dev"]).ok();
}
