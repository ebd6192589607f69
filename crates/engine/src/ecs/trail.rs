//! What CloudTrail says of an environment, or of what this instance does.
//!
//! `LookupEvents` chooses by one attribute only. That something was changed is the best one: this instance reads all the time,
//! and its own reads would fill page after page. What is about us is chosen from the pages here, by the names that we give
//! ([`Names`]). An account with many changes by others has more pages than can be read while somebody waits: how far
//! back the answer goes is part of it.

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::time::Timestamp;
use layer0_domain::plan::load_balancer::Form;
use layer0_domain::port::engine::EngineError;
use layer0_domain::port::trail::{Trail, TrailAbout, TrailGap, TrailQuery, TrailRecord};

use super::aws::{AwsError, Caller, Kind, Span, TrailEvent};
use super::names::Names;
use super::state::Shared;

/// Pages of one look: 500 changes of the account, ten seconds at the pace that is ours.
const PAGES_MAX: usize = 10;

/// Who wrote it down.
const SOURCE: &str = "cloudtrail";

impl Shared {
    /// What CloudTrail says. That it can't be read is a gap in the answer, not an error: the rest of a log does not depend on
    /// it.
    pub(super) async fn trail(&self, query: &TrailQuery) -> Result<Trail, EngineError> {
        match self.trail_read(query).await {
            Ok(trail) => Ok(trail),
            Err(error) => Ok(Trail { records: Vec::new(), gap: Some(unreadable(&error)) }),
        }
    }

    async fn trail_read(&self, query: &TrailQuery) -> Result<Trail, AwsError> {
        let choice = Choice::of(&self.names, query, || self.aws.caller()).await?;
        let span = Span { start: query.start, end: query.end };
        let most = query.most as usize;
        let mut newest: Vec<TrailRecord> = Vec::new();
        let mut token: Option<String> = None;
        let mut oldest: Option<Timestamp> = None;
        let mut gap = None;
        for page in 1.. {
            let (events, next) = match self.aws.trail_page(span, token.as_deref()).await {
                Ok(found) => found,
                // What was read already is worth showing.
                Err(error) if page > 1 => {
                    gap = Some(unreadable(&error));
                    break;
                }
                Err(error) => return Err(error),
            };
            oldest = events.last().map(|event| event.at).or(oldest);
            newest.extend(events.into_iter().filter_map(|event| choice.record(event)).filter(|it| within(it, query)));
            token = next;
            if token.is_none() || newest.len() >= most {
                break;
            }
            if page == PAGES_MAX {
                gap = oldest.map(|than| TrailGap::Older { than });
                break;
            }
        }
        newest.truncate(most);
        newest.reverse();
        Ok(Trail { records: newest, gap })
    }
}

fn within(record: &TrailRecord, query: &TrailQuery) -> bool {
    query.start.is_none_or(|start| record.at.0 >= start.0.div_euclid(1000) * 1000)
        && query.end.is_none_or(|end| record.at <= end)
}

/// Why CloudTrail was not read.
fn unreadable(error: &AwsError) -> TrailGap {
    let remedy = match error.kind {
        Kind::Denied => "; let the role that this server runs as call it (on `*`)",
        _ => "",
    };
    TrailGap::Unreadable { why: format!("CloudTrail could not be read: {}{remedy}", error.reason()) }
}

/// Which events are wanted.
enum Choice {
    /// Those about one of these names, the last that fits being the one that says most.
    Named(Vec<String>),
    /// Those of this user, or of all sessions of this role; and what all our names begin with.
    By { arn: String, prefix: String },
}

