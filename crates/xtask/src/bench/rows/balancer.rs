//! The load balancer against nginx's `proxy_pass`, both to the same container.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::bench::guestbook::run;
use crate::bench::instance::{Engine, Instance};
use crate::bench::nginx::{Nginx, http_block};
use crate::bench::stats::median;
use crate::bench::{Bench, Outcome};

const CONNECTIONS: &str = "64";
const SECONDS: &str = "4s";
const ROUNDS: usize = 9;

pub(in crate::bench) fn measure(bench: &Bench) -> Result<Outcome> {
    let mut instance = bench.instance()?;
    let image = Image::build(bench, &instance)?;
    instance.start(Engine::Docker)?;
    let mut api = instance.api()?;
    let environment = api.environment("bench")?;
    let container = json!({
        "name": "backend", "image": image.name, "essential": true, "memory": 64, "portMappings": [{ "containerPort": 8080 }],
    });
    let deploy = api.deploy("backend", &container)?;
    let check = json!({ "path": "/", "interval": 30, "timeout": 5, "healthy_threshold": 2, "unhealthy_threshold": 2 });
    let (balancer, ours) = api.load_balancer(&environment, "web", &check)?;
    api.created(
        "/service",
        &json!({
            "service_name": "web", "environment_id": environment, "deploy_id": deploy, "load_balancer_id": balancer,
            "scale": 1,
        }),
    )?;
    let backend = instance.docker.running(&instance.stem)?.into_values().next().context("the backend runs")?.address;

    let plain = front(&instance.dir.join("plain"), &backend, "", "")?;
    let kept = front(
        &instance.dir.join("kept"),
        &backend,
        "keepalive 64;",
        "proxy_http_version 1.1; proxy_set_header Connection \"\";",
    )?;
    let script = instance.dir.join("report.lua");
    fs::write(&script, REPORT)?;
    let subjects = [
        format!("http://{}/", plain.address),
        format!("http://127.0.0.1:{ours}/"),
        format!("http://{}/", kept.address),
        format!("http://{backend}:8080/"),
    ];
    let mut all = vec![Vec::new(); subjects.len()];
    for round in 0..=ROUNDS {
        for (url, figures) in subjects.iter().zip(&mut all) {
            let seen = wrk(&script, url)?;
            // The first round warms everything up.
            if round > 0 {
                figures.push(seen);
            }
        }
    }
    drop((plain, kept));
    Ok(judge(&all))
}

/// What one run of wrk saw.
#[derive(Debug, Clone, Copy)]
struct Figures {
    per_second: f64,
    p99_us: f64,
    errors: f64,
}

/// `all`: nginx as it comes, we, nginx with kept connections, the backend itself; a figure each round.
fn judge(all: &[Vec<Figures>]) -> Outcome {
    let ours = &all[1];
    let of = |which: usize, pick: fn(&Figures) -> f64| median(&all[which].iter().map(pick).collect::<Vec<_>>());
    let ratio = |which: usize, pick: fn(&Figures) -> f64| {
        median(&ours.iter().zip(&all[which]).map(|(mine, other)| pick(mine) / pick(other)).collect::<Vec<_>>())
    };
    let rate = |it: &Figures| it.per_second;
    let p99 = |it: &Figures| it.p99_us;
    let errors: f64 = ours.iter().map(|it| it.errors).sum();
    let subject = |name: &str, which: usize| {
        format!("{name} {:.0} requests/s with p99 {:.1} ms", of(which, rate), of(which, p99) / 1000.0)
    };
    Outcome {
        figure: format!("{:.2}×, p99 {:.2}×", ratio(0, rate), ratio(0, p99)),
        met: ratio(0, rate) >= 0.9 && ratio(0, p99) <= 1.2 && errors < 1.0,
        notes: vec![
            format!(
                "medians of {ROUNDS} rounds in which each has its turn of {SECONDS}, ratios taken within each round; \
                 `wrk -t1 -c{CONNECTIONS}`; {}, {}, {}, {}; failed requests: {errors:.0}",
                subject("nginx as it comes", 0),
                subject("Layer0", 1),
                subject("nginx with `keepalive 64` to the backend", 2),
                subject("the backend itself", 3),
            ),
            format!(
                "against nginx with kept connections to the backend, which has to be asked for: {:.2}× requests/s, p99 {:.2}×",
                ratio(2, rate),
                ratio(2, p99)
            ),
            "the backend is one container of nginx with one worker that returns 13 bytes; both proxies reach it at the \
             container's own address; client, proxies and backend share this machine's cores; nginx has as many workers as there \
             are cores"
                .to_owned(),
        ],
    }
}

