//! Asking for memory before it is needed. A large simulation does not fit the processor's caches, and it knows what comes next.

/// Fetches a value into the nearest cache, if the processor can be asked to; what the program computes does not depend on it.
#[inline]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // A value need not begin where a line does: its last byte may be on one more.
    for line in (0..size_of::<T>()).step_by(LINE).chain(size_of::<T>().checked_sub(1)) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let at = std::ptr::from_ref(value).cast::<i8>().wrapping_add(line);
        // SAFETY: a hint, which every x86-64 has, reads nothing as far as the program can tell, and faults at no address; this
        // one lies within a value.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Bytes that are fetched at once.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;
