//! What is wrong with an instance, and what to do about it.

use super::cause::{cause, failures};
use super::{Door, Setup, SetupError, Standing, standing};
use crate::account::{Kind, Stack};
use crate::instance::{Instance, judge};
use crate::template::outputs::{BALANCER_ADDRESS, ENDPOINT, VERSION};
use crate::template::{stack_name, wishes_name};

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What: `stack`, `health`, …
    pub subject: &'static str,
    /// How it is.
    pub state: Health,
    /// What was seen.
    pub words: String,
    /// What to do.
    pub remedy: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// It could not be looked at.
    Unknown,
}

fn finding(subject: &'static str, state: Health, words: impl Into<String>) -> Finding {
    Finding { subject, state, words: words.into(), remedy: None }
}

impl Finding {
    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    fn unknown(subject: &'static str, why: &SetupError) -> Self {
        finding(subject, Health::Unknown, why.to_string())
    }
}

/// What is known of an instance on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known<'a> {
    /// Its name.
    pub name: &'a str,
    /// What is wished of it here.
    pub instance: Option<&'a Instance>,
    /// The wishes as they are written here.
    pub wishes: Option<&'a str>,
    /// This program's version.
    pub version: &'a str,
}

impl Setup<'_> {
    /// Looks at everything that can be looked at, whatever is wrong with the rest.
    pub async fn doctor(&self, known: &Known<'_>, door: &dyn Door) -> Vec<Finding> {
        let mut all = Vec::new();
        match self.identity().await {
            Ok(identity) => {
                all.push(finding(
                    "credentials",
                    Health::Good,
                    format!("{} in account {}", identity.arn, identity.account),
                ));
            }
            Err(why) => {
                // Nothing else can be asked.
                let remedy = "sign in (`aws sso login`, AWS_PROFILE), or look at the network";
                return vec![finding("credentials", Health::Bad, why.to_string()).remedy(remedy)];
            }
        }
        let name = format!("l0-{}", known.name);
        let stack = match self.stack(&name, known.name).await {
            Ok(stack) => stack,
            Err(why) => {
                let remedy = "choose another name for the instance, or delete that stack if it is nobody's";
                all.push(match why {
                    SetupError::Foreign { .. } => finding("stack", Health::Bad, why.to_string()).remedy(remedy),
                    _ => Finding::unknown("stack", &why),
                });
                return all;
            }
        };
        all.push(self.wishes_looked_at(known).await);
        all.push(self.stack_looked_at(known.name, stack.as_ref()).await);
        if let Some(stack) = stack.filter(|stack| standing(Some(stack)) != Standing::Absent) {
            all.extend(self.parameter_looked_at(known).await);
            all.extend(self.servers_looked_at(&stack.name).await);
            all.extend(answers(&stack, door, known).await);
        }
        all
    }

    async fn wishes_looked_at(&self, known: &Known<'_>) -> Finding {
        let Some(instance) = known.instance else {
            return finding("wishes", Health::Unknown, "this machine has no instance.toml of it")
                .remedy(format!("`l0 setup pull {}` gets it from the account", known.name));
        };
        match self.look(instance).await {
            Err(why) => Finding::unknown("wishes", &why),
            Ok(seen) => match judge(instance, &seen).as_slice() {
                [] => finding("wishes", Health::Good, "they can be in this account"),
                problems => {
                    let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
                    finding("wishes", Health::Bad, words.join("; "))
                        .remedy(format!("`l0 setup set {}` changes them", known.name))
                }
            },
        }
    }

    async fn stack_looked_at(&self, name: &str, stack: Option<&Stack>) -> Finding {
        let apply = format!("`l0 setup apply {name}`");
        let Some(stack) = stack else { return self.absent(name).await };
        let status = stack.status.as_str();
        let (state, remedy) = match (standing(Some(stack)), status) {
            (Standing::Absent, _) => {
                (Health::Unknown, format!("a plan was made and not carried out: {apply} shows it and carries it out"))
            }
            (Standing::Working, _) => (Health::Unknown, format!("a change is under way: {apply} follows it")),
            (Standing::Good, "UPDATE_ROLLBACK_COMPLETE") => {
                (Health::Good, format!("the last change failed and was undone; with its cause out of the way, {apply}"))
            }
            (Standing::Good, _) => (Health::Good, String::new()),
            (Standing::Undone, "ROLLBACK_FAILED") => (
                Health::Bad,
                format!("take the cause out of the way, then {apply}: it deletes what is left and begins anew"),
            ),
            (Standing::Undone, "DELETE_FAILED") => (
                Health::Bad,
                format!("take the cause out of the way; `l0 setup destroy {name}` goes on, or {apply} makes it anew"),
            ),
            (Standing::Undone, _) => (
                Health::Bad,
                format!("the creation failed and was undone; with its cause out of the way, {apply} begins anew"),
            ),
            (Standing::Stuck, "UPDATE_ROLLBACK_FAILED") => (
                Health::Bad,
                format!(
                    "take the cause out of the way, then {apply}: it goes on with the undoing, and then with the change"
                ),
            ),
            (Standing::Stuck, _) => (Health::Bad, "CloudFormation leaves it by its console alone".to_owned()),
        };
        let mut words = format!("{} is in {status}", stack.name);
        if !stack.reason.is_empty() {
            words.push_str(&format!(" ({})", stack.reason));
        }
        if let Ok(events) = self.patiently(|| self.account.events(&stack.id, None)).await {
            let last = &events[super::cause::last_change(&events)..];
            // What could not be undone stands in the way; what made it necessary is told too.
            let stubborn = if state == Health::Bad { failures(last) } else { Vec::new() };
            let mut told: Vec<String> = cause(last).into_iter().chain(stubborn).map(|it| it.to_string()).collect();
            told.dedup();
            if state != Health::Good || status.contains("ROLLBACK") {
                told.iter().for_each(|it| words.push_str(&format!("; {it}")));
            }
        }
        let found = finding("stack", state, words);
        if remedy.is_empty() { found } else { found.remedy(remedy) }
    }

    /// There is no stack, and perhaps something of one that there was.
    async fn absent(&self, name: &str) -> Finding {
        let apply = format!("`l0 setup apply {name}` makes it");
        match self.patiently(|| self.account.remains(name)).await {
            Err(why) => Finding::unknown("stack", &why),
            Ok(remains) if remains.is_empty() => finding("stack", Health::Bad, "there is none").remedy(apply),
            Ok(remains) => {
                let names: Vec<String> = remains.iter().map(ToString::to_string).collect();
                let data = remains.iter().all(|remain| remain.kind.is_data() || remain.kind == Kind::ServerRepository);
                let kept = if data { "data of a former one is kept" } else { "parts of a former one are left" };
                finding("stack", Health::Bad, format!("there is none; {kept}: {}", names.join(", ")))
                    .remedy(format!("{apply} and takes data in; `l0 setup destroy {name} --with-data` deletes all"))
            }
        }
    }

    /// Whether the servers run, and if not, why they stopped.
    async fn servers_looked_at(&self, stack: &str) -> Option<Finding> {
        let servers = match self.servers(stack).await {
            Ok(servers) => servers?,
            Err(why) => return Some(Finding::unknown("servers", &why)),
        };
        let mut words = format!("{} of {} run", servers.running, servers.wanted);
        if servers.running >= servers.wanted {
            return Some(finding("servers", Health::Good, words));
        }
        if let Some(stopped) = servers.stopped.first() {
            words.push_str(&format!("; the last one stopped: {stopped}"));
            stopped.log.iter().for_each(|line| words.push_str(&format!("\n    | {line}")));
        } else if let Some(said) = servers.said.first() {
            words.push_str(&format!("; {said}"));
        }
        Some(
            finding("servers", Health::Bad, words)
                .remedy(format!("the log group {stack} has the whole of what they said")),
        )
    }

    /// Whether the wishes here are those of the account.
    async fn parameter_looked_at(&self, known: &Known<'_>) -> Option<Finding> {
        let (instance, here) = (known.instance?, known.wishes?);
        let name = wishes_name(instance);
        Some(match self.patiently(|| self.account.parameter(&name)).await {
            Err(why) => Finding::unknown("instance.toml", &why),
            Ok(Some(there)) if there == here => finding("instance.toml", Health::Good, "as in the account"),
            Ok(_) => finding(
                "instance.toml",
                Health::Bad,
                format!("another one is in the account ({})", stack_name(instance)),
            )
            .remedy(format!(
                "`l0 setup plan {0}` shows what this one would change; `l0 setup pull {0} --force` gets the other",
                known.name
            )),
        })
    }
}

