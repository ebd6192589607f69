//! Secrets Manager and the Parameter Store.

use serde_json::json;

use super::AwsAccount;
use super::error::refused;
use super::json::there;
use crate::account::{AccountError, Secret};

impl AwsAccount {
    pub(super) async fn secret_read(&self, id: &str) -> Result<Option<Secret>, AccountError> {
        let op = "secretsmanager:GetSecretValue";
        match self.ask(op, &json!({ "SecretId": id })).await {
            Ok(answer) => {
                let text = answer["SecretString"].as_str().ok_or_else(|| refused(op, "the secret is no text"))?;
                Ok(Some(Secret::new(text.to_owned())))
            }
            Err(error) if error.is_missing() => Ok(None),
            // One that waits for its deletion; the code is that of all requests that don't fit.
            Err(error) if error.code == "InvalidRequestException" && error.message.contains("marked for deletion") => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn parameter_read(&self, name: &str) -> Result<Option<String>, AccountError> {
        let asked = json!({ "Name": name, "WithDecryption": true });
        let answer = there(self.ask("ssm:GetParameter", &asked).await)?;
        Ok(answer.and_then(|answer| answer["Parameter"]["Value"].as_str().map(str::to_owned)))
    }

    pub(super) async fn parameter_write(&self, name: &str, value: &str) -> Result<(), AccountError> {
        let op = "ssm:PutParameter";
        if self.parameter_read(name).await?.is_none() {
            return Err(refused(op, format!("there is no parameter {name} to be written over")));
        }
        self.ask(op, &json!({ "Name": name, "Value": value, "Overwrite": true })).await?;
        Ok(())
    }
}
