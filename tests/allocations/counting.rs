//! An allocator that counts what the gateway's threads ask of it: calls, and bytes that live. Threads of the test itself say
//! that they do not count.
#![allow(unsafe_code, reason = "an allocator is unsafe by its trait; it only counts and hands on to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

pub struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static LEFT_OUT: Cell<bool> = const { Cell::new(false) };
}

/// This thread does not count from now on.
pub fn leave_out_this_thread() {
    LEFT_OUT.set(true);
}

/// Allocations and reallocations so far.
pub fn calls() -> u64 {
    CALLS.load(Ordering::SeqCst)
}

/// Bytes that live now, by the sizes asked for.
pub fn live() -> i64 {
    LIVE.load(Ordering::SeqCst)
}

fn count(calls: u64, bytes: i64) {
    // A thread that is ending has no cell any more: it counts, as any thread of the gateway.
    if !LEFT_OUT.try_with(Cell::get).unwrap_or(false) {
        CALLS.fetch_add(calls, Ordering::SeqCst);
        LIVE.fetch_add(bytes, Ordering::SeqCst);
    }
}

// SAFETY: every call is handed on to the system's allocator as it came; counting touches atomics only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
