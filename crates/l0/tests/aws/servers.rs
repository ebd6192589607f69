//! Several servers on one table: they divide the work, and one that is killed loses nothing and doubles nothing, with calls
//! that go wrong on the way besides.

use serde_json::Value;

use crate::cloud::Cloud;
use crate::common::instance::Instance;
use crate::common::until::until;
use crate::faults::{Proxy, broken, lost, throttled};

#[test]
fn three_servers_share_the_work_and_one_may_die() {
    let proxy = Proxy::turn();
    let mut first = Cloud::with_flags(&["v1"], |table| proxy.flags(table));
    let table = format!("layer0-{}", first.name);
    let mut others: Vec<Instance> = (0..2)
        .map(|_| {
            let mut other = Instance::prepared(&[]);
            other.flags_add(&proxy.flags(&table));
            other.flags_add(&["--instance".to_owned(), first.name.clone()]);
            other.server_start_with(first.credential());
            other
        })
        .collect();
    others[0].l0(&["environment", "create", "dev"]).ok();
    first.deploy("app", "v1", &["print", "up", "sleep"], None);

    let rules = proxy.rules(&[
        throttled("dynamodb", "TransactWriteItems", "ThrottlingException"),
        broken("dynamodb", "TransactWriteItems", "InternalServerError"),
        lost("dynamodb", "TransactWriteItems", 3),
        throttled("ecs", "CreateService", "ThrottlingException"),
        lost("ecs", "CreateService", 2),
        broken("ecs", "DescribeServices", "ServerException"),
    ]);
    // Whoever is asked, whoever does it.
    let mut creates = Vec::new();
    for number in 0..6 {
        let server: &Instance = match number % 3 {
            0 => &first,
            other => &others[other - 1],
        };
        let name = format!("s{number}");
        let create = ["service", "create", "dev", name.as_str(), "app:latest", "--skip-pull-check"];
        creates.push(server.l0_command(&create).spawn().expect("the built program"));
    }
    // One dies in the middle of it; a client of its own may notice, the work does not.
    first.server_kill();
    for mut create in creates {
        create.wait().expect("our own child");
    }
    let third = &others[1];
    until("all that was asked for to run, once", || {
        let all = third.json(&["service", "list"]);
        let names: Vec<String> = all
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|it| it["service_name"].as_str().map(str::to_owned))
            .collect();
        let running = first.containers().len();
        let healthy = names.iter().filter(|name| third.l0(&["service", "get", name]).out.contains("1/1")).count();
        if !names.is_empty() && healthy == names.len() && running == names.len() {
            Ok(())
        } else {
            Err(format!("{healthy} of {} services are up, with {running} containers", names.len()))
        }
    });
    assert_eq!(rules.idle(), Vec::<&Value>::new(), "a fault that never comes shows nothing");
    drop(rules);
    others[0].server_kill();
    let last = &others[1];
    for service in last.json(&["service", "list"]).as_array().into_iter().flatten() {
        last.l0(&["service", "delete", service["service_name"].as_str().expect("a name")]).ok();
    }
    last.l0(&["environment", "delete", "dev"]).ok();
    assert!(first.containers().is_empty(), "nothing is left, and nothing was doubled");
}
