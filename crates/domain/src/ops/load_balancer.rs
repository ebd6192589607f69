//! Load balancers: create and change.

use super::{Accepted, Ctx, OpsError};
use crate::model::entity::{EntityKind, EntityRef};
use crate::model::id::{EnvironmentId, LoadBalancerId};
use crate::model::listener_rule::Rule;
use crate::model::load_balancer::{Action, HealthCheck, LoadBalancer, LoadBalancerKind, Port, Protocol, Visibility};
use crate::model::name::Name;
use crate::model::operation::Verb;
use crate::model::time::Generation;
use crate::plan::load_balancer::{self as plan, port_conflict};
use crate::port::pull::Launch;
use crate::port::store::{Entity, Holder};

/// What a new load balancer is to be.
#[derive(Debug, Clone)]
pub struct NewLoadBalancer {
    /// The name.
    pub name: Name,
    /// Where it stands.
    pub environment: EnvironmentId,
    /// Which kind.
    pub kind: LoadBalancerKind,
    /// Who may reach it.
    pub visibility: Visibility,
    /// Its listeners.
    pub ports: Vec<Port>,
    /// How copies behind it are judged.
    pub health_check: HealthCheck,
    /// Seconds without traffic.
    pub idle_timeout_s: u32,
    /// Whether copies in all zones get traffic from each zone.
    pub cross_zone: bool,
}

/// Makes a load balancer.
///
/// Where all share the host ports of one machine, the ports are compared before the write; callers let one such write in
/// at a time.
///
/// # Errors
/// `Missing` environment; `Store(NameTaken)`; `PortTaken`; `Invalid` for listeners that can't be.
pub async fn load_balancer_create(ctx: &Ctx<'_>, new: NewLoadBalancer) -> Result<Accepted, OpsError> {
    ctx.environment(&new.environment).await?;
    let load_balancer = LoadBalancer {
        id: LoadBalancerId::parse(&ctx.new_id(new.name.as_str())).expect("made of letters, digits and `-`"),
        name: new.name,
        environment: new.environment,
        kind: new.kind,
        visibility: new.visibility,
        ports: sorted(new.ports)?,
        health_check: new.health_check,
        idle_timeout_s: new.idle_timeout_s,
        cross_zone: new.cross_zone,
        created: ctx.clock.now(),
        generation: Generation(1),
        deleting: false,
    };
    check(ctx, &load_balancer).await?;
    ctx.create(Entity::LoadBalancer(load_balancer)).await
}

/// What is to change; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct LoadBalancerChange {
    /// All listeners, in place of those that are.
    pub ports: Option<Vec<Port>>,
    /// Listeners to add.
    pub add_ports: Vec<Port>,
    /// Host ports of listeners to take away.
    pub remove_ports: Vec<u16>,
    /// Rules to add.
    pub add_rules: Vec<NewRule>,
    /// Rules to take away: host port, and the rule as it is.
    pub remove_rules: Vec<(u16, Rule)>,
    /// How copies are judged.
    pub health_check: Option<HealthCheck>,
    /// Seconds without traffic.
    pub idle_timeout_s: Option<u32>,
    /// Whether copies in all zones get traffic from each zone.
    pub cross_zone: Option<bool>,
}

/// A rule to be added to a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRule {
    /// The listener's port.
    pub host_port: u16,
    /// The rule.
    pub rule: Rule,
    /// Its place among the listener's rules, the first is 1; `None` for the last. More than there are rules means the last.
    pub place: Option<usize>,
}

