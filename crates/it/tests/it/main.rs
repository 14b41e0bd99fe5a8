//! The one integration-test binary: a second file beside this one would be a second link of
//! everything (style: one binary, many modules).

mod laws;
