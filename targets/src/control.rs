//! What the admin port adds: `GET /counts?window_ns=W` and `POST /drain?timeout_ms=N`. The admin thread asks, the data thread,
//! which owns the state, answers.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use galton_core::wire::{Drained, TargetCounts};
use galton_runtime::admin::{Body, Handler, json, text};
use http::{Method, Request, Response};
use tokio::sync::{mpsc, oneshot};

use crate::app::App;

/// How long a drain waits that does not say so, machine time.
const DRAIN: Duration = Duration::from_secs(30);
/// Questions that may wait for the data thread; more wait on their connections.
const QUESTIONS: usize = 64;

/// A question to the data thread.
pub(crate) enum Ask {
    Counts { window_ns: u64, reply: oneshot::Sender<TargetCounts> },
    Drain { timeout: Duration, reply: oneshot::Sender<Drained> },
}

/// Answers questions on this, the data thread.
pub(crate) fn listen(app: Rc<App>) -> mpsc::Sender<Ask> {
    let (asks, mut asked) = mpsc::channel(QUESTIONS);
    tokio::task::spawn_local(async move {
        while let Some(ask) = asked.recv().await {
            // Whoever asked may have gone away: then nobody wants the reply.
            match ask {
                Ask::Counts { window_ns, reply } => drop(reply.send(app.counts(window_ns))),
                Ask::Drain { timeout, reply } => {
                    let app = app.clone();
                    tokio::task::spawn_local(async move {
                        reply.send(Drained { held: app.drain(timeout).await }).ok();
                    });
                }
            }
        }
    });
    asks
}

/// The handler on the admin thread.
pub(crate) fn handler(asks: mpsc::Sender<Ask>) -> Handler {
    Arc::new(move |request| {
        let asks = asks.clone();
        Box::pin(async move { answer(&request, asks).await })
    })
}

async fn answer(request: &Request<Bytes>, asks: mpsc::Sender<Ask>) -> Option<Response<Body>> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/counts") => Some(match number(request, "window_ns") {
            Ok(Some(window_ns)) => ask(&asks, |reply| Ask::Counts { window_ns, reply }).await,
            Ok(None) => text(400, "window_ns: is missing\n"),
            Err(wrong) => text(400, wrong),
        }),
        (&Method::POST, "/drain") => Some(match number(request, "timeout_ms") {
            Ok(timeout) => {
                let timeout = timeout.map_or(DRAIN, Duration::from_millis);
                ask(&asks, |reply| Ask::Drain { timeout, reply }).await
            }
            Err(wrong) => text(400, wrong),
        }),
        _ => None,
    }
}

async fn ask<T: serde::Serialize>(
    asks: &mpsc::Sender<Ask>,
    question: impl FnOnce(oneshot::Sender<T>) -> Ask,
) -> Response<Body> {
    let (reply, replied) = oneshot::channel();
    // Either fails only when the data thread has ended.
    if asks.send(question(reply)).await.is_err() {
        return text(503, "stopping\n");
    }
    match replied.await {
        Ok(value) => json(200, &value),
        Err(_) => text(503, "stopping\n"),
    }
}

/// A number in the query.
fn number(request: &Request<Bytes>, name: &str) -> Result<Option<u64>, String> {
    let query = request.uri().query().unwrap_or_default();
    let value = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    value
        .map(|(_, value)| value.parse().map_err(|_| format!("{name}: expected a whole number, got {value:?}\n")))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_queries() {
        let number = |uri: &str| number(&Request::get(uri).body(Bytes::new()).unwrap(), "window_ns");
        assert_eq!(number("/counts"), Ok(None));
        assert_eq!(number("/counts?a=1&window_ns=70&b"), Ok(Some(70)));
        assert!(number("/counts?window_ns=-1").unwrap_err().starts_with("window_ns: expected a whole number"));
    }
}
