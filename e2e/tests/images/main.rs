//! Imported images, from their archive to the last trace of their sessions.

mod api_pull;
mod debian;
mod dockerfile;
mod hostile_links;
mod late_shell;
mod layers;
mod layout_registry;
mod mirrors;
mod registry;
mod skopeo;
mod small;
mod umoci;
mod whole_way;
mod without_shell;
