//! Measures the load balancer against nginx's `proxy_pass`, with `wrk`, on this machine.
//!
//! ```text
//! proxy_bench backend 127.0.0.1:7001                    a tiny fast HTTP/1.1 server
//! proxy_bench proxy 127.0.0.1:7002 127.0.0.1:7001       our proxy in front of it
//! proxy_bench compare [--seconds 2] [--rounds 9]        all of it, with nginx (default, and with keep-alive) and wrk, in turn
//! ```
#![expect(clippy::print_stdout, reason = "a measurement prints its figures")]

use std::env;
use std::error::Error;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use layer0_engine::docker::proxy::{
    Access, HealthCheck, HealthCheckKind, Listener, LoadBalancerConfig, Proxy, ProxySettings, Serves, Target,
    TargetHealth,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What the backend answers: small, as a health page or a short JSON document is.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\nHello, world\n";

/// Connections that wrk opens.
const CONNECTIONS: &str = "64";

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["backend", listen] => backend(listen.parse()?),
        ["proxy", listen, target] => proxy(listen.parse()?, target.parse()?),
        ["compare", options @ ..] => compare(number(options, "--seconds", 2)?, number(options, "--rounds", 9)?),
        _ => Err("usage: proxy_bench backend ADDR | proxy ADDR TARGET | compare [--seconds N] [--rounds N]".into()),
    }
}

fn number(options: &[&str], name: &str, default: u64) -> Outcome<u64> {
    match options.iter().position(|option| *option == name) {
        Some(at) => Ok(options.get(at + 1).ok_or("an option needs a number")?.parse()?),
        None => Ok(default),
    }
}

/// Answers each request head with [`ANSWER`]; requests have no bodies here.
fn backend(listen: SocketAddr) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(listen).await?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let mut buffer = vec![0; 8192];
                let mut held = 0;
                while let Ok(read) = stream.read(&mut buffer[held..]).await {
                    held += read;
                    if read == 0 {
                        return;
                    }
                    // One request at a time: proxies do not pipeline.
                    if buffer[..held].ends_with(b"\r\n\r\n") {
                        let close =
                            buffer[..held].windows(17).any(|part| part.eq_ignore_ascii_case(b"connection: close"));
                        if stream.write_all(ANSWER).await.is_err() || close {
                            return;
                        }
                        held = 0;
                    }
                }
            });
        }
    })
}

fn proxy(listen: SocketAddr, target: SocketAddr) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let proxy = Proxy::start(&ProxySettings::default())?;
    runtime.block_on(async {
        let mut changes = proxy.changes();
        proxy
            .ensure(LoadBalancerConfig {
                id: "bench".to_owned(),
                listeners: vec![Listener { bind: vec![listen], serves: Serves::http(target.port()) }],
                health_check: HealthCheck {
                    kind: HealthCheckKind::Tcp,
                    port: None,
                    interval: Duration::from_secs(30),
                    timeout: Duration::from_secs(5),
                    healthy_threshold: 2,
                    unhealthy_threshold: 2,
                },
                idle_timeout: Duration::from_secs(60),
                access: Access::Anyone,
            })
            .await?;
        proxy.targets_set(
            "bench",
            &[Target { id: "backend".to_owned(), ip: target.ip(), draining: false, ports: Vec::new() }],
        )?;
        while proxy.status("bench").is_some_and(|all| all.iter().any(|one| one.health != TargetHealth::Healthy)) {
            changes.changed().await?;
        }
        println!("ready");
        std::future::pending::<Outcome<()>>().await
    })
}

