//! `/tag`: how clients find entities by name, pattern and version.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use layer0_api::error::ErrorCode;
use layer0_api::types as wire;
use layer0_domain::model::access::Action;
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::glob::matches;
use layer0_domain::model::tag::Tag;
use layer0_domain::port::store::Summary;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Errors, Visible, created};
use crate::app::App;
use crate::auth::SignedIn;
use crate::error::ApiError;
use crate::extract::{ApiJson, ApiQuery};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create, delete))
}

/// Tags of the entities that pass the filters
///
/// `version=latest` keeps the highest version of each name. `fuzz` matches the id or the name, with `*` for any run of
/// characters.
#[utoipa::path(get, path = "/tag", operation_id = "tag_list", tag = "tag",
    params(("type" = Option<String>, Query), ("id" = Option<String>, Query), ("environment_id" = Option<String>, Query),
        ("name" = Option<String>, Query), ("fuzz" = Option<String>, Query), ("version" = Option<String>, Query)),
    responses((status = 200, body = Vec<wire::Tag>, description = "All tags of all that passed, entity by entity."), Errors))]
async fn list(
    who: SignedIn,
    State(app): State<App>,
    ApiQuery(query): ApiQuery<wire::TagQuery>,
) -> Result<Json<Vec<wire::Tag>>, ApiError> {
    let kinds: Vec<EntityKind> = match query.entity_type.as_deref() {
        None => EntityKind::ALL.to_vec(),
        Some(text) => EntityKind::parse(text).into_iter().collect(),
    };
    let visible = Visible::to(&app, &who).await?;
    let mut entities: BTreeMap<(String, String), HashMap<String, String>> = BTreeMap::new();
    for kind in kinds {
        for summary in app.store.summary_list(kind).await? {
            if visible.shows(&summary) && passes_early(&query, &summary) {
                let key = (kind.as_str().to_owned(), summary.entity.id().to_owned());
                entities.insert(key, worked_out(kind, &summary));
            }
        }
    }
    for tag in app.store.tag_list().await? {
        let wanted = query.entity_type.as_ref().is_none_or(|kind| *kind == tag.entity_type);
        let key = (tag.entity_type, tag.entity_id);
        // What users tag beside our entities belongs to the instance.
        let other = EntityKind::parse(&key.0).is_none() && visible.is_everything();
        if wanted && (entities.contains_key(&key) || other) {
            entities.entry(key).or_default().insert(tag.key, tag.value);
        }
    }
    entities.retain(|(_, id), tags| passes(&query, id, tags));
    if query.version.as_deref() == Some("latest") {
        keep_latest(&mut entities);
    }
    let flat = entities.into_iter().flat_map(|((kind, id), tags)| {
        let sorted: BTreeMap<String, String> = tags.into_iter().collect();
        sorted.into_iter().map(move |(key, value)| wire::Tag {
            entity_id: id.clone(),
            entity_type: kind.clone(),
            key,
            value,
        })
    });
    Ok(Json(flat.collect()))
}

/// Whether a summary can pass, without making its tags: what is asked for most often is one name among thousands.
fn passes_early(query: &wire::TagQuery, it: &Summary) -> bool {
    query.id.as_deref().is_none_or(|id| id == it.entity.id())
        && query.fuzz.as_deref().is_none_or(|glob| matches(glob, it.entity.id()) || matches(glob, &it.name))
}

fn passes(query: &wire::TagQuery, id: &str, tags: &HashMap<String, String>) -> bool {
    let tag = |key: &str| tags.get(key).map(String::as_str);
    let equal = |wanted: &Option<String>, key: &str| wanted.as_deref().is_none_or(|wanted| tag(key) == Some(wanted));
    let version = match query.version.as_deref() {
        None | Some("latest") => true,
        Some(wanted) => tag("version") == Some(wanted),
    };
    version
        && query.id.as_deref().is_none_or(|wanted| wanted == id)
        && equal(&query.environment_id, "environment_id")
        && equal(&query.name, "name")
        && query
            .fuzz
            .as_deref()
            .is_none_or(|glob| matches(glob, id) || tag("name").is_some_and(|name| matches(glob, name)))
}

