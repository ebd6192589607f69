//! `l0 server`: from the arguments to the last goodbye.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use layer0_api::shell::shell_word;
use layer0_domain::model::backing::BackingPlace;
use layer0_domain::model::placement::BackingName;
use layer0_store::SqliteStore;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, info};
use tracing_subscriber::filter::{FilterExt as _, Targets, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::app::{App, Serves};
use crate::clock::SystemClock;
use crate::config::{self, Asked, Config, LogFormat};
use crate::data_dir::{self, DataDir, DataDirError};
use crate::descriptors::{self, Carries};
use crate::{listen, reconcile, routes, wiring};

/// How long the reconciler may take to end the step that it is in the middle of. Its leases are given back with it.
const STEP_MAX: Duration = Duration::from_secs(10);

/// How long it may take to write the WAL back into the store's file and to end reads that nobody waits for.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// How often it is tried to take hold of the data directory, and how long it is waited in between: a look at it takes
/// microseconds, and one who comes second must not wait long for the refusal.
const HOLDS: u32 = 5;
const HOLD: Duration = Duration::from_millis(20);

/// A failure to start or run, in words.
type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Runs the server with the arguments behind `l0 server`; returns when it has stopped. Exit codes: 0 after a stop that was
/// asked for, 2 for a wrong flag or setting, 1 for anything else.
#[must_use]
pub fn run(args: Vec<OsString>) -> ExitCode {
    let args = match config::parse(args) {
        Ok(Asked::Run(args)) => args,
        Ok(Asked::Print(text)) => {
            say(&text);
            return ExitCode::SUCCESS;
        }
        Err(why) => return failed(&why, 2),
    };
    let config = match Config::load(&args, &|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(why) => return failed(&why, 2),
    };
    if let Err(why) = start_log(&config) {
        return failed(why.as_ref(), 2);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return failed(&why, 1),
    };
    let mut kept = None;
    let result = runtime.block_on(serve(&config, &mut kept));
    runtime.shutdown_timeout(Duration::from_secs(2));
    if let Some(kept) = kept {
        kept.close();
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(why.as_ref(), 1),
    }
}

/// Writes to stdout. A reader who has gone away is no reason to fail.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

fn failed(why: &dyn std::error::Error, code: u8) -> ExitCode {
    let mut text = format!("error: {why}");
    let mut source = why.source();
    while let Some(inner) = source {
        text.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(code)
}

/// What says no more than warnings, whatever is asked for: these parts of the AWS SDK write down the ids of keys, and what is
/// signed with them.
const SILENT: [&str; 2] = ["aws_config", "aws_sigv4"];

fn may_be_logged(what: &Metadata<'_>) -> bool {
    let is_silent = SILENT.iter().any(|silent| what.target().starts_with(silent));
    !is_silent || *what.level() <= LevelFilter::WARN
}

/// Reads what is to be logged. A word alone is a level, or a part of this program; any other would be taken for a part that nothing has, and
/// turn all of the log off.
fn log_filter(text: &str) -> Result<Targets, Failed> {
    let is_known = |word: &str| match word.split_once('=') {
        Some((part, level)) => !part.is_empty() && !level.is_empty(),
        None => word.starts_with("layer0") || word.parse::<LevelFilter>().is_ok(),
    };
    if let Some(word) = text.split(',').map(str::trim).find(|word| !is_known(word)) {
        return Err(format!("`{word}` is no level: there are error, warn, info, debug, trace and off").into());
    }
    Ok(text.parse::<Targets>()?)
}

fn start_log(config: &Config) -> Result<(), Failed> {
    let wanted = log_filter(&config.log).map_err(|why| format!("`{}` is no log filter: {why}", config.log))?;
    let filter = wanted.and(filter_fn(may_be_logged));
    let log = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr);
    let log = match config.log_format {
        LogFormat::Text => log.with_target(false).boxed(),
        LogFormat::Json => log.json().boxed(),
    };
    tracing_subscriber::registry().with(log.with_filter(filter)).try_init()?;
    Ok(())
}

/// Takes hold of the data directory. `l0 endpoint` looks whether somebody holds it, and holds it itself for that instant.
async fn take(path: &Path) -> Result<DataDir, DataDirError> {
    for _ in 1..HOLDS {
        match DataDir::open(path) {
            Err(DataDirError::Held { .. }) => tokio::time::sleep(HOLD).await,
            done => return done,
        }
    }
    DataDir::open(path)
}

/// What is let go of last, when nobody is left who could ask for it.
struct Kept {
    store: SqliteStore,
    /// Nobody else opens the store before it is closed.
    data_dir: DataDir,
}

impl Kept {
    fn close(self) {
        let Self { store, data_dir } = self;
        let (told, closed) = mpsc::channel();
        std::thread::spawn(move || {
            store.close_blocking();
            // Nobody waits any more, where it took that long.
            let _ = told.send(());
        });
        if closed.recv_timeout(CLOSE_MAX).is_err() {
            info!("the store is not closed yet; the next start goes on from what it has written");
            // Until this process has ended.
            std::mem::forget(data_dir);
        }
    }
}

async fn serve(config: &Config, kept: &mut Option<Kept>) -> Result<(), Failed> {
    // Before anyone is told that the server is there: from then on it stops in the orderly way when it is told to.
    let mut signals = Signals::listen();
    descriptors::raise();
    let data_dir = take(&config.data_dir).await?;
    let listener = TcpListener::bind(config.listen).await.map_err(|why| {
        format!("can't listen on {}: {why} (choose another with `--listen ADDR:PORT`)", config.listen)
    })?;
    let address = listener.local_addr()?;
    let store = wiring::store(&data_dir)?;
    let Kept { store, data_dir } = kept.insert(Kept { store, data_dir });
    // What it waits for then may not come for minutes, and what it has begun it does again at the next start.
    let app = tokio::select! {
        app = wiring::app(config, data_dir, address, Arc::new(SystemClock), store.clone()) => app?,
        () = signals.wait() => {
            info!("stopped before it was ready");
            return Ok(());
        }
    };
    greet(config, data_dir, &app, address).await?;

    let stop = app.stop.clone();
    let stopper = tokio::spawn(async move {
        signals.wait().await;
        if !stop.times.delay.is_zero() {
            info!(
                "leaving: /health says so from now on, and in {} seconds this server stops",
                stop.times.delay.as_secs()
            );
            stop.leave();
            tokio::select! {
                () = tokio::time::sleep(stop.times.delay) => {}
                // Who asks twice is in a hurry.
                () = signals.wait() => {}
            }
        }
        info!("stopping: no new work, running requests end, operations are parked");
        stop.ask();
        signals.wait().await;
        stop.hurry();
    });
    until_stopped(app.clone(), listener).await?;
    stopper.abort();
    info!("stopped");
    match app.outgrown.why() {
        Some(why) => Err(format!("the state is for newer versions: {why}").into()),
        None => Ok(()),
    }
}

/// Answers requests and carries operations out until the app's stop is asked for and what runs has ended, through load
/// balancers of the engine too; what has not ended after the stop's grace is cut off.
pub(crate) async fn until_stopped(app: App, listener: TcpListener) -> std::io::Result<()> {
    let reconciler = tokio::spawn(reconcile::run(app.clone()));
    let carries = if app.serves == Serves::Everything && app.engine.capabilities().shared_host_ports {
        Carries::TrafficToo
    } else {
        Carries::Requests
    };
    let is_behind = app.sign_in.trusted_proxy;
    let requests = listen::requests(listener, routes::Routes::new(app.clone()), app.stop.clone(), carries, is_behind);
    let requests = async {
        tokio::select! {
            result = requests => result,
            () = app.stop.grace_over() => {
                info!("requests still run, and are cut off");
                Ok(())
            }
        }
    };
    let traffic = async {
        app.stop.wait().await;
        tokio::select! {
            () = app.engine.stop(app.stop.times.grace) => {}
            () = app.stop.hurried() => {}
        }
        Ok(())
    };
    // Side by side: both have the whole grace. A server that can't answer any more does not wait for its stop.
    tokio::try_join!(requests, traffic)?;
    if tokio::time::timeout(STEP_MAX, reconciler).await.is_err() {
        info!("the reconciler is still in the middle of a step; the next start goes on from the store");
    }
    Ok(())
}

/// The signals that ask for the orderly stop. Without a handler only a kill ends the process, which loses nothing.
struct Signals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
}

