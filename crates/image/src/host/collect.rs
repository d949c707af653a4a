//! Takes from the host's `/etc` what the table allows. A thing that cannot be read, is not for everybody to read, or looks
//! secret is left out without an error: the image is then as if the host did not have it.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::allow_list::{self, ALLOWED, Allowed, Take};
use crate::planned_layer::PlannedLayer;

const LARGEST_FILE: u64 = 4 << 20;
const MOST_BYTES: u64 = 64 << 20;
const MOST_NODES: usize = 20_000;
const DEEPEST: usize = 8;
const READABLE_BY_ALL: u32 = 0o004;
const SEARCHABLE_BY_ALL: u32 = 0o001;
const PRIVATE_KEY: &[u8] = b"PRIVATE KEY";
/// Kinds of files that hold keys in a form the text above is not found in.
const KEY_SUFFIXES: [&str; 5] = [".key", ".p12", ".pfx", ".jks", ".keystore"];
/// Parts of names that no public file has.
const SECRET_NAMES: [&str; 4] = ["password", "passwd", "secret", "private"];

/// Adds the configuration of the host below `host_root` to the plan. What is planned already stays as it is.
pub(super) fn add_configuration(host_root: &Path, plan: &mut PlannedLayer) {
    let mut collector = Collector { host_root, etc: host_root.join("etc"), plan, bytes: 0, nodes: 0 };
    for allowed in ALLOWED {
        for path in collector.expand(allowed) {
            collector.top(&path, allowed.take);
        }
    }
}

struct Collector<'a> {
    host_root: &'a Path,
    etc: PathBuf,
    plan: &'a mut PlannedLayer,
    bytes: u64,
    nodes: usize,
}

impl Collector<'_> {
    /// Finds the paths that an entry of the table stands for.
    fn expand(&self, allowed: &Allowed) -> Vec<String> {
        if !allowed.path.contains('*') {
            return vec![allowed.path.to_owned()];
        }
        // Only whole names directly below /etc have a star.
        names_in(&self.etc).into_iter().filter(|name| allow_list::matches(allowed.path, name)).collect()
    }

    /// Takes one path of the table. Unlike those below it, it may be a link to anywhere: the table says that it is wanted.
    fn top(&mut self, path: &str, take: Take) {
        let source = self.etc.join(path);
        let Ok(found) = fs::symlink_metadata(&source) else { return };
        if found.is_symlink() && self.link(path) {
            return;
        }
        let Ok(source) = fs::canonicalize(&source) else { return };
        let Ok(found) = fs::metadata(&source) else { return };
        let reachable = source.ancestors().skip(1).take_while(|above| *above != self.host_root);
        let searchable =
            |above: &Path| fs::metadata(above).is_ok_and(|found| found.mode() & SEARCHABLE_BY_ALL != 0);
        if !reachable.into_iter().all(searchable) {
            return;
        }
        match take {
            Take::File => self.file(&source, path, &found),
            Take::Links | Take::Tree => self.directory(&source, path, take, &found, 0),
        }
    }

    fn directory(&mut self, source: &Path, path: &str, take: Take, found: &Metadata, depth: usize) {
        let open = READABLE_BY_ALL | SEARCHABLE_BY_ALL;
        if !found.is_dir() || found.mode() & open != open || depth > DEEPEST || !self.has_room() {
            return;
        }
        self.plan.directory(&format!("etc/{path}"), 0o755);
        for name in names_in(source) {
            let (below, path) = (source.join(&name), format!("{path}/{name}"));
            let Ok(found) = fs::symlink_metadata(&below) else { continue };
            if found.is_symlink() {
                self.link_at(&below, &path);
            } else if take == Take::Links || is_secret_name(&name) {
                continue;
            } else if found.is_dir() {
                self.directory(&below, &path, take, &found, depth + 1);
            } else {
                self.file(&below, &path, &found);
            }
        }
    }

    fn file(&mut self, source: &Path, path: &str, found: &Metadata) {
        let wanted = found.is_file() && found.mode() & READABLE_BY_ALL != 0 && found.len() <= LARGEST_FILE;
        if !wanted || !self.has_room() {
            return;
        }
        let Some(contents) = read_public(source) else { return };
        self.bytes += contents.len() as u64;
        self.nodes += 1;
        self.plan.file(&format!("etc/{path}"), contents);
    }

    /// Takes a link of the table if what it leads to is in the image.
    fn link(&mut self, path: &str) -> bool {
        self.link_at(&self.etc.join(path), path)
    }

    fn link_at(&mut self, source: &Path, path: &str) -> bool {
        let target = fs::read_link(source).ok().and_then(|target| target.into_os_string().into_string().ok());
        let Some(target) = target else { return false };
        if !self.has_room() || !leads_into_the_image(path, &target) {
            return false;
        }
        self.nodes += 1;
        self.plan.symlink(&format!("etc/{path}"), &target);
        true
    }

    fn has_room(&self) -> bool {
        self.bytes < MOST_BYTES && self.nodes < MOST_NODES
    }
}

/// Says whether the target of a link at `etc/<path>` is in `/usr` or something the table allows, by its text alone.
fn leads_into_the_image(path: &str, target: &str) -> bool {
    let mut resolved: Vec<&str> = Vec::new();
    if !target.starts_with('/') {
        resolved.push("etc");
        resolved.extend(path.split('/'));
        resolved.pop();
    }
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." => drop(resolved.pop()),
            _ => resolved.push(component),
        }
    }
    match resolved.split_first() {
        Some((&"usr", rest)) => !rest.is_empty(),
        Some((&"etc", rest)) => allow_list::covers(&rest.join("/")),
        _ => false,
    }
}

/// Reads a file unless it has a private key in it.
fn read_public(path: &Path) -> Option<Vec<u8>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).ok()?;
    let file: File = File::options().read(true).custom_flags(flags).open(path).ok()?;
    let found = file.metadata().ok()?;
    // It may have been exchanged since it was looked at.
    if !found.is_file() || found.mode() & READABLE_BY_ALL == 0 {
        return None;
    }
    let mut contents = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut contents).ok()?;
    let secret = contents.windows(PRIVATE_KEY.len()).any(|window| window == PRIVATE_KEY);
    (contents.len() as u64 <= LARGEST_FILE && !secret).then_some(contents)
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    KEY_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        || SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// Lists a directory in order; one that cannot be listed is as good as empty.
fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}
