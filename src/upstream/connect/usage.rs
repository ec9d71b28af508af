//! How the connections of a pool are used, for operators. Knows nothing of connections.

/// How the connections of a pool are used. The numbers are read one after another, so they may be of different moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUsage {
    /// The maximum of open connections.
    pub max: usize,
    /// Connections that serve requests, or that are being opened.
    pub active: usize,
    /// Connections that wait for a request.
    pub idle: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
}

impl PoolUsage {
    /// Computes the numbers of open connections from those that may still be opened and those that are idle.
    pub(super) fn of(max: usize, free: usize, idle: usize, waiting: usize) -> Self {
        let open = max.saturating_sub(free);
        let idle = idle.min(open);
        Self { max, active: open - idle, idle, waiting }
    }
}
