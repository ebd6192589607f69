use layer0_domain::model::access::Secret;
use layer0_domain::model::name::Name;
use layer0_domain::model::person::{Person, PersonId, Subject};
use layer0_domain::model::trust::Issuer;
use layer0_domain::model::user::User;
use layer0_domain::ops::token::given_secret;
use layer0_domain::port::access_store::AccessStoreError;

use super::*;
use crate::auth::{Signed, Verdict};
use crate::clock::SystemClock;
use crate::config::{Asked, parse};

/// An instance in a directory of its own.
async fn app(directory: &std::path::Path) -> (App, DataDir) {
    let data = directory.join("data");
    let args = ["--engine", "fake", "--data-dir"].into_iter().map(Into::into).chain([data.clone().into()]);
    let Ok(Asked::Run(args)) = parse(args.collect()) else { panic!("the flags are legal") };
    let config = Config::load(&args, &|_| None).expect("a configuration");
    let data_dir = DataDir::open(&data).expect("a directory of our own");
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 9090));
    let store = super::store(&data_dir).expect("the store opens");
    let app = super::app(&config, &data_dir, address, Arc::new(SystemClock), store).await.expect("put together");
    (app, data_dir)
}

async fn opens(app: &App, auth: &Secret) -> bool {
    let mut headers = axum::http::HeaderMap::new();
    let value = format!("Basic {}", auth.expose()).parse().expect("a header");
    headers.insert(axum::http::header::AUTHORIZATION, value);
    let verdict = app.sign_in.who(&headers, None, Signed::Refused).await.expect("read");
    matches!(verdict, Verdict::Known(known) if known.caller.rights.are_everything())
}

#[tokio::test]
async fn a_first_token_that_was_never_shown_is_revoked_by_the_next() {
    let directory = tempfile::tempdir().expect("a directory");
    let (app, _data_dir) = app(directory.path()).await;
    let lost = first_token(&app).await.expect("made").expect("the first");
    // Here the start before crashed.
    let shown = first_token(&app).await.expect("made").expect("the first that is shown");
    first_token_shown(&app).await.expect("noted");
    assert_eq!((opens(&app, &lost).await, opens(&app, &shown).await), (false, true));
    assert_eq!(app.access.token_list().await.expect("read").len(), 1);
    assert!(first_token(&app).await.expect("read").is_none(), "there is only one first");
}

#[tokio::test]
async fn another_admin_token_is_the_way_back_in() {
    let directory = tempfile::tempdir().expect("a directory");
    let (app, _data_dir) = app(directory.path()).await;
    let first = first_token(&app).await.expect("made").expect("the first");
    first_token_shown(&app).await.expect("noted");
    let only = app.access.token_list().await.expect("read").remove(0);
    let kept = app.access.token_delete(&only.id, app.clock.now()).await;
    assert!(matches!(kept, Err(AccessStoreError::LastWayIn { .. })), "{kept:?}");

    let another = another_token(&app).await.expect("made");
    assert!(opens(&app, &first).await && opens(&app, &another).await);
    app.access.token_delete(&only.id, app.clock.now()).await.expect("there is another way in");
    assert!(!opens(&app, &first).await && opens(&app, &another).await);
}

/// Whom a provider signs in under that name is made no admin by it, and gets no token.
#[tokio::test]
async fn the_way_back_in_is_not_somebody_elses_user() {
    let directory = tempfile::tempdir().expect("a directory");
    let (app, _data_dir) = app(directory.path()).await;
    let issuer = Issuer::parse("https://id.example.com").expect("legal");
    let theirs = PersonId { issuer, subject: Subject::parse("u1").expect("legal") };
    let person = Some(Person::new(theirs));
    let name = Name::parse("admin").expect("legal");
    let user = User { name: name.clone(), admin: false, password: None, created: app.clock.now(), person };
    app.access.user_create(&user).await.expect("the name is free");
    for _ in 0..2 {
        let another = another_token(&app).await.expect("made");
        assert!(opens(&app, &another).await);
    }
    assert_eq!(app.access.user_get(&name).await.expect("read").expect("there").user, user);
    let made: Vec<String> = app.access.token_list().await.expect("read").iter().map(|it| it.sign_in_name()).collect();
    assert_eq!(made, ["admin-2", "admin-2"]);
}

