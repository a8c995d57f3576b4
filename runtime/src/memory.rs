//! Memory that was used and is not: the allocator keeps it, for what it may be asked next.

/// Gives whole pages that are free back to the kernel. It looks at all that is free and takes milliseconds if that is much:
/// for when there is much less to do than there was.
///
/// By itself the GNU C library gives back what is free at the end of a heap, and one small thing that lives there keeps all
/// that is before it. Other libraries are left to their own ways.
pub fn give_back() {
    // SAFETY: it may be called by any thread at any time; memory in use is not touched.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
