//! The HTTP API, on the admin thread: reads a call, hands it to the driver's thread, renders the answer.
//!
//! | call | answer |
//! |---|---|
//! | `POST /start` `{t0_ns}` | 200; 409 if started; 503 until the initial fleet is up |
//! | `GET /v1/watch?host=H&data=A&admin=A` | 200, lines; 409 if H is watched for; without a query: an observer |
//! | `POST /v1/hosts` | 200, `{host}`: a number for a proxy; 409 if there is none left |
//! | `GET /v1/hosts` | 200: the proxies that watch, and where they are |
//! | `GET /v1/prometheus` | 200: who is to be scraped, as Prometheus' HTTP service discovery reads it |
//! | `POST /v1/scale-up` `{host, call}` | 202, the rest comes on the watch; 409 if nobody watches; without both: 200, 409 |
//! | `POST /v1/scale-down` `{host?, target}` | 200 when it is being removed, 409 when refused |
//! | `POST /v1/released` `{host, target}` | 200 |
//! | `GET /v1/targets` · `GET /v1/events` | 200 |
//! | `POST /stop` | 200, and the scaler ends |

use bytes::Bytes;
use galton_core::wire::{
    HostInfo, HostNumber, LeaveStartCall, ReleasedCall, ScaleDownCall, ScaleUpCall, Start, TargetList,
};
use galton_core::{CallId, HostId, TargetId};
use galton_runtime::Shutdown;
use galton_runtime::admin::{self, Body, Handler, json, text};
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, StreamBody};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use crate::discovery;
use crate::driver::Event;
use crate::journal::History;
use crate::watch::{Lines, Watcher};

/// What the driver is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Start { t0_ns: u64 },
    Watch(Watcher),
    Number,
    Hosts,
    Prometheus,
    ScaleUp { waiter: Option<(HostId, CallId)>, asked_ns: Option<u64> },
    LeaveStart { host: HostId, call: CallId },
    ScaleDown { host: Option<HostId>, target: TargetId },
    Released { host: HostId, target: TargetId },
    Targets,
}

/// What the driver answers.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It is done.
    Done,
    /// What came of it will be told on the watch.
    Later,
    /// This target is starting.
    Starting(TargetId),
    Targets(TargetList),
    Number(HostNumber),
    Hosts(Vec<HostInfo>),
    Prometheus(Vec<discovery::Group>),
    Watch(Lines),
    /// The call can never be right.
    Bad(String),
    /// Not as things are.
    Refused(String),
    /// The initial fleet is not up.
    NotReady,
}

/// Answers the calls. `calls` goes to the driver; it is bounded, and a caller waits while it is full, as its connection is
/// counted anyway.
#[derive(Clone)]
struct Api {
    calls: mpsc::Sender<Event>,
    history: History,
    shutdown: Shutdown,
}

/// The calls of the scaler, for its admin server.
pub(crate) fn handler(calls: mpsc::Sender<Event>, history: History, shutdown: Shutdown) -> Handler {
    let api = Api { calls, history, shutdown };
    std::sync::Arc::new(move |request| {
        let api = api.clone();
        Box::pin(async move { api.answer(request).await })
    })
}

// === impl Call ===

impl Call {
    /// The host it comes from, if it names one.
    pub(crate) fn host(&self) -> Option<HostId> {
        match self {
            Self::Watch(watcher) => watcher.as_ref().map(|of| of.host),
            Self::ScaleDown { host, .. } => *host,
            Self::ScaleUp { waiter, .. } => waiter.map(|(host, _)| host),
            Self::LeaveStart { host, .. } | Self::Released { host, .. } => Some(*host),
            Self::Start { .. } | Self::Number | Self::Hosts | Self::Targets | Self::Prometheus => None,
        }
    }
}

// === impl Api ===

impl Api {
    async fn answer(&self, request: Request<Bytes>) -> Option<Response<Body>> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/v1/events") => return Some(self.events()),
            (&Method::POST, "/stop") => {
                self.shutdown.ask();
                return Some(text(200, "stopping\n"));
            }
            _ => {}
        }
        Some(match parse(&request)? {
            Ok(call) => self.hand_over(call).await,
            Err(why) => text(400, format!("{why}\n")),
        })
    }

    async fn hand_over(&self, call: Call) -> Response<Body> {
        let (answer, reply) = oneshot::channel();
        if self.calls.send(Event::Call { call, answer }).await.is_err() {
            return text(503, "the scaler is ending\n");
        }
        reply.await.map_or_else(|_| text(503, "the scaler is ending\n"), render)
    }

    fn events(&self) -> Response<Body> {
        self.history.lines().map_or_else(|error| text(500, format!("{error}\n")), lines_of_json)
    }
}

/// The call that a request stands for; none: there is nothing there.
fn parse(request: &Request<Bytes>) -> Option<Result<Call, String>> {
    Some(match (request.method(), request.uri().path()) {
        (&Method::POST, "/start") => body(request).map(|Start { t0_ns }| Call::Start { t0_ns }),
        (&Method::GET, "/v1/watch") => watch(request.uri().query()),
        (&Method::POST, "/v1/scale-up") => body(request).and_then(scale_up),
        (&Method::POST, "/v1/leave-start") => {
            body(request).map(|LeaveStartCall { host, call }| Call::LeaveStart { host, call })
        }
        (&Method::POST, "/v1/scale-down") => {
            body(request).map(|ScaleDownCall { host, target }| Call::ScaleDown { host, target })
        }
        (&Method::POST, "/v1/released") => {
            body(request).map(|ReleasedCall { host, target }| Call::Released { host, target })
        }
        (&Method::POST, "/v1/hosts") => Ok(Call::Number),
        (&Method::GET, "/v1/hosts") => Ok(Call::Hosts),
        (&Method::GET, "/v1/targets") => Ok(Call::Targets),
        (&Method::GET, "/v1/prometheus") => Ok(Call::Prometheus),
        _ => return None,
    })
}

