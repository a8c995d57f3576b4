use std::cell::Cell;
use std::time::Duration;

use super::*;

fn run<F: Future>(test: impl FnOnce(Timer) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let timer = Timer::new().unwrap();
        let test = test(timer);
        tokio::time::timeout(Duration::from_secs(20), test).await.expect("the test has 20 s")
    })
}

fn ms(n: u64) -> u64 {
    n * 1_000_000
}

#[test]
fn a_sleep_is_never_early_and_usually_precise() {
    run(|timer| async move {
        let mut late = Vec::new();
        for i in 0..50 {
            let at = mono_ns() + 200_000 + i * 10_000;
            timer.sleep_until(at).await;
            let now = mono_ns();
            assert!(now >= at, "{} ns early", at - now);
            late.push(now - at);
        }
        late.sort_unstable();
        assert!(late[25] < ms(1), "the median is {} ns late: no better than tokio's", late[25]);
    });
}

#[test]
fn a_sleep_that_is_over_completes_at_once() {
    run(|timer| async move {
        let mut sleep = std::pin::pin!(timer.sleep_until(mono_ns()));
        assert!(futures_poll(sleep.as_mut()).await.is_ready());
        assert!(timer.0.borrow().heap.is_empty());
        timer.sleep_until(0).await;
    });
}

async fn futures_poll<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[test]
fn deadlines_come_in_order_whatever_the_order_of_asking() {
    let order = run(|timer| async move {
        let order = Rc::new(RefCell::new(Vec::new()));
        let base = mono_ns() + ms(2);
        for (name, offset) in [(4, 3), (1, 0), (3, 2), (2, 0)] {
            let order = order.clone();
            timer.call_at(base + ms(offset), move || order.borrow_mut().push(name));
        }
        timer.sleep_until(base + ms(3) + 1).await;
        order.take()
    });
    assert_eq!(order, [1, 2, 3, 4], "equal deadlines keep the order of insertion");
}

#[test]
fn a_cancelled_call_does_not_run_and_its_slot_is_used_again() {
    run(|timer| async move {
        let ran = Rc::new(Cell::new(0));
        let count = |n: u32| {
            let ran = ran.clone();
            move || ran.set(ran.get() + n)
        };
        let at = mono_ns() + ms(2);
        let cancelled = timer.call_at(at, count(1));
        timer.cancel(cancelled);
        let kept = timer.call_at(at, count(10));
        assert_eq!(kept.slot, cancelled.slot);
        timer.cancel(cancelled); // the old name must not reach the new call
        timer.sleep_until(at + 1).await;
        assert_eq!(ran.get(), 10);
        timer.cancel(kept); // it has run
        assert_eq!(Rc::strong_count(&ran), 1);
    });
}

#[test]
fn a_call_in_the_past_runs_soon_but_not_within_the_call() {
    run(|timer| async move {
        let ran = Rc::new(Cell::new(false));
        let (seen, done) = (ran.clone(), Rc::new(tokio::sync::Notify::new()));
        let notify = done.clone();
        timer.call_at(0, move || {
            seen.set(true);
            notify.notify_one();
        });
        assert!(!ran.get());
        done.notified().await;
        assert!(ran.get());
    });
}

#[test]
fn a_call_may_use_the_timer() {
    run(|timer| async move {
        let done = Rc::new(tokio::sync::Notify::new());
        let (inner, notify) = (timer.clone(), done.clone());
        timer.call_at(mono_ns() + ms(1), move || {
            let key = inner.call_at(mono_ns() + ms(1000), || panic!("cancelled below"));
            inner.cancel(key);
            inner.call_at(mono_ns() + ms(1), move || notify.notify_one());
        });
        done.notified().await;
    });
}

#[test]
fn a_call_that_is_always_late_for_its_next_one_lets_others_run() {
    const MANY: u32 = 100_000;
    fn again(timer: Timer, calls: Rc<Cell<u32>>) {
        calls.set(calls.get() + 1);
        if calls.get() < MANY {
            timer.clone().call_at(0, move || again(timer, calls));
        }
    }
    run(|timer| async move {
        let calls = Rc::new(Cell::new(0));
        again(timer, calls.clone());
        let (mut here, mut there) = tokio::net::UnixStream::pair().unwrap();
        for _ in 0..10 {
            tokio::io::AsyncWriteExt::write_u8(&mut there, 0).await.unwrap();
            tokio::io::AsyncReadExt::read_u8(&mut here).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert!((2..MANY).contains(&calls.get()), "{} calls, and then it was others' turn", calls.get());
    });
}

#[test]
fn dropping_a_sleep_forgets_it_and_the_heap_does_not_grow() {
    run(|timer| async move {
        let far = mono_ns() + ms(60_000);
        for i in 0..10_000 {
            let mut sleep = Box::pin(timer.sleep_until(far + i));
            assert!(futures_poll(sleep.as_mut()).await.is_pending());
        }
        let queue = timer.0.borrow();
        assert!(queue.heap.len() <= SWEEP + 2, "{} entries left", queue.heap.len());
        assert_eq!((queue.slots.len(), queue.free.len()), (1, 1));
    });
}

#[test]
fn many_sleepers_all_wake() {
    run(|timer| async move {
        let base = mono_ns();
        let tasks: Vec<_> = (0..500)
            .map(|i| {
                let timer = timer.clone();
                let at = base + (i * 7919 % 500) * 20_000;
                tokio::task::spawn_local(async move {
                    timer.sleep_until(at).await;
                    mono_ns() >= at
                })
            })
            .collect();
        for task in tasks {
            assert!(task.await.unwrap());
        }
        assert!(timer.0.borrow().heap.is_empty());
    });
}
