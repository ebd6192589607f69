//! A provider at which people sign in, for tests.

use std::time::Duration;

use layer0_domain::model::access::Secret;
use layer0_domain::model::person::GroupRule;
use layer0_domain::model::trust::Issuer;

use crate::config::ProviderConfig;

/// The provider of a [`TestApp`](super::TestApp).
#[derive(Debug, Clone)]
pub struct TestProvider {
    /// Its address.
    pub issuer: String,
    /// As what the server is known there.
    pub client_id: &'static str,
    /// What it shows there.
    pub secret: Option<&'static str>,
    /// What groups give: `GROUP=OWNER:ROLE`, `GROUP=admin`.
    pub groups: &'static [&'static str],
    /// How long it may take for one answer.
    pub patience: Duration,
}

impl TestProvider {
    pub(super) fn config(&self) -> ProviderConfig {
        let rule = |text: &&str| GroupRule::parse(text).expect("the test names a rule");
        ProviderConfig {
            secret: self.secret.map(Secret::new),
            groups: self.groups.iter().map(rule).collect(),
            patience: self.patience,
            ..ProviderConfig::new(Issuer::parse(&self.issuer).expect("the test names an issuer"), self.client_id)
        }
    }
}
