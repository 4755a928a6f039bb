//! The shared library's own allocator.
//!
//! A message is made in a thread of the host and freed in one of ours: with the C library's allocator that costs three
//! to five times as much. The host's own malloc is not touched: what either makes, the same frees.

#[cfg(feature = "library")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
