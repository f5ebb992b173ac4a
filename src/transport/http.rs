//! Servers behind a URL: clients, requests, and the two kinds of answers.

pub(crate) mod clients;
pub(crate) mod endpoint;
pub(crate) mod events;
pub(crate) mod failure;
pub(crate) mod mirror;
