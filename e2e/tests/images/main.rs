//! Imported images, from their archive to the last trace of their sessions.

mod debian;
mod small;
mod whole_way;
