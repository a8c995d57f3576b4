//! `--prometheus`: the metrics of a standalone run, for whoever scrapes them while it lasts.
//!
//! Under a conductor the admin port of the role serves the same families.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use galton_runtime::admin::{self, Routes};
use galton_runtime::book::Book;
use galton_runtime::telemetry;
use prometheus::Registry;

/// Serves what is in the book and the registry until the process ends, from a thread of its own. Returns where: port 0
/// takes a free one.
pub(crate) fn serve(addr: SocketAddr, book: &Book, registry: Registry) -> anyhow::Result<SocketAddr> {
    book.register(&registry)?;
    telemetry::register_process(&registry, "loadgen")?;
    // Nothing else has to come up first.
    let routes = Routes { ready: Arc::new(AtomicBool::new(true)), registry, handler: None };
    Ok(admin::spawn(addr, routes).context("--prometheus")?.addr)
}
