//! The scaler as a process, with real target processes: what hosts are told, what becomes of targets, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod ends;
mod fleet;
mod support;
