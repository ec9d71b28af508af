//! Where a reader of JSON is: in which object or array, what comes next there, and what was said of it so far. Plain data.

use std::ops::Range;

/// What comes next in an object or an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The first item, or the end.
    First,
    /// An item after a comma.
    Item,
    /// The colon after a name.
    Colon,
    /// The value of a member.
    Value,
    /// A comma, or the end.
    Comma,
}

/// What a member says of its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    None,
    /// It holds the name of what its siblings are about.
    Label,
    /// It holds the value of that.
    Value,
}

/// An object or an array that is being read.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) is_object: bool,
    pub(super) next: Next,
    /// The name of the member that is read is one of a credential, or the item before is.
    pub(super) is_secret: bool,
    /// The member that is read, or the items of this array, are names.
    pub(super) lists_names: bool,
    /// What the member that is read says of its siblings.
    pub(super) role: Role,
    /// A member named a credential of which another one holds the value.
    pub(super) is_labelled: bool,
    /// Where that value was written, from where the member that is read began.
    pub(super) value: Option<Range<usize>>,
    pub(super) begin: usize,
}

impl Open {
    pub(super) const fn new(is_object: bool) -> Self {
        Self {
            is_object,
            next: Next::First,
            is_secret: false,
            lists_names: false,
            role: Role::None,
            is_labelled: false,
            value: None,
            begin: 0,
        }
    }
}
