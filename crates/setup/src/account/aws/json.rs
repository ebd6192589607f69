//! Services that are called by the JSON protocol.

use layer0_aws::AwsError;
use layer0_aws::signed::{Question, at_once};
use serde_json::{Value, json};

use super::AwsAccount;

/// A service that speaks it.
struct Api {
    /// What IAM calls it.
    iam: &'static str,
    /// Its name in signatures and addresses.
    service: &'static str,
    /// What its endpoint is set by.
    id: &'static str,
    /// What `X-Amz-Target` begins with.
    target: &'static str,
}

const fn api(iam: &'static str, service: &'static str, id: &'static str, target: &'static str) -> Api {
    Api { iam, service, id, target }
}

/// Names, ids and prefixes from the services' own models.
const APIS: [Api; 8] = [
    api("acm", "acm", "ACM", "CertificateManager"),
    api("dynamodb", "dynamodb", "DynamoDB", "DynamoDB_20120810"),
    api("ecs", "ecs", "ECS", "AmazonEC2ContainerServiceV20141113"),
    api("logs", "logs", "CloudWatch Logs", "Logs_20140328"),
    api("secretsmanager", "secretsmanager", "Secrets Manager", "secretsmanager"),
    api("servicequotas", "servicequotas", "Service Quotas", "ServiceQuotasV20190624"),
    api("ssm", "ssm", "SSM", "AmazonSSM"),
    api("tag", "tagging", "Resource Groups Tagging API", "ResourceGroupsTaggingAPI_20170126"),
];

/// How a call goes through pages: the list, and the names of the token in the answer and in the next question.
pub(super) struct Pages {
    pub(super) list: &'static str,
    pub(super) answered: &'static str,
    pub(super) asked: &'static str,
}

impl Pages {
    /// Where both tokens are called the same.
    pub(super) const fn of(list: &'static str, token: &'static str) -> Self {
        Self { list, answered: token, asked: token }
    }
}

impl AwsAccount {
    /// Makes a call in this region.
    pub(super) async fn ask(&self, op: &'static str, asked: &Value) -> Result<Value, AwsError> {
        self.ask_in(&self.connection.region, op, asked).await
    }

    /// Makes a call in a region.
    pub(super) async fn ask_in(&self, region: &str, op: &'static str, asked: &Value) -> Result<Value, AwsError> {
        let (iam, action) = op.split_once(':').unwrap_or_default();
        let api = APIS.iter().find(|api| api.iam == iam).expect("each service that is called so is listed");
        let place = self.sender.place(api.service, api.id, region);
        let mut question = Question::json(op, &format!("{}.{action}", api.target), asked);
        if api.service == "dynamodb" {
            question = question.content_type("application/x-amz-json-1.0");
        }
        self.sender.ask_json(&place, &question, &at_once).await
    }

    /// Makes a call once for each page, and puts what they list together.
    pub(super) async fn pages(&self, op: &'static str, asked: &Value, pages: &Pages) -> Result<Vec<Value>, AwsError> {
        let mut asked = asked.clone();
        let mut found = Vec::new();
        loop {
            let mut answer = self.ask(op, &asked).await?;
            if let Value::Array(items) = answer[pages.list].take() {
                found.extend(items);
            }
            match answer[pages.answered].as_str().filter(|token| !token.is_empty()) {
                Some(token) => asked[pages.asked] = json!(token),
                None => return Ok(found),
            }
        }
    }
}

/// A text of an answer; empty where there is none.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// All texts of a list.
pub(super) fn texts(values: &[Value]) -> Vec<String> {
    values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

/// `None` for what is not there.
pub(super) fn there<T>(answer: Result<T, AwsError>) -> Result<Option<T>, AwsError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}
