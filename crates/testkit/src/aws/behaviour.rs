//! What a container does is data, decided by its definition.

use serde_json::Value;

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// Writes one line, runs until it is stopped (exit code 143), passes every health check.
    Serves,
    /// Ends by itself. Within the last third of `task_start_ms` (0 always is) the task never gets to RUNNING.
    Exits {
        /// With this code.
        code: i64,
        /// So long after the container was started.
        after_ms: u64,
    },
    /// Serves, but its container health check fails each time. Without a health check in its definition it just serves.
    NeverHealthy,
    /// Is there, but can't be started: `CannotStartContainerError: REASON`.
    CannotStart {
        /// What the runtime says.
        reason: String,
    },
    /// Can't be pulled: `CannotPullContainerError: REASON`.
    CannotPull {
        /// What the puller says.
        reason: String,
    },
    /// Writes lines, then ends with the code, or runs on without one.
    Talks {
        /// What it writes, 1 ms apart by their timestamps.
        lines: Vec<String>,
        /// Its exit code.
        then_code: Option<i64>,
    },
    /// Serves, but the health check of its load balancer fails each time: of its target group, or of its machine.
    UnhealthyTarget,
    /// Is killed for its use of memory, with code 137, so long after it was started.
    OutOfMemory {
        /// When.
        after_ms: u64,
    },
}

/// A rule by the container's definition as it was registered.
pub(crate) type Rule = Box<dyn Fn(&Value) -> Option<Behaviour> + Send>;

/// The rules; the newest that says something decides.
#[derive(Default)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
}

impl Rules {
    pub(crate) fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    pub(crate) fn add_image(&mut self, part: String, behaviour: Behaviour) {
        self.add(Box::new(move |container| {
            let image = container.get("image").and_then(Value::as_str)?;
            image.contains(&part).then(|| behaviour.clone())
        }));
    }

    /// What a container does: it serves unless a rule says otherwise.
    pub(crate) fn of(&self, container: &Value) -> Behaviour {
        self.rules.iter().rev().find_map(|rule| rule(container)).unwrap_or(Behaviour::Serves)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_rule_decides() {
        let mut rules = Rules::default();
        rules.add_image("app".to_owned(), Behaviour::NeverHealthy);
        rules.add_image("app:2".to_owned(), Behaviour::UnhealthyTarget);
        assert_eq!(rules.of(&json!({"image": "team/app:1"})), Behaviour::NeverHealthy);
        assert_eq!(rules.of(&json!({"image": "team/app:2"})), Behaviour::UnhealthyTarget);
        assert_eq!(rules.of(&json!({"image": "busybox"})), Behaviour::Serves);
    }
}
