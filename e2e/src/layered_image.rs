//! Images of several layers as other programs save them, put together without any of those programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// An archive of one layer, being built.
pub struct LayerArchive {
    builder: tar::Builder<Vec<u8>>,
}

/// The layers of an image, lowest first, and the `config` part of its configuration.
#[derive(Debug)]
pub struct LayeredImage {
    layers: Vec<Vec<u8>>,
    config: Value,
}

impl std::fmt::Debug for LayerArchive {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LayerArchive").finish_non_exhaustive()
    }
}

impl Default for LayerArchive {
    fn default() -> Self {
        Self { builder: tar::Builder::new(Vec::new()) }
    }
}

impl LayerArchive {
    /// Adds a file of root.
    #[must_use]
    pub fn file(self, name: &str, contents: &[u8]) -> Self {
        self.entry(tar::EntryType::Regular, name, "", 0o644, 0, contents)
    }

    /// Adds a directory of root.
    #[must_use]
    pub fn directory(self, name: &str) -> Self {
        self.entry(tar::EntryType::Directory, name, "", 0o755, 0, b"")
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Symlink, name, target, 0o777, 0, b"")
    }

    /// Adds a hard link.
    #[must_use]
    pub fn hardlink(self, name: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Link, name, target, 0o644, 0, b"")
    }

    /// Adds anything, with names of any length.
    ///
    /// # Panics
    /// Where tar has no form for it.
    #[must_use]
    pub fn entry(
        mut self,
        kind: tar::EntryType,
        name: &str,
        link: &str,
        mode: u32,
        owner: u64,
        contents: &[u8],
    ) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_mtime(1_700_000_000);
        header.set_size(contents.len() as u64);
        let appended = if link.is_empty() {
            self.builder.append_data(&mut header, name, contents)
        } else {
            self.builder.append_link(&mut header, name, link)
        };
        appended.expect("memory can be written");
        self
    }

    /// Adds PAX records for the next entry.
    ///
    /// # Panics
    /// Never: memory can be written.
    #[must_use]
    pub fn records(mut self, records: &[(&str, &[u8])]) -> Self {
        self.builder.append_pax_extensions(records.iter().copied()).expect("memory can be written");
        self
    }

    /// The archive.
    ///
    /// # Panics
    /// Never: memory can be written.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        self.builder.into_inner().expect("memory can be written")
    }
}

impl LayeredImage {
    /// Layers on top of a first one.
    #[must_use]
    pub fn new(lowest: Vec<u8>, upper: impl IntoIterator<Item = LayerArchive>) -> Self {
        let upper = upper.into_iter().map(LayerArchive::bytes);
        Self { layers: [lowest].into_iter().chain(upper).collect(), config: json!({}) }
    }

    /// Sets the `config` part of its configuration.
    #[must_use]
    pub fn with_config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// Writes a layout of OCI in which the image has the name `test`.
    ///
    /// # Panics
    /// Where the directory cannot be written to.
    pub fn write_layout(&self, directory: &Path) {
        for (name, contents) in self.layout() {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory can be made");
            fs::write(path, contents).expect("a file can be written");
        }
    }

    /// Packs what `docker save` has written before it had the layout of OCI inside.
    ///
    /// # Panics
    /// Never: memory can be written.
    #[must_use]
    pub fn docker_archive(&self, tag: &str) -> Vec<u8> {
        let mut archive = LayerArchive::default();
        let configuration = self.configuration();
        let config_name = format!("{}.json", hash(configuration.as_bytes()));
        archive = archive.file(&config_name, configuration.as_bytes());
        let mut names = Vec::new();
        for layer in &self.layers {
            let name = format!("{}/layer.tar", hash(layer));
            archive = archive.file(&name, layer);
            names.push(name);
        }
        let manifest = json!([{"Config": config_name, "RepoTags": [tag], "Layers": names}]);
        archive.file("manifest.json", manifest.to_string().as_bytes()).bytes()
    }

    fn layout(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut blob = |media_type: &str, contents: &[u8]| {
            let hash = hash(contents);
            files.insert(format!("blobs/sha256/{hash}"), contents.to_vec());
            json!({"mediaType": media_type, "digest": format!("sha256:{hash}"), "size": contents.len()})
        };
        let layers: Vec<Value> =
            self.layers.iter().map(|layer| blob("application/vnd.oci.image.layer.v1.tar", layer)).collect();
        let config = blob("application/vnd.oci.image.config.v1+json", self.configuration().as_bytes());
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers});
        let mut manifest = blob(media_type, manifest.to_string().as_bytes());
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "test"});
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        files.insert("index.json".to_owned(), index.to_string().into_bytes());
        files.insert("oci-layout".to_owned(), br#"{"imageLayoutVersion": "1.0.0"}"#.to_vec());
        files
    }

    fn configuration(&self) -> String {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let diff_ids: Vec<String> =
            self.layers.iter().map(|layer| format!("sha256:{}", hash(layer))).collect();
        json!({
            "architecture": architecture, "os": "linux", "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        })
        .to_string()
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
