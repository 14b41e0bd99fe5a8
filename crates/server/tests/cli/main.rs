//! The built binary, as operators and scripts meet it: exit codes, precedence, files, signals.

// So that the lints know this file for what it is.
#![cfg(test)]

mod commands;
mod docs;
mod doctor;
mod place;
mod serving;
