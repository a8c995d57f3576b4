//! The terminal as a whole: taken for a run, drawn on and listened to by a thread of its own, and put back in every case.
//!
//! What is drawn goes to stderr, so that results can go elsewhere. Whoever ends the process - the end of the run, a panic, a second
//! Ctrl-C - calls [`restore`], once or more often; no frame is written afterwards.

use std::io::{self, IsTerminal, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use galton_runtime::shutdown;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use rustix::process::{Signal, getpgrp, getpid, kill_process};
use rustix::termios::tcgetpgrp;

use super::draw::{Ink, draw};
use super::view::View;

/// How long the thread waits for a key before it looks for a new view: also how long the end of a run waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The terminal is ours. Changed and asked only with stderr locked, so that no frame is written after it was put back.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The taken terminal. Dropping it puts it back.
#[derive(Debug)]
pub(crate) struct Screen {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The latest view that has not been drawn; one that nobody had the time to draw is not worth keeping.
    next: Mutex<Option<View>>,
    over: AtomicBool,
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Stop,
    Pause,
    Redraw,
}

/// Whether taking the screen is what a person would expect: they sit in front of it, and nothing else writes there.
pub(crate) fn fits() -> bool {
    let clever = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    let ours = io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal();
    // From the background, changing the terminal would stop the process.
    clever && ours && tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground == getpgrp())
}

/// Puts the terminal back, if it is taken.
pub(crate) fn restore() {
    let mut out = io::stderr().lock();
    if TAKEN.swap(false, Ordering::SeqCst) {
        // If it fails, there is no terminal any more.
        execute!(out, Show, LeaveAlternateScreen).ok();
        disable_raw_mode().ok();
    }
}

fn take() -> io::Result<()> {
    let mut out = io::stderr().lock();
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(out, EnterAlternateScreen, Hide)
}

/// As the signal that the terminal no longer makes of Ctrl-C: a first one stops the run, a second one ends the process.
fn interrupt() {
    // A process can always be sent its own signals.
    kill_process(getpid(), Signal::INT).ok();
}

fn on_panic() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        restore();
        before(info);
    }));
}

// === impl Screen ===

impl Screen {
    /// Takes the terminal and starts the thread.
    pub(crate) fn take() -> io::Result<Self> {
        shutdown::before_exit(restore);
        on_panic();
        // Halfway taken is to be put back, too.
        take().inspect_err(|_| restore())?;
        let shared = Arc::new(Shared::default());
        let mut screen = Self { shared: shared.clone(), thread: None };
        let thread = std::thread::Builder::new().name("screen".to_owned());
        // A terminal that fails is gone; the run goes on without it.
        screen.thread = Some(thread.spawn(move || drop(run(&shared)))?);
        Ok(screen)
    }

    /// Shows this next.
    pub(crate) fn show(&self, view: View) {
        *self.shared.next() = Some(view);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // If it panicked, it has said so.
            thread.join().ok();
        }
        restore();
    }
}

// === impl Shared ===

impl Shared {
    fn next(&self) -> MutexGuard<'_, Option<View>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread: waits for keys, and draws what is new.
fn run(shared: &Shared) -> io::Result<()> {
    let mut terminal = Terminal::new(CrosstermBackend::new(Frames::default()))?;
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut ink = Ink { colour, paused: false };
    let mut shown: Option<View> = None;
    while !shared.over.load(Ordering::Acquire) {
        let wish = if event::poll(LOOK_EVERY)? { wish(&event::read()?) } else { None };
        match wish {
            Some(Wish::Stop) => interrupt(),
            Some(Wish::Pause) => ink.paused = !ink.paused,
            Some(Wish::Redraw) | None => {}
        }
        let new = if ink.paused { None } else { shared.next().take() };
        let changed = new.is_some() || matches!(wish, Some(Wish::Pause | Wish::Redraw));
        shown = new.or(shown);
        if let (Some(view), true) = (&shown, changed) {
            terminal.draw(|frame| draw(frame, view, ink))?;
        }
    }
    Ok(())
}

fn wish(event: &Event) -> Option<Wish> {
    match event {
        Event::Resize(..) => Some(Wish::Redraw),
        Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) => match code {
            KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Some(Wish::Stop),
            KeyCode::Char('q' | 'Q') => Some(Wish::Stop),
            KeyCode::Char('p' | 'P') => Some(Wish::Pause),
            _ => None,
        },
        _ => None,
    }
}

/// Collects a frame and writes it in one piece, as long as the terminal is ours.
#[derive(Debug, Default)]
struct Frames(Vec<u8>);

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut out = io::stderr().lock();
        if TAKEN.load(Ordering::SeqCst) {
            out.write_all(&self.0)?;
            out.flush()?;
        }
        self.0.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_screen_says() {
        let key = |c, modifiers| wish(&Event::Key(KeyEvent::new(KeyCode::Char(c), modifiers)));
        assert_eq!(key('q', KeyModifiers::NONE), Some(Wish::Stop));
        assert_eq!(key('c', KeyModifiers::CONTROL), Some(Wish::Stop));
        assert_eq!(key('c', KeyModifiers::NONE), None);
        assert_eq!(key('p', KeyModifiers::NONE), Some(Wish::Pause));
        assert_eq!(wish(&Event::Resize(20, 5)), Some(Wish::Redraw));
    }
}
