// Files of a session, or of a workspace without one: the same calls.

import { base64ToBytes } from "./base64.js";
import { Download } from "./download.js";
import { FileNotFoundError, UnexpectedAnswerError } from "./errors.js";
import { type EventStream, eventData } from "./event_stream.js";
import type { RequestOptions } from "./options.js";
import type {
  ArchiveFormat,
  CopyFileResponse,
  EditFileRequest,
  EditFileResponse,
  FileChange,
  FileEntry,
  ListFilesResponse,
  MakeDirectoryRequest,
  RawUploadResponse,
  ReadFileResponse,
  SearchRequest,
  SearchResponse,
  StringEdit,
  UnpackResponse,
  UploadResponse,
  WatchEnd,
  WatchOverflow,
  WatchReady,
} from "./schema.js";
import type { Call, Query, Transport } from "./transport.js";

/** What a file is written from. A stream is sent as it comes, where the runtime's `fetch` can. */
export type FileSource = string | Uint8Array<ArrayBuffer> | Blob | ReadableStream<Uint8Array>;

/** A file, or its beginning. */
export interface FileContent {
  readonly path: string;
  readonly content: Uint8Array<ArrayBuffer>;
  /** Whether there is more than was asked for. */
  readonly truncated: boolean;
}

/** Files to upload by name. */
export interface NamedFile {
  readonly name: string;
  readonly content: string | Uint8Array<ArrayBuffer> | Blob;
}

/** How a watch ended: `removed` and `session` are ends of what was watched; after an overflow, list anew. */
export type WatchResult = ({ kind: "end" } & WatchEnd) | ({ kind: "overflow" } & WatchOverflow);

/** Changes of files as they happen. */
export type FileWatch = EventStream<FileChange, WatchResult>;

/** All levels that the API lists. */
const DEEPEST = 100;

/** Paths are absolute below `/workspace`, or relative to it. */
export class Files {
  readonly #transport: Transport;
  readonly #path: string;

  /** @internal */
  constructor(transport: Transport, ownerPath: string) {
    this.#transport = transport;
    this.#path = `${ownerPath}/fs`;
  }

  /** Reads a file, up to `max_bytes`: 10 MiB by default, at most 100 MiB. Larger ones: `download`, `readRange`. */
  async read(
    path: string,
    parameters: { max_bytes?: number } = {},
    options: RequestOptions = {},
  ): Promise<FileContent> {
    const answer = await this.#get<ReadFileResponse>("read", { path, ...parameters }, options);
    return { path: answer.path, content: decoded(answer.content_base64), truncated: answer.truncated };
  }

  /** Reads a whole file as UTF-8; what is none becomes U+FFFD. All of it is held in memory. */
  async readText(path: string, options: RequestOptions = {}): Promise<string> {
    return (await this.download(path, options)).text();
  }

  /** Reads up to `length` bytes from an offset on. An offset at or beyond the end is an `InvalidRequestError`. */
  async readRange(
    path: string,
    offset: number,
    length: number,
    options: RequestOptions = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    if (!Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(length) || length < 1) {
      throw new RangeError(`no range of a file: ${length} bytes from ${offset} on`);
    }
    const headers = { Range: `bytes=${offset}-${offset + length - 1}` };
    const open = await this.#transport.open(this.#download("raw", { path }, options, headers));
    const download = new Download(open);
    if (open.response.status !== 206) {
      download.cancel();
      throw new UnexpectedAnswerError(open.response.status, "a part of a file was asked for, and the whole was sent");
    }
    return download.bytes();
  }

