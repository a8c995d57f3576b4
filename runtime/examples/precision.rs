//! How late the precise timer is, against tokio's, for the same instants.
//!
//! `cargo run --release -p galton-runtime --example precision [SECONDS]`

use std::time::Duration;

use galton_core::rng::{KeyedRng, Purpose};
use galton_runtime::mono_ns;
use galton_runtime::role::run_on_time;
use galton_runtime::timer::Timer;

fn main() -> anyhow::Result<()> {
    let seconds: u64 = std::env::args().nth(1).map_or(Ok(5), |s| s.parse())?;
    println!("{:>8}  {:<8} {:>7} {:>9} {:>9} {:>9}", "rate", "timer", "n", "p50 µs", "p99 µs", "max µs");
    run_on_time(async {
        let timer = Timer::new()?;
        for rate in [200, 1000] {
            let count = rate * seconds;
            report(rate, "timerfd", measure(&timer, rate, count, |at| timer.sleep_until(at)).await?);
            report(rate, "tokio", measure(&timer, rate, count, tokio_sleep).await?);
        }
        Ok(())
    })
}

fn tokio_sleep(at: u64) -> tokio::time::Sleep {
    tokio::time::sleep(Duration::from_nanos(at.saturating_sub(mono_ns())))
}

/// How late each of `count` sleeps ended, sorted, in nanoseconds. Each is a task that begins 100 ms before its end. Gaps are
/// uniform in 0..2/rate, so that the ends fall anywhere within a millisecond.
async fn measure<S: Future<Output = ()> + 'static>(
    pacer: &Timer,
    rate: u64,
    count: u64,
    sleep: impl Fn(u64) -> S,
) -> anyhow::Result<Vec<u64>> {
    let mut rng = KeyedRng::new(1, Purpose::Arrival, rate);
    let mut at = mono_ns() as f64;
    let mut tasks = Vec::new();
    for _ in 0..count {
        at += rng.uniform() * 2e9 / rate as f64;
        let due = at as u64 + 100_000_000;
        pacer.sleep_until(at as u64).await;
        let sleep = sleep(due);
        tasks.push(tokio::task::spawn_local(async move {
            sleep.await;
            mono_ns().saturating_sub(due)
        }));
    }
    let mut late = Vec::new();
    for task in tasks {
        late.push(task.await?);
    }
    late.sort_unstable();
    Ok(late)
}

fn report(rate: u64, name: &str, late: Vec<u64>) {
    let quantile = |q: f64| late[((late.len() - 1) as f64 * q) as usize] as f64 / 1e3;
    let (p50, p99, max) = (quantile(0.5), quantile(0.99), quantile(1.0));
    println!("{rate:>6}/s  {name:<8} {:>7} {p50:>9.1} {p99:>9.1} {max:>9.1}", late.len());
}
