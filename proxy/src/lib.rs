//! One load-balancer host: hyper around the core's host machine.
//!
//! Decisions are [`galton_core::host`]'s alone. This crate is their driver: client connections and requests become inputs,
//! effects become attempts at targets, precise timers, messages to the scaler. One thread serves all of it; the admin
//! server has another.
//!
//! ```text
//!   server ─► connection ─► forward ─► call ─► engine ─► Host     one task per connection, one engine per host
//!                │                 │  ▲
//!                ▼                 ▼  │
//!      replay · upstream · body   timers, posts, records; watch (fleet), wake (queues), counts (scans)
//! ```

mod app;
mod body;
mod call;
mod calls;
mod client_io;
mod connection;
mod counts;
mod declined;
mod engine;
mod forward;
mod front;
#[doc(hidden)]
pub mod fuzzing;
mod headers;
mod interim;
mod limits;
mod metrics;
mod parking;
mod posts;
mod proxy;
mod ready;
mod recording;
mod replay;
mod request;
mod server;
#[cfg(test)]
mod tests;
mod threads;
mod turns;
mod upstream;
mod verdict;
mod watch;

pub use app::{Args, run};
