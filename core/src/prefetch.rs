//! Asking for memory before it is needed. A large simulation does not fit the processor's caches, and it knows what comes next.

/// Fetches a value into the nearest cache, if the processor can be asked to; what the program computes does not depend on it.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        let first = std::ptr::from_ref(value).cast::<i8>();
        let mut at = 0;
        while at < size_of::<T>() {
            hint(first.wrapping_add(at));
            at += LINE;
        }
        // A value need not begin where a line does: then its last byte may be on one more.
        if align_of::<T>() < LINE.min(size_of::<T>()) {
            hint(first.wrapping_add(size_of::<T>() - 1));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn hint(at: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint, which every x86-64 has, reads nothing as far as the program can tell, and faults at no address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at) };
}

/// Bytes that are fetched at once.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;
