//! How the binary comes onto a host, and how a host's systemd runs it.

mod install;
