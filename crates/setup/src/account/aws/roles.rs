//! Roles of an instance. The tagging API knows none, so those that the template makes are asked for by name; a role that a failed
//! delete left would be in the way of the next creation.

use layer0_aws::AwsError;
use layer0_aws::query;
use layer0_aws::signed::{Place, at_once};
use layer0_aws::xml::Element;
use layer0_domain::model::image_map::partition_of;

use super::AwsAccount;
use super::json::there;
use super::remains::Found;
use crate::account::{Kind, TAG};
use crate::template::ROLES;

/// The version of IAM's API.
const IAM: &str = "2010-05-08";

impl AwsAccount {
    pub(super) async fn roles_of(&self, found: &mut Found<'_>) -> Result<(), AwsError> {
        let (op, place) = ("iam:GetRole", self.iam());
        for role in ROLES {
            let name = format!("{}-{role}", found.names.stack);
            if found.parts.contains(&name) {
                continue;
            }
            let question = query::question(op, IAM, [("RoleName", name.as_str())]);
            let answer = there(self.sender.ask(&place, &question, query::refusal, &at_once).await)?;
            let Some(answer) = answer else { continue };
            let role = Element::parse(&answer, "GetRoleResponse");
            let role = role.as_ref().and_then(|root| root.child("GetRoleResult")?.child("Role"));
            let role = role.ok_or_else(|| AwsError::incomplete(op, "a role"))?;
            let tags = role.child("Tags").into_iter().flat_map(|tags| tags.all("member"));
            let mut tags = tags.filter(|tag| tag.text("Key") == Some(TAG));
            if tags.any(|tag| tag.text("Value") == Some(found.names.instance)) {
                found.add(Kind::Other, role.text("Arn").unwrap_or(&name));
            }
        }
        Ok(())
    }

    /// Each partition has one place for it (AWS General Reference, "AWS Identity and Access Management endpoints and quotas").
    fn iam(&self) -> Place {
        let region = &self.connection.region;
        let (signed, host) = match partition_of(region) {
            "aws" => ("us-east-1", "https://iam.amazonaws.com"),
            "aws-cn" => ("cn-north-1", "https://iam.cn-north-1.amazonaws.com.cn"),
            "aws-us-gov" => ("us-gov-west-1", "https://iam.us-gov.amazonaws.com"),
            _ => return self.place("iam", "IAM"),
        };
        let mut place = self.sender.place("iam", "IAM", signed);
        if place.endpoint.starts_with("https://iam.") {
            host.clone_into(&mut place.endpoint);
        }
        place
    }
}