/// Changes a load balancer.
///
/// # Errors
/// `Missing`; `PortTaken`; `Invalid` for listeners and rules that can't be, or that are to go and aren't there.
pub async fn load_balancer_update(
    ctx: &Ctx<'_>,
    id: &LoadBalancerId,
    change: LoadBalancerChange,
) -> Result<Accepted, OpsError> {
    let of = EntityRef::LoadBalancer(id.clone());
    let apply = |entity: Entity| {
        let Entity::LoadBalancer(mut it) = entity else {
            return Err(OpsError::missing(of.clone()));
        };
        if let Some(ports) = &change.ports {
            it.ports.clone_from(ports);
        }
        let before = it.ports.clone();
        for gone in &change.remove_ports {
            if !it.ports.iter().any(|port| port.host_port == *gone) {
                return Err(OpsError::invalid(format!("Host port '{gone}' doesn't exist on this Load Balancer")));
            }
            it.ports.retain(|port| port.host_port != *gone);
        }
        for port in &change.add_ports {
            if it.ports.iter().any(|there| there.host_port == port.host_port) {
                return Err(OpsError::invalid_with(
                    format!("Host port '{}' is on this Load Balancer already", port.host_port),
                    "`l0 loadbalancer addport --replace` puts another one in its place",
                ));
            }
            let replaced = before.iter().find(|there| there.host_port == port.host_port);
            it.ports.push(with_rules_of(replaced, port.clone()));
        }
        rules_change(&mut it.ports, &change)?;
        it.ports = sorted(std::mem::take(&mut it.ports))?;
        if let Some(health_check) = &change.health_check {
            it.health_check = health_check.clone();
        }
        it.idle_timeout_s = change.idle_timeout_s.unwrap_or(it.idle_timeout_s);
        it.cross_zone = change.cross_zone.unwrap_or(it.cross_zone);
        Ok(Entity::LoadBalancer(it))
    };
    if let Entity::LoadBalancer(changed) = apply(ctx.live(&of).await?)? {
        check(ctx, &changed).await?;
        for holder in ctx.store.entity_holders(&of).await? {
            if let Some(Entity::Service(service)) = ctx.store.entity_get(&holder.entity).await? {
                // What came to nothing starts nothing any more, and its ports must not hold up those of the next roll-out, which is
                // compared with what stands here then.
                if service.halted() && !service.wanted().was_healthy {
                    continue;
                }
                let launch = Launch::of_stateful(service.stateful);
                super::service::ports_fit(ctx, &changed, &service.wanted().definition, launch)?;
            }
        }
    }
    ctx.change(&of, Verb::Update, apply).await
}

/// A port in the place of another one goes on with its rules, where it can have any and brings none.
fn with_rules_of(replaced: Option<&Port>, mut port: Port) -> Port {
    if let (Some(Port { action: Action::Forward { rules: old, .. }, .. }), Action::Forward { rules, .. }) =
        (replaced, &mut port.action)
        && rules.is_empty()
        && matches!(port.protocol, Protocol::Http | Protocol::Https)
    {
        rules.clone_from(old);
    }
    port
}

/// Takes rules away and adds some.
fn rules_change(ports: &mut [Port], change: &LoadBalancerChange) -> Result<(), OpsError> {
    for (host_port, gone) in &change.remove_rules {
        let rules = rules_of(ports, *host_port)?;
        let Some(at) = rules.iter().position(|rule| rule == gone) else {
            return Err(OpsError::invalid_with(
                format!("port {host_port} has no rule {gone}"),
                "`l0 loadbalancer get` shows the rules",
            ));
        };
        rules.remove(at);
    }
    for new in &change.add_rules {
        let rules = rules_of(ports, new.host_port)?;
        let at = new.place.map_or(rules.len(), |place| place.saturating_sub(1).min(rules.len()));
        rules.insert(at, new.rule.clone());
    }
    Ok(())
}

fn rules_of(ports: &mut [Port], host_port: u16) -> Result<&mut Vec<Rule>, OpsError> {
    let Some(port) = ports.iter_mut().find(|port| port.host_port == host_port) else {
        return Err(OpsError::invalid(format!("Host port '{host_port}' doesn't exist on this Load Balancer")));
    };
    match &mut port.action {
        Action::Forward { rules, .. } => Ok(rules),
        Action::Redirect { redirect_port } => Err(OpsError::invalid_with(
            format!("port {host_port} redirects every request to port {redirect_port}"),
            "give the rule to the port that is redirected to",
        )),
    }
}

/// Orders listeners by host port and refuses two on one.
fn sorted(mut ports: Vec<Port>) -> Result<Vec<Port>, OpsError> {
    ports.sort_by_key(|port| port.host_port);
    if let Some(twice) = ports.windows(2).find(|pair| pair[0].host_port == pair[1].host_port) {
        return Err(OpsError::invalid(format!("host port {} is given twice", twice[0].host_port)));
    }
    if ports.is_empty() {
        return Err(OpsError::invalid("a load balancer needs at least one port"));
    }
    Ok(ports)
}

pub(super) fn unfit(why: plan::Unfit) -> OpsError {
    OpsError::invalid_with(why.message, why.hint)
}

async fn check(ctx: &Ctx<'_>, load_balancer: &LoadBalancer) -> Result<(), OpsError> {
    let can = ctx.engine.capabilities();
    plan::check(load_balancer, &can).map_err(unfit)?;
    if !can.shared_host_ports {
        return Ok(());
    }
    let others: Vec<LoadBalancer> = ctx
        .store
        .entity_list(EntityKind::LoadBalancer)
        .await?
        .into_iter()
        .filter_map(|entity| match entity {
            Entity::LoadBalancer(it) => Some(it),
            _ => None,
        })
        .collect();
    match port_conflict(load_balancer, &others) {
        Some((holder, port)) => Err(OpsError::PortTaken {
            port,
            holder: Holder { entity: EntityRef::LoadBalancer(holder.id.clone()), name: holder.name.to_string() },
        }),
        None => Ok(()),
    }
}
