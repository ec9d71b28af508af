//! Tests of the error journal: the groups of recorded errors.

mod grouping;
