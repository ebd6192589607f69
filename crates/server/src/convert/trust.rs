//! Trusts, between the wire and the domain.

use layer0_api::types as wire;
use layer0_domain::model::name::Name;
use layer0_domain::model::owner::OwnerName;
use layer0_domain::model::trust::{
    Audience, AwsPrincipal, ClaimPattern, DEFAULT_MINUTES, Evidence, Issuer, MINUTES_MAX, Trust,
};
use layer0_domain::ops::trust::NewTrust;

use super::read;
use crate::error::ApiError;
use crate::text_time::rfc3339;

fn value(why: impl std::fmt::Display) -> ApiError {
    ApiError::value(why.to_string())
}

/// What is to be made.
pub(crate) fn new_trust(owner: OwnerName, request: &wire::CreateTrustRequest) -> Result<NewTrust, ApiError> {
    let name = read::name(&request.trust_name, "a trust's name")?;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let evidence = match (given(&request.issuer), given(&request.aws)) {
        (Some(issuer), None) => Evidence::Oidc {
            issuer: Issuer::parse(&issuer).map_err(value)?,
            claims: request.claims.iter().map(|it| ClaimPattern::parse(it).map_err(value)).collect::<Result<_, _>>()?,
        },
        (None, Some(principal)) if request.claims.is_empty() => {
            Evidence::Aws { principal: AwsPrincipal::parse(&principal).map_err(value)? }
        }
        (None, Some(_)) => return Err(value("what AWS says has no claims: give `aws` alone")),
        _ => {
            return Err(value(
                "a trust is about tokens of an `issuer` or about a principal of `aws`: give one of them",
            ));
        }
    };
    let minutes = request.minutes.map(minutes).transpose()?.unwrap_or(DEFAULT_MINUTES);
    let (audience, scopes) = (Audience::parse(&request.audience).map_err(value)?, read::scopes(&request.scopes)?);
    Ok(NewTrust { owner, name, evidence, audience, scopes, minutes })
}

/// A number of minutes that a token may live.
pub(crate) fn minutes(number: i64) -> Result<u32, ApiError> {
    u32::try_from(number)
        .ok()
        .filter(|it| (1..=MINUTES_MAX).contains(it))
        .ok_or_else(|| value(format!("minutes must be 1 to {MINUTES_MAX}, not {number}")))
}

/// `OWNER/NAME`.
pub(crate) fn trust_name(text: &str) -> Result<(OwnerName, Name), ApiError> {
    let (owner, name) = text.split_once('/').ok_or_else(|| value("a trust is named OWNER/NAME"))?;
    Ok((read::owner_name(owner)?, read::name(name, "a trust's name")?))
}

/// A trust.
pub(crate) fn trust(it: &Trust) -> wire::Trust {
    let (issuer, claims, aws) = match &it.evidence {
        Evidence::Oidc { issuer, claims } => {
            (Some(issuer.to_string()), claims.iter().map(ToString::to_string).collect(), None)
        }
        Evidence::Aws { principal } => (None, vec![], Some(principal.to_string())),
    };
    wire::Trust {
        owner_name: it.owner.to_string(),
        trust_name: it.name.to_string(),
        issuer,
        claims,
        aws,
        audience: it.audience.to_string(),
        scopes: it.scopes.iter().map(ToString::to_string).collect(),
        minutes: i64::from(it.minutes),
        created: rfc3339(it.created),
        created_by: it.by.clone(),
    }
}
