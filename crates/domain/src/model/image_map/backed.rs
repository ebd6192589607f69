//! `ecr` as a target: the registry in ECR that the instance keeps images in, with its account, region and prefix filled in.

use super::rule::{MapRule, MapRuleError};
use crate::model::backing::Places;

/// The target that means it. Docker Hub's owner of that name is `docker.io/ecr`.
const ECR: &str = "ecr";

impl MapRule {
    /// The rule with the address in place of `ecr`: alone it stands for the prefix's own path in the instance's registry, with a
    /// path behind it for that one. Other rules stay as they are.
    ///
    /// # Errors
    /// [`MapRuleError::NoBacking`] where images lie with the instance, [`MapRuleError::SeveralBackings`] where they lie in several
    /// registries; [`MapRuleError::Side`] for what is too long with the address.
    pub fn in_backing(&self, places: &Places) -> Result<Self, MapRuleError> {
        let path = match self.target().split_once('/') {
            None if self.target() == ECR => self.prefix_path(),
            Some((ECR, path)) => path.to_owned(),
            None | Some(_) => return Ok(self.clone()),
        };
        let mut all = places.iter();
        let place = match (all.next(), all.next()) {
            (Some((_, place)), None) => place,
            (None, _) => return Err(MapRuleError::NoBacking(self.to_string())),
            (Some(_), Some(_)) => return Err(MapRuleError::SeveralBackings(self.to_string())),
        };
        let target = if path.is_empty() { place.target() } else { format!("{}/{path}", place.target()) };
        Self::parse(&format!("{}|{target}", self.prefix()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::backing::BackingPlace;
    use crate::model::placement::BackingName;

    const HOST: &str = "123456789012.dkr.ecr.us-west-2.amazonaws.com";

    /// Registries with these prefixes.
    fn places(prefixes: &[&str]) -> Places {
        let place = |(at, prefix): (usize, &&str)| {
            let name = BackingName::parse(&format!("ecr{at}")).expect("a name");
            (name, BackingPlace::new(HOST, prefix).expect("a legal prefix"))
        };
        Places::new(prefixes.iter().enumerate().map(place).collect()).expect("they do not overlap")
    }

    #[test]
    fn ecr_is_filled_in_with_the_prefixes_own_path_or_another() {
        for (rule, prefix, target) in [
            ("registry.example.com/team|ecr", "l0", "l0/team"),
            ("registry.example.com/team|ecr", "", "team"),
            ("registry.example.com|ecr", "l0", "l0"),
            ("registry.example.com|ecr", "", ""),
            ("localhost:5000/team/app|ecr", "l0/eu", "l0/eu/team/app"),
            ("team|ecr", "l0", "l0/team"),
            ("nginx|ecr/mirror/nginx", "l0", "l0/mirror/nginx"),
            ("team|ecr/other", "", "other"),
        ] {
            let read = MapRule::parse(rule).expect(rule).in_backing(&places(&[prefix])).expect(rule);
            assert_eq!(read.target(), format!("{HOST}/{target}").trim_end_matches('/'), "{rule}");
            assert_eq!(read.prefix(), rule.split('|').next().expect("a prefix"));
        }
    }

    #[test]
    fn other_targets_stay_as_they_are() {
        for rule in ["team|ecr2", "team|docker.io/ecr", "team|team/ecr", "team|registry.example.com/ecr"] {
            let rule = MapRule::parse(rule).expect(rule);
            assert_eq!(rule.in_backing(&places(&["l0"])), Ok(rule.clone()));
            assert_eq!(rule.in_backing(&Places::default()), Ok(rule));
        }
    }

    #[test]
    fn where_there_is_not_one_registry_it_says_so() {
        let rule = MapRule::parse("registry.example.com/team|ecr").expect("a rule");
        let why = rule.in_backing(&places(&["l0", "l1"])).expect_err("which one?").to_string();
        assert!(why.contains("several registries"), "{why}");
        let why = rule.in_backing(&Places::default()).expect_err("there is no ECR").to_string();
        assert!(why.contains("registry.example.com/team|ecr") && why.contains("--registry-backing ecr"), "{why}");
    }
}