  /** Opens a file of any size, to be read as it comes. */
  async download(path: string, options: RequestOptions = {}): Promise<Download> {
    return new Download(await this.#transport.open(this.#download("raw", { path }, options)));
  }

  /**
   * Writes a file of any size, whole or not at all, and makes its parent directories. `mode` are permission bits in octal, such
   * as `0644`. Sent again after a failure of the connection unless it comes from a stream.
   */
  write(
    path: string,
    content: FileSource,
    parameters: { mode?: string } = {},
    options: RequestOptions = {},
  ): Promise<RawUploadResponse> {
    return this.#put<RawUploadResponse>("raw", { path, ...parameters }, content, options);
  }

  /** Writes several files into a directory in one request, 10 MiB in all by default. Answers with their paths. */
  async upload(
    files: Iterable<NamedFile>,
    parameters: { path?: string } = {},
    options: RequestOptions = {},
  ): Promise<string[]> {
    const body = new FormData();
    // The directory goes first, so that the daemon knows it when the first file comes.
    if (parameters.path !== undefined) body.append("path", parameters.path);
    for (const { name, content } of files) {
      body.append("files", content instanceof Blob ? content : new Blob([content]), name);
    }
    const call: Call = { method: "POST", path: `${this.#path}/upload`, body, options, usualTimeoutMs: null };
    return (await this.#transport.json<UploadResponse>(call)).paths;
  }

  /** Lists a directory: one level, or `depth` of them; with a `glob`, what matches it on all levels. At most 10,000 entries. */
  list(
    path?: string,
    parameters: { depth?: number; glob?: string } = {},
    options: RequestOptions = {},
  ): Promise<ListFilesResponse> {
    return this.#get<ListFilesResponse>("list", { path, ...parameters }, options);
  }

  /** Lists a directory with everything below it. */
  tree(path?: string, options: RequestOptions = {}): Promise<ListFilesResponse> {
    return this.list(path, { depth: DEEPEST }, options);
  }

  /** Looks at one file. A link is shown, not followed. */
  stat(path: string, options: RequestOptions = {}): Promise<FileEntry> {
    return this.#get<FileEntry>("stat", { path }, options);
  }

  /** Whether something is there, a link that leads nowhere included. */
  async exists(path: string, options: RequestOptions = {}): Promise<boolean> {
    try {
      await this.stat(path, options);
      return true;
    } catch (error) {
      if (error instanceof FileNotFoundError) return false;
      throw error;
    }
  }

  /** Makes a directory, with `parents` those above it. */
  async mkdir(
    path: string,
    parameters: Omit<MakeDirectoryRequest, "path"> = {},
    options: RequestOptions = {},
  ): Promise<void> {
    await this.#post("mkdir", { path, ...parameters }, options);
  }

  /** Moves a file or directory. Something of that name is replaced with `overwrite` only: a file, or an empty directory. */
  async move(
    from: string,
    to: string,
    parameters: { overwrite?: boolean } = {},
    options: RequestOptions = {},
  ): Promise<void> {
    await this.#post("move", { from, to, ...parameters }, options);
  }

  /** Copies a file or tree, whole or not at all. Pipes, sockets and devices are left out, and counted as `skipped`. */
  copy(
    from: string,
    to: string,
    parameters: { overwrite?: boolean } = {},
    options: RequestOptions = {},
  ): Promise<CopyFileResponse> {
    return this.#post<CopyFileResponse>("copy", { from, to, ...parameters }, options);
  }

  /** Sets permission bits, in octal. */
  async chmod(path: string, mode: string, options: RequestOptions = {}): Promise<void> {
    await this.#post("chmod", { path, mode }, options);
  }

  /** Removes a file or an empty directory, with `recursive` a whole one. */
  async remove(path: string, parameters: { recursive?: boolean } = {}, options: RequestOptions = {}): Promise<void> {
    const query = { path, ...parameters };
    await this.#transport.remove({ method: "DELETE", path: `${this.#path}/remove`, query, options });
  }

  /** Searches the files of a directory for a `literal` or a `regex`. */
  search(request: SearchRequest, options: RequestOptions = {}): Promise<SearchResponse> {
    return this.#post<SearchResponse>("search", request, options);
  }

  /** Replaces text: each `old` has to be there exactly once, unless `replace_all` is true. */
  edit(
    path: string,
    edits: StringEdit[],
    parameters: { expect_sha256?: string } = {},
    options: RequestOptions = {},
  ): Promise<EditFileResponse> {
    return this.#post<EditFileResponse>("edit", { path, edits, ...parameters } satisfies EditFileRequest, options);
  }

  /** Applies a unified diff of one file. */
  patch(
    path: string,
    patch: string,
    parameters: { expect_sha256?: string } = {},
    options: RequestOptions = {},
  ): Promise<EditFileResponse> {
    return this.#post<EditFileResponse>("edit", { path, patch, ...parameters } satisfies EditFileRequest, options);
  }

  /** Tells changes below a directory, from the moment on when this answers, until the loop is left. */
  async watch(
    path?: string,
    parameters: { recursive?: boolean } = {},
    options: RequestOptions = {},
  ): Promise<FileWatch> {
    const call: Call = {
      method: "GET",
      path: `${this.#path}/watch`,
      query: { path, ...parameters },
      repeatable: true,
      options,
    };
    const stream = await this.#transport.events<FileChange | WatchReady, WatchResult>(call, (event) => {
      if (event.event === "ready") return { item: eventData<WatchReady>(event) };
      if (event.event === "change") return { item: eventData<FileChange>(event) };
      if (event.event === "end") return { end: { value: { kind: "end", ...eventData<WatchEnd>(event) } } };
      if (event.event === "overflow")
        return { end: { value: { kind: "overflow", ...eventData<WatchOverflow>(event) } } };
      return {};
    });
    // The first event says that the watch stands. It may also be the last one, which the stream then ends with.
    await stream.next();
    return stream as FileWatch;
  }

  /** Opens a directory as an archive, packed as it is read. */
  async downloadArchive(
    path: string,
    parameters: { format?: ArchiveFormat } = {},
    options: RequestOptions = {},
  ): Promise<Download> {
    return new Download(await this.#transport.open(this.#download("archive", { path, ...parameters }, options)));
  }

  /** Unpacks an archive into a directory, which is made. An archive that is refused in the middle leaves what came before. */
  uploadArchive(
    path: string,
    archive: Exclude<FileSource, string>,
    parameters: { format?: ArchiveFormat } = {},
    options: RequestOptions = {},
  ): Promise<UnpackResponse> {
    return this.#put<UnpackResponse>("archive", { path, ...parameters }, archive, options);
  }

  #download(what: string, query: Query, options: RequestOptions, headers: Record<string, string> = {}): Call {
    const path = `${this.#path}/${what}`;
    return { method: "GET", path, query, headers: { Accept: "*/*", ...headers }, repeatable: true, options };
  }

  #get<T extends object>(what: string, query: Query, options: RequestOptions): Promise<T> {
    return this.#transport.json<T>({ method: "GET", path: `${this.#path}/${what}`, query, repeatable: true, options });
  }

  #post<T extends object>(what: string, json: object, options: RequestOptions): Promise<T> {
    return this.#transport.json<T>({ method: "POST", path: `${this.#path}/${what}`, json, options });
  }

  #put<T extends object>(what: string, query: Query, body: FileSource, options: RequestOptions): Promise<T> {
    return this.#transport.json<T>({
      method: "PUT",
      path: `${this.#path}/${what}`,
      query,
      headers: { "Content-Type": "application/octet-stream" },
      body,
      // A stream that was read is gone.
      repeatable: !(body instanceof ReadableStream),
      options,
      usualTimeoutMs: null,
    });
  }
}

function decoded(base64: string): Uint8Array<ArrayBuffer> {
  try {
    return base64ToBytes(base64);
  } catch (cause) {
    throw new UnexpectedAnswerError(200, "the content of the file is no base64", { cause });
  }
}
