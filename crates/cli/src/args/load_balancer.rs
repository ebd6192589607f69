//! `l0 loadbalancer`.

use clap::Subcommand;

/// Stable addresses in front of services
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 loadbalancer create --port 8080:80/http dev web")]
pub(crate) enum LoadBalancer {
    /// Add a listener
    #[command(
        name = "addport",
        after_help = "Example:\n  l0 loadbalancer addport web 8081:80/http\n  l0 loadbalancer addport web 80:443/redirect"
    )]
    AddPort {
        /// NAME, ENVIRONMENT:NAME or an id
        #[arg(value_name = "LOAD_BALANCER_NAME")]
        target: String,
        /// HOST_PORT:CONTAINER_PORT/PROTOCOL, or HOST_PORT:HTTPS_PORT/redirect
        #[arg(value_name = "PORT")]
        port: String,
        /// Certificate of an HTTPS or TLS listener
        #[arg(long, value_name = "ARN")]
        certificate: Option<String>,
        /// In place of what is on the host port
        #[arg(long)]
        replace: bool,
    },
    /// Send requests of some paths or hosts to another container port
    #[command(
        name = "addrule",
        after_help = "The first rule of a port that matches a request decides; what none matches goes to the port's own container port.\n\nExample:\n  l0 loadbalancer addrule web '443:path=/api/*:8081'\n  l0 loadbalancer addrule web '443:host=api.example.com,*.api.example.com:8081' --place 1"
    )]
    AddRule {
        /// NAME, ENVIRONMENT:NAME or an id
        #[arg(value_name = "LOAD_BALANCER_NAME")]
        target: String,
        /// HOST_PORT:path=PATTERN,…,host=PATTERN,…:CONTAINER_PORT
        #[arg(value_name = "RULE")]
        rule: String,
        /// Its place among the port's rules; the first is 1 [default: the last]
        #[arg(long, value_name = "N")]
        place: Option<i64>,
    },
    /// Make a load balancer
    #[command(
        after_help = "Example:\n  l0 loadbalancer create --port 8080:80/http --healthcheck-path /health dev web\n  l0 loadbalancer create --port 80:80/http --rule '80:path=/api/*:81' dev web\n  l0 loadbalancer create --port 443:80/https --certificate ARN --redirect 80:443 dev web"
    )]
    Create(Box<LoadBalancerCreate>),
    /// Show or set whether copies in all zones get traffic from each zone
    #[command(name = "cross-zone", after_help = "Example:\n  l0 loadbalancer cross-zone web --enable")]
    CrossZone {
        /// NAME, ENVIRONMENT:NAME or an id
        #[arg(value_name = "LOAD_BALANCER_NAME")]
        target: String,
        /// Turn it on
        #[arg(long, conflicts_with = "disable")]
        enable: bool,
        /// Turn it off
        #[arg(long)]
        disable: bool,
    },
    /// Delete a load balancer
    #[command(after_help = "Example:\n  l0 loadbalancer delete web")]
    Delete {
        /// NAME, ENVIRONMENT:NAME or an id
        #[arg(value_name = "LOAD_BALANCER_NAME")]
        target: String,
    },
    /// Take a listener away
    #[command(name = "dropport", after_help = "Example:\n  l0 loadbalancer dropport web 8081")]
    DropPort {
        /// NAME, ENVIRONMENT:NAME or an id
        #[arg(value_name = "LOAD_BALANCER_NAME")]
        target: String,
        /// The listener's port
        #[arg(value_name = "HOST_PORT", allow_negative_numbers = true)]
        host_port: String,
    },
    /// Take a rule away, given as `get` shows it
    #[command(name = "droprule", after_help = "Example:\n  l0 loadbalancer droprule web '443:path=/api/*:8081'")]
    DropRule {
        /// NAME, ENVIRONMENT:NAME or an id
        #[arg(value_name = "LOAD_BALANCER_NAME")]
        target: String,
        /// HOST_PORT:path=PATTERN,…,host=PATTERN,…:CONTAINER_PORT
        #[arg(value_name = "RULE")]
        rule: String,
    },
    /// Show load balancers
    #[command(after_help = "Example:\n  l0 loadbalancer get dev:web")]
    Get {
        /// NAME, ENVIRONMENT:NAME or an id; `*` stands for any characters
        #[arg(value_name = "LOAD_BALANCER_NAME")]
        target: String,
    },
    /// Show or change the health check
    #[command(
        name = "healthcheck",
        after_help = "Example:\n  l0 loadbalancer healthcheck web\n  l0 loadbalancer healthcheck web --healthcheck-target HTTP:80/health --healthcheck-interval 10"
    )]
    HealthCheck(Box<HealthCheckChange>),
    /// Set the idle timeout
    #[command(name = "idletimeout", after_help = "Example:\n  l0 loadbalancer idletimeout web 120")]
    IdleTimeout {
        /// NAME, ENVIRONMENT:NAME or an id
        #[arg(value_name = "LOAD_BALANCER_NAME")]
        target: String,
        /// Seconds without traffic
        #[arg(value_name = "TIMEOUT", allow_negative_numbers = true)]
        seconds: String,
    },
    /// List load balancers
    #[command(after_help = "Example:\n  l0 loadbalancer list")]
    List,
}

