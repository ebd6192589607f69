//! The program in the test image: it does what its arguments say, one step after the other. It needs nothing but the
//! kernel, so the image has nothing else in it. Compiled by the tests, with rustc alone.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::process::exit;
use std::thread;
use std::time::Duration;

unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn _exit(code: i32) -> !;
}

extern "C" fn leave(_: i32) {
    // SAFETY: `_exit` may be called from a signal handler (POSIX, signal-safety).
    unsafe { _exit(0) }
}

fn main() {
    // SAFETY: the handler only calls `_exit`. 15 is SIGTERM; the first process of a container has no default for it.
    unsafe { signal(15, leave) };
    let mut words = std::env::args().skip(1);
    while let Some(step) = words.next() {
        let mut word = || words.next().unwrap_or_else(|| fail(&format!("{step} needs more words")));
        match step.as_str() {
            "print" => println!("{}", word()),
            "ms" => thread::sleep(Duration::from_millis(number(&word()))),
            "exit" => exit(i32::try_from(number(&word())).expect("an exit code")),
            "sleep" => thread::sleep(Duration::from_secs(86_400)),
            "tick" => tick(number(&word())),
            "serve" => {
                let port = word();
                let listener =
                    TcpListener::bind(format!("0.0.0.0:{port}")).unwrap_or_else(|why| fail(&why.to_string()));
                println!("serving {port}");
                thread::spawn(move || serve(&listener));
            }
            "write" => {
                let path = word();
                std::fs::write(&path, word()).unwrap_or_else(|why| fail(&format!("{path}: {why}")));
            }
            "read" => {
                let path = word();
                println!("{}", std::fs::read_to_string(&path).unwrap_or_else(|why| fail(&format!("{path}: {why}"))));
            }
            "env" => {
                let name = word();
                println!("{name}={}", std::env::var(&name).unwrap_or_default());
            }
            "here" => println!("{}", here()),
            // Ends with 1 when it does not get an answer.
            "fetch" => match fetch(&word()) {
                Ok(body) => println!("{body}"),
                Err(why) => fail(&why),
            },
            other => fail(&format!("unknown step {other}")),
        }
    }
}

fn fail(why: &str) -> ! {
    println!("failed: {why}");
    exit(1)
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| fail(&format!("{text} is no number")))
}

fn tick(ms: u64) {
    thread::spawn(move || {
        for count in 1.. {
            println!("tick {count}");
            thread::sleep(Duration::from_millis(ms));
        }
    });
}

/// Who and where this process is.
fn here() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find(|line| line.starts_with("Uid:")).unwrap_or_default().replace('\t', " ");
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default().to_owned();
    let directory = std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default();
    format!("{uid} | {directory} | {}", files.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn serve(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        thread::spawn(move || answer(stream));
    }
}

fn answer(mut stream: TcpStream) {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 {
            return;
        }
        head.extend_from_slice(&buffer[..count]);
        while let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            let request = String::from_utf8_lossy(&head[..end]).into_owned();
            head.drain(..end + 4);
            let path = request.split(' ').nth(1).unwrap_or("/");
            let (status, body) = page(path);
            let reply = format!("HTTP/1.1 {status} .\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(reply.as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn page(path: &str) -> (u16, String) {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    match path {
        "/health" if variable("SICK").is_empty() => (200, "well".to_owned()),
        "/health" => (503, "sick".to_owned()),
        "/crash" => exit(9),
        "/here" => (200, here()),
        _ => match path.strip_prefix("/fetch/") {
            // Fetches from where the container is.
            Some(target) => fetch(target).map_or_else(|why| (502, why), |body| (200, body)),
            None => (200, format!("{} {}", variable("VERSION"), variable("ANSWER"))),
        },
    }
}

/// The body of `host:port` or `host:port/path`.
fn fetch(target: &str) -> Result<String, String> {
    let target = target.trim_start_matches("http://");
    let (host, path) = target.split_once('/').unwrap_or((target, ""));
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let told = |why: std::io::Error| format!("{host}: {why}");
    let address = host.to_socket_addrs().map_err(told)?.next().ok_or("no address")?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).map_err(told)?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(told)?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(told)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length =
                head.split("content-length: ").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok());
            if length.is_some_and(|length: usize| body.len() >= length) {
                return if head.contains(" 200 ") { Ok(body.to_owned()) } else { Err(format!("{head} {body}")) };
            }
        }
        match stream.read(&mut buffer).map_err(told)? {
            0 => return Err(format!("cut off: {text}")),
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
}
