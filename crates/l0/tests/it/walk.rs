//! The predecessor's command set in the order of a real user, with flags before and after the positionals.

use crate::support::Instance;

const DOCUMENT: &str = r#"{ "containerDefinitions": [{
    "name": "app", "image": "nginx:1", "memory": 64, "portMappings": [{ "containerPort": 80 }] }] }"#;

#[test]
fn a_users_day() {
    let l0 = Instance::start();
    std::fs::write(l0.home().join("Dockerrun.aws.json"), DOCUMENT).expect("a file");

    // Nothing is there yet, which is no error for lists and gets.
    assert_eq!(l0.ok("environment list"), "ENVIRONMENT ID  ENVIRONMENT NAME  OS\n");
    assert_eq!(l0.json("service get *"), serde_json::json!([]));
    assert!(l0.ok("admin debug").starts_with("DEBUG REPORT\n------------\nInstance Name:"));

    // Environments.
    assert!(l0.ok("environment create -os linux dev --scale=0").contains("dev"));
    l0.ok("environment create shared");
    l0.refused(4, "environment create dev");
    l0.ok("environment link dev shared");
    let links = |name: &str| l0.json(&format!("environment get {name}"))[0]["links"].as_array().map(Vec::len);
    assert_eq!((links("dev"), links("shared")), (Some(1), Some(1)));
    l0.ok("environment unlink -bi-directional=false dev shared");
    assert_eq!((links("dev"), links("shared")), (Some(0), Some(1)));
    l0.refused(2, "environment link dev dev");
    l0.ok("environment logs dev --tail 5");

    // Deploys.
    assert!(l0.ok("deploy create Dockerrun.aws.json app").contains("app  nginx:1 -> nginx:1 (no rule matches)"));
    l0.ok("-o text deploy create Dockerrun.aws.json app");
    let several = l0.refused(2, "deploy delete app");
    assert!(several.contains("app.1") && several.contains("app.2"), "{several}");
    assert_eq!(l0.json("deploy list").as_array().map(Vec::len), Some(1));
    assert_eq!(l0.json("deploy list -all").as_array().map(Vec::len), Some(2));
    assert_eq!(l0.json("deploy get app:latest")[0]["version"], "2");

    // A load balancer.
    let made = l0.ok("loadbalancer create dev -port 18080:80/http web --healthcheck-interval=10");
    assert!(made.contains("18080:80/HTTP"), "{made}");
    assert!(l0.ok("loadbalancer addport web 18081:80/http").contains("18081:80/HTTP"));
    assert!(!l0.ok("loadbalancer dropport dev:web 18081").contains("18081"));
    l0.refused(3, "loadbalancer dropport web 18081");
    let rule = "18080:path=/api/*,host=*.example.com:80";
    assert!(l0.ok(&format!("loadbalancer addrule web {rule}")).contains(rule));
    assert!(!l0.ok(&format!("loadbalancer droprule web {rule}")).contains("path="));
    assert!(l0.ok("loadbalancer addport web 18081:443/redirect").contains("18081:443/REDIRECT"));
    l0.ok("loadbalancer dropport web 18081");
    assert_eq!(l0.json("loadbalancer healthcheck web")["health_check"]["interval"], 10);
    assert_eq!(l0.json("loadbalancer healthcheck -healthcheck-path /x web")["health_check"]["path"], "/x");
    assert_eq!(l0.json("loadbalancer idletimeout web 90")["idle_timeout"], 90);
    l0.ok("loadbalancer list");

    // A service.
    let made = l0.ok("service create dev --loadbalancer web web app:1");
    assert!(made.contains("1/1") && made.contains("@sha256:"), "{made}");
    assert_eq!(l0.json("service scale web 2")[0]["running_count"], 2);
    assert_eq!(l0.json("service update dev:web app:latest")[0]["deployments"][0]["deploy_version"], "2");
    assert!(l0.ok("service logs --tail 1 web").contains("app"));
    l0.ok("service list");
    let held = l0.refused(4, "environment delete dev");
    assert!(held.contains("held by service `web`") && held.contains("delete -r dev"), "{held}");

    // A task.
    let made = l0.ok("task create --env app:URL=http://a:1/?x=1 dev job app:latest -env app:EMPTY=");
    assert!(made.contains("job"), "{made}");
    l0.ok("task get dev:job");
    l0.ok("task list");
    l0.ok("task logs job -tail=3");
    l0.ok("task delete job");
    assert_eq!(l0.json("task get job"), serde_json::json!([]));

    // The end.
    l0.ok("deploy delete app:1");
    l0.ok("environment delete -r dev");
    l0.ok("environment delete shared");
    assert_eq!(l0.json("environment list"), serde_json::json!([]));
    assert_eq!(l0.json("service list"), serde_json::json!([]));
    l0.refused(3, "service scale web 2");
    l0.refused(2, "service scale web");
}
