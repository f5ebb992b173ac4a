//! Servers behind a URL: clients, requests, and the two kinds of answers.

pub(crate) mod body;
mod client;
pub(crate) mod clients;
mod connect;
mod decode;
pub(crate) mod endpoint;
pub(crate) mod events;
pub(crate) mod failure;
pub(crate) mod mirror;
mod pool;
mod sending;
mod socket;
mod target;
mod tasks;
mod tls;
mod utf8;
