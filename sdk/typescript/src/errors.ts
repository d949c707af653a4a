// What can go wrong: one class for each error code of the API, and the ways in which a request gets no proper answer.

import type { ErrorCode, ErrorDetails } from "./schema.js";

/** The base of every error that this library makes. What a caller's own `AbortSignal` says is thrown as it is. */
export class SandkastenError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** What an error of the API consists of. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
  /** The HTTP status; undefined for a failure that a stream told after its head. */
  readonly status: number | undefined;
  readonly details: ErrorDetails | undefined;
  /** The `X-Request-ID` of the answer, as the daemon's log has it. */
  readonly requestId: string | undefined;
}

/** The daemon refused the request, or it failed there. `code` says which; a code that this library knows has a class of its own. */
export class ApiError extends SandkastenError implements Refusal {
  readonly code: string;
  readonly status: number | undefined;
  readonly details: ErrorDetails | undefined;
  readonly requestId: string | undefined;

  constructor(refusal: Refusal) {
    super(refusal.message);
    this.code = refusal.code;
    this.status = refusal.status;
    this.details = refusal.details;
    this.requestId = refusal.requestId;
  }
}

/** Malformed or out of range; the message says what. */
export class InvalidRequestError extends ApiError {
  declare readonly code: "INVALID_REQUEST";
}
/** The image's name is malformed, not allowed, or not there. */
export class InvalidImageError extends ApiError {
  declare readonly code: "INVALID_IMAGE";
}
/** The workspace's name is malformed, or workspaces are not enabled. */
export class InvalidWorkspaceError extends ApiError {
  declare readonly code: "INVALID_WORKSPACE";
}
/** The API key is missing or wrong. */
export class UnauthorizedError extends ApiError {
  declare readonly code: "UNAUTHORIZED";
}
export class SessionNotFoundError extends ApiError {
  declare readonly code: "SESSION_NOT_FOUND";
}
export class WorkspaceNotFoundError extends ApiError {
  declare readonly code: "WORKSPACE_NOT_FOUND";
}
export class ImageNotFoundError extends ApiError {
  declare readonly code: "IMAGE_NOT_FOUND";
}
export class FileNotFoundError extends ApiError {
  declare readonly code: "FILE_NOT_FOUND";
}
export class IsDirectoryError extends ApiError {
  declare readonly code: "IS_DIRECTORY";
}
export class NotDirectoryError extends ApiError {
  declare readonly code: "NOT_DIRECTORY";
}
export class NotRegularFileError extends ApiError {
  declare readonly code: "NOT_REGULAR_FILE";
}
export class FileExistsError extends ApiError {
  declare readonly code: "FILE_EXISTS";
}
export class DirectoryNotEmptyError extends ApiError {
  declare readonly code: "DIRECTORY_NOT_EMPTY";
}
/** The file is not the expected one, or was changed meanwhile. */
export class FileChangedError extends ApiError {
  declare readonly code: "FILE_CHANGED";
}
/** What an edit replaces is not in the file, or not in one place. */
export class EditMismatchError extends ApiError {
  declare readonly code: "EDIT_MISMATCH";
}
export class PermissionDeniedError extends ApiError {
  declare readonly code: "PERMISSION_DENIED";
}
export class FileTooLargeError extends ApiError {
  declare readonly code: "FILE_TOO_LARGE";
}
/** The file system is full. */
export class NoSpaceError extends ApiError {
  declare readonly code: "NO_SPACE";
}
/** The session's time ran out. */
export class SessionExpiredError extends ApiError {
  declare readonly code: "SESSION_EXPIRED";
}
/** The session is destroyed, crashed or paused. */
export class SessionNotRunningError extends ApiError {
  declare readonly code: "SESSION_NOT_RUNNING";
}
/** A live session has this name. */
export class SessionExistsError extends ApiError {
  declare readonly code: "SESSION_EXISTS";
}
export class WorkspaceInUseError extends ApiError {
  declare readonly code: "WORKSPACE_IN_USE";
}
export class WorkspaceExistsError extends ApiError {
  declare readonly code: "WORKSPACE_EXISTS";
}
export class ImageInUseError extends ApiError {
  declare readonly code: "IMAGE_IN_USE";
}
export class ProcessNotFoundError extends ApiError {
  declare readonly code: "PROCESS_NOT_FOUND";
}
export class ProcessNotRunningError extends ApiError {
  declare readonly code: "PROCESS_NOT_RUNNING";
}
/** The idempotency key came with another body before. */
export class IdempotencyKeyReusedError extends ApiError {
  declare readonly code: "IDEMPOTENCY_KEY_REUSED";
}

