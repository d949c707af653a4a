//! Images as programs save them, built with no check of anything, and what a session would see of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen,
};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::Tarball;
use crate::Digest;
use crate::source::documents::{OCI_CONFIG, OCI_INDEX, OCI_MANIFEST};

/// An image with its layers, lowest first.
pub(super) struct SavedImage {
    pub(super) layers: Vec<Vec<u8>>,
    pub(super) configuration: Value,
}

/// Files by their names.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

impl SavedImage {
    pub(super) fn new(layers: impl IntoIterator<Item = Tarball>) -> Self {
        let layers: Vec<Vec<u8>> = layers.into_iter().map(Tarball::bytes).collect();
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
        let configuration = json!({
            "architecture": if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" },
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        Self { layers, configuration }
    }

    pub(super) fn with_config(mut self, config: Value) -> Self {
        self.configuration["config"] = config;
        self
    }

    pub(super) fn diff_ids(&self) -> Vec<Digest> {
        self.layers.iter().map(|layer| Digest::of(layer)).collect()
    }

    /// Puts the image into a layout of OCI, its layers compressed, and returns the descriptor of its manifest.
    pub(super) fn put(&self, files: &mut Files) -> Value {
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|layer| descriptor(files, "application/vnd.oci.image.layer.v1.tar+gzip", &gzip(layer)))
            .collect();
        let config = descriptor(files, OCI_CONFIG, self.configuration.to_string().as_bytes());
        let manifest =
            json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers});
        descriptor(files, OCI_MANIFEST, manifest.to_string().as_bytes())
    }

    /// A layout of OCI with nothing but this image.
    pub(super) fn layout(&self) -> Files {
        let mut files = Files::new();
        let manifest = self.put(&mut files);
        with_index(files, &[manifest])
    }

    /// What `docker save` has written up to version 24.
    pub(super) fn docker_archive(&self, tags: &[&str]) -> Files {
        let mut files = Files::new();
        let config = self.configuration.to_string();
        let config_name = format!("{}.json", Digest::of(config.as_bytes()).hexadecimal());
        files.insert(config_name.clone(), config.into_bytes());
        let mut names = Vec::new();
        for layer in &self.layers {
            let name = format!("{}/layer.tar", Digest::of(layer).hexadecimal());
            files.insert(name.clone(), layer.clone());
            names.push(name);
        }
        let manifest = json!([{"Config": config_name, "RepoTags": tags, "Layers": names}]);
        files.insert("manifest.json".to_owned(), manifest.to_string().into_bytes());
        files
    }
}

/// Adds what makes blobs a layout.
pub(super) fn with_index(mut files: Files, manifests: &[Value]) -> Files {
    files.insert("oci-layout".to_owned(), br#"{"imageLayoutVersion": "1.0.0"}"#.to_vec());
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
    files.insert("index.json".to_owned(), index.to_string().into_bytes());
    files
}

/// Adds a blob and describes it.
pub(super) fn descriptor(files: &mut Files, media_type: &str, bytes: &[u8]) -> Value {
    let digest = Digest::of(bytes);
    files.insert(format!("blobs/sha256/{}", digest.hexadecimal()), bytes.to_vec());
    json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
}

/// Packs files as they sort, which puts layers before what names them.
pub(super) fn pack(files: &Files) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, contents) in files {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(contents.len() as u64);
        builder.append_data(&mut header, name, contents.as_slice()).expect("memory can be written");
    }
    builder.into_inner().expect("memory can be written")
}

pub(super) fn write(files: &Files, directory: &Path) {
    for (name, contents) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, contents).expect("a file");
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

/// Stacks layers, topmost first, as sessions have them, and lists all that is there: kind, mode, owner, contents.
pub(super) fn merged(layers: &[PathBuf]) -> BTreeMap<String, String> {
    // Option strings are short: 256 bytes.
    let directory = tempfile::Builder::new().prefix("m").rand_bytes(4).tempdir().expect("a directory");
    fs::create_dir(directory.path().join("e")).expect("an empty directory");
    let mut lower = directory.path().join("e").display().to_string();
    for (index, layer) in layers.iter().enumerate() {
        let link = directory.path().join(index.to_string());
        symlink(layer, &link).expect("a link");
        lower.push_str(&format!(":{}", link.display()));
    }
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).expect("overlayfs");
    fsconfig_set_string(context.as_fd(), "lowerdir", lower).expect("layers");
    fsconfig_set_flag(context.as_fd(), "userxattr").expect("an option");
    fsconfig_create(context.as_fd()).expect("an overlay");
    let mount = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY);
    let mount = mount.expect("a mount");
    let mut tree = BTreeMap::new();
    list(Path::new(&format!("/proc/self/fd/{}", mount.as_raw_fd())), "", &mut tree);
    tree
}

fn list(directory: &Path, prefix: &str, tree: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let entry = entry.expect("an entry");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let found = fs::symlink_metadata(entry.path())
            .unwrap_or_else(|error| panic!("{name} is listed but not there: {error}"));
        let what = if found.is_dir() {
            list(&entry.path(), &format!("{name}/"), tree);
            "directory".to_owned()
        } else if found.is_symlink() {
            format!("link to {}", fs::read_link(entry.path()).expect("a link").display())
        } else {
            fs::read_to_string(entry.path()).expect("a file")
        };
        tree.insert(name, format!("{:o} {}:{} {what}", found.mode() & 0o7777, found.uid(), found.gid()));
    }
}
