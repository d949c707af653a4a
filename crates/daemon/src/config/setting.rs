//! Every key of the configuration, once: its name, its environment variable, what it takes, how to show and set it.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use super::api_key::ApiKey;
use super::{Config, shown};

/// A key of the configuration.
pub(super) struct Setting {
    /// Its name as messages show it: `defaults.cpu_limit`.
    pub(super) name: &'static str,
    /// The environment variable that overrides it.
    pub(super) variable: &'static str,
    /// What it takes, to follow "allowed: ".
    pub(super) allowed: &'static str,
    /// Renders the effective value; the key comes out masked.
    pub(super) show: fn(&Config) -> String,
    /// Sets it from text, or says what the text is not.
    pub(super) set: fn(&mut Config, &str) -> Result<(), String>,
}

/// Where the API listens.
pub(super) const LISTEN: &str = "listen";
/// The key whose value is never shown.
pub(super) const API_KEY: &str = "api_key";
/// The key that names the file with that value.
pub(super) const API_KEY_FILE: &str = "api_key_file";

/// Declares a setting: name, variable, what is allowed, and how to show and set it.
macro_rules! setting {
    ($name:expr, $variable:literal, $allowed:literal, $show:expr, $set:expr) => {
        Setting { name: $name, variable: $variable, allowed: $allowed, show: $show, set: $set }
    };
}

