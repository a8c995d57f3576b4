//! A role that a test starts by hand.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use galton_core::wire::Announce;
use rustix::process::Signal;

use crate::{SOON, eventually, signal};

/// A role that runs; killed when dropped.
#[derive(Debug)]
pub struct Role {
    child: Child,
    announce: Announce,
    /// Open as long as the role runs: what it says must not fail.
    _stdout: BufReader<ChildStdout>,
}

impl Role {
    /// Starts it, and waits until it has bound its ports.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the role starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("its first line");
        let announce = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
        Self { child, announce, _stdout: stdout }
    }

    /// Address of its data port.
    pub fn data(&self) -> &str {
        self.announce.data.as_deref().expect("a role with a data port")
    }

    /// Address of its admin port.
    pub fn admin(&self) -> &str {
        &self.announce.admin
    }

    /// Sends it a signal, and waits for its exit code.
    #[track_caller]
    pub fn end(&mut self, by: Signal) -> Option<i32> {
        signal(self.child.id(), by);
        self.ended()
    }

    /// Waits until it has ended; its exit code.
    #[track_caller]
    pub fn ended(&mut self) -> Option<i32> {
        let mut status: Option<ExitStatus> = None;
        eventually(SOON, "the end of a role", || {
            status = self.has_ended();
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// How it has ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("its status")
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
