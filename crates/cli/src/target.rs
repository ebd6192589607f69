//! From what a user typed to the entities that are meant.
//!
//! `NAME`, `ENV:NAME` for what lives in an environment, `NAME:VERSION` and `NAME:latest` for deploys, an id for all of them, and
//! `*` anywhere for any characters. Without `*` the whole name must fit. An id wins over all names: an entity named like
//! another's id can't hide it. Matching is the server's (`GET /tag`); what is done with its answer is pure and here.

use std::collections::BTreeMap;

use layer0_api::types::{Tag, TagQuery};

use crate::app::App;
use crate::error::{CliError, Exit};

/// The kinds of entities that targets name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Deploy,
    Environment,
    LoadBalancer,
    Service,
    Task,
}

impl Kind {
    /// As the wire spells it.
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Kind::Deploy => "deploy",
            Kind::Environment => "environment",
            Kind::LoadBalancer => "load_balancer",
            Kind::Service => "service",
            Kind::Task => "task",
        }
    }
}

/// One entity, as far as its tags tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) environment_id: String,
    pub(crate) version: String,
}

/// What a target says.
#[derive(Debug, PartialEq, Eq)]
enum Target<'a> {
    Plain(&'a str),
    InEnvironment { environment: &'a str, name: &'a str },
    Version { name: &'a str, version: &'a str },
}

fn parse(kind: Kind, text: &str) -> Result<Target<'_>, CliError> {
    if text.is_empty() {
        return Err(CliError::usage("a target is empty"));
    }
    let parts: Vec<&str> = text.split(':').collect();
    match (kind, &parts[..]) {
        (Kind::Deploy, [name, version]) if !name.is_empty() && !version.is_empty() => {
            Ok(Target::Version { name, version })
        }
        (Kind::LoadBalancer | Kind::Service | Kind::Task, [environment, name])
            if !environment.is_empty() && !name.is_empty() =>
        {
            Ok(Target::InEnvironment { environment, name })
        }
        (_, [name]) => Ok(Target::Plain(name)),
        (Kind::Deploy, _) => Err(CliError::usage("Invalid target format (expected DEPLOY:VERSION)")),
        (Kind::Environment, _) => {
            Err(CliError::usage(format!("Invalid target format: environment '{text}' holds a ':'")))
        }
        _ => {
            Err(CliError::usage(format!("Invalid target format (expected ENVIRONMENT:{})", kind.wire().to_uppercase())))
        }
    }
}

/// Gathers flat tags by entity, sorted by name, then version, then id.
fn gather(tags: Vec<Tag>) -> Vec<Found> {
    let mut by_id: BTreeMap<String, Found> = BTreeMap::new();
    for tag in tags {
        let found =
            by_id.entry(tag.entity_id.clone()).or_insert_with(|| Found { id: tag.entity_id, ..Found::default() });
        match tag.key.as_str() {
            "name" => found.name = tag.value,
            "environment_id" => found.environment_id = tag.value,
            "version" => found.version = tag.value,
            _ => {}
        }
    }
    let mut all: Vec<Found> = by_id.into_values().collect();
    all.sort_by(|a, b| (&a.name, number(&a.version), &a.id).cmp(&(&b.name, number(&b.version), &b.id)));
    all
}

fn number(version: &str) -> u64 {
    version.parse().unwrap_or(0)
}

/// Keeps the entity whose id is the target, if there is one.
fn exact_first(all: Vec<Found>, target: &str) -> Vec<Found> {
    match all.iter().position(|found| found.id == target) {
        Some(index) => all.into_iter().skip(index).take(1).collect(),
        None => all,
    }
}

/// Keeps the highest version of each name.
fn latest(all: Vec<Found>) -> Vec<Found> {
    let mut by_name: BTreeMap<String, Found> = BTreeMap::new();
    for found in all {
        match by_name.get(&found.name) {
            Some(known) if number(&known.version) >= number(&found.version) => {}
            _ => {
                by_name.insert(found.name.clone(), found);
            }
        }
    }
    by_name.into_values().collect()
}

