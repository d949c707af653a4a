//! Files of a session or a workspace, contents streamed both ways.

use std::io;

use futures_util::Stream;
use reqwest::{Body, Method, RequestBuilder, Response};
use sandkasten_api::file_edit::{EditFileRequest, EditFileResponse};
use sandkasten_api::file_search::{SearchRequest, SearchResponse};
use sandkasten_api::file_tree::{
    ArchiveFormat, ArchiveQuery, ChangeModeRequest, FileEntry, FilePathQuery, ListFilesQuery,
    ListFilesResponse, MakeDirectoryRequest, RawUploadQuery, RawUploadResponse, UnpackResponse,
};
use sandkasten_api::health::Acknowledged;
use sandkasten_api::id::{SessionId, WorkspaceId};
use serde::Serialize;

use crate::client::Client;
use crate::request_error::RequestError;

/// The files of one session or workspace. Paths are absolute below `/workspace`, or relative to it.
#[derive(Debug, Clone)]
pub struct Files {
    client: Client,
    base: String,
}

/// A content as it arrives. Dropping it ends the transfer.
#[derive(Debug)]
pub struct ContentStream {
    client: Client,
    response: Response,
}

impl Client {
    /// The files of a session.
    #[must_use]
    pub fn session_files(&self, id: &SessionId) -> Files {
        Files { client: self.clone(), base: format!("/v1/sessions/{id}/fs") }
    }

    /// The files of a workspace. Writing into one that is not there makes it.
    #[must_use]
    pub fn workspace_files(&self, id: &WorkspaceId) -> Files {
        Files { client: self.clone(), base: format!("/v1/workspaces/{id}/fs") }
    }
}

impl Files {
    /// Looks at one file; a link is not followed.
    ///
    /// # Errors
    /// As every request; `Refused` with `FILE_NOT_FOUND`, as all that follow, or another code of files.
    pub async fn stat(&self, path: &str) -> Result<FileEntry, RequestError> {
        let query = FilePathQuery { path: path.to_owned() };
        self.client.call(self.request(Method::GET, "stat").query(&query)).await
    }

    /// Lists a directory, links to it followed.
    ///
    /// # Errors
    /// As [`stat`](Self::stat).
    pub async fn list(&self, query: &ListFilesQuery) -> Result<ListFilesResponse, RequestError> {
        self.client.call(self.request(Method::GET, "list").query(query)).await
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// As [`stat`](Self::stat).
    pub async fn make_directory(&self, request: &MakeDirectoryRequest) -> Result<(), RequestError> {
        self.acknowledged(Method::POST, "mkdir", request).await
    }

    /// Sets permission bits, in octal.
    ///
    /// # Errors
    /// As [`stat`](Self::stat).
    pub async fn set_mode(&self, path: &str, mode: &str) -> Result<(), RequestError> {
        let request = ChangeModeRequest { path: path.to_owned(), mode: mode.to_owned() };
        self.acknowledged(Method::POST, "chmod", &request).await
    }

    /// Reads a file of any size, links to it followed.
    ///
    /// # Errors
    /// As [`stat`](Self::stat), before the content begins.
    pub async fn read(&self, path: &str) -> Result<ContentStream, RequestError> {
        self.content("raw", &FilePathQuery { path: path.to_owned() }).await
    }

    /// Writes a file of any size, whole or not at all; missing parents are made. An error of `content` ends it.
    ///
    /// # Errors
    /// As [`stat`](Self::stat); `Unreachable` where `content` failed.
    pub async fn write(
        &self,
        query: &RawUploadQuery,
        content: impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static,
    ) -> Result<RawUploadResponse, RequestError> {
        let request = self.request(Method::PUT, "raw").query(query);
        self.client.call(request.body(Body::wrap_stream(content))).await
    }

    /// Changes a part of a file, all of the request or nothing.
    ///
    /// # Errors
    /// As [`stat`](Self::stat); `Refused` with `EDIT_MISMATCH` or `FILE_CHANGED`.
    pub async fn edit(&self, request: &EditFileRequest) -> Result<EditFileResponse, RequestError> {
        self.client.call(self.request(Method::POST, "edit").json(request)).await
    }

    /// Looks for a text in files.
    ///
    /// # Errors
    /// As [`stat`](Self::stat); `Refused` with `INVALID_REQUEST` for a pattern that is none.
    pub async fn search(&self, request: &SearchRequest) -> Result<SearchResponse, RequestError> {
        self.client.call(self.request(Method::POST, "search").json(request)).await
    }

    /// Reads a directory as a tar archive.
    ///
    /// # Errors
    /// As [`stat`](Self::stat), before the archive begins.
    pub async fn pack(&self, path: &str) -> Result<ContentStream, RequestError> {
        self.content("archive", &archive(path)).await
    }

    /// Unpacks a tar archive into a directory, which is made where it is missing. Where it is refused, what came before stays.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn unpack(
        &self,
        path: &str,
        content: impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static,
    ) -> Result<UnpackResponse, RequestError> {
        let request = self.request(Method::PUT, "archive").query(&archive(path));
        self.client.call(request.body(Body::wrap_stream(content))).await
    }

    async fn content(&self, call: &str, query: &impl Serialize) -> Result<ContentStream, RequestError> {
        let response = self.client.send(self.request(Method::GET, call).query(query)).await?;
        Ok(ContentStream { client: self.client.clone(), response })
    }

    async fn acknowledged(
        &self,
        method: Method,
        call: &str,
        body: &impl Serialize,
    ) -> Result<(), RequestError> {
        let Acknowledged { .. } = self.client.call(self.request(method, call).json(body)).await?;
        Ok(())
    }

    fn request(&self, method: Method, call: &str) -> RequestBuilder {
        self.client.request(method, &format!("{}/{call}", self.base))
    }
}

impl ContentStream {
    /// How many bytes there are in all, where that is known.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Waits for the next piece; none follows the last one. Cancel-safe.
    ///
    /// # Errors
    /// `Unreachable` where the content ends before its end: the connection breaks, or what is read has gone.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, RequestError> {
        let piece = self.response.chunk().await.map_err(|source| self.client.unreachable(source))?;
        Ok(piece.map(Vec::from))
    }
}

fn archive(path: &str) -> ArchiveQuery {
    ArchiveQuery { path: path.to_owned(), format: ArchiveFormat::Tar }
}