/** A command ran past its timeout; its processes are gone, the session goes on. */
export class CommandTimeoutError extends ApiError {
  declare readonly code: "COMMAND_TIMEOUT";

  /** What the command had written by then. Empty for a stream, whose chunks were given out already. */
  get output(): string {
    return this.details?.output ?? "";
  }
}

/** A quota or a rate: the message says which, with the numbers. */
export class LimitExceededError extends ApiError {
  declare readonly code: "LIMIT_EXCEEDED";
}
/** A fault of the daemon. Its log has the `requestId`. */
export class InternalError extends ApiError {
  declare readonly code: "INTERNAL_ERROR";
}
/** The registry could not be reached, refused, or sent something else than it should. */
export class ImagePullFailedError extends ApiError {
  declare readonly code: "IMAGE_PULL_FAILED";
}

/** The class of every code: the compiler refuses this table where the API has a code that is not in it. */
const CLASSES = {
  INVALID_REQUEST: InvalidRequestError,
  INVALID_IMAGE: InvalidImageError,
  INVALID_WORKSPACE: InvalidWorkspaceError,
  UNAUTHORIZED: UnauthorizedError,
  SESSION_NOT_FOUND: SessionNotFoundError,
  WORKSPACE_NOT_FOUND: WorkspaceNotFoundError,
  IMAGE_NOT_FOUND: ImageNotFoundError,
  FILE_NOT_FOUND: FileNotFoundError,
  IS_DIRECTORY: IsDirectoryError,
  NOT_DIRECTORY: NotDirectoryError,
  NOT_REGULAR_FILE: NotRegularFileError,
  FILE_EXISTS: FileExistsError,
  DIRECTORY_NOT_EMPTY: DirectoryNotEmptyError,
  FILE_CHANGED: FileChangedError,
  EDIT_MISMATCH: EditMismatchError,
  PERMISSION_DENIED: PermissionDeniedError,
  FILE_TOO_LARGE: FileTooLargeError,
  NO_SPACE: NoSpaceError,
  SESSION_EXPIRED: SessionExpiredError,
  SESSION_NOT_RUNNING: SessionNotRunningError,
  SESSION_EXISTS: SessionExistsError,
  WORKSPACE_IN_USE: WorkspaceInUseError,
  WORKSPACE_EXISTS: WorkspaceExistsError,
  IMAGE_IN_USE: ImageInUseError,
  PROCESS_NOT_FOUND: ProcessNotFoundError,
  PROCESS_NOT_RUNNING: ProcessNotRunningError,
  IDEMPOTENCY_KEY_REUSED: IdempotencyKeyReusedError,
  COMMAND_TIMEOUT: CommandTimeoutError,
  LIMIT_EXCEEDED: LimitExceededError,
  INTERNAL_ERROR: InternalError,
  IMAGE_PULL_FAILED: ImagePullFailedError,
} as const satisfies Record<ErrorCode, new (refusal: Refusal) => ApiError>;

/** Every error with a class of its own: a `switch` on `code` narrows it. */
export type KnownApiError = InstanceType<(typeof CLASSES)[ErrorCode]>;

/** Whether this is an error of the API whose code this library knows. */
export function isKnownApiError(error: unknown): error is KnownApiError {
  return error instanceof ApiError && Object.hasOwn(CLASSES, error.code);
}

/** The error of a refusal: of the class of its code, and an `ApiError` where the code is a newer daemon's. */
export function refusalError(refusal: Refusal): ApiError {
  return Object.hasOwn(CLASSES, refusal.code) ? new CLASSES[refusal.code as ErrorCode](refusal) : new ApiError(refusal);
}

/** The daemon could not be reached, or the connection broke. Whether the request was carried out is not known. */
export class ConnectionError extends SandkastenError {}

/** The time that the caller gave the request is up (`timeoutMs`). Whether it was carried out is not known. */
export class RequestTimeoutError extends SandkastenError {}

/** Something answered, but not as the API does: what is at this address may be something else. */
export class UnexpectedAnswerError extends SandkastenError {
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** A stream broke off before its last event, fell silent, or sent what is no event. */
export class StreamError extends SandkastenError {}

/** This runtime, or this way of reaching the daemon, cannot do it; the message says what can. */
export class UnsupportedError extends SandkastenError {}

/** The client, or the stream, was closed. */
export class ClosedError extends SandkastenError {}
