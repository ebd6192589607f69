//! Versions of the program on one table: brought up by several at once and after a crash, worked on by two versions, refused
//! in words, and gone back from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use layer0_domain::port::store::Store;
use layer0_store::{DynamoStore, LayoutMismatch, LayoutStep, Layouts, StepTaken, TableError};
use layer0_testkit::until::{ends, until_true};

use crate::support::TestTable;

/// What a step of these tests does with a table that it is handed.
type Take = Arc<dyn Fn(DynamoStore) -> StepTaken + Send + Sync>;

fn nothing() -> Take {
    Arc::new(|_| Box::pin(async { Ok(()) }))
}

/// A step that notes in a setting of its own that it was taken.
fn noting(name: &'static str) -> Take {
    Arc::new(move |store| {
        Box::pin(async move {
            store.setting_get_or_put(name, b"taken").await?;
            Ok(())
        })
    })
}

/// A version of the program: for each layout from `oldest` on, what it needs and how a table comes to it.
fn program(version: &str, oldest: u32, steps: Vec<(u32, Take)>) -> Layouts {
    let steps = steps.into_iter().map(|(needs, take)| LayoutStep { needs, take }).collect();
    Layouts { oldest, program: version.to_owned(), steps, notice: Duration::from_millis(300) }
}

/// 1.0.0 writes layout 1.
fn first() -> Layouts {
    program("1.0.0", 0, vec![(0, nothing())])
}

/// 2.0.0 expands to layout 2, which 1.0.0 can read.
fn expanded() -> Layouts {
    program("2.0.0", 0, vec![(0, nothing()), (0, noting("expanded"))])
}

/// 3.0.0 contracts to layout 3, which needs 2, and forgets how tables were brought up from before 1.
fn contracted() -> Layouts {
    program("3.0.0", 1, vec![(0, noting("expanded")), (2, noting("contracted"))])
}

async fn taken(store: &DynamoStore, name: &str) -> bool {
    store.setting_get(name).await.expect("a read succeeds").is_some()
}

fn mismatch(answer: Result<(), TableError>) -> LayoutMismatch {
    match answer {
        Err(TableError::Layout { source, .. }) => source,
        other => panic!("it was not refused for its layout: {other:?}"),
    }
}

#[tokio::test]
async fn an_expanded_table_serves_both_versions_and_the_way_back() {
    let table = TestTable::new().await;
    let old = table.store().with_layouts(first());
    old.table_ensure().await.expect("a table of its own layout");
    let new = table.store().with_layouts(expanded());
    new.table_ensure().await.expect("brought up");
    assert!(taken(&new, "expanded").await);
    // The old one, which still runs, goes on; one that starts now, as after going back, works as well.
    assert_eq!(old.layout_outgrown().await.expect("a read succeeds"), None);
    old.setting_get_or_put("written", b"by the old one").await.expect("a write succeeds");
    table.store().with_layouts(first()).table_ensure().await.expect("gone back");
    assert_eq!(new.setting_get("written").await.expect("a read succeeds").as_deref(), Some(&b"by the old one"[..]));
    // And forward again: the step was taken, and is not taken twice.
    let again = program("2.0.1", 0, vec![(0, nothing()), (0, noting("again"))]);
    let new = table.store().with_layouts(again);
    new.table_ensure().await.expect("it has this layout");
    assert!(!taken(&new, "again").await);
    table.delete().await;
}

#[tokio::test]
async fn a_contracted_table_is_announced_first_and_then_refuses_the_old() {
    let table = TestTable::new().await;
    let (old, middle) = (table.store().with_layouts(first()), table.store().with_layouts(expanded()));
    middle.table_ensure().await.expect("brought up");
    let new = table.store().with_layouts(contracted());
    let began = Instant::now();
    let contract = async {
        new.table_ensure().await.expect("brought up");
        began.elapsed()
    };
    let warned = async {
        until_true("the old one to hear of it", || async {
            old.layout_outgrown().await.expect("a read succeeds").is_some()
        })
        .await;
        taken(&old, "contracted").await
    };
    let (took, was_taken) = futures_util::join!(contract, warned);
    assert!(took >= contracted().notice, "{took:?}");
    assert!(!was_taken, "it hears of it before anything is taken away");
    assert!(taken(&new, "contracted").await);
    assert_eq!(middle.layout_outgrown().await.expect("a read succeeds"), None, "the release before goes on");
    middle.table_ensure().await.expect("and one may go back to it");

    let why = mismatch(old.table_ensure().await);
    assert!(matches!(&why, LayoutMismatch::Newer { found: 3, needs: 2, known: 1, .. }), "{why:?}");
    let said = why.to_string();
    assert!(said.contains("this is Layer0 1.0.0") && said.contains("start Layer0 3.0.0 or newer"), "{said}");
    table.delete().await;
}

