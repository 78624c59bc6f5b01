//! Lockgate: a Git host that keeps every repository sealed and lets through only what policy allows.
//!
//! The modules stand in the order in which a push meets them. `ARCHITECTURE.md` has the map and one walk-through;
//! a test (`tests/integration/module_arrows.rs`) holds the `use crate::` lines against it.

pub mod cli;
pub mod server;

pub mod transport;

pub mod api;

pub mod operations;

pub mod oidc;
pub mod sigv4;

pub mod events;
pub mod identity;
pub mod policy;

pub mod protocol;
pub mod repository;

pub mod jobs;
pub mod json;

pub mod store;

pub mod review;
pub mod root_keys;

pub mod aws_client;
pub mod clock;
pub mod config;
pub mod names;
pub mod outbound;
pub mod telemetry;
