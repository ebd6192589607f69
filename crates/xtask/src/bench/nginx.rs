//! This machine's nginx, which ours is measured against.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::instance::free_port;
use super::rows::idle::cpu_ticks;
use super::stats::until;

/// What every nginx here is told, in front and behind. `home` takes the files that it insists on.
pub(in crate::bench) fn http_block(home: &str, inside: &str) -> String {
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {home}/{name};\n"))
        .collect();
    format!(
        "pid {home}/pid;\nevents {{ worker_connections 4096; }}\n\
         http {{\naccess_log off; keepalive_requests 1000000000;\n{paths}{inside}\n}}\n"
    )
}

/// One that listens, with as many workers as there are cores; ends when it is dropped.
pub(in crate::bench) struct Nginx {
    child: Child,
    pub(in crate::bench) address: SocketAddr,
}

impl Nginx {
    /// Starts one in a directory of its own, with this inside of its block `http`.
    pub(in crate::bench) fn start(home: &Path, inside: impl FnOnce(u16) -> String) -> Result<Self> {
        fs::create_dir_all(home)?;
        let port = free_port()?;
        let http = http_block(&home.display().to_string(), &inside(port));
        // Root's workers are somebody else unless they are told, who may not look into this directory.
        let user = if fs::metadata(home)?.uid() == 0 { "user root;" } else { "" };
        let config = home.join("nginx.conf");
        fs::write(&config, format!("{user} worker_processes auto; daemon off;\n{http}"))?;
        let log = home.join("error.log");
        let child = Command::new("nginx")
            .arg("-p")
            .arg(home)
            .arg("-e")
            .arg(&log)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let nginx = Self { child, address: (Ipv4Addr::LOCALHOST, port).into() };
        until(Duration::from_secs(10), "nginx to listen", || Ok(TcpStream::connect(nginx.address).ok().map(|_| ())))
            .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        Ok(nginx)
    }

    /// Processor time that its workers have taken so far.
    pub(in crate::bench) fn ticks(&self) -> Result<u64> {
        let parent = self.child.id();
        let workers = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
        workers.split_whitespace().map(|pid| cpu_ticks(pid.parse()?)).sum()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It must end its workers itself, so it is asked and not killed.
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        drop(self.child.wait());
    }
}