impl Signals {
    fn listen() -> Self {
        Self { terminate: signal(SignalKind::terminate()).ok(), interrupt: signal(SignalKind::interrupt()).ok() }
    }

    /// Waits for either.
    async fn wait(&mut self) {
        async fn one(signal: &mut Option<Signal>) {
            match signal {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = one(&mut self.terminate) => {}
            () = one(&mut self.interrupt) => {}
        }
    }
}

/// Where the images of the registry lie, for whoever starts the server.
fn images_lie(config: &Config, app: &App) -> String {
    let places = &app.identity.registry.places;
    let placement = &config.registries.placement;
    let mut text = String::new();
    let mut line = |words: String| text.push_str(&format!("               {words}\n"));
    let place = |name: &BackingName| places.get(name).map(BackingPlace::target);
    match place(placement.default_backing()) {
        Some(target) => line(format!("its images lie in {target}")),
        None if let Some(s3) = &config.registries.s3 => {
            line(format!("its images lie in the bucket {}", s3.bucket));
            if app.engine.capabilities().is_remote {
                line("what runs on AWS can't pull them: it pulls from ECR (--registry-backing ecr)".to_owned());
            }
        }
        None if app.engine.capabilities().is_remote => {
            line("its images are for this machine: what runs on AWS pulls from ECR (--registry-backing ecr)".to_owned())
        }
        None => {}
    }
    for rule in placement.rules() {
        let target = place(&rule.backing).unwrap_or_else(|| "this machine".to_owned());
        line(format!("those of {} in {target}", rule.prefix));
    }
    text
}

/// Tells the local CLI where the server is, and at the first start the admin's token to whoever started it.
async fn greet(config: &Config, data_dir: &DataDir, app: &App, address: SocketAddr) -> Result<(), Failed> {
    let host = if address.ip().is_unspecified() || address.ip().is_loopback() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    };
    let endpoint = format!("http://{host}/");
    if let Err(why) = data_dir.write_endpoint(&endpoint) {
        // Nothing that anybody has stored depends on it: a full disk must not keep the server from coming back.
        tracing::warn!(error = crate::error::chain(&why), "`l0 endpoint` may not find this server");
    }
    let first = match &config.admin_token {
        Some(secret) => {
            wiring::first_token_given(app, secret, config.admin_token_for.as_deref()).await?;
            None
        }
        None => wiring::first_token(app).await?,
    };
    let shown = match &first {
        None if config.new_admin_token => Some(wiring::another_token(app).await?),
        first => first.clone(),
    };
    if let Some(auth) = &shown {
        data_dir.write_admin_token(auth)?;
    }
    let token = shown.clone().or_else(|| data_dir.admin_token());
    if let (Some(dir), Some(auth)) = (data_dir::config_dir(), &token)
        && let Err(why) = data_dir::remember_for_cli(&dir, &endpoint, auth)
    {
        tracing::warn!(error = %why, "the local command line could not be told of this server; `l0 endpoint` still can");
    }
    // `l0 endpoint` waits for these words: what it reads is there from now on.
    data_dir.say(&format!("listening on {address}"));
    // What is pasted elsewhere than where the server was started names the same directory.
    let path = std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
    let dir = path.display();
    let mut text = format!("Layer0 {} listens on {endpoint}\n", env!("CARGO_PKG_VERSION"));
    text.push_str(&format!("  registry     {} (push to {host})\n", app.identity.registry_name));
    text.push_str(&images_lie(config, app));
    if app.serves == Serves::RegistryOnly {
        text.push_str("  engine       none: the registry alone\n");
    }
    match &config.aws.table {
        Some(table) => text.push_str(&format!("  state        DynamoDB table {table}\n")),
        None => text.push_str("  state        in the data directory: this server alone has it (--table shares it)\n"),
    }
    text.push_str(&format!("  data         {dir}\n"));
    match &token {
        Some(_) => text.push_str(&format!(
            "  connect      eval \"$(l0 endpoint --data-dir {})\"\n",
            shell_word(&path.to_string_lossy())
        )),
        // A restored instance, or one whose first token was given to it.
        None => {
            text.push_str(&format!("  connect      l0 login {endpoint}\n"));
            text.push_str("               no token is kept here; a start with --new-admin-token makes one\n");
        }
    }
    if let Some(auth) = &shown {
        text.push_str(&format!("  admin token  {}\n", auth.expose()));
        text.push_str(&format!("               shown this once; kept in {dir}/admin-token, readable only for you\n"));
    }
    say(&text);
    if first.is_some() {
        wiring::first_token_shown(app).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_none_does_not_turn_the_log_off() {
        for good in ["info", "off", "warn,layer0_server=debug", "layer0_registry", "hyper=info, debug"] {
            assert!(log_filter(good).is_ok(), "{good}");
        }
        for bad in ["inf", "warn,inf", "nonsense=,=", "layer0_server=debgu", "nonsense"] {
            assert!(log_filter(bad).is_err(), "{bad}");
        }
        assert!(log_filter("inf").is_err_and(|why| why.to_string().contains("`inf` is no level")));
    }
}
