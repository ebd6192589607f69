//! Making the table.

use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
    TimeToLiveSpecification, TimeToLiveStatus,
};
use layer0_domain::port::BoxError;

use super::DynamoStore;
use super::fault::Fault;
use super::item::{EXPIRES, PARTITION, SORT};
use super::layout::LayoutMismatch;

/// How long a table may take until it is there. DynamoDB makes an empty one in some ten seconds.
const READY_MAX: Duration = Duration::from_secs(180);

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(500);

/// Why the table can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// DynamoDB refused, or does not answer: rights, region, endpoint.
    #[error("the table `{table}` can't be made or looked at")]
    Failed {
        /// Which table.
        table: String,
        /// What DynamoDB said.
        #[source]
        source: BoxError,
    },
    /// It is there, but not one of ours: choose another name.
    #[error("the table `{table}` has other keys than `{PARTITION}` and `{SORT}`: it belongs to something else")]
    NotOurs {
        /// Which table.
        table: String,
    },
    /// It is not ready, and did not become so in three minutes.
    #[error("the table `{table}` is {status} and does not become ready")]
    NotReady {
        /// Which table.
        table: String,
        /// DynamoDB's word for how it is.
        status: String,
    },
    /// It and this program do not go together.
    #[error("the table `{table}` can't be worked with by this version")]
    Layout {
        /// Which table.
        table: String,
        /// Which of them is too old.
        #[source]
        source: LayoutMismatch,
    },
    /// It could not be brought to the layout of this program; the next start goes on with it.
    #[error("the table `{table}` can't be brought to layout {to}")]
    Step {
        /// Which table.
        table: String,
        /// The layout.
        to: u32,
        /// Why not.
        #[source]
        source: BoxError,
    },
}

impl DynamoStore {
    /// Makes the table when it isn't there: on demand, with a time to live on `expires_at`; then waits until it can be
    /// used, and brings it to the layout of this program. Deletes of users, owners and repositories in whose midst a server died are brought
    /// to their end. Idempotent, and harmless when several servers do it at once.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn table_ensure(&self) -> Result<(), TableError> {
        if self.table_status().await?.is_none() {
            self.table_create().await?;
        }
        let ready = async {
            loop {
                let status = self.table_status().await?;
                if status == Some(TableStatus::Active) {
                    return Ok(());
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(READY_MAX, ready).await {
            Ok(result) => result?,
            Err(_) => {
                let status = self.table_status().await?.map_or("MISSING".to_owned(), |it| it.as_str().to_owned());
                return Err(TableError::NotReady { table: self.table.name.to_string(), status });
            }
        }
        self.time_to_live_ensure().await?;
        self.layout_ensure().await?;
        self.table.gone_finish_all().await.map_err(|fault| self.failed(fault))?;
        self.registry_tidy().await.map_err(|fault| self.failed(fault))
    }

    pub(super) fn failed(&self, fault: Fault) -> TableError {
        TableError::Failed { table: self.table.name.to_string(), source: Box::new(fault) }
    }

    /// How the table is; `None` when it isn't there.
    async fn table_status(&self) -> Result<Option<TableStatus>, TableError> {
        let answer = match self.table.client.describe_table().table_name(&*self.table.name).send().await {
            Ok(answer) => answer,
            Err(SdkError::ServiceError(it)) if it.err().is_resource_not_found_exception() => return Ok(None),
            Err(error) => return Err(self.failed(Fault::of("DescribeTable", &error))),
        };
        let Some(table) = answer.table else { return Ok(None) };
        let key = |kind: KeyType, name: &str| {
            table.key_schema().iter().any(|key| *key.key_type() == kind && key.attribute_name() == name)
        };
        if !key(KeyType::Hash, PARTITION) || !key(KeyType::Range, SORT) {
            return Err(TableError::NotOurs { table: self.table.name.to_string() });
        }
        Ok(table.table_status)
    }

    async fn table_create(&self) -> Result<(), TableError> {
        let mut call = self.table.client.create_table().table_name(&*self.table.name);
        for (name, kind) in [(PARTITION, KeyType::Hash), (SORT, KeyType::Range)] {
            let text = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
            let key = KeySchemaElement::builder().attribute_name(name).key_type(kind);
            call = call
                .attribute_definitions(text.build().expect("name and type are given"))
                .key_schema(key.build().expect("name and type are given"));
        }
        match call.billing_mode(BillingMode::PayPerRequest).send().await {
            Ok(_) => Ok(()),
            // Another server was quicker.
            Err(SdkError::ServiceError(it)) if it.err().is_resource_in_use_exception() => Ok(()),
            Err(error) => Err(self.failed(Fault::of("CreateTable", &error))),
        }
    }

    async fn time_to_live_ensure(&self) -> Result<(), TableError> {
        let described = self.table.client.describe_time_to_live().table_name(&*self.table.name).send().await;
        let described = described.map_err(|error| self.failed(Fault::of("DescribeTimeToLive", &error)))?;
        let status = described.time_to_live_description.and_then(|it| it.time_to_live_status);
        if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
            return Ok(());
        }
        let on = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES).build();
        let call = self.table.client.update_time_to_live().table_name(&*self.table.name);
        match call.time_to_live_specification(on.expect("both fields are given")).send().await {
            Ok(_) => Ok(()),
            // Another server was quicker: that it is on already, or being changed, is told by these codes.
            Err(SdkError::ServiceError(it))
                if matches!(it.err().code(), Some("ValidationException" | "ResourceInUseException")) =>
            {
                Ok(())
            }
            Err(error) => Err(self.failed(Fault::of("UpdateTimeToLive", &error))),
        }
    }
}
