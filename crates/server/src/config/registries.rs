//! The registries that stand behind an instance: the embedded one, and as many in ECR as the configuration names; and which
//! repositories go to which.

use layer0_domain::model::placement::{BackingName, Placement, PlacementRule, RepositoryPrefix};

use super::file::RegistryTable;
use super::{ConfigError, EcrConfig, EngineKind, Given, S3Config, Source};

/// What the registry in ECR of the flags is called.
const OF_FLAGS: &str = "ecr";

/// The registries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RegistriesConfig {
    /// Those in ECR. The embedded one is always there.
    pub(crate) ecr: Vec<(BackingName, EcrConfig)>,
    /// The bucket with the bytes of the embedded one; `None` for the data directory.
    pub(crate) s3: Option<S3Config>,
    /// Where new repositories go.
    pub(crate) placement: Placement,
}

impl Default for RegistriesConfig {
    /// The embedded one alone.
    fn default() -> Self {
        Self { ecr: Vec::new(), s3: None, placement: Placement::all_to(BackingName::local()) }
    }
}

/// What is put together on the way.
#[derive(Default)]
struct Gathered {
    names: Vec<BackingName>,
    ecr: Vec<(BackingName, EcrConfig)>,
    s3: Option<S3Config>,
    rules: Vec<PlacementRule>,
    default: Option<BackingName>,
}

/// What only means something where `registry_backing` says that images lie elsewhere: key and variable.
const OF_BACKINGS: [(&str, &str); 11] = [
    ("s3_bucket", "LAYER0_S3_BUCKET"),
    ("s3_prefix", "LAYER0_S3_PREFIX"),
    ("s3_redirect", "LAYER0_S3_REDIRECT"),
    ("ecr_prefix", "LAYER0_ECR_PREFIX"),
    ("ecr_host", "LAYER0_ECR_HOST"),
    ("ecr_immutable_tags", "LAYER0_ECR_IMMUTABLE_TAGS"),
    ("ecr_scan_on_push", "LAYER0_ECR_SCAN_ON_PUSH"),
    ("ecr_kms_key", "LAYER0_ECR_KMS_KEY"),
    ("ecr_lifecycle_policy", "LAYER0_ECR_LIFECYCLE_POLICY"),
    ("ecr_keep_untagged_days", "LAYER0_ECR_KEEP_UNTAGGED_DAYS"),
    ("ecr_tags", "LAYER0_ECR_TAGS"),
];

impl RegistriesConfig {
    /// From the flags (`--registry-backing ecr`: one in ECR, which everything goes to; `s3`: the embedded one, in a bucket) and the file's tables.
    pub(super) fn load(
        engine: EngineKind,
        find: &dyn Fn(&str, &[&str]) -> Option<Given>,
        tables: &[RegistryTable],
        file_name: &str,
    ) -> Result<Self, ConfigError> {
        let mut gathered = Gathered::default();
        let backing = find("registry_backing", &["LAYER0_REGISTRY_BACKING"]);
        if backing.is_none()
            && let Some(alone) = OF_BACKINGS.iter().find_map(|(key, variable)| find(key, &[*variable]))
        {
            return Err(alone.wrong(
                "means nothing alone: say `--registry-backing s3` or `ecr` too, or `disk` when it is left over",
            ));
        }
        if let Some(given) = backing {
            match given.text.as_str() {
                "disk" => {}
                "s3" => gathered.s3 = Some(S3Config::load(find, &given)?),
                "ecr" => {
                    ecr_goes_with(engine, &given)?;
                    let name = BackingName::parse(OF_FLAGS).expect("a legal name");
                    gathered.names.push(name.clone());
                    gathered.ecr.push((name.clone(), EcrConfig::of_flags(find)?));
                    gathered.default = Some(name);
                }
                _ => return Err(given.wrong("must be `disk`, `s3` or `ecr`")),
            }
        }
        for table in tables {
            let given = |key: &str, value: &str| Given {
                text: value.to_owned(),
                source: Source::File,
                origin: format!("{file_name}: {key} of registry `{}`", table.name),
            };
            gathered.add(table, engine, find, &given)?;
        }
        let Gathered { ecr, s3, rules, default, .. } = gathered;
        let placement = Placement::new(rules, default.unwrap_or_else(BackingName::local));
        let placement = placement.map_err(|why| ConfigError::File {
            file: file_name.to_owned(),
            message: format!("the registries contradict: {why}"),
        })?;
        Ok(Self { ecr, s3, placement })
    }
}

impl Gathered {
    fn add(
        &mut self,
        table: &RegistryTable,
        engine: EngineKind,
        find: &dyn Fn(&str, &[&str]) -> Option<Given>,
        given: &dyn Fn(&str, &str) -> Given,
    ) -> Result<(), ConfigError> {
        let wrong_name = |why: String| given("name", &table.name).wrong(why);
        let name = BackingName::parse(&table.name).map_err(|why| wrong_name(format!("is no name: {why}")))?;
        if self.names.contains(&name) {
            return Err(wrong_name("is the name of two registries".to_owned()));
        }
        match (table.backing.as_deref(), name.is_local()) {
            (None | Some("disk"), true) => {
                if let Some(key) = table.of_ecr_alone() {
                    return Err(given(key, &table.name).wrong("is the embedded registry, which has no such setting"));
                }
            }
            (Some("ecr"), true) => return Err(wrong_name("is the name of the embedded registry".to_owned())),
            (Some("disk"), false) => {
                return Err(wrong_name("can't lie in the data directory: what does is called `local`".to_owned()));
            }
            (None | Some("ecr"), false) => {
                ecr_goes_with(engine, &given("backing", "ecr"))?;
                self.ecr.push((name.clone(), EcrConfig::of_table(table, find, given)?));
            }
            (Some(other), _) => return Err(given("backing", other).wrong("must be `disk` or `ecr`")),
        }
        for (key, prefix) in table.prefixes() {
            let legal = RepositoryPrefix::parse(prefix).map_err(|_| {
                given(key, prefix).wrong("is no beginning of repositories' names, such as `team` or `team/base`")
            });
            self.rules.push(PlacementRule { prefix: legal?, backing: name.clone() });
        }
        if table.default.unwrap_or_default()
            && let Some(other) = self.default.replace(name.clone())
        {
            return Err(given("default", "true").wrong(format!("is said of `{other}` too: one is the default")));
        }
        self.names.push(name);
        Ok(())
    }
}

/// Whether images may lie in ECR.
fn ecr_goes_with(engine: EngineKind, given: &Given) -> Result<(), ConfigError> {
    if !cfg!(feature = "aws") {
        return Err(given.wrong("is not built into this executable: build it with `--features aws`"));
    }
    match engine {
        EngineKind::Ecs | EngineKind::Fake | EngineKind::None => Ok(()),
        // A Docker engine would have to be given the server's own credential, which opens the whole registry.
        EngineKind::Docker => Err(given.wrong("goes with the engine `ecs`: `docker` could not pull from there")),
    }
}

#[cfg(test)]
mod tests;
