//! Exports an image as a layout of OCI: its layers byte for byte as they came, compressed anew, and the configuration that it
//! came with.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use rustix::fs::{CWD, Mode, OFlags};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::manifest::{Manifest, ReadManifestError};
use crate::name::ImageName;
use crate::rebuild::Rebuilt;
use crate::source::documents::{
    Descriptor, ImageManifest, Index, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Platform,
    REFERENCE_NAME,
};
use crate::source::{blob_name, nameless_file};
use crate::staging::{self, Pin};
use crate::store::ImageStore;
use crate::unpack::Progress;

const COPY_BYTES: usize = 128 * 1024;
/// The name of an image whose name has no tag.
const UNTAGGED: &str = "latest";

/// Where an image goes.
pub enum ExportTarget<'a> {
    /// A directory that is not there yet, or has nothing in it.
    Directory(&'a Path),
    /// A tar archive in a file. One that is there is written over, but not before the image and its layers are opened.
    File(&'a Path),
    /// A tar archive.
    Archive(Box<dyn Write + 'a>),
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportReport {
    /// The digest of the manifest that was written.
    pub digest: Digest,
    /// Bytes of all that was written, without the frame of an archive.
    pub bytes: u64,
}

/// An image was not exported, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is no such image.
    #[error("the image {name} is not present")]
    NotPresent {
        /// Its name.
        name: ImageName,
    },
    /// Its manifest is unusable.
    #[error("read the image {name}")]
    Manifest {
        /// Its name.
        name: ImageName,
        /// Why.
        source: ReadManifestError,
    },
    /// The image is made of this host, and has no archive.
    #[error("the image {name} is made of this host's own files, and has no layers that could be exported")]
    BuiltIn {
        /// Its name.
        name: ImageName,
    },
    /// The image is from before layers had records.
    #[error("the layer {layer} has no record of the archive it came from")]
    NoRecord {
        /// The layer.
        layer: String,
    },
    /// The directory is there and has something in it.
    #[error("the directory {path} is not empty")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The file for the archive could not be created or opened.
    #[error("create the file {path}")]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A layer could not be read.
    #[error("read the layer {layer}")]
    ReadLayer {
        /// The layer.
        layer: String,
        /// Why.
        source: io::Error,
    },
    /// A layer is not what it was when it was imported.
    #[error(
        "the archive of the layer {layer} cannot be put together again as it was: its digest is now {found}"
    )]
    Changed {
        /// The layer.
        layer: String,
        /// What it is.
        found: Digest,
    },
    /// A compressed layer could not be put down for as long as it takes.
    #[error("compress a layer into {path}")]
    Compress {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A document could not be put into JSON.
    #[error("encode a document")]
    Encode {
        /// Why.
        source: serde_json::Error,
    },
    /// The layout could not be written.
    #[error("write {name}")]
    Write {
        /// Which part of it.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The caller stopped it.
    #[error("the export was cancelled")]
    Cancelled,
}

impl ImageStore {
    /// Exports an image as a layout of OCI. Its layers have the diff ids that it came with, and it has the configuration that
    /// it came with. Says now and then how many layers and bytes of their archives have been written.
    ///
    /// Blocks until everything is written; nothing is synced. What was written before an error stays, but for a
    /// [`File`](ExportTarget::File) that was not there before, which is removed.
    ///
    /// # Errors
    ///
    /// [`ExportError`] has a variant for each step.
    pub fn export(
        &self,
        name: &ImageName,
        target: ExportTarget<'_>,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<ExportReport, ExportError> {
        let manifest = match Manifest::read(&self.images, name) {
            _ if name.is_reserved() => return Err(ExportError::BuiltIn { name: name.clone() }),
            Err(error) if error.is_absent() => return Err(ExportError::NotPresent { name: name.clone() }),
            Err(source) => return Err(ExportError::Manifest { name: name.clone(), source }),
            Ok(manifest) => manifest,
        };
        let mut layers = Vec::new();
        for layer in &manifest.imported {
            layers.push(self.open_rebuilt(layer)?);
        }
        if layers.len() != manifest.diff_ids.len() || layers.is_empty() {
            let layer = manifest.layers.first().cloned().unwrap_or_default();
            return Err(ExportError::NoRecord { layer });
        }
        let mut layout = Layout::begin(target)?;
        let digest =
            self.write(&mut layout, &manifest, layers, progress).inspect_err(|_| layout.remove_ours())?;
        Ok(ExportReport { digest, bytes: layout.bytes })
    }

    /// Writes all of an image. Returns the digest of the manifest.
    fn write(
        &self,
        layout: &mut Layout<'_>,
        manifest: &Manifest,
        layers: Vec<(String, Rebuilt, Pin)>,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Digest, ExportError> {
        let mut done = Progress { entries: 0, archive_bytes: 0 };
        let mut blobs = Vec::new();
        for ((layer, mut archive, _pin), diff_id) in layers.into_iter().zip(&manifest.diff_ids) {
            let (mut file, blob) = self.compress(&layer, &mut archive, *diff_id, &mut done, progress)?;
            let name = blob_name(&blob.digest);
            file.rewind().map_err(|source| ExportError::Write { name: name.clone(), source })?;
            layout.put(&name, blob.size, &mut file)?;
            done.entries += 1;
            blobs.push(blob);
        }
        layout.finish(manifest, blobs)
    }

    /// Opens the archive of a layer, put together again, and keeps the layer from being removed meanwhile.
    pub(crate) fn open_rebuilt(&self, layer: &str) -> Result<(String, Rebuilt, Pin), ExportError> {
        let unreadable = |source: io::Error| ExportError::ReadLayer { layer: layer.to_owned(), source };
        let pin = staging::pin_layer(&self.layers.join(layer)).map_err(unreadable)?;
        let pin = pin.ok_or_else(|| unreadable(io::ErrorKind::NotFound.into()))?;
        let record = match File::open(staging::record_path(&self.layers, layer)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ExportError::NoRecord { layer: layer.to_owned() });
            }
            other => other.map_err(unreadable)?,
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, self.layers.join(layer), flags, Mode::empty());
        let rebuilt = root.map_err(io::Error::from).and_then(|root| Rebuilt::new(root, record));
        Ok((layer.to_owned(), rebuilt.map_err(unreadable)?, pin))
    }

    /// Puts the archive of a layer together again and hashes it.
    pub(crate) fn rebuilt_digest(&self, layer: &str) -> Result<Digest, ExportError> {
        let (_, mut archive, _pin) = self.open_rebuilt(layer)?;
        let mut hasher = BufWriter::with_capacity(COPY_BYTES, Sha256::new());
        io::copy(&mut archive, &mut hasher)
            .and_then(|_| hasher.into_inner().map_err(io::IntoInnerError::into_error))
            .map(Digest::of_hasher)
            .map_err(|source| ExportError::ReadLayer { layer: layer.to_owned(), source })
    }

    /// Compresses the archive of a layer into a file without a name, and checks that it is what it was.
    fn compress(
        &self,
        layer: &str,
        archive: &mut Rebuilt,
        diff_id: Digest,
        done: &mut Progress,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(File, Descriptor), ExportError> {
        let failed = |source| ExportError::Compress { path: self.layers.clone(), source };
        let file = nameless_file(&self.layers).map_err(failed)?;
        let counted = Counted { output: file, hasher: Sha256::new(), bytes: 0 };
        let mut encoder = GzEncoder::new(counted, flate2::Compression::fast());
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            let count = archive
                .read(&mut buffer)
                .map_err(|source| ExportError::ReadLayer { layer: layer.to_owned(), source })?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            encoder.write_all(&buffer[..count]).map_err(failed)?;
            done.archive_bytes += count as u64;
            if progress(*done).is_break() {
                return Err(ExportError::Cancelled);
            }
        }
        let found = Digest::of_hasher(hasher);
        if found != diff_id {
            return Err(ExportError::Changed { layer: layer.to_owned(), found });
        }
        let counted = encoder.finish().map_err(failed)?;
        let digest = Digest::of_hasher(counted.hasher);
        Ok((counted.output, Descriptor::new(OCI_LAYER, digest, counted.bytes)))
    }
}

/// Hashes and counts what is written.
struct Counted {
    output: File,
    hasher: Sha256,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.output.write(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// A layout that is being written.
struct Layout<'a> {
    output: Output<'a>,
    /// A file that was not there before.
    ours: Option<&'a Path>,
    /// Layers may be the same.
    written: BTreeSet<String>,
    bytes: u64,
}

enum Output<'a> {
    Directory(PathBuf),
    Archive(Box<tar::Builder<Box<dyn Write + 'a>>>),
}

/// Opens a file to write an archive into, and says whether it was not there before.
fn create_file(path: &Path) -> io::Result<(File, bool)> {
    match File::create_new(path) {
        // It may be a device as well, or a link to what somebody keeps.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok((File::create(path)?, false)),
        other => Ok((other?, true)),
    }
}

impl<'a> Layout<'a> {
    fn begin(target: ExportTarget<'a>) -> Result<Self, ExportError> {
        let mut ours = None;
        let output = match target {
            ExportTarget::File(path) => {
                let created = create_file(path);
                let (file, is_ours) =
                    created.map_err(|source| ExportError::Create { path: path.to_owned(), source })?;
                ours = is_ours.then_some(path);
                Output::Archive(Box::new(tar::Builder::new(Box::new(BufWriter::new(file)))))
            }
            ExportTarget::Archive(output) => Output::Archive(Box::new(tar::Builder::new(output))),
            ExportTarget::Directory(path) => {
                let failed = |source| ExportError::Write { name: path.display().to_string(), source };
                match fs::create_dir(path) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        if fs::read_dir(path).map_err(failed)?.next().is_some() {
                            return Err(ExportError::NotEmpty { path: path.to_owned() });
                        }
                    }
                    other => other.map_err(failed)?,
                }
                fs::create_dir_all(path.join("blobs/sha256")).map_err(failed)?;
                Output::Directory(path.to_owned())
            }
        };
        Ok(Self { output, ours, written: BTreeSet::new(), bytes: 0 })
    }

    /// Removes the file that was made for this, if one was: half an archive is of no use.
    fn remove_ours(&self) {
        if let Some(path) = self.ours {
            // The error at hand says more than one of removing it.
            fs::remove_file(path).ok();
        }
    }

    fn put(&mut self, name: &str, size: u64, contents: &mut dyn Read) -> Result<(), ExportError> {
        if !self.written.insert(name.to_owned()) {
            return Ok(());
        }
        let written = match &mut self.output {
            Output::Directory(path) => {
                let copied = File::create_new(path.join(name))
                    .and_then(|mut file| io::copy(&mut contents.take(size), &mut file));
                copied.map(drop)
            }
            Output::Archive(archive) => {
                let mut header = tar::Header::new_ustar();
                header.set_entry_type(tar::EntryType::Regular);
                header.set_mode(0o644);
                header.set_size(size);
                header.set_mtime(0);
                archive.append_data(&mut header, name, contents)
            }
        };
        self.bytes += size;
        written.map_err(|source| ExportError::Write { name: name.to_owned(), source })
    }

    fn put_document(&mut self, media_type: &str, contents: &[u8]) -> Result<Descriptor, ExportError> {
        let descriptor = Descriptor::new(media_type, Digest::of(contents), contents.len() as u64);
        self.put(&blob_name(&descriptor.digest), descriptor.size, &mut &*contents)?;
        Ok(descriptor)
    }

    /// Writes all but the layers. Returns the digest of the manifest.
    fn finish(&mut self, manifest: &Manifest, layers: Vec<Descriptor>) -> Result<Digest, ExportError> {
        let encode = |source| ExportError::Encode { source };
        let configuration = match &manifest.configuration {
            Some(configuration) => configuration.clone(),
            None => bare_configuration(manifest),
        };
        let config = self.put_document(OCI_CONFIG, configuration.as_bytes())?;
        let media_type = Some(OCI_MANIFEST.to_owned());
        let document = ImageManifest { schema_version: 2, media_type, config, layers };
        let document = serde_json::to_vec(&document).map_err(encode)?;
        let mut descriptor = self.put_document(OCI_MANIFEST, &document)?;
        let digest = descriptor.digest;
        let tag = manifest.name.as_str().split_once(':').map_or(UNTAGGED, |(_, tag)| tag);
        descriptor.annotations.insert(REFERENCE_NAME.to_owned(), tag.to_owned());
        let index =
            Index { schema_version: 2, media_type: Some(OCI_INDEX.to_owned()), manifests: vec![descriptor] };
        let index = serde_json::to_vec(&index).map_err(encode)?;
        self.put("index.json", index.len() as u64, &mut index.as_slice())?;
        let version = br#"{"imageLayoutVersion":"1.0.0"}"#;
        self.put("oci-layout", version.len() as u64, &mut version.as_slice())?;
        if let Output::Archive(archive) = &mut self.output {
            archive
                .finish()
                .and_then(|()| archive.get_mut().flush())
                .map_err(|source| ExportError::Write { name: "the end of the archive".to_owned(), source })?;
        }
        Ok(digest)
    }
}

/// The configuration of an image that came without one.
fn bare_configuration(manifest: &Manifest) -> String {
    let machine = Platform::of_this_machine();
    json!({
        "created": manifest.created_at.to_string(),
        "architecture": machine.architecture,
        "os": machine.os,
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": manifest.diff_ids},
    })
    .to_string()
}
