//! Workspaces: directories that outlive sessions, and what hostile code does with them.

mod calls;
mod files;
mod hostile_files;
mod isolation;
mod lifecycle;
mod names;
mod ownership;
mod sessions;

/// Configuration with workspaces, on a disk that may be nearly full.
const ENABLED: &str = "workspace:\n  enabled: true\n  min_free_mb: 16";

/// A tar archive of regular files with these names, taken as they are, or of directories where they end with a slash.
fn archive(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        let kind = if name.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular };
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).expect("appended");
    }
    builder.into_inner().expect("finished")
}
