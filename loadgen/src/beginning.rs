//! When scenario time begins for a part of a run: at a T0 that somebody says, that it tells the scaler, or of its own.
//!
//! Times in a trace, in decision records and in the fleet's log go together only if all count from the same T0.

use anyhow::{Context as _, bail};
use galton_core::wire::Start;
use galton_runtime::{http_client, mono_ns};
use http::StatusCode;
use tokio::time::Instant;

use crate::args::{ConductedArgs, HostsArgs};
use crate::hosts::{ANSWER_WITHIN, ASK_EVERY, PATIENCE};

/// A T0 that nobody else hears of: time to get to the first wait.
const LEAD_NS: u64 = 10_000_000;
/// A T0 that the scaler passes on lies so far ahead that every process has heard of it by then.
const TOLD_AHEAD_NS: u64 = 200_000_000;

/// Who says when scenario time begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// A conductor, with `POST /start`.
    Awaited,
    /// This process, and the scaler at this address passes it on.
    Told(String),
    /// This process, and nobody else counts from there.
    Alone,
}

// === impl Beginning ===

impl Beginning {
    /// As the flags say.
    pub(crate) fn of(conducted: &ConductedArgs, hosts: &HostsArgs) -> Self {
        match &hosts.scaler {
            _ if conducted.wait_start => Self::Awaited,
            Some(scaler) => Self::Told(scaler.clone()),
            None => Self::Alone,
        }
    }

    /// T0, if it is decided here; the scaler knows it then.
    pub(crate) async fn decide(&self) -> anyhow::Result<Option<Start>> {
        Ok(match self {
            Self::Awaited => None,
            Self::Told(scaler) => Some(tell(scaler).await?),
            Self::Alone => Some(Start { t0_ns: mono_ns() + LEAD_NS }),
        })
    }
}

/// Tells the scaler, as soon as its initial fleet is up.
async fn tell(scaler: &str) -> anyhow::Result<Start> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let start = Start { t0_ns: mono_ns() + TOLD_AHEAD_NS };
        let answer = http_client::post_json(scaler, "/start", &start, ANSWER_WITHIN).await;
        let answer = answer.with_context(|| format!("cannot start the scaler at {scaler}"))?;
        let said = String::from_utf8_lossy(&answer.body);
        match answer.status {
            status if status.is_success() => return Ok(start),
            StatusCode::SERVICE_UNAVAILABLE if Instant::now() < deadline => tokio::time::sleep(ASK_EVERY).await,
            StatusCode::CONFLICT => {
                bail!(
                    "the scaler at {scaler} counts from another T0 (was it started with --autostart?): {}",
                    said.trim()
                )
            }
            _ => bail!("the scaler at {scaler} refused to start: {}", said.trim()),
        }
    }
}