impl Choice {
    async fn of<F>(names: &Names, query: &TrailQuery, caller: impl FnOnce() -> F) -> Result<Self, AwsError>
    where
        F: Future<Output = Result<Caller, AwsError>>,
    {
        Ok(match &query.about {
            TrailAbout::Instance => {
                Self::By { arn: principal(&caller().await?.arn).to_owned(), prefix: names.prefix().to_owned() }
            }
            TrailAbout::Environment { id, members } => {
                let mut all = vec![names.environment(id)];
                for member in members {
                    match member {
                        EntityRef::LoadBalancer(id) => {
                            all.push(names.load_balancer(id));
                            all.extend([Form::Requests, Form::Bytes].map(|form| names.balancer(id, form)));
                        }
                        EntityRef::Service(id) => all.push(names.service(id)),
                        EntityRef::Task(id) => all.push(names.task_family(id)),
                        EntityRef::Deploy(_) | EntityRef::Environment(_) => {}
                    }
                }
                Self::Named(all)
            }
        })
    }

    /// An event as it is shown; `None` for one that is not wanted.
    fn record(&self, event: TrailEvent) -> Option<TrailRecord> {
        let target = match self {
            Self::Named(names) => {
                names.iter().rev().find(|name| event.mentions.iter().any(|text| mentions(text, name)))?.clone()
            }
            Self::By { arn, prefix } => {
                if arn.is_empty() || principal(&event.who.arn) != arn {
                    return None;
                }
                event.mentions.iter().find_map(|text| name_in(text, prefix)).unwrap_or_default()
            }
        };
        let TrailEvent { id, at, who, action, refused, .. } = event;
        Some(TrailRecord { id, at, source: SOURCE, who: who.name, action, target, refused })
    }
}

/// A principal without its session: `arn:aws:sts::1:assumed-role/l0/i-1` is `arn:aws:sts::1:assumed-role/l0`.
fn principal(arn: &str) -> &str {
    match arn.split_once(":assumed-role/") {
        Some((head, rest)) => {
            let role = rest.split('/').next().unwrap_or(rest);
            &arn[..head.len() + ":assumed-role/".len() + role.len()]
        }
        None => arn,
    }
}

/// Whether a character can go on with a name of ours.
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

/// Whether a text has a name in it, whole. A deployment's mark ends a service's name.
fn mentions(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

/// The name of ours in a text that consists of names: an ARN, a path, the name alone. Other texts may hold anything.
fn name_in(text: &str, prefix: &str) -> Option<String> {
    let part = text.split(['/', ':']).find(|part| part.starts_with(prefix))?;
    part.chars().all(|c| is_name(c) || c == '_').then(|| part.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_whole_or_not_at_all() {
        let name = "l0-prod-dev-1";
        for text in [name, "arn:aws:ecs:eu-west-1:1:cluster/l0-prod-dev-1", "x/l0-prod-dev-1/y", "l0-prod-dev-1_d1"] {
            assert!(mentions(text, name), "{text}");
        }
        for text in
            ["l0-prod-dev-12", "l0-prod-dev-1-x", "al0-prod-dev-1", "l0-prod-dev", "l0-prod-dev-12 l0-prod-dev-11"]
        {
            assert!(!mentions(text, name), "{text}");
        }
        assert!(mentions("l0-prod-dev-12 l0-prod-dev-1", name), "the second of two");
    }

    #[test]
    fn only_names_are_shown() {
        let shown = |text| name_in(text, "l0-prod-");
        assert_eq!(
            shown("arn:aws:ecs:eu-west-1:1:service/l0-prod-dev-1/l0-prod-web-1").as_deref(),
            Some("l0-prod-dev-1")
        );
        assert_eq!(shown("l0-prod-web-1_d-1:3").as_deref(), Some("l0-prod-web-1_d-1"));
        for secret in ["l0-prod-password=hunter2", "hunter2", "", "l0-other-dev"] {
            assert_eq!(shown(secret), None, "{secret}");
        }
    }

    #[test]
    fn sessions_of_a_role_are_one() {
        assert_eq!(principal("arn:aws:sts::1:assumed-role/l0/i-1"), "arn:aws:sts::1:assumed-role/l0");
        assert_eq!(principal("arn:aws:iam::1:user/l0/alice"), "arn:aws:iam::1:user/l0/alice");
        assert_ne!(principal("arn:aws:sts::1:assumed-role/l0/i-1"), principal("arn:aws:sts::1:assumed-role/l0-x/i-1"));
    }
}
