//! The prefixes that mirror other registries.

use std::net::SocketAddr;

use layer0_registry::{MirrorError, MirrorSettings};

use super::{Aws, WiringError, cant};
use crate::config::{Config, MirrorAs};

/// Whether a mirror signs in as this server's role.
#[cfg(feature = "aws")]
pub(super) fn need_aws(config: &Config) -> bool {
    config.mirrors.iter().any(|mirror| matches!(mirror.login, MirrorAs::Ecr(_)))
}

impl Aws {
    /// The mirrors, each with how it signs in. None has this server as its upstream, as far as that can be seen.
    pub(super) async fn mirrors(
        &self,
        config: &Config,
        address: SocketAddr,
    ) -> Result<Vec<MirrorSettings>, WiringError> {
        let mut all = Vec::with_capacity(config.mirrors.len());
        for mirror in &config.mirrors {
            let mut settings = mirror.settings.clone();
            let (prefix, upstream) = (settings.prefix.to_string(), settings.upstream.clone());
            if upstream.is_at(&address.to_string()) || upstream.is_at(&config.registry_name) {
                let ourselves = MirrorError::Ourselves { prefix, upstream };
                return Err(cant("the mirrors of the registry can't be had")(ourselves));
            }
            settings.login = match &mirror.login {
                MirrorAs::Login(login) => login.clone(),
                #[cfg(feature = "aws")]
                MirrorAs::Ecr(region) => {
                    let there = self.connection()?.elsewhere(Some(region), None, &config.instance).await;
                    layer0_registry::MirrorLogin::Ecr(layer0_registry::ecr::token_source(&there.sdk))
                }
            };
            all.push(settings);
        }
        Ok(all)
    }
}