fn body<T: DeserializeOwned>(request: &Request<Bytes>) -> Result<T, String> {
    serde_json::from_slice(request.body()).map_err(|error| format!("body: {error}"))
}

fn watch(query: Option<&str>) -> Result<Call, String> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(Call::Watch(None)) };
    let wrong = || format!("query {query:?}: expected host=<number>&data=<address>&admin=<address>");
    let [host, data, admin] = query.split('&').collect::<Vec<_>>()[..] else { return Err(wrong()) };
    let value = |part: &str, name: &str| part.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
    let parsed = || {
        let host = HostId(value(host, "host")?.parse().ok()?);
        Some(HostInfo { host, data: value(data, "data")?, admin: value(admin, "admin")? })
    };
    parsed().map(|watcher| Call::Watch(Some(watcher))).ok_or_else(wrong)
}

fn scale_up(call: ScaleUpCall) -> Result<Call, String> {
    let asked_ns = call.asked_ns;
    match (call.host, call.call) {
        (Some(host), Some(call)) => Ok(Call::ScaleUp { waiter: Some((host, call)), asked_ns }),
        (None, None) => Ok(Call::ScaleUp { waiter: None, asked_ns }),
        _ => Err("body: host and call belong together".to_owned()),
    }
}

fn render(reply: Reply) -> Response<Body> {
    match reply {
        Reply::Done => text(200, "ok\n"),
        Reply::Later => text(202, "accepted\n"),
        Reply::Starting(target) => json(200, &serde_json::json!({ "target": target })),
        Reply::Targets(list) => json(200, &list),
        Reply::Number(number) => json(200, &number),
        Reply::Hosts(hosts) => json(200, &hosts),
        Reply::Prometheus(groups) => json(200, &groups),
        Reply::Watch(lines) => {
            let mut response = lines_of_json(String::new());
            *response.body_mut() = StreamBody::new(lines).boxed_unsync();
            response
        }
        Reply::Bad(why) => text(400, format!("{why}\n")),
        Reply::Refused(why) => text(409, format!("{why}\n")),
        Reply::NotReady => text(503, "the initial fleet is not up yet\n"),
    }
}

fn lines_of_json(lines: String) -> Response<Body> {
    let mut response = admin::text(200, lines);
    let kind = header::HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(method: &str, uri: &str, body: &'static str) -> Option<Result<Call, String>> {
        parse(&Request::builder().method(method).uri(uri).body(body.into()).unwrap())
    }

    fn bad(method: &str, uri: &str, body: &'static str) -> String {
        parsed(method, uri, body).expect("the path is known").unwrap_err()
    }

    #[test]
    fn calls_are_read() {
        let good = [
            ("POST", "/start", r#"{"t0_ns":7}"#, Call::Start { t0_ns: 7 }),
            ("GET", "/v1/watch", "", Call::Watch(None)),
            (
                "GET",
                "/v1/watch?host=3&data=10.0.0.1:80&admin=10.0.0.1:81",
                "",
                Call::Watch(Some(HostInfo {
                    host: HostId(3),
                    data: "10.0.0.1:80".to_owned(),
                    admin: "10.0.0.1:81".to_owned(),
                })),
            ),
            ("POST", "/v1/hosts", "", Call::Number),
            ("GET", "/v1/hosts", "", Call::Hosts),
            ("GET", "/v1/prometheus", "", Call::Prometheus),
            ("POST", "/v1/scale-up", "{}", Call::ScaleUp { waiter: None, asked_ns: None }),
            (
                "POST",
                "/v1/scale-up",
                r#"{"host":1,"call":9,"asked_ns":5}"#,
                Call::ScaleUp { waiter: Some((HostId(1), CallId(9))), asked_ns: Some(5) },
            ),
            (
                "POST",
                "/v1/leave-start",
                r#"{"host":1,"call":9}"#,
                Call::LeaveStart { host: HostId(1), call: CallId(9) },
            ),
            ("POST", "/v1/scale-down", r#"{"target":"t-002"}"#, Call::ScaleDown { host: None, target: TargetId(2) }),
            (
                "POST",
                "/v1/released",
                r#"{"host":0,"target":"t-002"}"#,
                Call::Released { host: HostId(0), target: TargetId(2) },
            ),
            ("GET", "/v1/targets", "", Call::Targets),
        ];
        for (method, uri, body, call) in good {
            assert_eq!(parsed(method, uri, body), Some(Ok(call)), "{method} {uri}");
        }
    }

    #[test]
    fn faulty_calls_are_told_why() {
        assert!(bad("POST", "/start", "{}").contains("missing field `t0_ns`"));
        assert!(bad("POST", "/start", "7 o'clock").starts_with("body: "));
        assert_eq!(bad("POST", "/v1/scale-up", r#"{"host":1}"#), "body: host and call belong together");
        assert!(bad("POST", "/v1/scale-down", r#"{"target":"three"}"#).contains("expected t-<number from 1>"));
        assert!(bad("POST", "/v1/released", r#"{"target":"t-001"}"#).contains("missing field `host`"));
        for query in ["host=", "host=-1&data=a&admin=b", "host=1", "x=1", "host=99999999999&data=a&admin=b"] {
            assert!(bad("GET", &format!("/v1/watch?{query}"), "").contains("expected host=<number>"), "{query}");
        }
        assert_eq!(parsed("GET", "/start", ""), None);
        assert_eq!(parsed("GET", "/v1/nothing", ""), None);
    }
}