/// Whether the servers answer, and in which version.
async fn answers(stack: &Stack, door: &dyn Door, known: &Known<'_>) -> Vec<Finding> {
    let Some(endpoint) = stack.outputs.get(ENDPOINT) else { return Vec::new() };
    let mut all = Vec::new();
    match door.health(endpoint).await {
        Ok(_) => all.push(finding("health", Health::Good, format!("{endpoint} answers"))),
        Err(why) => {
            let address = stack.outputs.get(BALANCER_ADDRESS);
            let remedy = match (address, known.instance.map(|instance| &instance.access)) {
                (_, Some(crate::instance::Access::Bare { allow })) if allow.is_empty() => {
                    "it is reached from inside the network alone: look from there".to_owned()
                }
                (Some(address), _) => format!(
                    "if the name is not found, it must be an alias or CNAME of {address}; else look at the log group l0-{}",
                    known.name
                ),
                _ => format!("look at the log group l0-{}, and at `access.allow`", known.name),
            };
            all.push(finding("health", Health::Bad, format!("{endpoint}: {why}")).remedy(remedy));
        }
    }
    if let Some(version) = stack.outputs.get(VERSION).filter(|version| *version != known.version) {
        all.push(
            finding("version", Health::Good, format!("the servers are {version}, this program is {}", known.version))
                .remedy(format!("`l0 setup upgrade {}` makes them the same", known.name)),
        );
    }
    all
}
