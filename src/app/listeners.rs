//! The open data listeners of the process, and the change from those of one plan to those of the next.
//!
//! Knows nothing of requests.

use std::io::ErrorKind;
use std::net::SocketAddr;

use super::start_error::StartError;
use crate::admin;
use crate::plan::Listen;
use crate::server::listen::{self, Closer, Listener};

/// An address on which the gateway listens, as the configuration writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    /// Connections begin with a TLS handshake.
    pub(super) secure: bool,
}

/// An open listener.
#[derive(Debug)]
struct Open {
    place: Place,
    /// The address with the actual port.
    bound: SocketAddr,
    closer: Closer,
}

impl Bound {
    /// Returns the addresses with their actual ports.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.added.iter().map(|open| open.bound)
    }
}

/// All open listeners.
#[derive(Debug, Default)]
pub(super) struct Listeners(Vec<Open>);

/// Listeners that are bound, but not in use yet. Dropping this closes them.
#[derive(Debug, Default)]
pub(super) struct Bound {
    added: Vec<Open>,
    /// The sockets of each core.
    pub(super) per_core: Vec<Vec<Listener>>,
}

impl Listen {
    /// Returns where this configuration listens.
    fn places(&self) -> Vec<Place> {
        let plain = self.http.iter().map(|address| Place { address: *address, secure: false });
        plain.chain(self.tls.iter().map(|tls| Place { address: tls.address, secure: true })).collect()
    }
}

impl Listeners {
    /// Binds the listeners of the first plan. Returns also those of each core, which accept nothing yet.
    ///
    /// # Errors
    /// As [`Self::bind`].
    pub(super) fn first(listen: &Listen) -> Result<(Self, Vec<Vec<Listener>>), StartError> {
        let mut listeners = Self::default();
        let mut bound = listeners.bind(listen, None)?;
        let per_core = std::mem::take(&mut bound.per_core);
        listeners.add(bound);
        Ok((listeners, per_core))
    }

    /// Binds what a configuration has in addition, on every core. `admin` is the address of the admin listener that runs.
    ///
    /// # Errors
    /// Returns the first address that cannot be bound; then nothing is bound.
    pub(super) fn bind(&self, listen: &Listen, admin: Option<SocketAddr>) -> Result<Bound, StartError> {
        let cores = listen.workers;
        let mut bound = Bound { added: Vec::new(), per_core: (0..cores).map(|_| Vec::new()).collect() };
        let wanted = listen.places();
        for place in wanted.iter().filter(|place| !self.0.iter().any(|open| open.place == **place)) {
            let sockets = self.sockets(place.address, cores, admin, listen)?;
            let address = sockets.first().and_then(|socket| socket.local_addr().ok()).unwrap_or(place.address);
            let closer = Closer::default();
            for (core, socket) in bound.per_core.iter_mut().zip(sockets) {
                core.push(Listener { socket, secure: place.secure, watched: closer.watch() });
            }
            bound.added.push(Open { place: *place, bound: address, closer });
        }
        Ok(bound)
    }

    /// Binds the admin listener of a configuration; `running` is the address of the one that it replaces.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub(super) fn bind_admin(&self, address: SocketAddr, running: Option<SocketAddr>, listen: &Listen) -> Result<admin::Bound, StartError> {
        let socket = self.sockets(address, 1, running, listen)?.pop().ok_or(ErrorKind::AddrNotAvailable.into());
        socket.and_then(|socket| admin::Bound::new(socket, address)).map_err(|source| StartError::bind(address, source))
    }

    /// Binds sockets to an address. An own listener that ends with this change does not hinder its successor on the same port.
    fn sockets(
        &self,
        address: SocketAddr,
        count: usize,
        admin: Option<SocketAddr>,
        listen: &Listen,
    ) -> Result<Vec<std::net::TcpListener>, StartError> {
        let wanted = listen.places();
        let ends = |open: &Open| open.bound.port() == address.port() && !wanted.contains(&open.place);
        let admin_ends = admin.is_some_and(|admin| admin.port() == address.port() && admin != listen.admin);
        let sockets = match admin_ends || self.0.iter().any(ends) {
            true => listen::bind_beside(address, count),
            false => listen::bind(address, count),
        };
        sockets.map_err(|source| StartError::bind(address, source))
    }

    /// Adds listeners whose sockets the cores have.
    pub(super) fn add(&mut self, bound: Bound) {
        self.0.extend(bound.added);
    }

    /// Closes the listeners that a configuration does not have. Their connections end after the request that they serve.
    pub(super) fn close_removed(&mut self, listen: &Listen) {
        let wanted = listen.places();
        self.0.retain(|open| {
            let stays = wanted.contains(&open.place);
            if !stays {
                tracing::info!(address = %open.bound, tls = open.place.secure, "no longer listening");
                open.closer.close();
            }
            stays
        });
    }

    /// Closes all.
    pub(super) fn close_all(&mut self) {
        self.0.drain(..).for_each(|open| open.closer.close());
    }

    /// Returns the addresses with their actual ports, of listeners for TLS or of the others.
    pub(super) fn addresses(&self, secure: bool) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().filter(move |open| open.place.secure == secure).map(|open| open.bound)
    }
}
