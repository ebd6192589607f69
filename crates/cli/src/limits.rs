//! How long a command may take, and one request of it.

use std::time::Duration;

use crate::args::Noun;
use crate::args::admin::Admin;
use crate::args::environment::Environment;
use crate::args::service::Service;
use crate::args::task::Task;

/// How long one request may take, when the command may take longer. Streams are not bounded by it.
const REQUEST: Duration = Duration::from_secs(60);

/// The same of a request that does all of a long piece of work before it is answered: no limit that anybody meets.
const LONG_REQUEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Whether a command is meant to go on for as long as it takes, or until somebody ends it: only a limit that was asked for bounds it.
pub(crate) fn goes_on(noun: &Noun) -> bool {
    matches!(
        noun,
        Noun::Admin(Admin::Audit { follow: true, .. } | Admin::Logs { follow: true, .. })
            | Noun::Environment(Environment::Logs { follow: true, .. })
            | Noun::Service(Service::Logs { follow: true, .. })
            | Noun::Task(Task::Logs { follow: true, .. })
            // A terabyte takes hours.
            | Noun::Admin(Admin::Verify { .. } | Admin::Gc { .. } | Admin::Backup(_))
    )
}

/// How long one request of a command may take, of which all together may take `limit`.
pub(crate) fn of_request(noun: &Noun, limit: Option<Duration>) -> Duration {
    let most = if matches!(noun, Noun::Admin(Admin::Gc { .. })) { LONG_REQUEST } else { REQUEST };
    limit.map_or(most, |limit| limit.min(most))
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches as _};

    use super::*;
    use crate::args::{self, Cli};

    fn noun(words: &[String]) -> Noun {
        let matches = args::command().try_get_matches_from(words).expect("a command line");
        Cli::from_arg_matches(&matches).expect("a command").noun
    }

    /// Of each command that can follow something: its words, with `--follow` and something for all that it needs.
    fn following(command: &Command, words: &[String], found: &mut Vec<Vec<String>>) {
        let words: Vec<String> = words.iter().cloned().chain([command.get_name().to_owned()]).collect();
        if command.get_arguments().any(|arg| arg.get_long() == Some("follow")) {
            let needed = command.get_positionals().filter(|arg| arg.is_required_set()).map(|_| "x".to_owned());
            found.push(words.iter().cloned().chain(needed).chain(["--follow".to_owned()]).collect());
        }
        for below in command.get_subcommands() {
            following(below, &words, found);
        }
    }

    #[test]
    fn what_follows_something_goes_on() {
        let mut found = Vec::new();
        following(&args::command(), &[], &mut found);
        assert!(found.len() >= 5, "{found:?}");
        for words in found {
            assert!(goes_on(&noun(&words)), "{words:?}");
            assert!(!goes_on(&noun(&words[..words.len() - 1])), "{words:?} without it");
        }
    }

    #[test]
    fn a_request_that_does_all_of_the_work_may_take_as_long_as_the_command() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for line in ["l0 admin gc --now", "l0 admin gc --dry-run"] {
            let gc = noun(&words(line));
            assert!(goes_on(&gc));
            assert_eq!(of_request(&gc, Some(Duration::from_secs(3600))), Duration::from_secs(3600));
            assert!(of_request(&gc, None) > Duration::from_secs(24 * 3600));
        }
        let list = noun(&words("l0 task list"));
        assert_eq!(of_request(&list, Some(Duration::from_secs(3600))), REQUEST);
        assert_eq!(of_request(&list, Some(Duration::from_secs(5))), Duration::from_secs(5));
        assert_eq!(of_request(&list, None), REQUEST);
    }
}
