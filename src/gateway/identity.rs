//! Who the user of a request is, as its backend is told. Knows nothing of how that is found out.

use http::{HeaderName, HeaderValue};

use super::outcome::Passed;
use crate::header::HeaderList;
use crate::plan::Auth;
use crate::upstream::heads::request as heads;

/// The headers that tell the backend who the user is.
#[derive(Debug)]
pub(super) struct Identity(pub(super) Vec<(HeaderName, HeaderValue)>);

/// What becomes of a request whose route wants to know who the user is.
pub(super) enum Entry {
    /// It may enter, as this user.
    Admitted(Identity),
    /// The service sends the client elsewhere.
    Redirected(Box<Passed>),
}

/// Tells the backend who the user is. What the client itself said in these headers, or in ones that some servers take for them, is removed.
/// `odd` says that the request has names with unusual characters.
pub(super) fn tell(auth: &Auth, identity: Option<&Identity>, headers: &mut HeaderList, odd: bool) {
    if odd || auth.has_odd_names {
        heads::remove_twins(headers, auth.withheld.iter());
    }
    headers.remove_all(&auth.withheld);
    for (name, value) in identity.iter().flat_map(|identity| &identity.0) {
        headers.append(name.clone(), value);
    }
}