fn none(kind: Kind, target: &str) -> CliError {
    CliError::new(
        Exit::NotFound,
        format!(
            "{} lookup using '{target}' yielded no matches.\nDid you forget to add a wildcard ('*') to your target?",
            kind.wire()
        ),
    )
}

fn several(kind: Kind, target: &str, all: &[Found]) -> CliError {
    let mut message = format!("{} lookup using '{target}' yielded multiple matches: ", kind.wire());
    for found in all {
        message.push('\n');
        message.push_str(&found.id);
        if !found.name.is_empty() {
            message.push_str("  ");
            message.push_str(&found.name);
        }
        if !found.version.is_empty() {
            message.push(':');
            message.push_str(&found.version);
        }
    }
    let error = CliError::usage(message);
    match kind {
        Kind::Deploy => error.hint("NAME:latest is the newest version, NAME:VERSION one of them"),
        Kind::Environment => error.hint("give one of the ids"),
        Kind::LoadBalancer | Kind::Service | Kind::Task => error.hint("give one of the ids, or ENVIRONMENT:NAME"),
    }
}

/// All entities that a target names; none is no error.
pub(crate) async fn find(app: &App, kind: Kind, target: &str) -> Result<Vec<Found>, CliError> {
    let query = |fuzz: &str| TagQuery {
        entity_type: Some(kind.wire().to_owned()),
        fuzz: Some(fuzz.to_owned()),
        ..TagQuery::default()
    };
    let found = match parse(kind, target)? {
        Target::Plain(name) => exact_first(ask(app, &query(name)).await?, name),
        Target::InEnvironment { environment, name } => {
            let environment = Box::pin(one(app, Kind::Environment, environment)).await?.id;
            let query = TagQuery { environment_id: Some(environment.clone()), ..query(name) };
            let mut all = ask(app, &query).await?;
            all.retain(|found| found.environment_id == environment);
            exact_first(all, name)
        }
        // `latest` of the tag route is one number for all names; here it is each name's own.
        Target::Version { name, version: "latest" } => latest(ask(app, &query(name)).await?),
        Target::Version { name, version: "*" } => ask(app, &query(name)).await?,
        Target::Version { name, version } => {
            let query = TagQuery { version: Some(version.to_owned()), ..query(name) };
            let mut all = ask(app, &query).await?;
            all.retain(|found| found.version == version);
            all
        }
    };
    app.printer
        .debug(|| format!("{} '{target}' is {:?}", kind.wire(), found.iter().map(|one| &one.id).collect::<Vec<_>>()));
    Ok(found)
}

/// The ids of all entities that a target names; says so when there is none.
pub(crate) async fn ids(app: &App, kind: Kind, target: &str) -> Result<Vec<String>, CliError> {
    let found = find(app, kind, target).await?;
    if found.is_empty() {
        let noun = kind.wire();
        app.printer.note(&format!(
            "no {} is named `{target}`: `l0 {} list` shows all",
            noun.replace('_', " "),
            noun.replace('_', "")
        ));
    }
    Ok(found.into_iter().map(|found| found.id).collect())
}

async fn ask(app: &App, query: &TagQuery) -> Result<Vec<Found>, CliError> {
    Ok(gather(app.client.tag_list(query).await.map_err(|why| app.error(why))?))
}

/// The one entity that a target names.
pub(crate) async fn one(app: &App, kind: Kind, target: &str) -> Result<Found, CliError> {
    only(kind, target, find(app, kind, target).await?)
}

/// The one load balancer that a target names, seen from a service in `environment`: of several with a name that one counts.
pub(crate) async fn load_balancer_near(app: &App, target: &str, environment: &str) -> Result<Found, CliError> {
    let mut all = find(app, Kind::LoadBalancer, target).await?;
    if all.len() > 1 && all.iter().filter(|found| found.environment_id == environment).count() == 1 {
        all.retain(|found| found.environment_id == environment);
    }
    only(Kind::LoadBalancer, target, all)
}