#[tokio::test]
async fn a_given_first_token_is_made_once_and_replaces_one_that_was_never_shown() {
    let directory = tempfile::tempdir().expect("a directory");
    let (app, _data_dir) = app(directory.path()).await;
    let lost = first_token(&app).await.expect("made").expect("the first");
    // Here the start before crashed; this one has a secret from elsewhere.
    let given = given_secret("b7Qx0RkzL2mWv9TfYc4HsJ8dNpA1eGuK3iXoZq5VtB6").expect("random");
    let auth = Secret::new(routes::basic("admin", &given));
    first_token_given(&app, &given, None).await.expect("made");
    assert_eq!((opens(&app, &lost).await, opens(&app, &auth).await), (false, true));
    let made = app.access.token_list().await.expect("read");
    assert_eq!((made.len(), made[0].name.as_str(), made[0].expires), (1, "first", None));
    assert!(first_token(&app).await.expect("read").is_none(), "there is only one first");

    // Revoked on purpose: it does not come back, and no other one takes its place.
    let another = another_token(&app).await.expect("made");
    app.access.token_delete(&made[0].id, app.clock.now()).await.expect("there is another way in");
    let other = given_secret("c7Qx0RkzL2mWv9TfYc4HsJ8dNpA1eGuK3iXoZq5VtB6").expect("random");
    for secret in [&given, &other] {
        first_token_given(&app, secret, None).await.expect("nothing is made");
        assert!(!opens(&app, &Secret::new(routes::basic("admin", secret))).await);
    }
    assert!(opens(&app, &another).await);
}

/// A stack that takes in the state of one before it has a secret of its own.
#[tokio::test]
async fn a_first_token_for_something_else_takes_the_place_of_the_one_before() {
    let directory = tempfile::tempdir().expect("a directory");
    let (app, _data_dir) = app(directory.path()).await;
    let secret =
        |first: char| given_secret(&format!("{first}7Qx0RkzL2mWv9TfYc4HsJ8dNpA1eGuK3iXoZq5VtB6")).expect("random");
    let (one, other, third) = (secret('b'), secret('c'), secret('d'));
    let good = async |secret: &Secret| opens(&app, &Secret::new(routes::basic("admin", secret))).await;
    for _ in 0..2 {
        first_token_given(&app, &one, Some("stack/1")).await.expect("made");
        assert!(good(&one).await);
    }
    // Another secret for the same is no order.
    first_token_given(&app, &other, Some("stack/1")).await.expect("nothing is made");
    assert_eq!((good(&one).await, good(&other).await), (true, false));
    for _ in 0..2 {
        first_token_given(&app, &other, Some("stack/2")).await.expect("made");
        assert_eq!((good(&one).await, good(&other).await), (false, true));
    }
    assert_eq!(app.access.token_list().await.expect("read").len(), 1);
    // Who says nothing of it changes nothing.
    first_token_given(&app, &third, None).await.expect("nothing is made");
    assert_eq!((good(&other).await, good(&third).await), (true, false));
}

/// An instance of before servers were told: what its first token is for is noted, and nothing is made.
#[tokio::test]
async fn what_a_first_token_is_for_may_be_told_later() {
    let directory = tempfile::tempdir().expect("a directory");
    let (app, _data_dir) = app(directory.path()).await;
    let given = given_secret("b7Qx0RkzL2mWv9TfYc4HsJ8dNpA1eGuK3iXoZq5VtB6").expect("random");
    first_token_given(&app, &given, None).await.expect("made");
    let another = another_token(&app).await.expect("made");
    let first = app.access.token_list().await.expect("read").into_iter().find(|it| it.name.as_str() == "first");
    app.access.token_delete(&first.expect("there").id, app.clock.now()).await.expect("there is another way in");
    first_token_given(&app, &given, Some("stack/1")).await.expect("nothing is made");
    assert!(!opens(&app, &Secret::new(routes::basic("admin", &given))).await, "it was revoked on purpose");
    assert!(opens(&app, &another).await);
}
