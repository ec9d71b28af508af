//! The locks and atomics that the breaker stands on. A door of its own: `tests/loom` compiles the same files with a model
//! checker's types behind it.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};
pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};