/// `l0 loadbalancer create`.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadBalancerCreate {
    /// NAME or id of its environment
    #[arg(value_name = "ENVIRONMENT_TARGET")]
    pub(crate) environment: String,
    /// Its name
    #[arg(value_name = "LOAD_BALANCER_NAME")]
    pub(crate) name: String,
    /// Listener, HOST_PORT:CONTAINER_PORT/PROTOCOL; may be given several times [default: 80:80/HTTP]
    #[arg(long = "port", value_name = "PORT")]
    pub(crate) ports: Vec<String>,
    /// Listener of HTTP that sends clients to HTTPS, HOST_PORT:HTTPS_PORT; may be given several times
    #[arg(long = "redirect", value_name = "REDIRECT")]
    pub(crate) redirects: Vec<String>,
    /// HOST_PORT:path=PATTERN,…,host=PATTERN,…:CONTAINER_PORT; may be given several times, the first that matches decides
    #[arg(long = "rule", value_name = "RULE")]
    pub(crate) rules: Vec<String>,
    /// Certificate of the HTTPS and TLS listeners
    #[arg(long, value_name = "ARN")]
    pub(crate) certificate: Option<String>,
    /// Reachable from its own environment and those linked to it only
    #[arg(long)]
    pub(crate) private: bool,
    /// What is checked: TCP:PORT or HTTP:PORT/PATH [default: TCP:80]
    #[arg(long, value_name = "TARGET")]
    pub(crate) healthcheck_target: Option<String>,
    /// Path of an HTTP check on the first container port; no target counts beside it [default: /, with a target none]
    #[arg(long, value_name = "PATH")]
    pub(crate) healthcheck_path: Option<String>,
    /// Seconds from check to check
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    pub(crate) healthcheck_interval: i64,
    /// Seconds a check may take
    #[arg(long, value_name = "SECONDS", default_value = "5")]
    pub(crate) healthcheck_timeout: i64,
    /// Successes that make a copy healthy
    #[arg(long, value_name = "N", default_value = "2")]
    pub(crate) healthcheck_healthy_threshold: i64,
    /// Failures that make a copy unhealthy
    #[arg(long, value_name = "N", default_value = "2")]
    pub(crate) healthcheck_unhealthy_threshold: i64,
    /// Seconds without traffic after which a connection is closed
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    pub(crate) idle_timeout: i64,
    /// application or classic
    #[arg(long = "type", value_name = "TYPE", default_value = "application")]
    pub(crate) kind: String,
    /// Send traffic to copies in the same zone only
    #[arg(long)]
    pub(crate) disable_cross_zone: bool,
}

/// `l0 loadbalancer healthcheck`.
#[derive(Debug, clap::Args)]
pub(crate) struct HealthCheckChange {
    /// NAME, ENVIRONMENT:NAME or an id
    #[arg(value_name = "LOAD_BALANCER_NAME")]
    pub(crate) target: String,
    /// What is checked: TCP:PORT or HTTP:PORT/PATH; in place of a path
    #[arg(long, alias = "set-target", value_name = "TARGET")]
    pub(crate) healthcheck_target: Option<String>,
    /// Path of an HTTP check on the first container port; no target counts beside it
    #[arg(long, alias = "set-path", value_name = "PATH")]
    pub(crate) healthcheck_path: Option<String>,
    /// Seconds from check to check
    #[arg(long, alias = "set-interval", value_name = "SECONDS")]
    pub(crate) healthcheck_interval: Option<i64>,
    /// Seconds a check may take
    #[arg(long, alias = "set-timeout", value_name = "SECONDS")]
    pub(crate) healthcheck_timeout: Option<i64>,
    /// Successes that make a copy healthy
    #[arg(long, aliases = ["set-healthy-threshold", "healthcheck-healthy-threshold"], value_name = "N")]
    pub(crate) healthy_threshold: Option<i64>,
    /// Failures that make a copy unhealthy
    #[arg(long, aliases = ["set-unhealthy-threshold", "healthcheck-unhealthy-threshold"], value_name = "N")]
    pub(crate) unhealthy_threshold: Option<i64>,
}
