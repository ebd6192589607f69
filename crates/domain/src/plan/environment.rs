//! Whether an environment is as it was asked for, and who is linked with whom.

use std::collections::BTreeSet;

use super::verdict::Verdict;
use crate::model::environment::Environment;
use crate::model::id::EnvironmentId;
use crate::port::engine::EnvironmentSeen;

/// What a look at an environment's operation comes to.
#[must_use]
pub fn judge(seen: Option<&EnvironmentSeen>) -> Verdict {
    match seen {
        None => Verdict::Wait("waiting for its network".to_owned()),
        Some(EnvironmentSeen { problem: Some(problem), .. }) => Verdict::Failed(problem.clone()),
        Some(EnvironmentSeen { waiting_for: Some(what), .. }) => Verdict::Wait(format!("waiting for {what}")),
        Some(_) => Verdict::Done("ready".to_owned()),
    }
}

/// The environments that `of` is linked with in either direction, those on their way out left aside.
#[must_use]
pub fn linked_with(of: &EnvironmentId, all: &[Environment]) -> Vec<EnvironmentId> {
    let there: BTreeSet<&EnvironmentId> = all.iter().filter(|it| !it.deleting).map(|it| &it.id).collect();
    let out = all.iter().filter(|it| it.id == *of && !it.deleting).flat_map(|it| it.links.iter());
    let back = all.iter().filter(|it| !it.deleting && it.links.contains(of)).map(|it| &it.id);
    let both: BTreeSet<&EnvironmentId> = out.chain(back).filter(|id| there.contains(id) && *id != of).collect();
    both.into_iter().cloned().collect()
}

/// The environments from which a private load balancer in `of` may be reached: those linked to it. Where an engine has no
/// one-way links, those that it is linked to as well.
#[must_use]
pub fn reachable_from(of: &EnvironmentId, all: &[Environment], one_way: bool) -> Vec<EnvironmentId> {
    if !one_way {
        return linked_with(of, all);
    }
    let mut from: Vec<EnvironmentId> =
        all.iter().filter(|it| !it.deleting && it.id != *of && it.links.contains(of)).map(|it| it.id.clone()).collect();
    from.sort();
    from
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::environment::OperatingSystem;
    use crate::model::name::Name;
    use crate::model::time::{Generation, Timestamp};

    fn environment(id: &str, links: &[&str]) -> Environment {
        Environment {
            id: EnvironmentId::parse(id).expect("an id"),
            name: Name::parse(id).expect("a name"),
            owner: None,
            operating_system: OperatingSystem::Linux,
            scale: 0,
            instance_type: String::new(),
            ami_id: String::new(),
            user_data_template: String::new(),
            links: links.iter().map(|id| EnvironmentId::parse(id).expect("an id")).collect(),
            created: Timestamp(0),
            generation: Generation(1),
            deleting: false,
        }
    }

    #[test]
    fn a_link_counts_in_both_directions_once() {
        let all = [environment("a", &["b"]), environment("b", &["a"]), environment("c", &["a"]), environment("d", &[])];
        let of = |id: &str| EnvironmentId::parse(id).expect("an id");
        assert_eq!(linked_with(&of("a"), &all), [of("b"), of("c")]);
        assert_eq!(linked_with(&of("c"), &all), [of("a")]);
        assert_eq!(linked_with(&of("d"), &all), []);
        assert_eq!(reachable_from(&of("c"), &all, true), []);
        assert_eq!(reachable_from(&of("a"), &all, true), [of("b"), of("c")]);
    }
}
