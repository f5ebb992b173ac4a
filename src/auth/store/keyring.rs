//! Tokens in the keyring of the system.
