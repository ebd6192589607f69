//! Where messages begin and end: what targets may send and what not, bodies that are cut up, broken off, or not wanted.

use super::*;

const ASK: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";

/// A backend of one script: reads a request head from each connection, then does this with it.
async fn scripted<F>(act: impl Fn(TcpStream, String) -> F + Send + Sync + 'static) -> (SocketAddr, JoinHandle<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(loopback(1)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let act = Arc::new(act);
    let accepting = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let act = Arc::clone(&act);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    // A probe says nothing.
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                act(stream, String::from_utf8(head).unwrap()).await;
            });
        }
    });
    (address, accepting)
}

/// The data of a chunked message, and what follows its last chunk.
fn unchunked(mut text: &str) -> (String, &str) {
    let mut data = String::new();
    loop {
        let (size, rest) = text.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size.split(';').next().unwrap(), 16).unwrap();
        if size == 0 {
            return (data, rest);
        }
        data.push_str(&rest[..size]);
        text = rest[size..].strip_prefix("\r\n").unwrap();
    }
}

#[tokio::test]
async fn a_malformed_answer_head_gives_502() {
    let backend = Backend::start(|head, _| {
        let fields = match head.split(' ').nth(1).unwrap() {
            "/differ" => "content-length: 5\r\ncontent-length: 6\r\n".to_owned(),
            "/plus" => "content-length: +5\r\n".to_owned(),
            "/empty" => "content-length:\r\n".to_owned(),
            "/name" => "bad name: x\r\n".to_owned(),
            "/long" => format!("x: {}\r\n", "y".repeat(140_000)),
            "/many" => "x: y\r\n".repeat(101),
            _ => "content-length: 5, 5\r\n".to_owned(),
        };
        Reply::SendAndClose(format!("HTTP/1.1 200 OK\r\n{fields}\r\nhello"))
    })
    .await;
    let proxy = serving(config(80), &[backend.target("a")]).await;
    for path in ["differ", "plus", "empty", "name", "long", "many"] {
        let asked = backend.requests();
        let request = format!("GET /{path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        let answer = ask(address(&proxy, 0), &request).await;
        assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("is malformed"), "{path}: {answer:.300}");
        assert_eq!(backend.requests(), asked + 1, "{path}: it may have been carried out");
    }
    let answer = ask(address(&proxy, 0), GET).await;
    assert!(answer.contains("content-length: 5\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[tokio::test]
async fn an_answer_that_says_its_end_twice_is_taken_by_its_chunks_and_its_connection_is_not_used_again() {
    let backend = Backend::start(|_, _| {
        Reply::Send(
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                .to_owned(),
        )
    })
    .await;
    let proxy = serving(config(80), &[backend.target("a")]).await;
    for _ in 0..3 {
        let before = backend.connections.load(Ordering::SeqCst);
        let answer = ask(address(&proxy, 0), GET).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(field(head, "content-length"), None, "{head}");
        assert_eq!(unchunked(body).0, "hello");
        assert!(backend.connections.load(Ordering::SeqCst) > before);
    }
}

#[tokio::test]
async fn chunks_are_joined_however_they_arrive() {
    const TEXT: &[u8] =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0A;name=\"v\"\r\n, world\r\n!\r\n000\r\nTrailer: x\r\n\r\n";
    let (backend, accepting) = scripted(async |mut stream: TcpStream, head: String| {
        let step = head.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
        for piece in TEXT.chunks(step) {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
    })
    .await;
    let proxy = serving(config(80), &[target("a", 80, backend)]).await;
    for step in [1, 2, 3, 7, 50, 1000] {
        let request = format!("GET /{step} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        let answer = ask(address(&proxy, 0), &request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(field(head, "transfer-encoding"), Some("chunked"));
        assert_eq!(unchunked(body), ("hello, world\r\n!".to_owned(), "\r\n"), "step {step}");
    }
    accepting.abort();
}

#[tokio::test]
async fn malformed_chunks_break_the_answer_off() {
    let wrongs = [
        "x\r\n".to_owned(),
        "-1\r\n".to_owned(),
        "+5\r\nhello\r\n0\r\n\r\n".to_owned(),
        "11111111111111111\r\n".to_owned(),
        "3\r\nabcd\r\n0\r\n\r\n".to_owned(),
        format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(20_000)),
        format!("0\r\n{}\r\n", "a: b\r\n".repeat(5000)),
    ];
    let count = wrongs.len();
    let backend = Backend::start(move |head, _| {
        let wrong = &wrongs[head.split(['/', ' ']).nth(2).unwrap().parse::<usize>().unwrap()];
        Reply::Send(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n{wrong}"))
    })
    .await;
    let proxy = serving(config(80), &[backend.target("a")]).await;
    for which in 0..count {
        // Kept alive: only the broken answer can make the proxy close.
        let answer = ask(address(&proxy, 0), &format!("GET /{which} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
        assert!(!answer.contains("\r\n0\r\n"), "an answer that was broken off looks whole: {which}: {answer:.300}");
    }
    until("nothing is running", || proxy.status(LB).unwrap()[0].in_flight == 0).await;
}

#[tokio::test]
async fn request_bodies_keep_their_framing() {
    let backend = Backend::start(|head, body| {
        let said = |name| field(head, name).unwrap_or("-").to_owned();
        ok(&format!("{} {} {}", said("content-length"), said("transfer-encoding"), String::from_utf8_lossy(body)))
    })
    .await;
    let proxy = serving(config(80), &[backend.target("a")]).await;
    let mut session = Session::open(address(&proxy, 0)).await;
    for (request, expected) in [
        ("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc", "3 - abc"),
        ("POST / HTTP/1.1\r\nhost: test\r\n\r\n", "0 - "),
        ("DELETE / HTTP/1.1\r\nhost: test\r\n\r\n", "- - "),
        (
            "PUT / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
            "- chunked 2\r\nab\r\n0\r\n\r\n",
        ),
        // Unusual, but a body all the same.
        (
            "GET / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
            "- chunked 2\r\nab\r\n0\r\n\r\n",
        ),
        // `Connection` cannot name away what says where the body ends.
        (
            "POST / HTTP/1.1\r\nhost: test\r\nconnection: content-length, host\r\ncontent-length: 3\r\n\r\nabc",
            "3 - abc",
        ),
    ] {
        session.send(request).await;
        assert_eq!(session.answer().await.1, expected, "{request}");
    }
    // Which of the two holds is not ours to guess (RFC 9112, 6.3): the chunks do, and nothing of the length is passed on.
    session
        .send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")
        .await;
    assert_eq!(session.answer().await.1, "- chunked 2\r\nab\r\n0\r\n\r\n");
    assert!(session.is_closed().await);
}

#[tokio::test]
async fn trailers_pass_both_ways_where_they_are_asked_for() {
    let (backend, accepting) = scripted(async |mut stream: TcpStream, head: String| {
        let mut body = Vec::new();
        while !body.ends_with(b"0\r\nx-sum: 1\r\n\r\n") {
            body.push(stream.read_u8().await.unwrap());
        }
        let te = field(&head, "te").unwrap_or("-").to_owned();
        let answer = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\nx-te: {te}\r\n\r\n2\r\nab\r\n0\r\nx-sum: 2\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let proxy = serving(config(80), &[target("a", 80, backend)]).await;
    for (te, seen, trailer) in [("te: trailers, gzip\r\n", "trailers", "x-sum: 2\r\n\r\n"), ("", "-", "\r\n")] {
        let request = format!(
            "POST / HTTP/1.1\r\nhost: test\r\nconnection: close, te\r\n{te}trailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"
        );
        let answer = ask(address(&proxy, 0), &request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(field(head, "x-te"), Some(seen));
        assert_eq!(unchunked(body), ("ab".to_owned(), trailer));
    }
    accepting.abort();
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    // Once it keeps the connection and reads on, once it closes with the upload unread, which resets the connection.
    let (backend, accepting) = scripted(async |mut stream: TcpStream, head: String| {
        stream.write_all(b"HTTP/1.1 413 No\r\ncontent-length: 8\r\n\r\ntoo long").await.unwrap();
        if head.starts_with("POST /keep ") {
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.unwrap_or_default();
        }
    })
    .await;
    let proxy = serving(config(80), &[target("a", 80, backend)]).await;
    for _ in 0..10 {
        for path in ["keep", "close"] {
            let mut session = Session::open(address(&proxy, 0)).await;
            session.send(&format!("POST /{path} HTTP/1.1\r\nhost: test\r\ncontent-length: 400000\r\n\r\n")).await;
            // Whoever reads the answer only when all is sent must not be cut off before.
            session.stream.write_all(&[b'x'; 100_000]).await.unwrap();
            let (head, body) = session.answer().await;
            assert!(head.starts_with("HTTP/1.1 413") && body == "too long", "{path}: {head}{body}");
        }
    }
    until("nothing is running", || proxy.status(LB).unwrap()[0].in_flight == 0).await;
    accepting.abort();
}

#[tokio::test]
async fn an_upload_that_is_broken_off_never_looks_whole() {
    let (seen, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let (backend, accepting) = scripted(move |mut stream: TcpStream, _| {
        let seen = seen.clone();
        async move {
            let mut body = Vec::new();
            // A reset is an end as well.
            let _ = stream.read_to_end(&mut body).await;
            seen.send(String::from_utf8(body).unwrap()).unwrap();
        }
    })
    .await;
    let proxy = serving(config(80), &[target("a", 80, backend)]).await;
    for (framing, part) in [("content-length: 100", "half"), ("transfer-encoding: chunked", "4\r\nhalf\r\n")] {
        let mut session = Session::open(address(&proxy, 0)).await;
        session.send(&format!("POST / HTTP/1.1\r\nhost: test\r\n{framing}\r\n\r\n{part}")).await;
        until("the request is on its way", || proxy.status(LB).unwrap()[0].in_flight == 1).await;
        drop(session);
        let body = in_time(ends.recv()).await.unwrap();
        assert!(!body.contains("0\r\n\r\n") && body.len() < 100, "{body}");
        until("nothing is running", || proxy.status(LB).unwrap()[0].in_flight == 0).await;
    }
    accepting.abort();
}

#[tokio::test]
async fn an_answer_that_ends_short_of_its_length_is_broken_off() {
    let (backend, accepting) = scripted(async |mut stream: TcpStream, head: String| {
        let text = if head.starts_with("GET /head ") {
            "HTTP/1.1 200 OK\r\ncont"
        } else {
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"
        };
        stream.write_all(text.as_bytes()).await.unwrap();
    })
    .await;
    let proxy = serving(config(80), &[target("a", 80, backend)]).await;
    // Either the client sees less than was announced, or it is told; never an answer that looks whole.
    let answer = ask(address(&proxy, 0), ASK).await;
    assert!(!answer.contains("content-length: 4\r\n"), "{answer}");
    assert!(answer.ends_with("half") || answer.starts_with("HTTP/1.1 502") || answer.is_empty(), "{answer}");
    let answer = ask(address(&proxy, 0), "GET /head HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("it broke off its answer"), "{answer}");
    accepting.abort();
}
