//! Load balancers: create and change.

use super::{Accepted, Ctx, OpsError};
use crate::model::entity::{EntityKind, EntityRef};
use crate::model::id::{EnvironmentId, LoadBalancerId};
use crate::model::load_balancer::{HealthCheck, LoadBalancer, LoadBalancerKind, Port, Protocol, Visibility};
use crate::model::name::Name;
use crate::model::operation::Verb;
use crate::model::time::Generation;
use crate::plan::load_balancer::port_conflict;
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
    /// How copies are judged.
    pub health_check: Option<HealthCheck>,
    /// Seconds without traffic.
    pub idle_timeout_s: Option<u32>,
    /// Whether copies in all zones get traffic from each zone.
    pub cross_zone: Option<bool>,
}

/// Changes a load balancer.
///
/// # Errors
/// `Missing`; `PortTaken`; `Invalid` for listeners that can't be, or that are to go and aren't there.
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
        for gone in &change.remove_ports {
            if !it.ports.iter().any(|port| port.host_port == *gone) {
                return Err(OpsError::invalid(format!("Host port '{gone}' doesn't exist on this Load Balancer")));
            }
            it.ports.retain(|port| port.host_port != *gone);
        }
        for port in &change.add_ports {
            if it.ports.iter().any(|there| there.host_port == port.host_port) {
                return Err(OpsError::invalid(format!(
                    "Host port '{}' is on this Load Balancer already",
                    port.host_port
                )));
            }
            it.ports.push(port.clone());
        }
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
                super::service::ports_fit(&changed, &service.wanted().definition)?;
            }
        }
    }
    ctx.change(&of, Verb::Update, apply).await
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

async fn check(ctx: &Ctx<'_>, load_balancer: &LoadBalancer) -> Result<(), OpsError> {
    let can = ctx.engine.capabilities();
    let tls = load_balancer.ports.iter().find(|port| matches!(port.protocol, Protocol::Https | Protocol::Tls));
    if let Some(port) = tls.filter(|_| !can.tls) {
        return Err(OpsError::invalid_with(
            format!("port {port}: the {} engine's load balancer can't end TLS", can.name),
            "use HTTP or TCP here, and end TLS in front of this machine",
        ));
    }
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
