//! Organizations: where an account stands. Two reads, by the JSON protocol of the service.

use layer0_domain::model::image_map::partition_of;
use serde_json::{Value, json};

use super::pace::Family;
use super::signed::{Place, Sender};
use super::{Aws, AwsError, Kind};

/// How deep an account can lie: five levels of units below the root (Organizations user guide, "Quotas").
const DEPTH_MAX: usize = 6;

/// Each partition has one place for it (AWS General Reference, "AWS Organizations endpoints and quotas").
pub(super) fn place(sender: &Sender, region: &str) -> Place {
    let region = match partition_of(region) {
        "aws" => "us-east-1",
        "aws-cn" => "cn-northwest-1",
        "aws-us-gov" => "us-gov-west-1",
        "aws-iso" => "us-iso-east-1",
        "aws-iso-b" => "us-isob-east-1",
        "aws-iso-e" => "eu-isoe-west-1",
        "aws-iso-f" => "us-isof-south-1",
        "aws-eusc" => "eusc-de-east-1",
        _ => region,
    };
    sender.place("organizations", "Organizations", region)
}

impl Aws {
    /// The organization of the account, by its id; `None` when it is in none.
    pub(in crate::ecs) async fn organization(&self) -> Result<Option<String>, AwsError> {
        let op = "organizations:DescribeOrganization";
        let target = "AWSOrganizationsV20161128.DescribeOrganization";
        match self.organizations_ask(op, target, &json!({})).await {
            Ok(answer) => {
                let id = answer["Organization"]["Id"].as_str();
                id.map(|id| Some(id.to_owned())).ok_or_else(|| AwsError::incomplete(op, "organization"))
            }
            Err(error) if error.code == "AWSOrganizationsNotInUseException" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The units that an account is in, the root first: `r-…`, `ou-…`. Only the management account and those that it delegates
    /// this to may look.
    pub(in crate::ecs) async fn organization_units(&self, account: &str) -> Result<Vec<String>, AwsError> {
        let op = "organizations:ListParents";
        let mut units = Vec::new();
        let mut child = account.to_owned();
        while units.len() < DEPTH_MAX {
            let asked = json!({ "ChildId": child });
            let answer = self.organizations_ask(op, "AWSOrganizationsV20161128.ListParents", &asked).await?;
            let parent = &answer["Parents"][0];
            let id = parent["Id"].as_str().ok_or_else(|| AwsError::incomplete(op, "parent"))?;
            units.insert(0, id.to_owned());
            if parent["Type"] == "ROOT" {
                return Ok(units);
            }
            id.clone_into(&mut child);
        }
        Err(AwsError::incomplete(op, "root").with_kind(Kind::Refused))
    }

    async fn organizations_ask(
        &self,
        op: &'static str,
        target: &'static str,
        asked: &Value,
    ) -> Result<Value, AwsError> {
        self.ask_json(Family::Identity, &self.organizations, (op, target), asked).await
    }
}
