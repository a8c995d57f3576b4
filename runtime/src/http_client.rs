//! One HTTP call to another process of the run: a connection of its own, a deadline over all of it, a limit on the answer.
//!
//! For control calls (drain, scrape, start), of which there are few. Not for the request path: nothing is pooled here.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Most bytes of an answer: far above a scrape of thousands of series, far below what would hurt.
const ANSWER_LIMIT: usize = 16 << 20;

/// What the other process answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status, whatever it is.
    pub status: StatusCode,
    /// The whole body.
    pub body: Bytes,
}

/// `GET path` at `addr` (`host:port`), done within `timeout` of machine time. A status ≥ 400 is an answer, not an error.
pub async fn get(addr: &str, path: &str, timeout: Duration) -> anyhow::Result<Answer> {
    call(addr, Method::GET, path, None, timeout).await
}

/// `POST path` at `addr` with a JSON body; as [`get`] otherwise.
pub async fn post_json<T: serde::Serialize>(
    addr: &str,
    path: &str,
    body: &T,
    timeout: Duration,
) -> anyhow::Result<Answer> {
    let body = serde_json::to_vec(body).with_context(|| format!("POST http://{addr}{path}: body"))?;
    call(addr, Method::POST, path, Some(body.into()), timeout).await
}

async fn call(
    addr: &str,
    method: Method,
    path: &str,
    body: Option<Bytes>,
    timeout: Duration,
) -> anyhow::Result<Answer> {
    let what = format!("{method} http://{addr}{path}");
    let request = request(addr, method, path, body).with_context(|| what.clone())?;
    let answer = tokio::time::timeout(timeout, exchange(addr, request)).await;
    answer.with_context(|| format!("{what}: no answer within {timeout:?}"))?.context(what)
}

fn request(addr: &str, method: Method, path: &str, body: Option<Bytes>) -> http::Result<Request<Full<Bytes>>> {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, addr);
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request.header(header::CONNECTION, "close").body(Full::new(body.unwrap_or_default()))
}

async fn exchange(addr: &str, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_LIMIT).collect().await.map_err(anyhow::Error::from_boxed)?.to_bytes();
        Ok(Answer { status: head.status, body })
    };
    tokio::pin!(answer);
    // The connection is driven here rather than by a task, so that nothing outlives the call. It may end before the
    // answer has been taken from it, not the other way round.
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => { ended?; answer.await }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    /// Serves one connection: reads until `until` has come, then writes `answer`.
    async fn serve_once(until: &'static str, answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !String::from_utf8_lossy(&seen).contains(until) {
                assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(seen).unwrap()
        });
        (addr, served)
    }

    #[tokio::test]
    async fn posts_json_and_returns_whatever_status() {
        let (addr, served) =
            serve_once("{\"t0_ns\":7}", "HTTP/1.1 409 Conflict\r\ncontent-length: 7\r\n\r\nstarted").await;
        let start = galton_core::wire::Start { t0_ns: 7 };
        let answer = post_json(&addr, "/start", &start, SOON).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (409, &b"started"[..]));
        let seen = served.await.unwrap();
        assert!(seen.starts_with("POST /start HTTP/1.1\r\n"), "{seen}");
        assert!(seen.to_lowercase().contains(&format!("host: {addr}")), "{seen}");
    }

    #[tokio::test]
    async fn an_answer_without_a_length_ends_with_the_connection() {
        let (addr, served) = serve_once("\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\na 1\n").await;
        let answer = get(&addr, "/metrics", SOON).await.unwrap();
        assert_eq!(&answer.body[..], b"a 1\n");
        served.await.unwrap();
    }

    #[tokio::test]
    async fn silence_is_an_error_that_says_what_was_called() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let error = get(&addr, "/metrics", Duration::from_millis(20)).await.unwrap_err();
        assert!(error.to_string().contains(&format!("GET http://{addr}/metrics: no answer within 20ms")), "{error:#}");
    }
}
