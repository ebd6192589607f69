//! Which repository of the instance an existing one in ECR would be, when it is adopted.
//!
//! Nothing in ECR is renamed or moved by an adoption. So the friendly name is what the registry's prefix makes of the name
//! there, and what no friendly name reaches can't be adopted: the reason says what can be done instead.

use crate::model::backing::Places;
use crate::model::image::{ImageRef, RepositoryName};
use crate::model::placement::BackingName;

/// A repository in ECR that can be adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoptee {
    /// The registry that it lies in.
    pub backing: BackingName,
    /// Its friendly name.
    pub repository: RepositoryName,
}

/// Why a repository can't be adopted. The text is for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdoptionError {
    /// There is nothing to adopt from.
    #[error("this instance has no registry in ECR")]
    NoRegistry,
    /// No registry is called so.
    #[error("there is no registry `{wanted}`; there are: {there}")]
    UnknownRegistry {
        /// What was asked for.
        wanted: BackingName,
        /// The names of those that there are.
        there: String,
    },
    /// No friendly name leads to it.
    #[error(
        "no friendly name leads to `{wanted}`: repositories of this instance are called {reachable}. A repository of ECR can't be \
         renamed: make one, copy the images, or put a table `[[registry]]` with another `prefix` into the configuration"
    )]
    OutOfReach {
        /// What was asked for.
        wanted: String,
        /// How the names are there that can be reached.
        reachable: String,
    },
    /// Several registries may have it.
    #[error("`{wanted}` may be in {candidates}: name one with `--registry`")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// Those that may have it.
        candidates: String,
    },
    /// Another friendly name was wanted.
    #[error(
        "`{wanted}` of registry `{backing}` is `{is}` here and can't be `{asked}`: a friendly name is what the prefix leaves"
    )]
    OtherName {
        /// What was asked for.
        wanted: String,
        /// The registry.
        backing: BackingName,
        /// The name that it has.
        is: RepositoryName,
        /// The name that was wanted.
        asked: RepositoryName,
    },
    /// That friendly name leads elsewhere.
    #[error(
        "`{repository}` goes to the registry `{leads_to}`, not to `{backing}`: give `{backing}` its owner, or a prefix of its name \
         (`owners`, `prefixes`)"
    )]
    LedElsewhere {
        /// The friendly name.
        repository: RepositoryName,
        /// Where it leads.
        leads_to: BackingName,
        /// Where what is to be adopted lies.
        backing: BackingName,
    },
}

/// Finds the repository that is meant by `wanted`: the name in ECR, or all of the URI. `registry` and `name` are what the user
/// said beside it.
///
/// # Errors
/// [`AdoptionError`].
pub fn adoptee(
    places: &Places,
    wanted: &str,
    registry: Option<&BackingName>,
    name: Option<&RepositoryName>,
) -> Result<Adoptee, AdoptionError> {
    let names = |all: &[&BackingName]| all.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if places.is_empty() {
        return Err(AdoptionError::NoRegistry);
    }
    if let Some(registry) = registry.filter(|name| places.get(name).is_none()) {
        let there = names(&places.iter().map(|(name, _)| name).collect::<Vec<_>>());
        return Err(AdoptionError::UnknownRegistry { wanted: registry.clone(), there });
    }
    let asked = || places.iter().filter(|(name, _)| registry.is_none_or(|wanted| wanted == *name));
    let uri =
        ImageRef::parse(wanted).ok().filter(|it| it.host().is_some() && it.tag().is_none() && it.digest().is_none());
    let found: Vec<(&BackingName, RepositoryName)> = asked()
        .filter_map(|(name, place)| {
            let repository = match &uri {
                Some(uri) => place.repository_of(uri),
                None => place.repository_at(wanted),
            };
            Some((name, repository?))
        })
        .collect();
    match &found[..] {
        [] => {
            let shape = |place: &crate::model::backing::BackingPlace| format!("`{}/OWNER/NAME`", place.target());
            let reachable = asked().map(|(_, place)| shape(place)).collect::<Vec<_>>().join(" or ");
            Err(AdoptionError::OutOfReach { wanted: wanted.to_owned(), reachable })
        }
        [(backing, repository)] => match name {
            Some(asked) if asked != repository => Err(AdoptionError::OtherName {
                wanted: wanted.to_owned(),
                backing: (*backing).clone(),
                is: repository.clone(),
                asked: asked.clone(),
            }),
            _ => Ok(Adoptee { backing: (*backing).clone(), repository: repository.clone() }),
        },
        several => {
            let candidates = names(&several.iter().map(|(name, _)| *name).collect::<Vec<_>>());
            Err(AdoptionError::Ambiguous { wanted: wanted.to_owned(), candidates })
        }
    }
}

