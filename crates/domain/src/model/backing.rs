//! Where the bytes of the instance's repositories lie when they do not lie with the instance: in registries of somebody
//! else's (ECR), in each under a prefix of our own.

use super::image::{ImageRef, RepositoryName};
use super::placement::BackingName;

/// A registry and the prefix in it under which all repositories of the instance lie.
///
/// `team/app` of the instance is `HOST/PREFIX/team/app` there. Everything under the prefix is the instance's, and nothing
/// beside it can be reached by a friendly name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackingPlace {
    host: String,
    /// Without slashes at its ends; empty for none.
    prefix: String,
}

/// Why a text is no prefix. The text is for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` can't stand before a repository's name: lower-case letters and digits, parts separated by `/`")]
pub struct PrefixError(String);

impl BackingPlace {
    /// The place on `host` under `prefix`; an empty prefix is the whole registry.
    ///
    /// # Errors
    /// [`PrefixError`] for a prefix that no repository can begin with.
    pub fn new(host: impl Into<String>, prefix: &str) -> Result<Self, PrefixError> {
        // What can stand before an owner and a name is what makes a legal name with them.
        if !prefix.is_empty() && RepositoryName::parse(&format!("{prefix}/owner/name")).is_err() {
            return Err(PrefixError(prefix.to_owned()));
        }
        Ok(Self { host: host.into(), prefix: prefix.to_owned() })
    }

    /// The registry.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The prefix; empty for none.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Host and prefix, as the target of a map rule.
    #[must_use]
    pub fn target(&self) -> String {
        if self.prefix.is_empty() { self.host.clone() } else { format!("{}/{}", self.host, self.prefix) }
    }

    /// What a repository is called there.
    #[must_use]
    pub fn path_of(&self, repository: &RepositoryName) -> String {
        if self.prefix.is_empty() { repository.to_string() } else { format!("{}/{repository}", self.prefix) }
    }

    /// Where a repository lies, as whoever pulls from there names it.
    #[must_use]
    pub fn uri_of(&self, repository: &RepositoryName) -> String {
        format!("{}/{}", self.host, self.path_of(repository))
    }

    /// The repository of ours that has this name there; `None` for a name that none of ours can have.
    #[must_use]
    pub fn repository_at(&self, path: &str) -> Option<RepositoryName> {
        let rest = if self.prefix.is_empty() { path } else { path.strip_prefix(&self.prefix)?.strip_prefix('/')? };
        RepositoryName::parse(rest).ok()
    }

    /// Whether all of another place lies in this one.
    fn holds(&self, other: &Self) -> bool {
        let rest = other.prefix.strip_prefix(&self.prefix);
        let within = self.prefix.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        within && self.host.eq_ignore_ascii_case(&other.host)
    }

    /// The repository of ours that an image lies in; `None` for one that lies elsewhere.
    #[must_use]
    pub fn repository_of(&self, image: &ImageRef) -> Option<RepositoryName> {
        let here = image.host().is_some_and(|host| host.eq_ignore_ascii_case(&self.host));
        if here { self.repository_at(image.path()) } else { None }
    }
}

/// The registries in which an instance's repositories may lie but with the instance itself, by the names of the backings.
/// None lies within another, so that a name there belongs to one at most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(Vec<(BackingName, BackingPlace)>);

/// Why places can't stand beside each other. The text is for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacesError {
    /// Two have one name.
    #[error("two registries are called `{0}`")]
    Twice(BackingName),
    /// What lies in the one lies in the other too.
    #[error("registries `{first}` and `{second}` lie within each other: give each a prefix of its own")]
    Overlap {
        /// One of them.
        first: BackingName,
        /// The other.
        second: BackingName,
    },
}

impl Places {
    /// These places.
    ///
    /// # Errors
    /// [`PlacesError`].
    pub fn new(places: Vec<(BackingName, BackingPlace)>) -> Result<Self, PlacesError> {
        for (at, (name, place)) in places.iter().enumerate() {
            for (known, other) in &places[..at] {
                if known == name {
                    return Err(PlacesError::Twice(name.clone()));
                }
                if place.holds(other) || other.holds(place) {
                    return Err(PlacesError::Overlap { first: known.clone(), second: name.clone() });
                }
            }
        }
        Ok(Self(places))
    }

