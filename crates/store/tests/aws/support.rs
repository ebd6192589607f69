//! Clients of the emulator, and tables that live as long as a test.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use layer0_store::{DynamoStore, Layouts};

/// Where the emulator is.
pub(crate) const ENDPOINT: &str = "LAYER0_TEST_DYNAMODB";

/// The emulator's address.
pub(crate) fn endpoint() -> String {
    std::env::var(ENDPOINT)
        .unwrap_or_else(|_| panic!("{ENDPOINT} is not set: `scripts/aws-emulators.sh start`, then its `env`"))
}

/// A client of whatever answers at an address. Plain HTTP: it never leaves this machine. Its retries wait for so short that
/// a test of them is quick.
pub(crate) fn client(endpoint: &str, attempts: u32) -> Client {
    let retries = RetryConfig::standard()
        .with_max_attempts(attempts)
        .with_initial_backoff(Duration::from_millis(1))
        .with_max_backoff(Duration::from_millis(20));
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(30)).build();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(retries)
        // Otherwise all clients of this process share what they may spend on retries.
        .retry_partition(RetryPartition::custom("test").token_bucket(TokenBucket::unlimited()).build())
        .timeout_config(timeouts)
        .build();
    Client::from_conf(config)
}

/// A table of a test's own, gone at the end.
pub(crate) struct TestTable {
    client: Client,
    name: String,
}

impl TestTable {
    /// A new table on the emulator.
    pub(crate) async fn new() -> Self {
        let this = Self::named();
        this.store().table_ensure().await.expect("the table can be made");
        this
    }

    /// A new table as those were that had no record of their layout.
    pub(crate) async fn without_layout() -> Self {
        let this = Self::named();
        let before = Layouts { oldest: 0, program: "0.0.1".to_owned(), steps: Vec::new(), notice: Duration::ZERO };
        this.store().with_layouts(before).table_ensure().await.expect("the table can be made");
        this
    }

    fn named() -> Self {
        let mut random = [0; 8];
        getrandom::fill(&mut random).expect("the system has randomness");
        let name = format!("layer0-test-{:016x}", u64::from_le_bytes(random));
        Self { client: client(&endpoint(), 3), name }
    }

    /// The store on it, over a way without faults.
    pub(crate) fn store(&self) -> DynamoStore {
        self.store_at(self.client.clone())
    }

    /// The store on it, with a client of the caller's.
    pub(crate) fn store_at(&self, client: Client) -> DynamoStore {
        DynamoStore::new(client, &self.name)
    }

    /// The keys of all items in the table.
    pub(crate) async fn keys(&self) -> Vec<(String, String)> {
        let pages = self.client.scan().table_name(&self.name).consistent_read(true).into_paginator().items().send();
        let items = pages.collect::<Result<Vec<_>, _>>().await.expect("the table can be read");
        let text = |item: &std::collections::HashMap<String, AttributeValue>, name: &str| {
            item.get(name).and_then(|value| value.as_s().ok()).cloned().expect("both keys are text")
        };
        items.iter().map(|item| (text(item, "p"), text(item, "s"))).collect()
    }

    /// A number in an item.
    pub(crate) async fn number(&self, partition: &str, sort: &str, name: &str) -> u64 {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let get = self.client.get_item().table_name(&self.name).key("p", text(partition)).key("s", text(sort));
        let item = get.consistent_read(true).send().await.expect("the table can be read").item.expect("it is there");
        item[name].as_n().expect("a number").parse().expect("a number")
    }

    /// Takes the table away.
    pub(crate) async fn delete(self) {
        self.client.delete_table().table_name(&self.name).send().await.expect("the table is there");
    }
}
