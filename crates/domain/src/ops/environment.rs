//! Environments: create and change.

use std::collections::BTreeSet;

use super::{Accepted, Ctx, OpsError};
use crate::model::entity::{EntityKind, EntityRef};
use crate::model::environment::{Environment, OperatingSystem};
use crate::model::id::EnvironmentId;
use crate::model::name::Name;
use crate::model::operation::Verb;
use crate::model::owner::OwnerName;
use crate::model::time::Generation;
use crate::port::store::Entity;

/// What a new environment is to be.
#[derive(Debug, Clone)]
pub struct NewEnvironment {
    /// The name.
    pub name: Name,
    /// Whose it is; `None` for the instance.
    pub owner: Option<OwnerName>,
    /// The machines' operating system.
    pub operating_system: OperatingSystem,
    /// Machines of its own.
    pub scale: u32,
    /// The machines' type.
    pub instance_type: String,
    /// The machines' image.
    pub ami_id: String,
    /// The machines' start script.
    pub user_data_template: String,
}

/// Makes an environment.
///
/// # Errors
/// `Store(NameTaken)`.
pub async fn environment_create(ctx: &Ctx<'_>, new: NewEnvironment) -> Result<Accepted, OpsError> {
    let environment = Environment {
        id: EnvironmentId::parse(&ctx.new_id(new.name.as_str())).expect("made of letters, digits and `-`"),
        name: new.name,
        owner: new.owner,
        operating_system: new.operating_system,
        scale: new.scale,
        instance_type: new.instance_type,
        ami_id: new.ami_id,
        user_data_template: new.user_data_template,
        links: BTreeSet::new(),
        created: ctx.clock.now(),
        generation: Generation(1),
        deleting: false,
    };
    ctx.create(Entity::Environment(environment)).await
}

/// What is to change; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct EnvironmentChange {
    /// Machines of its own.
    pub scale: Option<u32>,
    /// All links, in place of those that are.
    pub links: Option<BTreeSet<EnvironmentId>>,
    /// Links to add.
    pub add_links: BTreeSet<EnvironmentId>,
    /// Links to take away; taking away what isn't there is no error.
    pub remove_links: BTreeSet<EnvironmentId>,
}

/// Changes an environment.
///
/// # Errors
/// `Missing` (it, or one to link to); `Invalid` for a link to itself.
pub async fn environment_update(
    ctx: &Ctx<'_>,
    id: &EnvironmentId,
    change: EnvironmentChange,
) -> Result<Accepted, OpsError> {
    let of = EntityRef::Environment(id.clone());
    let wanted: BTreeSet<&EnvironmentId> = change.links.iter().flatten().chain(&change.add_links).collect();
    if wanted.contains(id) || change.remove_links.contains(id) {
        return Err(OpsError::invalid("Cannot link/unlink an environment to/from itself"));
    }
    for other in &wanted {
        ctx.environment(other).await?;
    }
    let mut accepted = ctx
        .change(&of, Verb::Update, |entity| {
            let Entity::Environment(mut it) = entity else {
                return Err(OpsError::missing(of.clone()));
            };
            it.scale = change.scale.unwrap_or(it.scale);
            if let Some(links) = &change.links {
                it.links.clone_from(links);
            }
            it.links.extend(change.add_links.iter().cloned());
            it.links.retain(|link| !change.remove_links.contains(link));
            Ok(Entity::Environment(it))
        })
        .await?;
    accepted.warnings = one_way_warnings(ctx, id).await?;
    if change.scale.is_some_and(|scale| scale > 0) {
        accepted.warnings.extend(scale_warning(ctx));
    }
    Ok(accepted)
}

/// Machines of an environment's own are something that only an engine with many machines has.
#[must_use]
pub fn scale_warning(ctx: &Ctx<'_>) -> Option<String> {
    let engine = ctx.engine.capabilities();
    engine.shared_host_ports.then(|| {
        format!(
            "the {} engine runs everything on this machine: the environment's scale is kept, and means nothing here",
            engine.name
        )
    })
}

async fn one_way_warnings(ctx: &Ctx<'_>, id: &EnvironmentId) -> Result<Vec<String>, OpsError> {
    if ctx.engine.capabilities().one_way_links {
        return Ok(vec![]);
    }
    let entities = ctx.store.entity_list(EntityKind::Environment).await?;
    let all: Vec<Environment> = entities
        .into_iter()
        .filter_map(|entity| match entity {
            Entity::Environment(it) => Some(it),
            _ => None,
        })
        .collect();
    let Some(this) = all.iter().find(|it| it.id == *id) else {
        return Ok(vec![]);
    };
    let out = this.links.iter().filter_map(|link| all.iter().find(|it| it.id == *link && !it.links.contains(id)));
    let back = all.iter().filter(|it| it.links.contains(id) && !this.links.contains(&it.id));
    let pairs = out.map(|other| (this, other)).chain(back.map(|other| (other, this)));
    Ok(pairs
        .map(|(from, to)| {
            format!(
                "the link from `{}` to `{}` goes one way only, but this engine opens it both ways",
                from.name, to.name
            )
        })
        .collect())
}
