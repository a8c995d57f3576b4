//! The whole proxy over real sockets, between fake targets and a fake scaler, all on one thread.
//!
//! Conditions are waited for with a deadline; no test sleeps for luck.

mod aborts;
mod fleet;
mod forwarding;
mod http1;
mod http2;
mod limits;
mod parking;
mod patience;
mod rig;
