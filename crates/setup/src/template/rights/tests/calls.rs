//! The calls that the servers make, found in their source: every call by the SDK, every call that is signed by hand, and what
//! CloudFormation does for each kind of part in the engine's templates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where the servers call AWS, and the service of a client that is called `client` there.
const SOURCES: [(&str, &str); 5] = [
    ("aws/src", "ecs"),
    ("engine/src/ecs", "ecs"),
    ("registry/src/ecr", "ecr"),
    ("registry/src/s3", "s3"),
    ("store/src/dynamodb", "dynamodb"),
];

/// What else a call of the SDK may begin with: clients by their names, in the engine.
const CLIENTS: [(&str, &str); 8] = [
    (".ecs", "ecs"),
    (".stacks", "cloudformation"),
    (".logs", "logs"),
    (".balancers", "elasticloadbalancing"),
    (".iam", "iam"),
    (".sts", "sts"),
    ("aws_sdk_sts::Client::new(&self.sdk)", "sts"),
    (")", "ecr"),
];

/// Services as they are written in names of calls: `"ec2:DescribeSubnets"`.
const SERVICES: [&str; 12] = [
    "cloudformation",
    "cloudtrail",
    "dynamodb",
    "ec2",
    "ecr",
    "ecs",
    "elasticloadbalancing",
    "iam",
    "logs",
    "organizations",
    "s3",
    "sts",
];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a crate stands among crates").to_owned()
}

/// The source files below a directory, without what only tests are made of; none when it isn't there.
fn files(below: &Path) -> Vec<(PathBuf, String)> {
    let mut all = Vec::new();
    let Ok(entries) = std::fs::read_dir(below) else { return all };
    for entry in entries {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "tests" || name == "tests.rs" {
            continue;
        }
        if path.is_dir() {
            all.extend(files(&path));
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).expect("source is text");
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
            all.push((path, text));
        }
    }
    all
}

/// `describe_services` as IAM writes it.
fn action(method: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    method.split('_').map(word).collect()
}

/// The calls by the SDK in a text, and how many calls there are.
fn of_sdk(text: &str, client: &str) -> (Vec<String>, usize) {
    let bare: String = text.split_whitespace().collect();
    let mut found = Vec::new();
    for (at, _) in bare.match_indices("()") {
        let method = bare[..at].rsplit(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')).next();
        let method = method.unwrap_or_default();
        let before = &bare[..at - method.len()];
        let Some(before) = before.strip_suffix('.') else { continue };
        // Calls have two words or are among these; what lists and options have is none.
        let is_call = method.contains('_') || ["query", "scan"].contains(&method);
        if !is_call || ["unwrap_or_default", "is_empty", "into_iter", "as_ref"].contains(&method) {
            continue;
        }
        let service = if ["client", ".client"].iter().any(|name| before.ends_with(name)) {
            Some(client)
        } else {
            CLIENTS.iter().find(|(name, _)| before.ends_with(name)).map(|(_, service)| *service)
        };
        // Of what ends with `)`, only clients that are asked for by their region.
        let is_by_region = before.ends_with("self.registry(&host.region)") || before.ends_with("self.registry(region)");
        if let Some(service) = service.filter(|service| *service != "ecr" || !before.ends_with(')') || is_by_region) {
            found.push(format!("{service}:{}", action(method)));
        }
    }
    // A signed address is a call that somebody else makes; a function of one's own that is called so is none.
    let sent = bare.matches(".send()").count() - bare.matches("self.send()").count();
    (found, sent + bare.matches(".presigned(").count())
}

/// The calls that are named in a text.
fn named(text: &str) -> Vec<String> {
    let is_call = |text: &&str| {
        text.split_once(':').is_some_and(|(service, action)| {
            SERVICES.contains(&service)
                && action.starts_with(|c: char| c.is_ascii_uppercase())
                && action.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    };
    text.split('"').filter(is_call).map(str::to_owned).collect()
}

/// Every call in the servers' source, with the file where it was found first.
pub(super) fn in_source() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (below, client) in SOURCES {
        for (path, text) in files(&crates().join(below)) {
            let place = path.strip_prefix(crates()).unwrap_or(&path).display().to_string();
            // The engine asks ECR by a client of that name too.
            let client = if place.ends_with("aws/registry.rs") { "ecr" } else { client };
            let (mut found, sent) = of_sdk(&text, client);
            if sent == 0 {
                found.clear();
            }
            assert_eq!(found.len(), sent, "{place}: a call is made in a way that this test can't read: {found:?}");
            let assumed = text.contains("AssumeRoleProvider::builder").then(|| "sts:AssumeRole".to_owned());
            // Elsewhere in the engine names of calls are rights that are asked about, of others.
            let is_caller = !place.starts_with("engine/") || place.starts_with("engine/src/ecs/aws/");
            let named = if is_caller { named(&text) } else { Vec::new() };
            for call in found.into_iter().chain(named).chain(assumed) {
                all.entry(call).or_insert_with(|| place.clone());
            }
        }
    }
    all
}

/// The kinds of parts in the engine's templates.
pub(super) fn kinds_of_parts() -> BTreeSet<String> {
    let files = files(&crates().join("engine/src/ecs/template"));
    let texts = files.iter().flat_map(|(_, text)| text.split('"'));
    texts.filter(|text| text.starts_with("AWS::") && text.matches("::").count() == 2).map(str::to_owned).collect()
}

#[test]
fn calls_are_read_from_source() {
    let text = r#"let a = self.ecs.describe_services().cluster("x").send().await; self.send("ec2:DescribeSubnets", call)
        .unwrap_or_default(); let b = self
            .client
            .query().send(); self.registry(&host.region).batch_get_image().send(); "aws:RequestedRegion""#;
    let (found, sent) = of_sdk(text, "dynamodb");
    assert_eq!((found.join(" ").as_str(), sent), ("ecs:DescribeServices dynamodb:Query ecr:BatchGetImage", 3));
    assert_eq!(named(text), ["ec2:DescribeSubnets"]);
    assert!(kinds_of_parts().contains("AWS::ECS::Cluster"));
}
