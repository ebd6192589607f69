//! The fake AWS, as a process of its own: what is measured beside it has its memory and its processor time to itself.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// A running fake. It ends when this is dropped, or whoever holds it does.
pub(super) struct Cloud {
    /// Where it is reached.
    pub(super) endpoint: String,
    process: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// Calls at the wire, by service and operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Calls {
    /// How many were made, and how many of them were refused as too many.
    by_operation: BTreeMap<(String, String), (u64, u64)>,
}

/// A service as the fake has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceThere {
    pub(super) name: String,
    pub(super) desired: u64,
    /// The families of which tasks run.
    pub(super) families: Vec<String>,
}

/// A token bucket, as the fake has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limit {
    pub(super) service: String,
    /// Empty: all that no other limit of the service names.
    pub(super) operations: Vec<String>,
    pub(super) burst: f64,
    pub(super) per_second: f64,
}

impl Cloud {
    /// Starts the program with this set-up.
    pub(super) fn start(program: &Path, setup: &Value) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg(setup.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        let asks = process.stdin.take().context("its input is a pipe")?;
        let answers = BufReader::new(process.stdout.take().context("its output is a pipe")?);
        let mut cloud = Self { endpoint: String::new(), process, asks, answers };
        let first = cloud.line()?;
        first["endpoint"].as_str().context("the fake AWS says where it is")?.clone_into(&mut cloud.endpoint);
        Ok(cloud)
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("the fake AWS ended");
        }
        serde_json::from_str(&line).context("reading an answer of the fake AWS")
    }

    fn ask(&mut self, what: &Value) -> Result<Value> {
        writeln!(self.asks, "{what}")?;
        self.line()
    }

    /// The calls since it was asked last.
    pub(super) fn calls(&mut self) -> Result<Calls> {
        Ok(Calls::read(&self.ask(&json!({ "ask": "calls" }))?))
    }

    /// The limits, so many times as high as AWS documents them.
    pub(super) fn limits(&mut self, factor: f64) -> Result<Vec<Limit>> {
        let rows = self.ask(&json!({ "ask": "throttles", "factor": factor }))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let limit = |row: &Value| Limit {
            service: text(&row[0]),
            operations: row[1].as_array().into_iter().flatten().map(text).collect(),
            burst: row[2].as_f64().unwrap_or_default(),
            per_second: row[3].as_f64().unwrap_or_default(),
        };
        Ok(rows.as_array().into_iter().flatten().map(limit).collect())
    }

    /// The ids of the tasks that run, by service.
    pub(super) fn running(&mut self) -> Result<BTreeMap<String, Vec<String>>> {
        serde_json::from_value(self.ask(&json!({ "ask": "running" }))?).context("reading the tasks that run")
    }

    /// All services that are not deleted.
    pub(super) fn services(&mut self) -> Result<Vec<ServiceThere>> {
        let rows = self.ask(&json!({ "ask": "services" }))?;
        let there = rows.as_array().into_iter().flatten().filter(|row| row["status"] == "ACTIVE");
        let service = |row: &Value| ServiceThere {
            name: row["name"].as_str().unwrap_or_default().to_owned(),
            desired: row["desired"].as_u64().unwrap_or_default(),
            families: row["running"].as_array().into_iter().flatten().filter_map(family).collect(),
        };
        Ok(there.map(service).collect())
    }

    /// Lets the containers of a task crash.
    pub(super) fn crash(&mut self, task: &str) -> Result<()> {
        self.ask(&json!({ "ask": "crash", "tasks": [task] })).map(drop)
    }
}

/// The family in a task definition's ARN, `…:task-definition/family:revision`.
fn family(arn: &Value) -> Option<String> {
    let (family, _) = arn.as_str()?.rsplit_once('/')?.1.rsplit_once(':')?;
    Some(family.to_owned())
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // It ends by itself when its input does; this is for one that hangs.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Calls {
    fn read(rows: &Value) -> Self {
        let mut calls = Self::default();
        for row in rows.as_array().into_iter().flatten() {
            let key = (row[0].as_str().unwrap_or_default().to_owned(), row[1].as_str().unwrap_or_default().to_owned());
            let count = row[3].as_u64().unwrap_or_default();
            let sum = calls.by_operation.entry(key).or_default();
            sum.0 += count;
            if row[4] == true {
                sum.1 += count;
            }
        }
        calls
    }

    /// `ecs:DescribeServices`, how many, and how many of them were refused as too many; the most frequent first.
    pub(super) fn rows(&self) -> Vec<(String, u64, u64)> {
        let row = |((service, operation), (count, throttled)): (&(String, String), &(u64, u64))| {
            (format!("{service}:{operation}"), *count, *throttled)
        };
        let mut rows: Vec<_> = self.by_operation.iter().map(row).collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        rows
    }

    /// The limit that holds these calls up longest: its operations, and for how many seconds, were nothing else in the way.
    pub(super) fn bound(&self, limits: &[Limit]) -> Option<(String, f64)> {
        let mut sums: BTreeMap<usize, u64> = BTreeMap::new();
        for ((service, operation), (count, throttled)) in &self.by_operation {
            let of = limits.iter().filter(|limit| limit.service == *service);
            let named = of.clone().find(|limit| limit.operations.contains(operation));
            let Some(limit) = named.or_else(|| of.clone().find(|limit| limit.operations.is_empty())) else { continue };
            let at = limits.iter().position(|it| std::ptr::eq(it, limit)).unwrap_or_default();
            *sums.entry(at).or_default() += count - throttled;
        }
        #[expect(clippy::cast_precision_loss, reason = "some thousand calls")]
        let seconds = |(at, count): (usize, u64)| {
            let limit = &limits[at];
            (at, ((count as f64 - limit.burst) / limit.per_second).max(0.0))
        };
        let (at, seconds) = sums.into_iter().map(seconds).max_by(|a, b| a.1.total_cmp(&b.1))?;
        let limit = &limits[at];
        let names = if limit.operations.is_empty() { "the rest".to_owned() } else { limit.operations.join(", ") };
        Some((format!("{}: {names}", limit.service), seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_and_the_narrowest_limit_is_found() {
        let calls = Calls::read(&json!([
            ["ecs", "RegisterTaskDefinition", 200, 30, false],
            ["ecs", "RegisterTaskDefinition", 400, 5, true],
            ["ecs", "DescribeServices", 200, 90, false],
            ["sts", "GetCallerIdentity", 200, 1, false],
        ]));
        assert_eq!(calls.rows()[0], ("ecs:DescribeServices".to_owned(), 90, 0));
        assert_eq!(calls.rows()[1], ("ecs:RegisterTaskDefinition".to_owned(), 35, 5));
        let limit = |operations: &[&str], burst, per_second| Limit {
            service: "ecs".to_owned(),
            operations: operations.iter().map(|it| (*it).to_owned()).collect(),
            burst,
            per_second,
        };
        let limits = [limit(&["DescribeServices"], 50.0, 20.0), limit(&[], 20.0, 1.0)];
        assert_eq!(calls.bound(&limits), Some(("ecs: the rest".to_owned(), 10.0)));
        assert_eq!(Calls::default().bound(&limits), None);
    }

    #[test]
    fn a_family_is_read_off_its_arn() {
        let arn = json!("arn:aws:ecs:us-east-1:1:task-definition/l0-x-web_abc:3");
        assert_eq!(family(&arn).as_deref(), Some("l0-x-web_abc"));
    }
}
