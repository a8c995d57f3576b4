//! The time slice that a thread asks the scheduler for: a data-plane thread that wakes up for a deadline should not wait for
//! the rest of a busy thread's slice (3 ms by default).
//!
//! Linux schedules by earliest virtual deadline (EEVDF: Stoica and Abdel-Wahab 1995; in Linux since 6.6), and since 6.12 takes
//! the length of a thread's slice from `sched_attr.sched_runtime`, without privilege: a short slice means an early deadline,
//! and preemption of threads with longer ones. It takes nothing from the others: every thread's share stays what it was. Older
//! kernels ignore it.

/// The shortest slice that the kernel takes.
const SHORT_NS: u64 = 100_000;

/// `struct sched_attr` of the kernel (include/uapi/linux/sched/types.h), version 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// This thread, and those that it starts, ask for the shortest slice: they work little at a time, and on time.
pub fn short() {
    ask(SHORT_NS);
}

/// This thread asks for the usual slice: it computes.
pub fn usual() {
    ask(0);
}

fn ask(slice_ns: u64) {
    let size = size_of::<SchedAttr>() as u32;
    let mut attr = SchedAttr { size, ..SchedAttr::default() };
    // SAFETY: the kernel writes at most `size` bytes to `attr`, which has that size and lives through the call.
    let got = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, size, 0) };
    if got != 0 {
        tracing::debug!(error = %std::io::Error::last_os_error(), "cannot read the scheduling attributes");
        return;
    }
    attr.runtime = slice_ns;
    // SAFETY: the kernel reads `attr.size` bytes of `attr`, which has at least that size and lives through the call.
    let set = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) };
    if set != 0 {
        // A sandbox may forbid it: then timing is as good as the machine's.
        tracing::debug!(error = %std::io::Error::last_os_error(), "cannot ask for a time slice");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice() -> u64 {
        let size = size_of::<SchedAttr>() as u32;
        let mut attr = SchedAttr::default();
        // SAFETY: as above.
        let got = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, size, 0) };
        assert_eq!(got, 0);
        attr.runtime
    }

    #[test]
    fn a_thread_s_slice_is_its_own() {
        let usual_slice = slice();
        std::thread::spawn(move || {
            short();
            let shortened = slice();
            usual();
            assert_eq!(slice(), usual_slice);
            // Kernels before 6.12 report no slice.
            assert!(shortened == SHORT_NS || shortened == usual_slice, "{shortened}");
        })
        .join()
        .unwrap();
        assert_eq!(slice(), usual_slice);
    }
}
