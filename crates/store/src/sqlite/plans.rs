//! How SQLite goes about the statements that must stay fast: by which index, and whether it has to sort. A plan is what
//! decides between a list of 10,000 that takes milliseconds and one that reads every entity; a clock in a test would only
//! measure the machine.

use rusqlite::Connection;

use super::{audit, deploy, entity, home, lease, operation, person, prepare, public, registry, schema, token};

fn plan(sql: &str) -> String {
    let mut connection = Connection::open_in_memory().expect("memory");
    prepare(&connection).expect("the settings are known");
    schema::migrate(&mut connection).expect("the schema is sound");
    let mut select = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("the statement is sound");
    let count = select.parameter_count();
    let none = std::iter::repeat_n(rusqlite::types::Null, count);
    let rows =
        select.query_map(rusqlite::params_from_iter(none), |row| row.get::<_, String>(3)).expect("the statement runs");
    rows.map(|row| row.expect("a line")).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn expect(sql: &str, lines: &str) {
    assert_eq!(plan(sql), lines, "{sql}");
}

/// On a disk that may be full, or has no directory for it that may be written to.
#[test]
fn what_a_statement_gathers_needs_no_file() {
    let connection = Connection::open_in_memory().expect("memory");
    prepare(&connection).expect("the settings are known");
    let place: i64 = connection.pragma_query_value(None, "temp_store", |row| row.get(0)).expect("it is a number");
    assert_eq!(place, 2, "memory");
}

#[test]
fn lists_read_a_covering_index_in_its_order() {
    expect(entity::SUMMARIES, "SEARCH entity USING COVERING INDEX entity_summary (kind=?)");
    expect(deploy::SUMMARIES, "SCAN deploy USING COVERING INDEX deploy_summary");
}

#[test]
fn entities_are_found_by_index() {
    expect(entity::BY_ID, "SEARCH entity USING INDEX entity_by_id (kind=? AND id=?)");
    expect(entity::BY_NAME, "SEARCH entity USING INDEX entity_by_name (environment_id=? AND kind=? AND name=?)");
    expect(entity::IN_ENVIRONMENT, "SEARCH entity USING INDEX entity_by_name (environment_id=?)");
    expect(entity::SERVED, "SEARCH entity USING INDEX entity_by_load_balancer (load_balancer_id=?)");
    let linked = plan(entity::LINKED_TO);
    assert!(linked.contains("USING COVERING INDEX environment_link_by_target (target=?)"), "{linked}");
    assert!(!linked.contains("SCAN"), "{linked}");
    expect(deploy::BY_ID, "SEARCH deploy USING INDEX deploy_by_id (id=?)");
    assert!(!plan(token::BY_HASH).contains("SCAN"));
    assert!(!plan(token::BY_ID).contains("SCAN"));
    assert!(!plan(public::BY_REPOSITORY).contains("SCAN"));
    assert!(!plan(home::BY_REPOSITORY).contains("SCAN"));
    assert!(!plan(person::BY_ID).contains("SCAN"));
    assert!(!plan(lease::BY_NAME).contains("SCAN"));
    assert!(!plan(lease::FORGET).contains("SCAN"));
}

#[test]
fn operations_are_read_in_order_without_sorting() {
    expect(operation::BY_ID, "SEARCH operation USING INDEX operation_by_id (id=?)");
    expect(operation::NEWEST, "SCAN operation USING INDEX operation_by_age");
    expect(operation::RUNNING, "SCAN operation USING INDEX operation_running");
    expect(
        operation::RUNNING_ON,
        "SEARCH operation USING INDEX operation_running_by_entity (entity_kind=? AND entity_id=?)",
    );
}

#[test]
fn a_log_of_operations_reads_only_what_it_shows() {
    let all = plan(operation::LOG);
    assert!(all.starts_with("SEARCH event USING INDEX operation_event_by_age (at>? AND at<?)"), "{all}");
    assert!(!all.contains("SCAN") && !all.contains("TEMP B-TREE"), "{all}");
    let of_one = plan(operation::LOG_OF);
    assert!(of_one.starts_with("SEARCH operation USING INDEX operation_by_environment (environment_id=?)"), "{of_one}");
    assert!(!of_one.contains("SCAN"), "{of_one}");
}

#[test]
fn the_audit_log_is_read_in_its_order() {
    expect(audit::FORWARD, "SEARCH audit USING INTEGER PRIMARY KEY (rowid>?)");
    expect(audit::BACKWARD, "SEARCH audit USING INTEGER PRIMARY KEY (rowid>?)");
    for of_one in [audit::FORWARD_OF, audit::BACKWARD_OF] {
        expect(of_one, "SEARCH audit USING INDEX audit_by_environment (environment=? AND sequence>?)");
    }
}

#[test]
fn the_registry_finds_all_by_index() {
    for sql in [
        registry::HOLDERS,
        registry::SIZE,
        registry::RECORD,
        registry::HELD,
        registry::HOLDING,
        registry::BY_TAG,
        registry::CONTENT_BY_TAG,
        registry::CONTENT_BY_DIGEST,
        registry::MANIFESTS,
        registry::WHOLES,
        registry::TAGS,
        registry::TAG,
        registry::POINTING,
        registry::PARENTS,
        registry::REFERRERS,
        registry::OF_OWNER,
        registry::UNNEEDED,
    ] {
        let plan = plan(sql);
        assert!(!plan.contains("SCAN"), "{sql}\n{plan}");
    }
    // What is asked for is gone through, and nothing else.
    let among = plan(registry::AMONG);
    assert_eq!(among.matches("SCAN").count(), among.matches("SCAN asked VIRTUAL TABLE").count(), "{among}");
    // In the order of the list, from where the page begins: however many there are, a page reads what it shows.
    expect(registry::TAG_PAGE, "SEARCH image_tag USING PRIMARY KEY (repository=? AND name>?)");
    expect(registry::ALL, "SEARCH repository USING INDEX sqlite_autoindex_repository_1 (name>?)");
    expect(
        registry::REFERRERS,
        "SEARCH manifest USING INDEX manifest_by_subject (repository=? AND subject=? AND digest>?)",
    );
}
