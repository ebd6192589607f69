//! Where the bytes of the instance's repositories lie when they do not lie with the instance: a registry of somebody
//! else's (ECR), under a prefix of our own.

use super::image::{ImageRef, RepositoryName};

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

    /// The repository of ours that an image lies in; `None` for one that lies elsewhere.
    #[must_use]
    pub fn repository_of(&self, image: &ImageRef) -> Option<RepositoryName> {
        let here = image.host().is_some_and(|host| host.eq_ignore_ascii_case(&self.host));
        if here { self.repository_at(image.path()) } else { None }
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
}
