//! Reading the targets' idle counts for a scan.

use std::rc::Rc;

use futures_util::{StreamExt, stream};
use galton_core::host::{IdleCounts, Input};
use galton_core::wire::TargetCounts;
use galton_core::{Nanos, TargetId};
use galton_runtime::http_client;

use crate::engine::Engine;
use crate::limits;

/// Asks each target, and feeds the counts of those that answered.
pub(crate) fn read(engine: Rc<Engine>, targets: Vec<TargetId>, window: Nanos) {
    tokio::task::spawn_local(async move {
        let path = format!("/counts?window_ns={}", engine.clock.machine(window));
        let ask = |target| {
            let admin = engine.outside.upstreams.admin(target);
            let path = &path;
            async move { Some((target, ask(&admin?, path).await?)) }
        };
        let counts: Vec<_> = stream::iter(targets)
            .map(ask)
            .buffer_unordered(limits::COUNTS_AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await;
        engine.feed(Input::Counts { counts });
    });
}

async fn ask(admin: &str, path: &str) -> Option<IdleCounts> {
    let answer = http_client::get(admin, path, limits::COUNTS).await;
    let answer = answer.inspect_err(|error| tracing::debug!("idle counts: {error:#}")).ok()?;
    let counts: TargetCounts = serde_json::from_slice(&answer.body).ok()?;
    Some(IdleCounts { accepted_in_window: counts.accepted_in_window, in_flight: counts.in_flight })
}