/// All keys, in the order of the contract; `config show` lists them like this.
pub(super) const SETTINGS: &[Setting] = &[
    setting!(
        LISTEN,
        "SANDKASTEN_LISTEN",
        "an IP address or localhost with a port (127.0.0.1:8080), or unix: and an absolute path of at most 107 bytes",
        |c| c.listen.to_string(),
        |c, text| parse_into(&mut c.listen, text, "is no address to listen on")
    ),
    setting!(
        API_KEY,
        "SANDKASTEN_API_KEY",
        "printable ASCII without spaces, 16 characters or more",
        |c| c.api_key.as_ref().map_or_else(|| "(none)".to_owned(), ApiKey::to_string),
        |c, text| {
            c.api_key = Some(ApiKey::new(text.to_owned()));
            Ok(())
        }
    ),
    setting!(
        API_KEY_FILE,
        "SANDKASTEN_API_KEY_FILE",
        "an absolute path",
        |c| c.api_key_file.as_deref().map_or_else(|| "(none)".to_owned(), shown),
        |c, text| {
            c.api_key_file = Some(PathBuf::from(text));
            Ok(())
        }
    ),
    setting!(
        "allowed_hosts",
        "SANDKASTEN_ALLOWED_HOSTS",
        "a list of host names, each with or without a port",
        |c| list(&c.allowed_hosts),
        |c, text| {
            c.allowed_hosts = split(text);
            Ok(())
        }
    ),
    setting!("data_dir", "SANDKASTEN_DATA_DIR", "an absolute path", |c| shown(&c.data_dir), |c, text| {
        c.data_dir = PathBuf::from(text);
        Ok(())
    }),
    setting!(
        "db_path",
        "SANDKASTEN_DB_PATH",
        "an absolute path",
        |c| shown(&c.database_path()),
        |c, text| {
            c.db_path = Some(PathBuf::from(text));
            Ok(())
        }
    ),
    setting!(
        "db_max_open_conns",
        "SANDKASTEN_DB_MAX_OPEN_CONNS",
        "a whole number, 1 to 64",
        |c| c.db_max_open_conns.to_string(),
        |c, text| parse_into(&mut c.db_max_open_conns, text, WHOLE)
    ),
    setting!(
        "default_image",
        "SANDKASTEN_DEFAULT_IMAGE",
        "a name of a-z, 0-9, dot, underscore and hyphen, perhaps with a colon and a tag",
        |c| c.default_image.clone(),
        |c, text| {
            text.clone_into(&mut c.default_image);
            Ok(())
        }
    ),
    setting!(
        "allowed_images",
        "SANDKASTEN_ALLOWED_IMAGES",
        "a list of image names, with * for any characters, or digests (python, debian:*, sha256:…, python@sha256:…)",
        |c| if c.allowed_images.is_empty() { "(all)".to_owned() } else { list(&c.allowed_images) },
        |c, text| {
            let parse = |item: String| item.parse().map_err(|error| format!("has `{item}`, which {error}"));
            c.allowed_images = split(text).into_iter().map(parse).collect::<Result<_, _>>()?;
            Ok(())
        }
    ),
    setting!(
        "max_sessions",
        "SANDKASTEN_MAX_SESSIONS",
        "a whole number, 1 to 4095 (as many ranges of user ids there are)",
        |c| c.max_sessions.to_string(),
        |c, text| parse_into(&mut c.max_sessions, text, WHOLE)
    ),
    setting!(
        "session_ttl_seconds",
        "SANDKASTEN_SESSION_TTL_SECONDS",
        "whole seconds, 1 to 86400",
        |c| c.session_ttl_seconds.to_string(),
        |c, text| parse_into(&mut c.session_ttl_seconds, text, WHOLE)
    ),
    setting!(
        "admission.concurrent_creates",
        "SANDKASTEN_ADMISSION_CONCURRENT_CREATES",
        "auto (four for each processor) or a whole number, 1 to 4095",
        |c| c.admission.concurrent_creates.to_string(),
        |c, text| parse_into(&mut c.admission.concurrent_creates, text, AUTOMATIC)
    ),
    setting!(
        "admission.max_waiting",
        "SANDKASTEN_ADMISSION_MAX_WAITING",
        "a whole number, 1 to 100000",
        |c| c.admission.max_waiting.to_string(),
        |c, text| parse_into(&mut c.admission.max_waiting, text, WHOLE)
    ),
    setting!(
        "admission.wait_seconds",
        "SANDKASTEN_ADMISSION_WAIT_SECONDS",
        "whole seconds, 0 to 600",
        |c| c.admission.wait_seconds.to_string(),
        |c, text| parse_into(&mut c.admission.wait_seconds, text, WHOLE)
    ),
    setting!(
        "admission.min_free_memory_mb",
        "SANDKASTEN_ADMISSION_MIN_FREE_MEMORY_MB",
        "auto (5 % of the host's, at most 512) or whole MiB, 0 to 1073741824",
        |c| c.admission.min_free_memory_mb.to_string(),
        |c, text| parse_into(&mut c.admission.min_free_memory_mb, text, AUTOMATIC)
    ),
    setting!(
        "admission.max_memory_pressure",
        "SANDKASTEN_ADMISSION_MAX_MEMORY_PRESSURE",
        "whole percent, 1 to 100",
        |c| c.admission.max_memory_pressure.to_string(),
        |c, text| parse_into(&mut c.admission.max_memory_pressure, text, WHOLE)
    ),
    setting!(
        "defaults.cpu_limit",
        "SANDKASTEN_CPU_LIMIT",
        "a number of cores, 0.01 to 1024",
        |c| format!("{:?}", c.defaults.cpu_limit),
        |c, text| parse_into(&mut c.defaults.cpu_limit, text, "is no number")
    ),
    setting!(
        "defaults.mem_limit_mb",
        "SANDKASTEN_MEM_LIMIT_MB",
        "whole MiB, 16 to 1048576",
        |c| c.defaults.mem_limit_mb.to_string(),
        |c, text| parse_into(&mut c.defaults.mem_limit_mb, text, WHOLE)
    ),
    setting!(
        "defaults.pids_limit",
        "SANDKASTEN_PIDS_LIMIT",
        "a whole number, 8 (runner, shell and a short pipeline) to 4194304 (the most the kernel has)",
        |c| c.defaults.pids_limit.to_string(),
        |c, text| parse_into(&mut c.defaults.pids_limit, text, WHOLE)
    ),
    setting!(
        "defaults.max_exec_timeout_ms",
        "SANDKASTEN_MAX_EXEC_TIMEOUT_MS",
        "whole milliseconds, 1 to 600000",
        |c| c.defaults.max_exec_timeout_ms.to_string(),
        |c, text| parse_into(&mut c.defaults.max_exec_timeout_ms, text, WHOLE)
    ),
    setting!(
        "defaults.network_mode",
        "SANDKASTEN_NETWORK_MODE",
        "none (bridge and host are not built yet)",
        |c| c.defaults.network_mode.to_string(),
        |c, text| parse_into(&mut c.defaults.network_mode, text, KEYWORD)
    ),
    setting!(
        "defaults.readonly_rootfs",
        "SANDKASTEN_READONLY_ROOTFS",
        "true or false",
        |c| c.defaults.readonly_rootfs.to_string(),
        |c, text| parse_into(&mut c.defaults.readonly_rootfs, text, BOOLEAN)
    ),
    setting!(
        "defaults.exec_mode",
        "SANDKASTEN_EXEC_MODE",
        "stateful (stateless is not built yet)",
        |c| c.defaults.exec_mode.to_string(),
        |c, text| parse_into(&mut c.defaults.exec_mode, text, KEYWORD)
    ),
    setting!(
        "defaults.shell_prefer",
        "SANDKASTEN_SHELL_PREFER",
        "bash or sh",
        |c| c.defaults.shell_prefer.to_string(),
        |c, text| parse_into(&mut c.defaults.shell_prefer, text, KEYWORD)
    ),
    setting!(
        "defaults.workspace_mb",
        "SANDKASTEN_WORKSPACE_MB",
        "whole MiB, 1 to 1048576",
        |c| c.defaults.workspace_mb.to_string(),
        |c, text| parse_into(&mut c.defaults.workspace_mb, text, WHOLE)
    ),
    setting!(
        "defaults.tmp_mb",
        "SANDKASTEN_TMP_MB",
        "whole MiB, 1 to 1048576",
        |c| c.defaults.tmp_mb.to_string(),
        |c, text| parse_into(&mut c.defaults.tmp_mb, text, WHOLE)
    ),
    setting!(
        "images.insecure_registries",
        "SANDKASTEN_IMAGES_INSECURE_REGISTRIES",
        "a list of host names, each with or without a port",
        |c| list(&c.images.insecure_registries),
        |c, text| {
            c.images.insecure_registries = split(text);
            Ok(())
        }
    ),
    setting!(
        "images.mirrors",
        "SANDKASTEN_IMAGES_MIRRORS",
        "names of registries, each with a list of mirrors: hosts, each with or without a port and a path (in the \
         environment as JSON)",
        |c| list(
            &c.images.mirrors.iter().map(|(of, own)| format!("{of}: {}", own.join(" "))).collect::<Vec<_>>()
        ),
        |c, text| {
            c.images.mirrors =
                serde_json::from_str(text).map_err(|error| format!("is not usable: {error}"))?;
            Ok(())
        }
    ),
    setting!(
        "images.pull_registries",
        "SANDKASTEN_IMAGES_PULL_REGISTRIES",
        "a list of host names, each with a port where references have one",
        |c| list(&c.images.pull_registries),
        |c, text| {
            c.images.pull_registries = split(text);
            Ok(())
        }
    ),
    setting!(
        "images.defaults",
        "SANDKASTEN_IMAGES_DEFAULTS",
        "names of images, in which * stands for any characters, each with any of cpu_limit, mem_limit_mb, pids_limit, \
         max_exec_timeout_ms, workspace_mb, tmp_mb as in defaults, and env (in the environment as JSON)",
        |c| list(&c.images.defaults.iter().map(|(image, own)| format!("{image}: {own}")).collect::<Vec<_>>()),
        |c, text| {
            c.images.defaults =
                serde_json::from_str(text).map_err(|error| format!("is not usable: {error}"))?;
            Ok(())
        }
    ),
    setting!(
        "pool.enabled",
        "SANDKASTEN_POOL_ENABLED",
        "true or false",
        |c| c.pool.enabled.to_string(),
        |c, text| parse_into(&mut c.pool.enabled, text, BOOLEAN)
    ),
    setting!(
        "pool.images",
        "SANDKASTEN_POOL_IMAGES",
        "image names, each with a whole number of at most 1000 (python: 2; in the environment python=2,node=1)",
        |c| list(&c.pool.images.iter().map(|(image, count)| format!("{image}={count}")).collect::<Vec<_>>()),
        |c, text| {
            let pairs = split(text).into_iter().map(|pair| {
                let (image, count) = pair.split_once('=')?;
                Some((image.trim().to_owned(), count.trim().parse().ok()?))
            });
            c.pool.images = pairs.collect::<Option<_>>().ok_or("is no list of image=count")?;
            Ok(())
        }
    ),
    setting!(
        "pool.max",
        "SANDKASTEN_POOL_MAX",
        "a whole number, 0 to 1000",
        |c| c.pool.max.to_string(),
        |c, text| parse_into(&mut c.pool.max, text, WHOLE)
    ),
    setting!(
        "workspace.enabled",
        "SANDKASTEN_WORKSPACE_ENABLED",
        "true or false",
        |c| c.workspace.enabled.to_string(),
        |c, text| parse_into(&mut c.workspace.enabled, text, BOOLEAN)
    ),
    setting!(
        "workspace.persist_by_default",
        "SANDKASTEN_WORKSPACE_PERSIST_BY_DEFAULT",
        "true or false",
        |c| c.workspace.persist_by_default.to_string(),
        |c, text| parse_into(&mut c.workspace.persist_by_default, text, BOOLEAN)
    ),
    setting!(
        "workspace.min_free_mb",
        "SANDKASTEN_WORKSPACE_MIN_FREE_MB",
        "whole MiB, 0 to 1073741824",
        |c| c.workspace.min_free_mb.to_string(),
        |c, text| parse_into(&mut c.workspace.min_free_mb, text, WHOLE)
    ),
    setting!(
        "security.seccomp",
        "SANDKASTEN_SECCOMP",
        "off, mvp or strict",
        |c| c.security.seccomp.to_string(),
        |c, text| parse_into(&mut c.security.seccomp, text, KEYWORD)
    ),
    setting!(
        "dashboard.enabled",
        "SANDKASTEN_DASHBOARD_ENABLED",
        "false",
        |c| c.dashboard.enabled.to_string(),
        |c, text| parse_into(&mut c.dashboard.enabled, text, BOOLEAN)
    ),
];

pub(super) const WHOLE: &str = "is no whole number that fits";
pub(super) const BOOLEAN: &str = "is neither true nor false";
const AUTOMATIC: &str = "is neither auto nor a whole number that fits";
const KEYWORD: &str = "is not one of the words it takes";

/// Finds the setting that a path of garde or of the document belongs to: `allowed_images[2]` is `allowed_images`.
pub(super) fn find(path: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| {
        path.strip_prefix(setting.name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

/// Tells whether a word is the last part of a key, or a section.
pub(super) fn is_name(word: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.name.split('.').any(|part| part == word))
}

fn parse_into<T: FromStr>(slot: &mut T, text: &str, otherwise: &str) -> Result<(), String> {
    *slot = text.trim().parse().map_err(|_| otherwise.to_owned())?;
    Ok(())
}

fn split(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

fn list<T: Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    if items.is_empty() { "(none)".to_owned() } else { items.join(", ") }
}
