//! Nothing: this crate is its tests (`tests/it/`) and the measuring sticks of `examples/`.