/// A process that ends with us.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[expect(clippy::disallowed_methods, reason = "whether another process listens can only be tried")]
fn await_port(port: u16) -> Outcome<()> {
    let limit = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > limit {
            return Err(format!("nothing listens on port {port}").into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// nginx with as many workers as the machine's default gives it, in front of the backend.
fn nginx(name: &str, listen: u16, target: u16, location: &str, upstream: &str) -> Outcome<Running> {
    let home = env::temp_dir().join(format!("proxy-bench-{}-{name}", std::process::id()));
    fs::create_dir_all(home.join("logs"))?;
    let config = format!(
        "worker_processes auto; daemon off; pid {home}/pid; error_log {home}/logs/error.log;
        events {{ worker_connections 4096; }}
        http {{ access_log off; client_body_temp_path {home}/a; proxy_temp_path {home}/b; fastcgi_temp_path {home}/c;
        uwsgi_temp_path {home}/d; scgi_temp_path {home}/e; keepalive_requests 100000000;
        upstream backend {{ server 127.0.0.1:{target}; {upstream} }}
        server {{ listen 127.0.0.1:{listen}; location / {{ proxy_pass http://backend; {location} }} }} }}",
        home = home.display()
    );
    let file = home.join("nginx.conf");
    fs::write(&file, config)?;
    let child = Command::new("nginx").arg("-p").arg(&home).arg("-c").arg(&file).stderr(Stdio::null()).spawn()?;
    let running = Running(child);
    await_port(listen)?;
    Ok(running)
}

/// Ends nginx by itself, so that it ends its workers as well.
fn nginx_stop(mut running: Running) -> Outcome<()> {
    Command::new("kill").args(["-TERM", &running.0.id().to_string()]).status()?;
    running.0.wait()?;
    Ok(())
}

#[derive(Debug, Clone, Copy)]
struct Figures {
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    errors: u64,
}

/// Reports requests, duration, percentiles and errors as numbers; wrk's own text rounds them.
const REPORT: &str = r#"done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("FIGURES %f %f %f %d\n", summary.requests * 1e6 / summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end"#;

fn wrk(port: u16, seconds: u64, script: &str) -> Outcome<Figures> {
    let output = Command::new("wrk")
        .args([
            "-t2",
            "-c",
            CONNECTIONS,
            "-d",
            &format!("{seconds}s"),
            "-s",
            script,
            &format!("http://127.0.0.1:{port}/"),
        ])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().find_map(|line| line.strip_prefix("FIGURES ")).ok_or("wrk printed no figures")?;
    let mut fields = line.split_whitespace();
    let mut next = || fields.next().ok_or("wrk printed too few figures");
    Ok(Figures {
        per_second: next()?.parse()?,
        p50_us: next()?.parse()?,
        p99_us: next()?.parse()?,
        errors: next()?.parse()?,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Where [`compare`] keeps our figures.
const OURS: usize = 1;

fn compare(seconds: u64, rounds: u64) -> Outcome<()> {
    let me = env::current_exe()?;
    let script = env::temp_dir().join(format!("proxy-bench-{}.lua", std::process::id()));
    fs::write(&script, REPORT)?;
    let script = script.display().to_string();
    let (direct, ours, plain, kept) = (free_port()?, free_port()?, free_port()?, free_port()?);
    let at = |port: u16| format!("127.0.0.1:{port}");
    let _backend = Running(Command::new(&me).args(["backend", &at(direct)]).spawn()?);
    await_port(direct)?;
    let _proxy = Running(Command::new(&me).args(["proxy", &at(ours), &at(direct)]).stdout(Stdio::null()).spawn()?);
    await_port(ours)?;
    let nginx_plain = nginx("plain", plain, direct, "", "")?;
    let nginx_kept =
        nginx("kept", kept, direct, "proxy_http_version 1.1; proxy_set_header Connection \"\";", "keepalive 64;")?;

    // Those whose ratio matters most run next to each other: the machine may be slower a moment later.
    let subjects =
        [("nginx, default", plain), ("layer0", ours), ("nginx, keepalive 64", kept), ("the backend itself", direct)];
    let mut all: Vec<Vec<Figures>> = vec![Vec::new(); subjects.len()];
    for (_, port) in subjects {
        wrk(port, 1, &script)?;
    }
    for _ in 0..rounds {
        for ((_, port), figures) in subjects.iter().zip(&mut all) {
            figures.push(wrk(*port, seconds, &script)?);
        }
    }
    nginx_stop(nginx_plain)?;
    nginx_stop(nginx_kept)?;
    println!(
        "{CONNECTIONS} connections, {seconds} s a run; medians of {rounds} rounds, ratios taken within each round"
    );
    println!("| to | requests/s | p50 µs | p99 µs | errors | layer0's requests/s over it | layer0's p99 over it |");
    println!("|---|---|---|---|---|---|---|");
    for ((name, _), figures) in subjects.iter().zip(&all) {
        let of = |pick: fn(&Figures) -> f64| median(figures.iter().map(pick).collect());
        let ratio = |pick: fn(&Figures) -> f64| {
            median(all[OURS].iter().zip(figures).map(|(ours, other)| pick(ours) / pick(other)).collect())
        };
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} | {} | {:.2} | {:.2} |",
            of(|one| one.per_second),
            of(|one| one.p50_us),
            of(|one| one.p99_us),
            figures.iter().map(|one| one.errors).sum::<u64>(),
            ratio(|one| one.per_second),
            ratio(|one| one.p99_us),
        );
    }
    Ok(())
}
