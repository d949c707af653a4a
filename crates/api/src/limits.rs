//! The numbers of the contract, in bytes, seconds and milliseconds.

/// The longest command text an exec takes, in bytes.
pub const MAX_COMMAND_BYTES: usize = 1 << 20;
/// The most output an exec returns, in bytes; the rest is read and dropped.
pub const MAX_OUTPUT_BYTES: usize = 1 << 20;
/// The most elements of `argv`.
pub const MAX_ARGUMENTS: usize = 4096;
/// The most bytes of `env`, as the kernel counts them: each variable with its `=` and its NUL.
pub const MAX_ENVIRONMENT_BYTES: usize = 64 << 10;
/// The most bytes of an exec's `stdin`.
pub const MAX_STDIN_BYTES: usize = 1 << 20;
/// The longest name of a persistent shell, in bytes.
pub const MAX_SHELL_NAME: usize = 32;
/// The longest name of a process, in characters.
pub const MAX_PROCESS_NAME: usize = 64;
/// The most lines of a terminal, and the most characters of a line.
pub const MAX_TERMINAL_SIZE: u16 = 1_000;
/// The largest `timeout_ms` a request may name.
pub const MAX_TIMEOUT_MS: u64 = 600_000;
/// The longest that a create waits, in milliseconds.
pub const MAX_WAIT_MS: u64 = 600_000;
/// The largest `ttl_seconds` a request may name: one day.
pub const MAX_TTL_SECONDS: u64 = 86_400;
/// What `fs/read` returns at most where the request names no `max_bytes`.
pub const DEFAULT_READ_BYTES: u64 = 10 << 20;
/// The largest `max_bytes` of `fs/read`.
pub const MAX_READ_BYTES: u64 = 100 << 20;
/// The most files of one upload.
pub const MAX_UPLOAD_FILES: usize = 100;
/// The largest upload request, in bytes.
pub const MAX_UPLOAD_BYTES: usize = 10 << 20;
/// The longest path a file request may name, in bytes, as the kernel's `PATH_MAX` less its NUL.
pub const MAX_PATH_BYTES: usize = 4095;
/// How often a silent stream carries a comment line, in seconds.
pub const STREAM_HEARTBEAT_SECONDS: u64 = 15;
/// The longest `Idempotency-Key`, in bytes.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 255;
/// How long the answer to a request with an `Idempotency-Key` is kept, in seconds.
pub const IDEMPOTENCY_SECONDS: i64 = 86_400;
/// The largest `limit` of a listing, and the one in force where ended sessions are asked for without one.
pub const MAX_PAGE: usize = 1_000;
/// The most entries that `fs/list` returns.
pub const MAX_LIST_ENTRIES: usize = 10_000;
/// The most levels of directories that one request goes down.
pub const MAX_TREE_DEPTH: usize = 100;
/// The most entries that one request goes through.
pub const MAX_TREE_ENTRIES: usize = 200_000;
/// The longest glob, in bytes.
pub const MAX_GLOB_BYTES: usize = 1 << 10;
/// The largest file that `fs/edit` takes, and makes.
pub const MAX_EDIT_BYTES: u64 = 16 << 20;
/// The most strings that one `fs/edit` replaces, `replace_all` counted once.
pub const MAX_EDITS: usize = 100;
/// The longest pattern of `fs/search`, in bytes.
pub const MAX_PATTERN_BYTES: usize = 4 << 10;
/// How many matches `fs/search` returns where the request names no `max_matches`.
pub const DEFAULT_MATCHES: usize = 100;
/// The largest `max_matches` of `fs/search`.
pub const MAX_MATCHES: usize = 1_000;
/// The largest `context` of `fs/search`, in lines.
pub const MAX_CONTEXT_LINES: usize = 20;
/// The most directories that all watches of a session have together.
pub const MAX_WATCHED_DIRECTORIES: usize = 4_096;
/// The most watches of a session.
pub const MAX_WATCHES: usize = 4;
