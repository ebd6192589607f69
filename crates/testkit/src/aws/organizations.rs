//! Organizations: where the account stands, as data.

use serde_json::{Value, json};

use super::wire::{AwsError, Input, Service};
use super::world::{World, unknown_operation};

/// The organization that the account is in.
#[derive(Debug, Clone)]
pub struct Organization {
    /// `o-..`
    pub id: String,
    /// What the account lies in, from the root on: `r-..`, `ou-..`. `None`: the account may not look, as most members.
    pub units: Option<Vec<String>>,
}

/// Answers an operation.
pub(crate) fn answer(world: &World, operation: &str, input: &Value) -> Result<Value, AwsError> {
    let organization = world.organization.as_ref().ok_or_else(|| {
        AwsError::new("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
    });
    match operation {
        "DescribeOrganization" => {
            let id = &organization?.id;
            Ok(json!({"Organization": {
                "Id": id,
                "Arn": format!("arn:aws:organizations::{}:organization/{id}", world.config.account),
                "FeatureSet": "ALL",
            }}))
        }
        "ListParents" => parent(world, organization?, input),
        _ => Err(unknown_operation(Service::Organizations, operation)),
    }
}

/// What a child lies in: always one.
fn parent(world: &World, organization: &Organization, input: &Value) -> Result<Value, AwsError> {
    let units = organization
        .units
        .as_ref()
        .ok_or_else(|| AwsError::new("AccessDeniedException", "You don't have permissions to access this resource."))?;
    let child = input.required("ChildId", "InvalidInputException")?;
    let at = if child == world.config.account { Some(units.len()) } else { units.iter().position(|it| it == child) };
    let unknown = || {
        AwsError::new("ChildNotFoundException", "You specified an organizational unit or account that does not exist.")
    };
    let id = at.and_then(|at| at.checked_sub(1)).and_then(|at| units.get(at)).ok_or_else(unknown)?;
    let kind = if id.starts_with("r-") { "ROOT" } else { "ORGANIZATIONAL_UNIT" };
    Ok(json!({"Parents": [{"Id": id, "Type": kind}]}))
}
