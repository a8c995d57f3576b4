//! A process under a parent: announcement, lifeline, signals, and the book of a process that was killed. Runs itself as the
//! child, so that stdout and the signals are the child's own.

#![allow(clippy::unwrap_used, reason = "a test without #[test]")]

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use galton_core::wire::Announce;
use galton_runtime::book::{self, Book, Kind};
use galton_runtime::shutdown::Cause;
use galton_runtime::{Shutdown, child};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(20);

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("child") => run_child(&args[2..]),
        // What `cargo test` and its relatives ask of a test binary.
        Some("--list") => println!("process: test"),
        _ => run_tests(),
    }
}

/// Counts to 7, announces itself, waits for its end and exits with the number of the cause.
fn run_child(args: &[String]) {
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let shutdown = Shutdown::listen(has("--lifeline")).unwrap();
    let book = Book::create(args.iter().find_map(|arg| arg.strip_prefix("--book=")).map(Path::new)).unwrap();
    book.cell(Kind::Counter, "things_total", &[], "Things.").unwrap().add(7);
    let pid = std::process::id();
    child::announce(&Announce { role: "test".into(), data: None, admin: String::new(), pid }).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let cause = runtime.block_on(shutdown.wait());
    if has("--stubborn") {
        std::thread::sleep(PATIENCE);
    }
    std::process::exit(10 + cause as i32);
}

fn run_tests() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        sigterm_is_a_cause().await;
        a_closed_terminal_is_one_too_unless_nobody_minds().await;
        sigint_is_ignored_under_a_lifeline().await;
        a_second_sigint_ends_the_child_at_once().await;
        so_does_one_after_a_sigterm().await;
        the_end_of_the_lifeline_ends_the_child().await;
        a_stubborn_orphan_exits().await;
        what_a_killed_child_counted_is_in_its_book().await;
    });
    let shutdown = Shutdown::listen(false).unwrap();
    assert_eq!(shutdown.cause(), None);
    shutdown.ask();
    assert_eq!(shutdown.cause(), Some(Cause::Asked));
    println!("process: ok");
}

async fn start(flags: &[&str]) -> child::Child {
    let program = std::env::current_exe().unwrap();
    let args: Vec<String> = ["child"].iter().chain(flags).map(|&s| s.to_owned()).collect();
    let child = child::spawn(&program, &args, None, PATIENCE).await.unwrap();
    assert_eq!(Some(child.announce.pid), child.process.id());
    child
}

fn send(child: &child::Child, signal: Signal) {
    let pid = Pid::from_raw(child.announce.pid as i32).unwrap();
    kill_process(pid, signal).unwrap();
}

async fn ended(process: &mut tokio::process::Child) -> ExitStatus {
    tokio::time::timeout(PATIENCE, process.wait()).await.expect("the child did not end").unwrap()
}

async fn sigterm_is_a_cause() {
    let mut child = start(&[]).await;
    send(&child, Signal::TERM);
    assert_eq!(ended(&mut child.process).await.code(), Some(10 + Cause::Terminate as i32));
}

async fn a_closed_terminal_is_one_too_unless_nobody_minds() {
    let mut child = start(&[]).await;
    send(&child, Signal::HUP);
    assert_eq!(ended(&mut child.process).await.code(), Some(10 + Cause::Terminate as i32));
    let program = std::env::current_exe().unwrap();
    let script = format!("trap '' HUP; exec {} child", program.display());
    let args = ["-c".to_owned(), script];
    let mut child = child::spawn(Path::new("/bin/sh"), &args, None, PATIENCE).await.unwrap();
    send(&child, Signal::HUP);
    send(&child, Signal::INT);
    assert_eq!(ended(&mut child.process).await.code(), Some(10 + Cause::Interrupt as i32), "as under nohup");
}

async fn sigint_is_ignored_under_a_lifeline() {
    let mut child = start(&["--lifeline"]).await;
    send(&child, Signal::INT);
    send(&child, Signal::TERM);
    assert_eq!(ended(&mut child.process).await.code(), Some(10 + Cause::Terminate as i32));
    let mut child = start(&[]).await;
    send(&child, Signal::INT);
    assert_eq!(ended(&mut child.process).await.code(), Some(10 + Cause::Interrupt as i32));
}

async fn a_second_sigint_ends_the_child_at_once() {
    let child = start(&["--stubborn"]).await;
    assert_eq!(ended_by_interrupts(child).await.code(), Some(130));
}

async fn so_does_one_after_a_sigterm() {
    let child = start(&["--stubborn"]).await;
    send(&child, Signal::TERM);
    assert_eq!(ended_by_interrupts(child).await.code(), Some(130));
}

/// Two signals may become one while the child does not run, and change places: more are sent until it ends.
async fn ended_by_interrupts(mut child: child::Child) -> ExitStatus {
    let ended = async {
        loop {
            send(&child, Signal::INT);
            if let Ok(status) = tokio::time::timeout(Duration::from_millis(20), child.process.wait()).await {
                return status.unwrap();
            }
        }
    };
    tokio::time::timeout(PATIENCE / 2, ended).await.expect("it did not end")
}

async fn the_end_of_the_lifeline_ends_the_child() {
    let child::Child { mut process, lifeline, .. } = start(&["--lifeline"]).await;
    drop(lifeline);
    assert_eq!(ended(&mut process).await.code(), Some(10 + Cause::Orphaned as i32));
}

async fn a_stubborn_orphan_exits() {
    let child::Child { mut process, lifeline, .. } = start(&["--lifeline", "--stubborn"]).await;
    drop(lifeline);
    assert_eq!(ended(&mut process).await.code(), Some(1));
}

async fn what_a_killed_child_counted_is_in_its_book() {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("book");
    let mut child = start(&["--lifeline", &format!("--book={}", path.display())]).await;
    send(&child, Signal::KILL);
    ended(&mut child.process).await;
    assert_eq!(book::read(&path).unwrap(), [("things_total".to_owned(), 7)]);
}
