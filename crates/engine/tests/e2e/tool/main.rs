//! The program in the test image: what a container of a test has to do, by its arguments. It needs nothing but the
//! kernel, so the image has nothing else in it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::process::exit;
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
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["print", lines @ ..] => lines.iter().for_each(|line| println!("{line}")),
        ["exit", code] => {
            println!("ending with {code}");
            exit(code.parse().expect("a code"));
        }
        ["sleep"] => {
            println!("sleeping");
            sleep();
        }
        ["stubborn"] => {
            // SAFETY: as above; the handler does nothing.
            extern "C" fn ignore(_: i32) {}
            unsafe { signal(15, ignore) };
            println!("ignoring");
            sleep();
        }
        ["serve", port] => serve(port),
        ["serve-late", ms, port] => {
            std::thread::sleep(Duration::from_millis(ms.parse().expect("milliseconds")));
            serve(port);
        }
        ["crash-after", ms, code] => {
            println!("crashing in {ms} ms");
            std::thread::sleep(Duration::from_millis(ms.parse().expect("milliseconds")));
            exit(code.parse().expect("a code"));
        }
        ["eat", mib] => {
            let mut eaten = Vec::new();
            for _ in 0..mib.parse().expect("MiB") {
                eaten.push(vec![1_u8; 1024 * 1024]);
            }
            println!("ate {}", eaten.len());
            sleep();
        }
        ["write", path, text] => {
            std::fs::write(path, text).expect("a writable path");
            println!("wrote");
        }
        ["read", path] => println!("{}", std::fs::read_to_string(path).expect("a readable path")),
        ["routes"] => print!("{}", std::fs::read_to_string("/proc/net/route").expect("a table")),
        ["env", name] => println!("{name}={}", std::env::var(name).unwrap_or_default()),
        ["get", target] => exit(i32::from(!get(target))),
        ["get-forever", target] => loop {
            println!("{}", if get(target) { "reached" } else { "refused" });
            std::thread::sleep(Duration::from_millis(200));
        },
        other => {
            eprintln!("unknown: {other:?}");
            exit(64);
        }
    }
}

fn sleep() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3_600));
    }
}

fn serve(port: &str) -> ! {
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).expect("a free port");
    println!("serving {port}");
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        std::thread::spawn(move || answer(stream));
    }
    sleep()
}

fn answer(mut stream: TcpStream) {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let Ok(count) = stream.read(&mut buffer) else { return };
        if count == 0 {
            return;
        }
        head.extend_from_slice(&buffer[..count]);
        while let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            let request = String::from_utf8_lossy(&head[..end]).into_owned();
            head.drain(..end + 4);
            if let Some(ms) = request.split("slow=").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()) {
                std::thread::sleep(Duration::from_millis(ms));
            }
            let text = std::env::var("ANSWER").unwrap_or_else(|_| "hello".to_owned());
            let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
            if stream.write_all(reply.as_bytes()).is_err() || request.contains("Connection: close") {
                return;
            }
        }
    }
}

fn get(target: &str) -> bool {
    let Ok(mut addresses) = target.to_socket_addrs() else { return false };
    let Some(address) = addresses.next() else { return false };
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(2)) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(2))).expect("not zero");
    let asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut answer = [0; 64];
    asked.is_ok() && stream.read(&mut answer).is_ok_and(|count| count > 0)
}