impl Adoptee {
    /// Refuses one whose friendly name leads to another registry.
    ///
    /// # Errors
    /// `LedElsewhere`.
    pub fn led_to(self, leads_to: &BackingName) -> Result<Self, AdoptionError> {
        if self.backing == *leads_to {
            return Ok(self);
        }
        let Self { backing, repository } = self;
        Err(AdoptionError::LedElsewhere { repository, leads_to: leads_to.clone(), backing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::backing::BackingPlace;

    const MAIN: &str = "123456789012.dkr.ecr.us-west-2.amazonaws.com";
    const OTHER: &str = "210987654321.dkr.ecr.eu-central-1.amazonaws.com";

    fn backing(name: &str) -> BackingName {
        BackingName::parse(name).expect("a legal name")
    }

    fn name(text: &str) -> RepositoryName {
        RepositoryName::parse(text).expect("a legal name")
    }

    fn places() -> Places {
        let place = |name: &str, host: &str, prefix: &str| {
            (backing(name), BackingPlace::new(host, prefix).expect("a legal prefix"))
        };
        Places::new(vec![place("main", MAIN, "l0"), place("eu", OTHER, ""), place("old", MAIN, "old")])
            .expect("side by side")
    }

    #[test]
    fn a_repository_is_called_what_the_prefix_leaves() {
        let found = |wanted: &str, registry: Option<&str>| {
            adoptee(&places(), wanted, registry.map(backing).as_ref(), None)
                .map(|it| format!("{}: {}", it.backing, it.repository))
                .map_err(|why| why.to_string())
        };
        assert_eq!(found("l0/team/app", Some("main")), Ok("main: team/app".to_owned()));
        assert_eq!(found(&format!("{MAIN}/l0/team/app"), None), Ok("main: team/app".to_owned()));
        assert_eq!(found(&format!("{MAIN}/old/team/app"), None), Ok("old: team/app".to_owned()));
        assert_eq!(found("team/app", None), Ok("eu: team/app".to_owned()));
        // Without a prefix any name of two parts is one of the instance's, this one too.
        let both = found("l0/team/app", None).expect_err("two may be meant");
        assert!(both.contains("`main`, `eu`"), "{both}");
        let outside = found("legacy-app", None).expect_err("it has no owner");
        assert!(outside.contains("legacy-app") && outside.contains(&format!("`{MAIN}/l0/OWNER/NAME`")), "{outside}");
        let outside = found("team/app", Some("main")).expect_err("beside the prefix");
        assert!(outside.contains("can't be renamed") && !outside.contains(OTHER), "{outside}");
        let unknown = found("team/app", Some("us")).expect_err("there is none");
        assert_eq!(unknown, "there is no registry `us`; there are: `main`, `eu`, `old`");
        assert_eq!(adoptee(&Places::default(), "team/app", None, None), Err(AdoptionError::NoRegistry));
    }

    #[test]
    fn another_name_or_another_registry_is_refused_with_the_reason() {
        let asked = |wanted: &str| adoptee(&places(), "l0/team/app", Some(&backing("main")), Some(&name(wanted)));
        let found = asked("team/app").expect("it is called so");
        let other = asked("team/other").expect_err("it is not").to_string();
        assert!(other.contains("is `team/app` here and can't be `team/other`"), "{other}");
        assert_eq!(found.clone().led_to(&backing("main")), Ok(found.clone()));
        let elsewhere = found.led_to(&BackingName::local()).expect_err("it lies elsewhere").to_string();
        assert!(elsewhere.starts_with("`team/app` goes to the registry `local`, not to `main`"), "{elsewhere}");
    }
}