/// Tags that follow from the entity itself.
fn worked_out(kind: EntityKind, it: &Summary) -> HashMap<String, String> {
    let mut tags = HashMap::from([("name".to_owned(), it.name.clone())]);
    if let Some(environment) = &it.environment {
        tags.insert("environment_id".to_owned(), environment.to_string());
    }
    match kind {
        EntityKind::Deploy => {
            tags.insert("version".to_owned(), it.version.to_string());
        }
        EntityKind::Environment => {
            tags.insert("os".to_owned(), it.label.clone());
        }
        EntityKind::LoadBalancer => {
            tags.insert("type".to_owned(), it.label.clone());
        }
        EntityKind::Service | EntityKind::Task => {}
    }
    tags
}

/// Keeps the highest version of each name. (The predecessor kept the highest of all names together, which made
/// `app*:latest` lose names.)
fn keep_latest(entities: &mut BTreeMap<(String, String), HashMap<String, String>>) {
    let version = |tags: &HashMap<String, String>| tags.get("version").and_then(|text| text.parse::<u64>().ok());
    let mut highest: HashMap<String, u64> = HashMap::new();
    for tags in entities.values() {
        if let (Some(name), Some(version)) = (tags.get("name"), version(tags)) {
            let best = highest.entry(name.clone()).or_default();
            *best = (*best).max(version);
        }
    }
    entities.retain(|_, tags| match (tags.get("name"), version(tags)) {
        (Some(name), Some(version)) => highest.get(name) == Some(&version),
        _ => false,
    });
}

fn tag(it: wire::Tag) -> Result<Tag, ApiError> {
    for (value, what) in [(&it.entity_id, "entity_id"), (&it.entity_type, "entity_type"), (&it.key, "key")] {
        if value.is_empty() {
            return Err(ApiError::value(format!("{what} is required")));
        }
    }
    if [&it.entity_id, &it.entity_type, &it.key, &it.value].iter().any(|text| text.len() > 256) {
        return Err(ApiError::value("a tag's parts may have 256 bytes each"));
    }
    if ["name", "environment_id", "version", "os", "type"].contains(&it.key.as_str()) {
        return Err(ApiError::value(format!("`{}` follows from the entity and can't be tagged", it.key)));
    }
    Ok(Tag { entity_id: it.entity_id, entity_type: it.entity_type, key: it.key, value: it.value })
}

/// Demands that somebody may change the tags of an entity; those of what is no entity of ours are an admin's.
async fn may_tag(app: &App, who: &SignedIn, it: &wire::Tag) -> Result<(), ApiError> {
    let kind = EntityKind::parse(&it.entity_type);
    match kind.map(|kind| EntityRef::from_parts(kind, &it.entity_id)) {
        Some(Ok(entity)) if !who.caller.rights.are_everything() => {
            who.on_entity(app, &entity, Action::Deploy).await.map(drop)
        }
        named => {
            who.must_administer()?;
            if let Some(Ok(EntityRef::Environment(id))) = named {
                who.within(&id);
            }
            who.about(format!("{} {}", it.entity_type, it.entity_id));
            Ok(())
        }
    }
}

/// Add a tag
#[utoipa::path(post, path = "/tag", operation_id = "tag_create", tag = "tag", request_body = wire::Tag,
    responses((status = 201, body = wire::Tag, description = "The tag."), Errors))]
async fn create(who: SignedIn, State(app): State<App>, ApiJson(it): ApiJson<wire::Tag>) -> Result<Response, ApiError> {
    let answer = it.clone();
    may_tag(&app, &who, &it).await?;
    app.store.tag_put(&tag(it)?).await?;
    Ok(created(answer))
}

/// Take a tag away
#[utoipa::path(delete, path = "/tag", operation_id = "tag_delete", tag = "tag", request_body = wire::Tag,
    responses((status = 200, body = wire::Tag, description = "The tag that is gone."), Errors))]
async fn delete(
    who: SignedIn,
    State(app): State<App>,
    ApiJson(it): ApiJson<wire::Tag>,
) -> Result<Json<wire::Tag>, ApiError> {
    let answer = it.clone();
    may_tag(&app, &who, &it).await?;
    if app.store.tag_delete(&tag(it)?).await? {
        Ok(Json(answer))
    } else {
        let message = format!("{} `{}` has no tag `{}`", answer.entity_type, answer.entity_id, answer.key);
        Err(ApiError::new(ErrorCode::TagDoesNotExist, message))
    }
}
