//! What is done to the instance, one phase after the other, and what is seen in each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::super::instance::Api;
use super::super::machine::{TICKS_PER_SECOND, mib};
use super::super::rows::idle::cpu_ticks;
use super::super::stats::{in_parallel, pause, until};
use super::cloud::{Calls, Cloud, Limit};
use super::server::{INSTANCE, Server};
use super::{Seen, Size};

/// Connections that ask at the same time.
const CLIENTS: usize = 16;

/// How long anything may take before the bench gives up.
const LIMIT: Duration = Duration::from_secs(240);

/// How long a crash may stay unseen.
const UNSEEN: Duration = Duration::from_secs(90);

/// How often the API is asked whether something has changed.
const ASK: Duration = Duration::from_millis(100);

/// The image that everything runs, and its second version.
const IMAGE: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app";

/// An instance that is simulated.
pub(super) struct Simulation {
    pub(super) size: Size,
    pub(super) cloud: Mutex<Cloud>,
    pub(super) server: Server,
    /// The ids of the services, in the order in which they were asked for.
    services: Vec<String>,
    deploys: Vec<String>,
}

/// What came of making everything.
pub(super) struct Filled {
    pub(super) seconds: f64,
    pub(super) calls: Calls,
    /// What held it up most, and for how many seconds it must have.
    pub(super) bound: Option<(String, f64)>,
    pub(super) peak_mib: f64,
}

/// What came of a time in which nothing was asked for.
pub(super) struct Rest {
    pub(super) seconds: f64,
    pub(super) calls: Calls,
    pub(super) cpu_percent: f64,
    pub(super) rss_mib: f64,
}

impl Simulation {
    pub(super) fn new(size: Size, cloud: Cloud, server: Server) -> Self {
        Self { size, cloud: Mutex::new(cloud), server, services: Vec::new(), deploys: Vec::new() }
    }