fn only(kind: Kind, target: &str, mut all: Vec<Found>) -> Result<Found, CliError> {
    match all.len() {
        0 => Err(none(kind, target)),
        1 => Ok(all.remove(0)),
        _ => Err(several(kind, target, &all)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: &str, name: &str, version: &str) -> Found {
        Found { id: id.to_owned(), name: name.to_owned(), environment_id: String::new(), version: version.to_owned() }
    }

    #[test]
    fn targets_are_read_by_kind() {
        assert_eq!(parse(Kind::Service, "web").expect("a target"), Target::Plain("web"));
        assert_eq!(
            parse(Kind::Service, "dev:web*").expect("a target"),
            Target::InEnvironment { environment: "dev", name: "web*" }
        );
        assert_eq!(
            parse(Kind::Deploy, "app:latest").expect("a target"),
            Target::Version { name: "app", version: "latest" }
        );
        assert_eq!(parse(Kind::Deploy, "app.1").expect("a target"), Target::Plain("app.1"));
    }

    #[test]
    fn malformed_targets_are_refused_in_the_words_of_the_contract() {
        for (kind, text, message) in [
            (Kind::Service, "a:b:c", "Invalid target format (expected ENVIRONMENT:SERVICE)"),
            (Kind::LoadBalancer, "a:b:c", "Invalid target format (expected ENVIRONMENT:LOAD_BALANCER)"),
            (Kind::Task, ":b", "Invalid target format (expected ENVIRONMENT:TASK)"),
            (Kind::Deploy, "a:1:2", "Invalid target format (expected DEPLOY:VERSION)"),
            (Kind::Deploy, "a:", "Invalid target format (expected DEPLOY:VERSION)"),
        ] {
            let error = parse(kind, text).expect_err(text);
            assert_eq!((error.message.as_str(), error.exit.code()), (message, 2));
        }
        assert!(parse(Kind::Environment, "a:b").is_err());
        assert!(parse(Kind::Service, "").is_err());
    }

    #[test]
    fn an_id_wins_over_all_names() {
        let all = vec![found("a1", "web", ""), found("web", "other", ""), found("c3", "web", "")];
        assert_eq!(exact_first(all.clone(), "web"), [found("web", "other", "")]);
        assert_eq!(exact_first(all.clone(), "nothing"), all);
    }

    #[test]
    fn latest_is_each_names_own_and_counts_as_a_number() {
        let all = vec![found("a.9", "a", "9"), found("a.10", "a", "10"), found("b.2", "b", "2")];
        let ids: Vec<String> = latest(all).into_iter().map(|found| found.id).collect();
        assert_eq!(ids, ["a.10", "b.2"]);
    }

    #[test]
    fn none_and_several_say_so_in_the_words_of_the_contract() {
        let error = only(Kind::LoadBalancer, "web", vec![]).expect_err("none");
        assert_eq!(
            error.message,
            "load_balancer lookup using 'web' yielded no matches.\nDid you forget to add a wildcard ('*') to your target?"
        );
        assert_eq!(error.exit.code(), 3);
        let error = only(Kind::Deploy, "app", vec![found("app.1", "app", "1"), found("app.2", "app", "2")])
            .expect_err("several");
        assert_eq!(error.message, "deploy lookup using 'app' yielded multiple matches: \napp.1  app:1\napp.2  app:2");
        assert_eq!(error.exit.code(), 2);
    }

    #[test]
    fn tags_are_gathered_by_entity_in_a_steady_order() {
        let tag = |id: &str, key: &str, value: &str| Tag {
            entity_id: id.to_owned(),
            entity_type: "deploy".to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let all = gather(vec![
            tag("a.10", "version", "10"),
            tag("a.9", "name", "a"),
            tag("a.10", "name", "a"),
            tag("a.9", "version", "9"),
        ]);
        assert_eq!(all, [found("a.9", "a", "9"), found("a.10", "a", "10")]);
    }
}
