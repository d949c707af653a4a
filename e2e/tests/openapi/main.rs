//! The OpenAPI document, held against the daemon that serves it: by a validator, by its routes, and by requests that
//! schemathesis draws from it.
//!
//! `SANDKASTEN_E2E_REQUESTS=N` draws N requests of each kind for every operation; `SANDKASTEN_E2E_SEED=N` repeats those of a seed.

mod document;
mod drawn;