#[tokio::test]
async fn a_table_that_is_too_old_is_refused_and_left_alone() {
    let table = TestTable::new().await;
    let new = table.store().with_layouts(program("9.0.0", 5, vec![(5, noting("taken"))]));
    let before = table.keys().await;
    let said = mismatch(new.table_ensure().await).to_string();
    assert!(said.contains("it has layout 1") && said.contains("start a version in between first"), "{said}");
    assert_eq!(table.keys().await, before);
    table.delete().await;
}

/// Many servers of two versions start at once on a table of before there were records; each step comes to its end, in order.
#[tokio::test]
async fn servers_of_two_versions_bring_a_table_up_together() {
    let table = TestTable::without_layout().await;
    assert_eq!(table.keys().await, []);
    let count = Arc::new(AtomicU32::new(0));
    let counted = |needs: u32| {
        let count = count.clone();
        let take: Take = Arc::new(move |store: DynamoStore| {
            let count = count.clone();
            Box::pin(async move {
                count.fetch_add(1, Ordering::SeqCst);
                let name = format!("step-{needs}");
                store.setting_get_or_put(&name, b"taken").await?;
                Ok(())
            })
        });
        (needs, take)
    };
    let new = program("2.0.0", 0, vec![(0, nothing()), counted(0), counted(1)]);
    let old = program("1.5.0", 0, vec![(0, nothing()), counted(0)]);
    let servers: Vec<DynamoStore> =
        (0..8).map(|n| table.store().with_layouts(if n % 2 == 0 { new.clone() } else { old.clone() })).collect();
    for answer in ends("all to start", join_all(servers.iter().map(DynamoStore::table_ensure))).await {
        answer.expect("each version can work on it");
    }
    assert!(taken(&servers[0], "step-0").await && taken(&servers[0], "step-1").await);
    let before = count.load(Ordering::SeqCst);
    for server in &servers {
        server.table_ensure().await.expect("it is as it should be");
        assert_eq!(server.layout_outgrown().await.expect("a read succeeds"), None);
    }
    assert_eq!(count.load(Ordering::SeqCst), before, "nothing is left to do");
    table.delete().await;
}

/// A step that fails in its midst, once at each of its writes, and a server that dies in the midst of it: the table is as it
/// was or further, the old version works on, and the next start brings it to the end.
#[tokio::test]
async fn a_step_that_breaks_off_is_taken_again() {
    const WRITES: u32 = 3;
    let table = TestTable::new().await;
    let old = table.store().with_layouts(first());
    for dies in [false, true] {
        for at in 0..WRITES {
            let take: Take = Arc::new(move |store: DynamoStore| {
                Box::pin(async move {
                    for number in 0..at {
                        store.setting_get_or_put(&format!("part-{number}"), b"written").await?;
                    }
                    if dies { std::future::pending().await } else { Err("the network went away".into()) }
                })
            });
            let broken = table.store().with_layouts(program("2.0.0", 0, vec![(0, nothing()), (0, take)]));
            if dies {
                let started = tokio::spawn(async move { broken.table_ensure().await });
                let last = format!("part-{}", at.saturating_sub(1));
                until_true("it to be in the midst of it", || async { at == 0 || taken(&old, &last).await }).await;
                started.abort();
            } else {
                let why = broken.table_ensure().await.expect_err("it broke off");
                assert!(matches!(why, TableError::Step { to: 2, .. }), "{why:?}");
            }
            old.table_ensure().await.expect("as it was");
        }
    }
    let whole: Take = Arc::new(|store| {
        Box::pin(async move {
            for number in 0..WRITES {
                store.setting_get_or_put(&format!("part-{number}"), b"written").await?;
            }
            Ok(())
        })
    });
    let new = table.store().with_layouts(program("2.0.0", 0, vec![(0, nothing()), (0, whole)]));
    new.table_ensure().await.expect("gone on with");
    assert!(taken(&new, "part-2").await);
    table.delete().await;
}

/// A server that dies after it has announced a contraction, before it took it: the next one waits again, and takes it.
#[tokio::test]
async fn a_contraction_that_was_only_announced_is_carried_out_by_the_next() {
    let table = TestTable::new().await;
    let (old, middle) = (table.store().with_layouts(first()), table.store().with_layouts(expanded()));
    middle.table_ensure().await.expect("brought up");
    let slow = Layouts { notice: Duration::from_secs(3600), ..contracted() };
    let dying = table.store().with_layouts(slow);
    let started = tokio::spawn(async move { dying.table_ensure().await });
    until_true("it to be announced", || async { old.layout_outgrown().await.expect("a read succeeds").is_some() })
        .await;
    started.abort();
    assert!(!taken(&middle, "contracted").await);
    middle.table_ensure().await.expect("the release before works on");
    mismatch(old.table_ensure().await);
    let next = table.store().with_layouts(contracted());
    next.table_ensure().await.expect("carried out");
    assert!(taken(&next, "contracted").await);
    table.delete().await;
}