    fn cloud(&self) -> std::sync::MutexGuard<'_, Cloud> {
        self.cloud.lock().expect("no holder of this lock panics")
    }

    /// The calls since this was asked last.
    pub(super) fn calls(&self) -> Result<Calls> {
        self.cloud().calls()
    }

    /// Makes environments, load balancers and services by the API, and waits until all are healthy.
    pub(super) fn fill(&mut self, limits: &[Limit]) -> Result<Filled> {
        let since = Instant::now();
        drop(self.calls()?);
        let mut api = self.server.api()?;
        let size = self.size;
        let mut under_way = Vec::new();
        let mut environments = Vec::new();
        for number in 0..size.environments {
            let body = json!({ "environment_name": format!("env{number:02}"), "operating_system": "linux" });
            let (id, operation) = api.create("/environment", &body)?;
            environments.push(id);
            under_way.extend(operation);
        }
        self.all_succeed(&under_way)?;
        under_way.clear();
        let mut balancers = Vec::new();
        for (number, environment) in environments.iter().enumerate() {
            let body = json!({
                "load_balancer_name": format!("lb{number:02}"), "load_balancer_type": "application",
                "environment_id": environment, "is_public": true,
                "health_check": { "path": "/", "interval": 5, "timeout": 2, "healthy_threshold": 2, "unhealthy_threshold": 2 },
                "ports": [{ "container_port": 80, "host_port": 80, "protocol": "http" }],
            });
            let (id, operation) = api.create("/loadbalancer", &body)?;
            balancers.push(id);
            under_way.extend(operation);
        }
        self.all_succeed(&under_way)?;
        for version in ["1", "2"] {
            self.deploys.push(api.deploy("web", &container(version))?);
        }
        let made: Mutex<BTreeMap<usize, (String, Option<String>)>> = Mutex::default();
        let (server, deploy) = (&self.server, &self.deploys[0]);
        let count = size.services();
        // Each thread has a connection of its own.
        in_parallel(CLIENTS, CLIENTS, |first| {
            let mut api = server.api()?;
            for number in (first..count).step_by(CLIENTS) {
                let environment = number % size.environments;
                let behind = number < size.environments;
                let body = json!({
                    "service_name": format!("web{number:04}"), "environment_id": environments[environment],
                    "deploy_id": deploy, "scale": size.copies,
                    "load_balancer_id": if behind { balancers[environment].as_str() } else { "" },
                });
                let one = api.create("/service", &body)?;
                made.lock().expect("no holder of this lock panics").insert(number, one);
            }
            Ok(())
        })?;
        let made = made.into_inner().expect("no holder of this lock panics");
        let operations: Vec<String> = made.values().filter_map(|(_, operation)| operation.clone()).collect();
        self.services = made.into_values().map(|(id, _)| id).collect();
        self.all_succeed(&operations)?;
        let calls = self.calls()?;
        Ok(Filled {
            seconds: since.elapsed().as_secs_f64(),
            bound: calls.bound(limits),
            calls,
            peak_mib: self.peak_mib()?,
        })
    }

    /// Waits until operations have succeeded.
    fn all_succeed(&self, operations: &[String]) -> Result<()> {
        let mut api = self.server.api()?;
        let mut open: Vec<&String> = operations.iter().collect();
        let end = Instant::now() + LIMIT;
        while !open.is_empty() {
            ensure!(Instant::now() < end, "{} operations go on after {} s", open.len(), LIMIT.as_secs());
            pause(ASK * 10);
            let mut left = Vec::new();
            for operation in open {
                let seen = api.get(&format!("/operation/{operation}"))?;
                match seen["state"].as_str() {
                    Some("succeeded") => {}
                    Some("running") => left.push(operation),
                    other => anyhow::bail!("operation {operation} ended as {other:?}: {}", seen["cause"]),
                }
            }
            open = left;
        }
        Ok(())
    }

    /// Waits until a server that was just started shows every service with all its copies; gives the seconds.
    pub(super) fn adopted(&self) -> Result<f64> {
        let since = Instant::now();
        self.all_whole()?;
        Ok(since.elapsed().as_secs_f64())
    }

    /// Waits until the API shows every service with all its copies.
    fn all_whole(&self) -> Result<()> {
        let mut api = self.server.api()?;
        let end = Instant::now() + LIMIT;
        // One after the other: so the asking itself costs next to nothing.
        for id in &self.services {
            while !is_whole(&api.get(&format!("/service/{id}"))?, self.size.copies) {
                ensure!(Instant::now() < end, "{id} is not whole after {} s", LIMIT.as_secs());
                pause(ASK);
            }
        }
        Ok(())
    }

    /// Looks on while nothing is asked for.
    pub(super) fn rest(&self) -> Result<Rest> {
        drop(self.calls()?);
        let pid = self.server.pid()?;
        let (since, ticks) = (Instant::now(), cpu_ticks(pid)?);
        let mut memory = Vec::new();
        while since.elapsed() < self.size.rest {
            pause(Duration::from_secs(1).min(self.size.rest / 4));
            memory.push(mib(pid, "status", "VmRSS:")?);
        }
        let seconds = since.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "some thousand ticks")]
        let cpu = (cpu_ticks(pid)? - ticks) as f64 / TICKS_PER_SECOND;
        Ok(Rest {
            seconds,
            calls: self.calls()?,
            cpu_percent: 100.0 * cpu / seconds,
            rss_mib: super::super::stats::median(&memory),
        })
    }

    /// Lets one task of each of some services crash, one after the other, and times how long the API takes to show it.
    pub(super) fn crashes(&self, services: &[String]) -> Result<Seen> {
        let running = self.cloud().running()?;
        let mut victims = Vec::new();
        for id in services {
            let tasks = running.get(&format!("l0-{INSTANCE}-{id}")).with_context(|| format!("{id} runs"))?;
            victims.push((id.as_str(), tasks.first().with_context(|| format!("{id} has tasks"))?.as_str()));
        }
        let gap = self.size.crash_span / u32::try_from(victims.len().max(1))?;
        let mut api = self.server.api()?;
        let begun = Instant::now();
        let (mut waiting, mut seen): (Vec<(&str, Instant)>, Seen) = (Vec::new(), Seen::default());
        let mut next = 0;
        while next < victims.len() || !waiting.is_empty() {
            while next < victims.len() && begun.elapsed() >= gap * u32::try_from(next)? {
                let (id, task) = victims[next];
                let at = Instant::now();
                self.cloud().crash(task)?;
                waiting.push((id, at));
                next += 1;
            }
            let mut still = Vec::new();
            for (id, at) in waiting {
                if !is_whole(&api.get(&format!("/service/{id}"))?, self.size.copies) {
                    seen.seconds.push(at.elapsed().as_secs_f64());
                } else if at.elapsed() > UNSEEN {
                    seen.missed += 1;
                } else {
                    still.push((id, at));
                }
            }
            waiting = still;
            pause(ASK / 4);
        }
        Ok(seen)
    }

    /// Services that nothing else is done to, spread over all environments.
    pub(super) fn quiet(&self, count: usize) -> Vec<String> {
        self.services.iter().rev().take(count).cloned().collect()
    }

    /// Crashes in quiet services.
    pub(super) fn crashes_in_rest(&self) -> Result<Seen> {
        let seen = self.crashes(&self.quiet(self.size.crashes))?;
        self.all_whole()?;
        Ok(seen)
    }

    /// Rolls the second version out to some services, all at once, while tasks of others crash. Gives what was seen of the
    /// crashes, how many seconds the roll-outs took, and the calls of that time.
    pub(super) fn rollout(&self) -> Result<(Seen, f64, Calls)> {
        drop(self.calls()?);
        let since = Instant::now();
        let (server, deploy) = (&self.server, &self.deploys[1]);
        let changed: Mutex<Vec<String>> = Mutex::default();
        in_parallel(CLIENTS, self.size.rollouts, |number| {
            let mut api = server.api()?;
            let operation = change(&mut api, &self.services[number], &json!({ "deploy_id": deploy }))?;
            changed.lock().expect("no holder of this lock panics").push(operation);
            Ok(())
        })?;
        let changed = changed.into_inner().expect("no holder of this lock panics");
        let (seen, seconds) = std::thread::scope(|scope| {
            let crashes = scope.spawn(|| self.crashes(&self.quiet(self.size.crashes / 2)));
            let rolled = self.all_succeed(&changed).map(|()| since.elapsed().as_secs_f64());
            (crashes.join().expect("a thread that panics has said why"), rolled)
        });
        let calls = self.calls()?;
        Ok((seen?, seconds?, calls))
    }

    /// Compares what there is with what was asked for, in the fake and in the API. Gives what is not as it must be.
    pub(super) fn faults(&self) -> Result<Vec<String>> {
        self.all_whole()?;
        // The last copies of the first version may still be on their way out.
        let (size, copies) = (self.size, self.size.copies);
        let settled = until(LIMIT, "the tasks to be as many as are wanted", || {
            let running = self.cloud().running()?;
            Ok(running.values().all(|tasks| tasks.len() == copies).then_some(running))
        });
        let mut faults = Vec::new();
        let running = match settled {
            Ok(running) => running,
            Err(why) => {
                faults.push(format!("{why:#}"));
                self.cloud().running()?
            }
        };
        let wanted: BTreeSet<String> = self.services.iter().map(|id| format!("l0-{INSTANCE}-{id}")).collect();
        let there = self.cloud().services()?;
        let names: BTreeSet<String> = there.iter().map(|it| it.name.clone()).collect();
        if there.len() != size.services() || names != wanted {
            faults.push(format!("ECS has {} services of {} names, not {}", there.len(), names.len(), wanted.len()));
        }
        let tasks: BTreeSet<&String> = running.values().flatten().collect();
        if tasks.len() != size.services() * copies {
            faults.push(format!("{} tasks run, not {}", tasks.len(), size.services() * copies));
        }
        let mut families: BTreeMap<&String, usize> = BTreeMap::new();
        for service in &there {
            if service.desired != copies as u64 || service.families.len() != 1 {
                let (name, kinds, desired) = (&service.name, service.families.len(), service.desired);
                faults.push(format!("{name} runs tasks of {kinds} definitions and wants {desired}"));
            }
            for family in &service.families {
                *families.entry(family).or_default() += 1;
                if !family.starts_with(&format!("{}_", service.name)) {
                    faults.push(format!("{} runs {family}, which is another's", service.name));
                }
            }
        }
        faults.extend(
            families.iter().filter(|(_, count)| **count > 1).map(|(family, _)| format!("{family} is run twice")),
        );
        let mut api = self.server.api()?;
        let listed = api.get("/service")?.as_array().map_or(0, Vec::len);
        if listed != size.services() {
            faults.push(format!("the API lists {listed} services"));
        }
        for (number, id) in self.services.iter().enumerate() {
            let seen = api.get(&format!("/service/{id}"))?;
            let version = if number < size.rollouts { "2" } else { "1" };
            let primary = &seen["deployments"][0];
            if primary["deploy_version"] != version || primary["state"] != "healthy" {
                let state = primary["state"].as_str().unwrap_or("?");
                faults.push(format!("{id} has version {} in the state `{state}`", primary["deploy_version"]));
            }
        }
        Ok(faults)
    }

    /// The most memory that the server ever had.
    pub(super) fn peak_mib(&self) -> Result<f64> {
        mib(self.server.pid()?, "status", "VmHWM:")
    }

    /// Bytes of what the server keeps on disk.
    pub(super) fn store_bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(self.server.data_dir())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().contains("layer0.db") {
                bytes += entry.metadata()?.len();
            }
        }
        Ok(bytes)
    }
}

/// Whether a service has all its copies, and no others.
fn is_whole(service: &Value, copies: usize) -> bool {
    service["running_count"] == copies && service["pending_count"] == 0
}

/// Changes a service; gives the operation.
fn change(api: &mut Api, id: &str, body: &Value) -> Result<String> {
    let answer = api.ask("PATCH", &format!("/service/{id}"), Some(&body.to_string()))?;
    ensure!(answer.status == 202, "PATCH /service/{id} answers {}: {}", answer.status, answer.text());
    let answer: Value = serde_json::from_slice(&answer.body)?;
    answer["operation_id"].as_str().map(str::to_owned).context("a roll-out is an operation")
}

/// What each task runs.
fn container(version: &str) -> Value {
    json!({
        "name": "web", "image": format!("{IMAGE}:{version}"), "essential": true, "memory": 256,
        "portMappings": [{ "containerPort": 80 }],
        "environment": [{ "name": "VERSION", "value": version }],
    })
}
