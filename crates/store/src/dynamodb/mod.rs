//! The ports `Store`, `AccessStore`, `HomeStore`, `PublicStore` and `RegistryStore` on one DynamoDB table, which any number of
//! servers may share.
//!
//! `docs/dynamodb.md` lists the items, their keys, and which condition holds which rule; the modules here repeat only what
//! the code beside them needs.
//!
//! # Invariants
//! - A write is one `TransactWriteItems`: all of it or nothing. What it was decided on stands as conditions in it; when one
//!   does not hold, the decision is made anew on what is there now. No refusal is ever read out of a condition.
//! - Each transaction carries a token, so that the SDK may send it again when no answer came.
//! - Every read is strongly consistent, and there is no index: an index of DynamoDB is never up to date for certain.
//! - An item that is listed, compared or decided on is small; what can be large (documents, services with their
//!   deployments) lies beside it in parts.
//! - Messages of errors hold no stored values.
//!
//! # Rejected
//! - *A table per kind*: a transaction may span tables, but every table is one more thing to make, allow, watch and pay for.
//! - *A global secondary index for lists*: it lags behind, so a list would miss what was just made.
//! - *Counters of what an environment holds*: they drift once and are wrong for ever. The names in it are counted anew.
//! - *A lock around each change*: a server that dies holds it. A condition can't be left behind.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;

mod access;
mod action;
mod audit;
mod body;
mod change;
mod deploy;
mod ensure;
mod entity;
mod fault;
mod gone;
mod grant;
mod home;
mod item;
mod layout;
mod lease;
mod member;
mod operation;
mod owned;
mod owner;
mod person;
mod public;
mod registry;
mod setting;
mod shut_out;
mod store;
mod table;
mod tag;
mod token;
mod trust;
mod user;

pub use ensure::TableError;
pub use layout::{LOOK as LAYOUT_LOOK, LayoutMismatch, LayoutStep, Layouts, StepTaken};
use table::Table;

/// All ports of this crate on a table of DynamoDB. Clones share it.
#[derive(Clone)]
pub struct DynamoStore {
    table: Table,
    /// Shared by all clones, so that their records of the audit log go together.
    audit: Arc<audit::Waiting>,
    layouts: Arc<Layouts>,
}

impl DynamoStore {
    /// The store in the table `table`, which [`table_ensure`](Self::table_ensure) makes. Nothing is asked of it yet.
    ///
    /// Region, credentials, endpoint, HTTP client, timeouts and retries are the client's. Its retries should be the SDK's
    /// standard ones: what goes wrong between here and DynamoDB is not tried again here.
    #[must_use]
    pub fn new(client: Client, table: &str) -> Self {
        let table = Table { client, name: Arc::from(table), page: None };
        Self { table, audit: Arc::default(), layouts: Arc::new(Layouts::own()) }
    }

    /// As this, but no query asks for more than `items` at once. For tests of what happens between two pages; without it a
    /// page is as much as fits in 1 MB.
    #[must_use]
    pub fn with_page(mut self, items: u32) -> Self {
        self.table.page = Some(items.max(1));
        self
    }
}
