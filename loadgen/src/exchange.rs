//! One request over HTTP: send it, read the response to its end, say how it ended.

use bytes::Bytes;
use galton_core::wire::{self, header};
use galton_core::{FailReason, Outcome, RejectReason, TargetId};
use galton_runtime::mono_ns;
use http::{HeaderMap, HeaderValue};

use crate::link::{Broken, Dial, Link};
use crate::template::{Ask, Template};

/// How a request ended, in machine time. What the headers did not say is `None`.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    /// Why there is no whole response, where we know.
    pub(crate) error: Option<String>,
    pub(crate) end_ns: u64,
    pub(crate) status: Option<u16>,
    pub(crate) body_bytes: u64,
    pub(crate) attempts: Option<u32>,
    pub(crate) target: Option<TargetId>,
    pub(crate) proxy_recv_ns: Option<u64>,
    pub(crate) proxy_done_ns: Option<u64>,
    pub(crate) target_start_ns: Option<u64>,
    pub(crate) target_done_ns: Option<u64>,
    pub(crate) cpu_used_ns: Option<u64>,
    pub(crate) overhead_ns: Option<u64>,
}

/// Sends the request over the link, or over a new one, and reads the response. No link is left if it broke.
pub(crate) async fn exchange(dial: &Dial, link: &mut Option<Link>, template: &Template, ask: Ask) -> Answer {
    let open = match link.take().filter(Link::is_open) {
        Some(open) => open,
        None => match dial.link().await {
            Ok(new) => new,
            Err(e) => {
                tracing::debug!("no connection: {e}");
                return Answer::failed(FailReason::Connect, e.cause());
            }
        },
    };
    let open = link.insert(open);
    if open.use_again() {
        dial.count_reuse();
    }
    let answer = match send_and_read(open, template, ask).await {
        Ok(answer) => {
            dial.on_response();
            answer
        }
        Err(e) => {
            tracing::debug!("the connection broke: {e}");
            Answer::failed(FailReason::Reset, dial.explained(e.cause()))
        }
    };
    if answer.outcome == Outcome::Failed(FailReason::Reset) {
        *link = None;
    }
    answer
}

/// Reads the response to its end, or to where it breaks.
async fn send_and_read(link: &mut Link, template: &Template, ask: Ask) -> Result<Answer, Broken> {
    let (head, mut body) = link.send(template, ask).await?;
    let mut answer = Answer::from_head(head.status().as_u16(), head.headers());
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => answer.body_bytes += frame.data_ref().map_or(0, Bytes::len) as u64,
            Err(e) => {
                tracing::debug!("the response broke off: {e}");
                answer.outcome = Outcome::Failed(FailReason::Reset);
                answer.error = Some(e.cause());
                break;
            }
        }
    }
    answer.end_ns = mono_ns();
    link.reuse(head.into_parts().0.headers);
    Ok(answer)
}

/// The outcome that status and the value of `galton-outcome` tell.
fn outcome(status: u16, named: Option<&HeaderValue>) -> Outcome {
    let named = named.and_then(|value| value.to_str().ok());
    // A target that refuses, asked directly: there is nobody who could have tried another one.
    if named == Some(wire::FULL) {
        return Outcome::Rejected(RejectReason::NoCapacity);
    }
    match named.and_then(|name| name.parse().ok()) {
        // Shed and unfinished are ours to say.
        Some(outcome) if !matches!(outcome, Outcome::Shed | Outcome::Unfinished) => outcome,
        _ if status >= 400 => Outcome::Failed(FailReason::Http),
        _ => Outcome::Ok,
    }
}

fn parsed<T: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

// === impl Answer ===

impl Answer {
    /// Ended now, with nothing to show.
    pub(crate) fn without_response(outcome: Outcome) -> Self {
        Self {
            outcome,
            error: None,
            end_ns: mono_ns(),
            status: None,
            body_bytes: 0,
            attempts: None,
            target: None,
            proxy_recv_ns: None,
            proxy_done_ns: None,
            target_start_ns: None,
            target_done_ns: None,
            cpu_used_ns: None,
            overhead_ns: None,
        }
    }

    /// Failed now, for this reason and this cause.
    fn failed(reason: FailReason, cause: String) -> Self {
        Self { error: Some(cause), ..Self::without_response(Outcome::Failed(reason)) }
    }

    fn from_head(status: u16, headers: &HeaderMap) -> Self {
        let named = headers.get(header::OUTCOME);
        let answer = Self { status: Some(status), ..Self::without_response(outcome(status, named)) };
        // Only Galton's own servers say more, and they all say this.
        if named.is_none() {
            return answer;
        }
        Self {
            attempts: parsed(headers, header::ATTEMPTS),
            target: parsed(headers, header::TARGET),
            proxy_recv_ns: parsed(headers, header::RECV_NS),
            proxy_done_ns: parsed(headers, header::DONE_NS),
            target_start_ns: parsed(headers, header::TARGET_START_NS),
            target_done_ns: parsed(headers, header::TARGET_DONE_NS),
            cpu_used_ns: parsed(headers, header::CPU_USED_NS),
            overhead_ns: parsed(headers, header::OVERHEAD_NS),
            ..answer
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_header_goes_before_the_status() {
        let of = |status, named: Option<&'static str>| outcome(status, named.map(HeaderValue::from_static).as_ref());
        assert_eq!(of(200, None), Outcome::Ok);
        assert_eq!(of(404, None), Outcome::Failed(FailReason::Http));
        assert_eq!(of(503, Some("full")), Outcome::Rejected(RejectReason::NoCapacity));
        assert_eq!(of(503, Some("rejected;reason=queue_full")), Outcome::Rejected(RejectReason::QueueFull));
        assert_eq!(of(504, Some("timed_out")), Outcome::TimedOut);
        assert_eq!(of(200, Some("shed")), Outcome::Ok, "only the load generator sheds");
        assert_eq!(of(500, Some("gibberish")), Outcome::Failed(FailReason::Http));
    }
}
