//! Many callers at once.

use futures_util::future::join_all;
use layer0_domain::model::operation::Verb;
use layer0_domain::model::time::Generation;
use layer0_domain::port::store::{Entity, Store, StoreError};

use super::entities::{attempt, begin_delete, environment, get, make};
use super::sample;

const CALLERS: u32 = 20;

/// `entity_update`: of many that read one generation, exactly one writes.
pub async fn of_many_updates_one_wins_each_generation(store: &dyn Store) {
    environment(store, "e").await;
    for generation in 1..4 {
        let answers = join_all((1..=CALLERS).map(|caller| async move {
            let mut changed = sample::environment("e");
            changed.generation = Generation(generation);
            changed.scale = caller;
            let changed = Entity::Environment(changed);
            let operation = sample::operation(&format!("op-{generation}-{caller}"), Verb::Update, &changed);
            (changed.clone(), store.entity_update(&changed, &operation).await)
        }))
        .await;
        let mut won = Vec::new();
        for (changed, answer) in answers {
            match answer {
                Ok(next) => won.push(changed.at_generation(next)),
                Err(StoreError::Conflict { .. }) => {}
                Err(other) => panic!("a lost race is a conflict, not {other:?}"),
            }
        }
        assert_eq!(won.len(), 1);
        assert_eq!(get(store, &won[0]).await, won.pop());
    }
    let running = store.operation_list_running().await.expect("a read succeeds");
    assert_eq!(running.len(), 1, "each winner superseded the one before");
}

/// `entity_create`: of many that want one name, exactly one gets it.
pub async fn of_many_creates_one_gets_the_name(store: &dyn Store) {
    environment(store, "e").await;
    let answers = join_all((0..CALLERS).map(|caller| async move {
        let mut service = sample::service(&format!("s{caller}"), "e", None);
        service.name = sample::name("wanted");
        attempt(store, &Entity::Service(service)).await
    }))
    .await;
    let won = answers.iter().filter(|answer| answer.is_ok()).count();
    let lost = answers.iter().filter(|answer| matches!(answer, Err(StoreError::NameTaken { .. }))).count();
    assert_eq!((won, lost), (1, CALLERS as usize - 1));
    assert_eq!(store.operation_list(100).await.expect("a read succeeds").len(), 2);
}

/// `entity_create`: of many services that want one load balancer, exactly one gets it.
pub async fn of_many_services_one_gets_the_load_balancer(store: &dyn Store) {
    environment(store, "e").await;
    make(store, Entity::LoadBalancer(sample::load_balancer("lb", "e"))).await;
    let answers = join_all((0..CALLERS).map(|caller| async move {
        attempt(store, &Entity::Service(sample::service(&format!("s{caller}"), "e", Some("lb")))).await
    }))
    .await;
    let won = answers.iter().filter(|answer| answer.is_ok()).count();
    let lost = answers.iter().filter(|answer| matches!(answer, Err(StoreError::InUse { .. }))).count();
    assert_eq!((won, lost), (1, CALLERS as usize - 1));
}

/// `deploy_create`: no two get one number, and none is left out.
pub async fn all_deploys_of_a_name_get_numbers_of_their_own(store: &dyn Store) {
    let made = join_all((0..CALLERS).map(|_| store.deploy_create(sample::new_deploy("web")))).await;
    let mut versions: Vec<u32> = made.into_iter().map(|deploy| deploy.expect("a write succeeds").version).collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=CALLERS).collect::<Vec<_>>());
}

/// `setting_get_or_put`: all get the value of the first.
pub async fn all_who_ask_for_a_setting_agree(store: &dyn Store) {
    let answers = join_all((0..CALLERS).map(|caller| async move {
        store.setting_get_or_put("instance", &caller.to_be_bytes()).await.expect("a write succeeds")
    }))
    .await;
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(store.setting_get("instance").await.expect("a read succeeds").as_ref(), answers.first());
}

/// `setting_replace`: of all who have read the same one comes through.
pub async fn of_all_who_replace_a_setting_one_wins(store: &dyn Store) {
    for round in 0..3_u8 {
        let read = round.checked_sub(1).map(|round| [round]);
        let read = read.as_ref().map(<[u8; 1]>::as_slice);
        let wins =
            join_all((0..CALLERS).map(|_| store.setting_replace("strategy", read, std::slice::from_ref(&round))));
        let wins = wins.await.into_iter().filter(|answer| *answer.as_ref().expect("a write succeeds")).count();
        assert_eq!(wins, 1);
    }
}

/// Waits for so long as so many reads take: the one of two who waits comes to the other in another of its steps each time.
async fn later(store: &dyn Store, reads: u32) {
    for _ in 0..reads {
        store.setting_get("none").await.expect("a read succeeds");
    }
}

/// `entity_update` with `deleting` against `entity_create` in it and a new link to it: either the environment goes, or
/// something comes; never both.
pub async fn nothing_comes_into_an_environment_that_goes(store: &dyn Store) {
    environment(store, "linking").await;
    let mut generation = Generation(1);
    for round in 0..18 {
        let word = format!("e{round}");
        let env = environment(store, &word).await;
        let mut linking = sample::environment("linking");
        linking.generation = generation;
        linking.links = [sample::environment_id(&word)].into();
        let linking = Entity::Environment(linking);
        let operation = sample::operation(&format!("link-{round}"), Verb::Update, &linking);
        let service = Entity::Service(sample::service(&format!("s{round}"), &word, None));
        let (gone, linked, made) = futures_util::join!(
            begin_delete(store, &env),
            async {
                later(store, round % 3).await;
                store.entity_update(&linking, &operation).await
            },
            async {
                later(store, round % 6).await;
                attempt(store, &service).await
            }
        );
        assert_ne!(gone.is_ok(), linked.is_ok() || made.is_ok(), "{gone:?} {linked:?} {made:?}");
        for refused in [linked.as_ref().map(drop).err(), made.as_ref().err()].into_iter().flatten() {
            assert!(matches!(refused, StoreError::Missing { .. }), "{refused:?}");
        }
        let holders = store.entity_holders(&env.reference()).await.expect("a read succeeds");
        assert_eq!(holders.len(), usize::from(linked.is_ok()) + usize::from(made.is_ok()));
        generation = linked.unwrap_or(generation);
    }
}

/// The same of a load balancer and the service behind it.
pub async fn no_service_comes_behind_a_load_balancer_that_goes(store: &dyn Store) {
    environment(store, "e").await;
    for round in 0..12 {
        let word = format!("lb{round}");
        let lb = make(store, Entity::LoadBalancer(sample::load_balancer(&word, "e"))).await;
        let service = Entity::Service(sample::service(&format!("s{round}"), "e", Some(&word)));
        let (gone, made) = futures_util::join!(begin_delete(store, &lb), async {
            later(store, round % 6).await;
            attempt(store, &service).await
        });
        assert_ne!(gone.is_ok(), made.is_ok(), "{gone:?} {made:?}");
    }
}
