//! Keeps memory out of reach of other processes of the same user (requirements 80, 81).

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use crate::failure::{Exit, Failure};

/// No core dumps; no debugger and no reader of `/proc/PID/{mem,environ}` but root; files made from
/// now on belong to their owner alone.
///
/// The environment of a process cannot be wiped in safe Rust. That is why a master key given as
/// `GRANTRY_MASTER_KEY` is protected by this, and why a file or a descriptor is the better way.
pub fn this_process() -> Result<(), Failure> {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable))
        .map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("cannot protect the process's memory: {error}"),
            )
        })
}
