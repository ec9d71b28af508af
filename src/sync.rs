//! The locks and atomics of what is checked by a model checker: `tests/loom` compiles the same files with its own types behind this
//! door.

pub use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
pub use std::sync::{Mutex, MutexGuard, PoisonError};
