//! `ecr` as a target: the registry that the instance keeps its images in, with its account, region and prefix filled in.

use super::rule::{MapRule, MapRuleError};
use crate::model::backing::BackingPlace;

/// The target that means it. Docker Hub's owner of that name is `docker.io/ecr`.
const ECR: &str = "ecr";

impl MapRule {
    /// The rule with the address in place of `ecr`: alone it stands for the prefix's own path in the instance's registry, with a
    /// path behind it for that one. Other rules stay as they are.
    ///
    /// # Errors
    /// [`MapRuleError::NoBacking`] where images lie with the instance; [`MapRuleError::Side`] for what is too long with it.
    pub fn in_backing(&self, place: Option<&BackingPlace>) -> Result<Self, MapRuleError> {
        let path = match self.target().split_once('/') {
            None if self.target() == ECR => self.prefix_path(),
            Some((ECR, path)) => path.to_owned(),
            None | Some(_) => return Ok(self.clone()),
        };
        let place = place.ok_or_else(|| MapRuleError::NoBacking(self.to_string()))?;
        let target = if path.is_empty() { place.target() } else { format!("{}/{path}", place.target()) };
        Self::parse(&format!("{}|{target}", self.prefix()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "123456789012.dkr.ecr.us-west-2.amazonaws.com";

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
            let place = BackingPlace::new(HOST, prefix).expect("a legal prefix");
            let read = MapRule::parse(rule).expect(rule).in_backing(Some(&place)).expect(rule);
            assert_eq!(read.target(), format!("{HOST}/{target}").trim_end_matches('/'), "{rule}");
            assert_eq!(read.prefix(), rule.split('|').next().expect("a prefix"));
        }
    }

    #[test]
    fn other_targets_stay_as_they_are() {
        let place = BackingPlace::new(HOST, "l0").expect("a legal prefix");
        for rule in ["team|ecr2", "team|docker.io/ecr", "team|team/ecr", "team|registry.example.com/ecr"] {
            let rule = MapRule::parse(rule).expect(rule);
            assert_eq!(rule.in_backing(Some(&place)), Ok(rule.clone()));
            assert_eq!(rule.in_backing(None), Ok(rule));
        }
    }

    #[test]
    fn where_images_lie_with_the_instance_it_says_so() {
        let rule = MapRule::parse("registry.example.com/team|ecr").expect("a rule");
        let why = rule.in_backing(None).expect_err("there is no ECR").to_string();
        assert!(why.contains("registry.example.com/team|ecr") && why.contains("--registry-backing ecr"), "{why}");
    }
}
