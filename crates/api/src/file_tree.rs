//! Files and directories of a session or a workspace as things to list, make, move, copy and remove; their content only as raw bytes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::schema::{FileMode, FilePath, Glob, TreeDepth};

/// The query of `GET …/fs/list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListFilesQuery {
    /// The directory; absent: `/workspace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<FilePath>)]
    pub path: Option<String>,
    /// How many levels; absent: one, or all of them where a glob is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<TreeDepth>)]
    pub depth: Option<usize>,
    /// Which entries: `*`, `?`, `[…]`, and `**` across directories. Without a slash it is about names, with one about
    /// paths from the listed directory on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Glob>)]
    pub glob: Option<String>,
}

/// The query of `GET …/fs/stat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FilePathQuery {
    /// Absolute below `/workspace`, or relative to it.
    #[param(value_type = FilePath)]
    pub path: String,
}

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileType {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket's name.
    Socket,
    /// A character or block device.
    Device,
}

/// One file, links not followed. Bytes of a name that are no UTF-8 appear as U+FFFD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileEntry {
    /// The last part of the path.
    pub name: String,
    /// The path, absolute.
    pub path: String,
    /// The type.
    #[serde(rename = "type")]
    pub file_type: FileType,
    /// The size in bytes.
    pub size: u64,
    /// Permission bits, setuid, setgid and sticky in octal, four digits.
    #[schema(pattern = "^[0-7]{4}$")]
    pub mode: String,
    /// When the content last changed.
    pub mtime: Timestamp,
    /// Where a link leads, as it says so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// The answer of `GET …/fs/list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListFilesResponse {
    /// The directory, absolute.
    pub path: String,
    /// What is in it, by name, each directory before what is in it.
    pub entries: Vec<FileEntry>,
    /// Whether there is more than was listed.
    pub truncated: bool,
}

/// The body of `POST …/fs/mkdir`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeDirectoryRequest {
    /// The new directory.
    #[schema(value_type = FilePath)]
    pub path: String,
    /// Its permission bits, in octal, at most `0777`; absent: `0755`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<FileMode>)]
    pub mode: Option<String>,
    /// Whether missing parents are made, and a directory that is there is no error.
    #[serde(default)]
    pub parents: bool,
}

/// The body of `POST …/fs/move` and `POST …/fs/copy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveFileRequest {
    /// What is moved or copied; a link itself, not what it leads to.
    #[schema(value_type = FilePath)]
    pub from: String,
    /// Its new path; the directory that it is in must be there.
    #[schema(value_type = FilePath)]
    pub to: String,
    /// Whether a file there is replaced by a file, and an empty directory by a directory.
    #[serde(default)]
    pub overwrite: bool,
}

/// The answer of `POST …/fs/copy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopyFileResponse {
    /// Always `true`.
    pub ok: bool,
    /// Files, directories and links that were copied.
    pub entries: u64,
    /// Bytes of content that were copied; holes do not count.
    pub bytes: u64,
    /// FIFOs, sockets and devices, which are left out.
    pub skipped: u64,
}

/// The query of `DELETE …/fs/remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RemoveFileQuery {
    /// What is removed; a link itself, not what it leads to.
    #[param(value_type = FilePath)]
    pub path: String,
    /// Whether a directory goes with all that is in it.
    #[serde(default)]
    pub recursive: bool,
}

/// The body of `POST …/fs/chmod`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeModeRequest {
    /// A file or directory, links followed.
    #[schema(value_type = FilePath)]
    pub path: String,
    /// Its new permission bits, in octal, at most `0777`.
    #[schema(value_type = FileMode)]
    pub mode: String,
}

/// The query of `PUT …/fs/raw`; the body is the content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RawUploadQuery {
    /// Where it goes; missing parents are made, a link is written through.
    #[param(value_type = FilePath)]
    pub path: String,
    /// The permission bits, in octal, at most `0777`; absent: those that the file has, or `0644` for a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<FileMode>)]
    pub mode: Option<String>,
}

/// The answer of `PUT …/fs/raw`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RawUploadResponse {
    /// Always `true`.
    pub ok: bool,
    /// Where it went, absolute.
    pub path: String,
    /// How many bytes it has.
    pub bytes: u64,
}

/// How an archive is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ArchiveFormat {
    /// POSIX tar with GNU's long names.
    #[default]
    #[serde(rename = "tar")]
    Tar,
    /// The same, compressed by zstd.
    #[serde(rename = "tar.zst")]
    TarZstd,
}

/// The query of `GET` and `PUT …/fs/archive`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ArchiveQuery {
    /// The directory; a `PUT` makes it where it is missing.
    #[param(value_type = FilePath)]
    pub path: String,
    /// Absent: `tar`.
    #[serde(default)]
    pub format: ArchiveFormat,
}

/// The answer of `PUT …/fs/archive`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnpackResponse {
    /// Always `true`.
    pub ok: bool,
    /// Entries of the archive.
    pub entries: u64,
    /// Bytes of content.
    pub bytes: u64,
}
