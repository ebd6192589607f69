//! Which registry's policy is meant when another registry came to the first.

use layer0_domain::model::grant::GrantStrategy;
use layer0_domain::model::placement::BackingName;

use super::*;
use crate::grants::registries::with_registry_policy;
use crate::grants::strategy::Changed;

/// As a configuration has them: name, account and prefix.
fn all(registries: &[(&str, &str, &str)]) -> Vec<(BackingName, RegistryNames)> {
    let one = |(name, account, prefix): &(&str, &str, &str)| {
        let host = EcrHost { account: (*account).to_owned(), region: "us-east-1".to_owned() };
        let names = RegistryNames::new(host, prefix).expect("a legal prefix");
        (BackingName::parse(name).expect("a legal name"), names)
    };
    registries.iter().map(one).collect()
}

/// The account of the stage's registry.
const FIRST: &str = "123456789012";

#[tokio::test]
async fn the_policy_that_grants_stand_in_is_found_wherever_its_registry_is_named() {
    let stage = Stage::with(&["team/app"]).await;
    let meant = async |registries: &[(&str, &str, &str)]| with_registry_policy(&stage.store, &all(registries)).await;
    let first = ("first", FIRST, "");
    let new = ("new", A, "");
    assert_eq!(meant(&[new, first]).await.expect("it is read"), 0, "there is none");

    stage.ask(B, GrantScope::Instance).await;
    stage.keeper.wish(GrantStrategy::Registry).await.expect("it is written");
    while stage.keeper.change().await.expect("it goes on") != Changed::Nothing {}
    for (at, registries) in [(0, [first, new]), (1, [new, first])] {
        assert_eq!(meant(&registries).await.expect("it is read"), at);
    }
    // Two in one account and region have one policy, and it does not say whose names are meant.
    let unclear = meant(&[("l0", FIRST, "l0"), new, ("data", FIRST, "data")]).await.expect_err("it is not known");
    let said = unclear.to_string();
    assert!(said.contains("`data`, `l0` may each be meant") && said.contains("repositories"), "{said}");

    // The change that the other registry asks for takes what stands there away, and nobody taken back meanwhile stays in.
    stage.keeper.wish(GrantStrategy::Repositories).await.expect("it is written");
    assert_eq!(meant(&[new, first]).await.expect("it is read"), 1, "it stands there still");
    stage.take_back(B).await;
    stage.look(Look::Asked).await;
    assert_eq!((stage.kept().await, stage.fake.registry_policy()), (vec![], None));
    while stage.keeper.change().await.expect("it goes on") != Changed::Nothing {}
    assert_eq!(meant(&[new, first]).await.expect("it is read"), 0);
}
