//! What ECR says: the image with its layers, and the registry's policy.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image_map::EcrHost;
use layer0_domain::model::registry::Platform;
use layer0_domain::plan::pull_check::runs_on;
use layer0_domain::port::pull::Fact;
use layer0_domain::port::pull::aws::{CacheRule, EcrImage, RegistryPolicy};

use super::Gathering;
use super::manifest::{self, Content, Variant};
use crate::ecs::aws::{AskedBy, AwsError, Lookup, Manifest};

/// Tags that are shown for one that isn't there.
const TAGS_SHOWN: usize = 10;
/// Variants whose layers are looked for when none fits: what one call takes.
const VARIANTS_MAX: usize = 100;
/// The account setting that says what a registry's policy is good for, and its value for all requests (ECR user guide,
/// "Private registry permissions").
const POLICY_SCOPE: (&str, &str) = ("REGISTRY_POLICY_SCOPE", "V2");

/// Whether it is the account's own registry: of no other are policy and rules shown.
async fn own(host: &EcrHost, account: impl Future<Output = Fact<String>>) -> Result<(), String> {
    match account.await {
        Fact::Known(account) if account == host.account => Ok(()),
        Fact::Known(_) => Err("another account's can't be read".to_owned()),
        Fact::Unknown(why) => Err(why),
    }
}

impl Gathering<'_> {
    /// The registry's policy, with what it is good for.
    pub(super) async fn registry_policy(
        &self,
        host: &EcrHost,
        account: impl Future<Output = Fact<String>>,
    ) -> Fact<Option<RegistryPolicy>> {
        if let Err(why) = own(host, account).await {
            return Fact::Unknown(why);
        }
        let aws = &self.shared.aws;
        let (region, kept) = (host.region.as_str(), &self.shared.kept);
        let text = self.kept(&kept.registry_policies, region, aws.registry_policy(region)).await;
        let text = match self.fact(text) {
            Fact::Known(Some(text)) => text,
            Fact::Known(None) => return Fact::Known(None),
            Fact::Unknown(why) => return Fact::Unknown(why),
        };
        let scope = self.kept(&kept.registry_settings, region, aws.registry_setting(region, POLICY_SCOPE.0)).await;
        let on_every_request = match self.fact(scope) {
            Fact::Known(scope) => Fact::Known(scope == POLICY_SCOPE.1),
            Fact::Unknown(why) => Fact::Unknown(why),
        };
        Fact::Known(Some(RegistryPolicy { text, on_every_request }))
    }

    /// The rule by which ECR fetches the image when it is not there.
    pub(super) async fn cache_rule(
        &self,
        host: &EcrHost,
        account: impl Future<Output = Fact<String>>,
    ) -> Fact<Option<CacheRule>> {
        if let Err(why) = own(host, account).await {
            return Fact::Unknown(why);
        }
        match self.fact(self.shared.aws.cache_rules(&host.region).await) {
            Fact::Known(rules) => Fact::Known(CacheRule::of(rules, self.question.image.path())),
            Fact::Unknown(why) => Fact::Unknown(why),
        }
    }

    /// Whether the image is there, whole, and for what.
    pub(super) async fn image(&self, host: &EcrHost) -> Fact<EcrImage> {
        let image = &self.question.image;
        // With tag and digest the digest counts, as for whoever pulls.
        let asked = match image.digest() {
            Some(digest) => AskedBy::Digest(digest.clone()),
            None => AskedBy::Tag(image.tag().unwrap_or("latest").to_owned()),
        };
        let found = match self.fact(self.shared.aws.images(host, image.path(), &[asked]).await) {
            Fact::Known(Lookup::Found(found)) => found.into_iter().next(),
            Fact::Known(Lookup::NoRepository) => return Fact::Known(EcrImage::NoRepository),
            Fact::Unknown(why) => return Fact::Unknown(why),
        };
        let Some(found) = found else {
            let tags = self.shared.aws.newest_tags(host, image.path(), TAGS_SHOWN).await;
            return Fact::Known(EcrImage::NoImage { tags: self.fact(tags) });
        };
        let (platforms, missing) = self.content(host, &found).await;
        Fact::Known(EcrImage::Found { digest: found.digest, platforms, missing })
    }

    /// The platforms of what a tag names, and the layers that are missing.
    async fn content(&self, host: &EcrHost, found: &Manifest) -> (Fact<Vec<Platform>>, Fact<Vec<Digest>>) {
        match manifest::read(&found.text) {
            Some(Content::Image { config, parts }) => {
                futures_util::join!(self.platforms(host, config), async { self.fact(self.missing(host, &parts).await) })
            }
            Some(Content::Index(variants)) => {
                let platforms = variants.iter().filter_map(|variant| variant.platform.clone()).collect();
                (Fact::Known(platforms), self.missing_of(host, &variants).await)
            }
            None => {
                let why = format!("the manifest {} could not be read", found.digest);
                (Fact::Unknown(why.clone()), Fact::Unknown(why))
            }
        }
    }

    /// The platform that an image's configuration names: none when it names none.
    async fn platforms(&self, host: &EcrHost, config: Option<Digest>) -> Fact<Vec<Platform>> {
        let Some(config) = config else { return Fact::Known(Vec::new()) };
        let text = self.shared.aws.image_config(host, self.question.image.path(), &config);
        let text = self.kept(&self.shared.kept.image_configs, config.to_string(), text).await;
        match self.fact(text) {
            Fact::Known(text) => Fact::Known(manifest::platform_of(&text).into_iter().collect()),
            Fact::Unknown(why) => Fact::Unknown(why),
        }
    }

    async fn missing(&self, host: &EcrHost, parts: &[Digest]) -> Result<Vec<Digest>, AwsError> {
        self.shared.aws.layers_missing(host, self.question.image.path(), parts).await
    }

    /// What is missing of the variant that will run; of all when none is said to fit.
    async fn missing_of(&self, host: &EcrHost, variants: &[Variant]) -> Fact<Vec<Digest>> {
        let fits = |variant: &&Variant| variant.platform.as_ref().is_some_and(|has| runs_on(has, &self.platform));
        let chosen: Vec<&Variant> = match variants.iter().find(fits) {
            Some(variant) => vec![variant],
            None => variants.iter().take(VARIANTS_MAX).collect(),
        };
        if chosen.is_empty() {
            return Fact::Known(Vec::new());
        }
        let asked: Vec<AskedBy> = chosen.iter().map(|variant| AskedBy::Digest(variant.digest.clone())).collect();
        let found = match self.fact(self.shared.aws.images(host, self.question.image.path(), &asked).await) {
            Fact::Known(Lookup::Found(found)) => found,
            Fact::Known(Lookup::NoRepository) => Vec::new(),
            Fact::Unknown(why) => return Fact::Unknown(why),
        };
        let mut missing: Vec<Digest> = Vec::new();
        let mut parts: Vec<Digest> = Vec::new();
        for variant in chosen {
            let Some(child) = found.iter().find(|child| child.digest == variant.digest) else {
                missing.push(variant.digest.clone());
                continue;
            };
            let Some(Content::Image { parts: of_child, .. }) = manifest::read(&child.text) else {
                return Fact::Unknown(format!("the manifest {} could not be read", child.digest));
            };
            for part in of_child {
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
        }
        match self.fact(self.missing(host, &parts).await) {
            Fact::Known(lacking) => {
                missing.extend(lacking);
                Fact::Known(missing)
            }
            Fact::Unknown(why) => Fact::Unknown(why),
        }
    }
}