    /// Each with its name, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = (&BackingName, &BackingPlace)> {
        self.0.iter().map(|(name, place)| (name, place))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The place of a backing; `None` for the embedded registry, and for a name that nothing has.
    #[must_use]
    pub fn get(&self, name: &BackingName) -> Option<&BackingPlace> {
        self.iter().find(|(known, _)| *known == name).map(|(_, place)| place)
    }

    /// The repository of ours that an image lies in, and where; `None` for one that lies elsewhere.
    #[must_use]
    pub fn repository_of(&self, image: &ImageRef) -> Option<(&BackingName, RepositoryName)> {
        self.iter().find_map(|(name, place)| Some((name, place.repository_of(image)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "123456789012.dkr.ecr.us-west-2.amazonaws.com";

    fn name(text: &str) -> RepositoryName {
        RepositoryName::parse(text).expect("a legal name")
    }

    fn image(text: &str) -> ImageRef {
        ImageRef::parse(text).expect("a legal reference")
    }

    #[test]
    fn a_name_goes_there_and_back() {
        for (prefix, path) in [("", "team/app"), ("l0", "l0/team/app"), ("a/b", "a/b/team/app")] {
            let place = BackingPlace::new(HOST, prefix).expect("a legal prefix");
            assert_eq!(place.path_of(&name("team/app")), path);
            assert_eq!(place.uri_of(&name("team/app")), format!("{HOST}/{path}"));
            assert_eq!(place.target(), format!("{HOST}/{prefix}").trim_end_matches('/'));
            assert_eq!(place.repository_at(path), Some(name("team/app")));
            assert_eq!(place.repository_of(&image(&format!("{HOST}/{path}:1"))), Some(name("team/app")));
        }
    }

    #[test]
    fn what_lies_beside_the_prefix_is_nobodys() {
        let place = BackingPlace::new(HOST, "l0").expect("a legal prefix");
        for path in ["team/app", "l0", "l0/app", "l0x/team/app", "x/l0/team/app"] {
            assert_eq!(place.repository_at(path), None, "{path}");
        }
        assert_eq!(place.repository_of(&image("registry.example.com/l0/team/app:1")), None);
        assert_eq!(place.repository_of(&image("l0/team/app:1")), None);
        assert_eq!(BackingPlace::new(HOST, "").expect("none").repository_at("app"), None);
    }

    #[test]
    fn a_prefix_that_no_name_can_have_is_refused() {
        for prefix in ["/", "a/", "/a", "A", "a//b", "a b", "a_"] {
            assert!(BackingPlace::new(HOST, prefix).is_err(), "{prefix}");
        }
    }
    #[test]
    fn no_place_lies_within_another() {
        let backing = |text: &str| BackingName::parse(text).expect("a legal name");
        let places = |all: &[(&str, &str, &str)]| {
            let place = |host: &str, prefix: &str| BackingPlace::new(host, prefix).expect("a legal prefix");
            Places::new(all.iter().map(|(name, host, prefix)| (backing(name), place(host, prefix))).collect())
        };
        let other = "210987654321.dkr.ecr.us-west-2.amazonaws.com";
        let both = places(&[("a", HOST, "l0"), ("b", HOST, "l0x"), ("c", other, "")]).expect("side by side");
        let found = both.repository_of(&image(&format!("{HOST}/l0x/team/app:1"))).expect("it is ours");
        assert_eq!((found.0.as_str(), found.1.as_str()), ("b", "team/app"));
        assert_eq!(both.get(&backing("c")).map(BackingPlace::target).as_deref(), Some(other));
        assert!(both.get(&BackingName::local()).is_none());
        for (one, two) in [("", ""), ("", "l0"), ("l0", ""), ("l0", "l0"), ("l0", "l0/more"), ("l0/more", "l0")] {
            let why = places(&[("a", HOST, one), ("b", &HOST.to_uppercase(), two)]);
            assert!(matches!(why, Err(PlacesError::Overlap { .. })), "{one} {two}: {why:?}");
        }
        let why = places(&[("a", HOST, ""), ("a", other, "")]);
        assert_eq!(why, Err(PlacesError::Twice(backing("a"))));
    }
}
