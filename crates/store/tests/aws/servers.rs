//! Several servers on one table: what each of them keeps in memory must not matter.

use futures_util::future::join_all;
use layer0_domain::model::audit::{AuditEntry, AuditFilter, AuditRecord};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::access_store::AccessStore;
use layer0_domain::port::store::Store;
use layer0_store::DynamoStore;
use layer0_testkit::store_suite::sample;
use layer0_testkit::until::ends;

use crate::support::TestTable;

/// Servers.
const SERVERS: usize = 3;

fn record(server: usize, number: i64) -> AuditRecord {
    AuditRecord {
        at: Timestamp(1_700_000_000_000 + number),
        who: format!("server{server}"),
        token: None,
        from: String::new(),
        action: "entity_create".to_owned(),
        target: number.to_string(),
        status: 202,
        environment: None,
    }
}

/// Whoever follows the audit log, behind the last record seen, sees all of them once, whichever server wrote them.
#[tokio::test]
async fn a_follower_of_the_audit_log_misses_nothing_of_any_server() {
    const EACH: i64 = 60;
    let table = TestTable::new().await;
    let servers: Vec<DynamoStore> = (0..SERVERS).map(|_| table.store()).collect();
    let append = async |server: usize| {
        for number in 0..EACH {
            servers[server].audit_append(&record(server, number)).await.expect("a write succeeds");
        }
    };
    let reader = table.store();
    let follow = async {
        let mut seen: Vec<AuditEntry> = Vec::new();
        while seen.len() < SERVERS * EACH as usize {
            let after = seen.last().map_or(0, |entry| entry.sequence);
            let filter = AuditFilter { after: Some(after), most: 50, ..AuditFilter::default() };
            seen.extend(reader.audit_list(&filter).await.expect("a read succeeds"));
        }
        seen
    };
    let both = async { futures_util::join!(follow, join_all((0..SERVERS).map(append))) };
    let (seen, _) = ends("the follower to see all records", both).await;
    for server in 0..SERVERS {
        let own: Vec<&str> = seen
            .iter()
            .filter(|entry| entry.record.who == format!("server{server}"))
            .map(|entry| entry.record.target.as_str())
            .collect();
        assert_eq!(own, (0..EACH).map(|number| number.to_string()).collect::<Vec<_>>(), "in order, none twice");
        let filter = AuditFilter { who: Some(format!("server{server}")), most: 1_000, ..AuditFilter::default() };
        assert_eq!(reader.audit_list(&filter).await.expect("a read succeeds").len(), own.len());
    }
    table.delete().await;
}

/// Versions of a deploy, asked for by all servers at once: each number once, none left out.
#[tokio::test]
async fn servers_number_the_versions_of_a_deploy_together() {
    let table = TestTable::new().await;
    let servers: Vec<DynamoStore> = (0..SERVERS).map(|_| table.store()).collect();
    let made = join_all((0..24).map(|n| servers[n % SERVERS].deploy_create(sample::new_deploy("web")))).await;
    let mut versions: Vec<u32> = made.into_iter().map(|deploy| deploy.expect("a write succeeds").version).collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=24).collect::<Vec<_>>());
    table.delete().await;
}

/// All servers make the table at once, as at the first start of an instance.
#[tokio::test]
async fn servers_that_start_at_once_make_one_table() {
    let table = TestTable::new().await;
    let servers: Vec<DynamoStore> = (0..SERVERS).map(|_| table.store()).collect();
    table.delete().await;
    for answer in join_all(servers.iter().map(DynamoStore::table_ensure)).await {
        answer.expect("whoever is second finds it there");
    }
    servers[0].setting_get_or_put("key", b"value").await.expect("a write succeeds");
    for server in &servers {
        server.table_ensure().await.expect("it is there");
        assert_eq!(server.setting_get("key").await.expect("a read succeeds").as_deref(), Some(&b"value"[..]));
    }
}
