// What the package offers.

export type { CreateParameters, SessionQuery } from "./client.js";
export { SandboxClient } from "./client.js";
export type { Download } from "./download.js";
export type { KnownApiError, Refusal } from "./errors.js";
export {
  ApiError,
  ClosedError,
  CommandTimeoutError,
  ConnectionError,
  DirectoryNotEmptyError,
  EditMismatchError,
  FileChangedError,
  FileExistsError,
  FileNotFoundError,
  FileTooLargeError,
  IdempotencyKeyReusedError,
  ImageInUseError,
  ImageNotFoundError,
  ImagePullFailedError,
  InternalError,
  InvalidImageError,
  InvalidRequestError,
  InvalidWorkspaceError,
  IsDirectoryError,
  isKnownApiError,
  LimitExceededError,
  NoSpaceError,
  NotDirectoryError,
  NotRegularFileError,
  PermissionDeniedError,
  ProcessNotFoundError,
  ProcessNotRunningError,
  RequestTimeoutError,
  SandkastenError,
  SessionExistsError,
  SessionExpiredError,
  SessionNotFoundError,
  SessionNotRunningError,
  StreamError,
  UnauthorizedError,
  UnexpectedAnswerError,
  UnsupportedError,
  WorkspaceExistsError,
  WorkspaceInUseError,
  WorkspaceNotFoundError,
} from "./errors.js";
export type { EventStream } from "./event_stream.js";
export type { Command, ExecParameters, ExecStream } from "./exec.js";
export type { FileContent, FileSource, Files, FileWatch, NamedFile, WatchResult } from "./files.js";
export type { ImagePull, Images } from "./images.js";
export type { ClientOptions, IdempotentOptions, RequestOptions } from "./options.js";
export type { LogParameters, Processes, ProcessHandle, ProcessParameters } from "./processes.js";
export type * as schema from "./schema.js";
export type {
  CreateSessionRequest,
  EditFileResponse,
  ErrorCode,
  ErrorDetails,
  ExecChunk,
  ExecDone,
  ExecRequest,
  ExecResult,
  FileChange,
  FileEntry,
  Image,
  ListFilesResponse,
  LogChunk,
  Process,
  ProcessLogs,
  PullProgress,
  Reason,
  SearchMatch,
  SearchRequest,
  SearchResponse,
  SessionStats,
  SessionStatus,
  UpdateSessionRequest,
  Workspace,
} from "./schema.js";
export type { Session, SessionInfo } from "./session.js";
export type { SessionEvent, SessionEventStream } from "./session_events.js";
export type { Terminal, TerminalEvent, TerminalParameters } from "./terminal.js";
export type { WebSocketConstructor, WebSocketLike } from "./web_socket.js";
export type { Workspaces } from "./workspaces.js";
