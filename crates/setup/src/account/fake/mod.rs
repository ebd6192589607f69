//! An account in memory: a product, not a mock. `l0 setup` runs on it as on AWS, and each fault that AWS has can be met.
//!
//! - [`FakeAccount`] is a handle; clones are the same account. What another region or account has is another one of them.
//! - CloudFormation makes the parts of a template one after the other, as they need each other, two beside each other where they
//!   don't, and tells what happens by events. Change sets are the real difference of two templates. What is kept stays when
//!   its stack goes, and is taken in by the next one.
//! - Nothing runs in the background and nothing waits: one event more happens each time that somebody looks at a stack, a plan or
//!   events, or, by [`Pace::ByCaller`], when [`FakeAccount::step`] says so.
//! - What goes wrong is data: [`Fault`].
//! - No server runs in it. What servers would have made for their users is put there with [`FakeAccount::remain_put`]. Servers that
//!   are taken away drain first ([`FakeAccount::drain_set`]): so long their cluster can't go, and what is taken away from under them
//!   is made again.

mod calls;
mod change;
mod fault;
mod kinds;
mod plans;
mod remains;
mod run;
mod stack;
mod template;
#[cfg(test)]
mod tests;
mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use layer0_domain::model::digest::Digest;
use layer0_domain::model::grant::AccountId;

pub use self::fault::Fault;
use self::stack::FakeStack;
use self::world::World;
use super::{CertificateSeen, HostedZone, Quota, Remain, StoppedServer, Vpc};

/// Who makes time go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pace {
    /// Each look.
    #[default]
    ByLook,
    /// [`FakeAccount::step`] alone.
    ByCaller,
}

/// How many looks servers drain for unless it is said.
const DRAIN: u32 = 3;

/// A handle to an account in one region. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct FakeAccount {
    state: Arc<Mutex<State>>,
}

struct State {
    world: World,
    stacks: Vec<FakeStack>,
    pace: Pace,
    vpcs: Vec<Vpc>,
    certificates: BTreeMap<String, CertificateSeen>,
    hosted_zones: Vec<HostedZone>,
    quotas: Vec<Quota>,
    /// By repository and tag.
    images: BTreeMap<(String, String), Digest>,
    /// What servers made, and of which instance.
    of_servers: Vec<(String, Remain)>,
    /// Servers that stopped.
    stopped: Vec<StoppedServer>,
    /// How many looks servers drain for.
    drain: u32,
}

impl FakeAccount {
    /// An empty account; what is read from it is three zones of the region, and nothing else.
    #[must_use]
    pub fn new(account: AccountId, region: &str) -> Self {
        let state = State {
            world: World::new(account, region),
            stacks: Vec::new(),
            pace: Pace::default(),
            vpcs: Vec::new(),
            certificates: BTreeMap::new(),
            hosted_zones: Vec::new(),
            quotas: Vec::new(),
            images: BTreeMap::new(),
            of_servers: Vec::new(),
            stopped: Vec::new(),
            drain: DRAIN,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who makes time go on.
    pub fn pace_set(&self, pace: Pace) {
        self.state().pace = pace;
    }

    /// For how many looks servers drain once they are taken away: at least one.
    pub fn drain_set(&self, looks: u32) {
        self.state().drain = looks.max(1);
    }

    /// The zones of the region.
    pub fn zones_set(&self, zones: &[&str]) {
        self.state().world.zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
    }

    /// Puts a network there.
    pub fn vpc_put(&self, vpc: Vpc) {
        let mut state = self.state();
        state.vpcs.retain(|other| other.id != vpc.id);
        state.vpcs.push(vpc);
    }

    /// Puts a certificate there.
    pub fn certificate_put(&self, arn: &str, certificate: CertificateSeen) {
        self.state().certificates.insert(arn.to_owned(), certificate);
    }

    /// Puts a hosted zone there.
    pub fn hosted_zone_put(&self, zone: HostedZone) {
        self.state().hosted_zones.push(zone);
    }

    /// What quotas there are.
    pub fn quotas_set(&self, quotas: Vec<Quota>) {
        self.state().quotas = quotas;
    }

    /// Puts a stack there that somebody else made, with these tags.
    pub fn stack_put(&self, name: &str, tags: &[(&str, &str)]) {
        let state = &mut *self.state();
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut stack = FakeStack::new(name, tags, &mut state.world);
        stack.turn(&mut state.world, "CREATE_COMPLETE", "");
        state.stacks.push(stack);
    }

    /// Puts a thing there that no stack made, by the kind and the properties that a template would have.
    ///
    /// # Errors
    /// Its name is taken.
    pub fn thing_put(&self, kind: &str, properties: serde_json::Value, tags: &[(&str, &str)]) -> Result<(), String> {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.state().world.make(kind, properties, &tags, None).map(drop)
    }

    /// Puts a thing there as the servers of an instance make it.
    pub fn remain_put(&self, instance: &str, remain: Remain) {
        self.state().of_servers.push((instance.to_owned(), remain));
    }

    /// Lets a server stop, and be one less of those that run.
    pub fn stopped_put(&self, stopped: StoppedServer) {
        self.state().stopped.insert(0, stopped);
    }

    /// Lets something go wrong.
    pub fn fail(&self, fault: Fault) {
        self.state().world.faults.add(fault);
    }

    /// Nothing goes wrong any more. What was done stays done.
    pub fn heal(&self) {
        self.state().world.faults.clear();
    }

    /// One event more happens in each stack that is in the middle of something. Answers whether there is such a one.
    pub fn step(&self) -> bool {
        self.state().step()
    }

    /// All that was begun comes to its end.
    pub fn settle(&self) {
        while self.step() {}
    }

    /// The calls that were made, those that failed too, as IAM writes them.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        self.state().world.faults.calls.clone()
    }

    /// The tags and digests of the images in a repository.
    #[must_use]
    pub fn images(&self, repository: &str) -> BTreeMap<String, Digest> {
        let state = self.state();
        let here = state.images.iter().filter(|((name, _), _)| name == repository);
        here.map(|((_, tag), digest)| (tag.clone(), digest.clone())).collect()
    }

    /// All things that stand, by kind and by what they are called.
    #[must_use]
    pub fn things(&self) -> Vec<(String, String)> {
        let state = self.state();
        let called = state.world.things.iter().map(|thing| {
            let name = if thing.name.is_empty() { &thing.physical } else { &thing.name };
            (thing.kind.clone(), name.clone())
        });
        called.collect()
    }
}

impl State {
    fn step(&mut self) -> bool {
        let mut is_moving = self.world.drain();
        for stack in &mut self.stacks {
            for plan in &mut stack.plans {
                is_moving |= plan.settle();
            }
            run::tick(stack, &mut self.world);
            is_moving |= stack.is_moving();
        }
        is_moving
    }

    fn looked(&mut self) {
        if self.pace == Pace::ByLook {
            self.step();
        }
    }
}