/// Numbers instead of wrk's own text, which rounds them.
const REPORT: &str = r#"done = function(summary, latency)
  local wrong = summary.errors
  local errors = wrong.connect + wrong.read + wrong.write + wrong.status + wrong.timeout
  io.write(string.format("BENCH %f %f %d\n", summary.requests / (summary.duration / 1e6), latency:percentile(99), errors))
end
"#;

fn wrk(script: &Path, url: &str) -> Result<Figures> {
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c", CONNECTIONS, "-d", SECONDS, "-s"]).arg(script).arg(url);
    let text = run(&mut command)?;
    let line = text.lines().find_map(|line| line.strip_prefix("BENCH ")).context("wrk prints figures")?;
    let numbers: Vec<f64> = line.split(' ').filter_map(|number| number.parse().ok()).collect();
    let [per_second, p99_us, errors] = numbers[..] else { bail!("wrk printed `{line}`") };
    Ok(Figures { per_second, p99_us, errors })
}

/// nginx in front of the backend.
fn front(home: &Path, backend: &str, upstream: &str, location: &str) -> Result<Nginx> {
    Nginx::start(home, |port| {
        format!(
            "upstream backend {{ server {backend}:8080; {upstream} }}\n\
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://backend; {location} }} }}"
        )
    })
}

/// An image that holds this machine's nginx and the libraries that it needs; nothing is pulled for it.
struct Image<'a> {
    bench: &'a Bench,
    name: String,
}

impl<'a> Image<'a> {
    fn build(bench: &'a Bench, instance: &Instance) -> Result<Self> {
        let context = instance.dir.join("backend");
        fs::create_dir_all(context.join("files/etc"))?;
        let nginx = which("nginx").context("nginx is on this machine")?;
        let libraries = run(Command::new("ldd").arg(&nginx))?;
        let paths = libraries.split_whitespace().filter(|word| word.starts_with('/'));
        for file in paths.chain([nginx.as_str()]) {
            let target = context.join("files").join(file.trim_start_matches('/'));
            fs::create_dir_all(target.parent().context("a file has a directory")?)?;
            fs::copy(file, target).with_context(|| format!("copying {file}"))?;
        }
        fs::write(context.join("files/etc/passwd"), "root:x:0:0::/:/\n")?;
        fs::write(context.join("files/etc/group"), "root:x:0:\n")?;
        let answer = "server { listen 8080; location / { default_type text/plain; return 200 \"Hello, world\\n\"; } }";
        let http = http_block("", answer);
        let config = format!("user root root; daemon off; master_process off;\n{http}");
        fs::write(context.join("files/nginx.conf"), config)?;
        let entry = serde_json::to_string(&[nginx.as_str(), "-e", "stderr", "-c", "/nginx.conf"])?;
        fs::write(context.join("Dockerfile"), format!("FROM scratch\nCOPY files /\nENTRYPOINT {entry}\n"))?;
        let name = format!("layer0-bench/backend:{}", instance.stem);
        let mut build = Command::new("docker");
        build.args(["build", "--quiet", "--tag", &name]).arg(&context);
        if run(Command::new("docker").args(["buildx", "version"])).is_err() {
            build.env("DOCKER_BUILDKIT", "0");
        }
        run(&mut build)?;
        Ok(Self { bench, name })
    }
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        // Its container may still be there; the tag goes all the same.
        drop(self.bench.docker.remove("images", &self.name));
    }
}

/// Where a command is, in the system's sbin directories too.
pub(in crate::bench) fn which(program: &str) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let places = path.split(':').chain(["/usr/local/sbin", "/usr/sbin", "/sbin"]);
    places.map(|place| format!("{place}/{program}")).find(|file| Path::new(file).is_file())
}
