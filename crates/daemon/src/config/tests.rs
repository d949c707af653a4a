//! Loading as a whole: what is refused, in which words, and where values come from.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::{Config, ConfigWarning, ListenAddress, LoadConfigError, NetworkMode, SeccompProfile, Source};

/// A directory of its own with the files of one test.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn write(&self, name: &str, mode: u32, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("write");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        path
    }
}

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn load(text: &str) -> Result<Config, LoadConfigError> {
    let files = Files::new();
    Config::load(Some(&files.write("sandkasten.yaml", 0o600, text)), &env(&[]))
}

/// Loads what must be refused and returns the message without the directory.
pub(super) fn refusal(text: &str) -> String {
    let error = load(text).expect_err(text).to_string();
    let name = error.find("sandkasten.yaml").expect("the file is named");
    error[name..].to_owned()
}

fn refused_variable(name: &str, value: &str) -> String {
    Config::load(None, &env(&[(name, value)])).expect_err(value).to_string()
}

/// The configuration of the security guide, to the letter.
const GUIDE: &str = include_str!("../../../../e2e/tests/cli/security_guide.yaml");

#[test]
fn the_configuration_of_the_security_guide_loads() {
    let config = load(GUIDE).expect("the guide's configuration");
    assert_eq!(config.default_image, "python");
    assert_eq!(config.security.seccomp, SeccompProfile::Strict);
    assert_eq!(config.defaults.network_mode, NetworkMode::None);
    assert!(config.api_key.as_ref().is_some_and(|key| key.expose() == "sk-replace-with-long-random-secret"));
    assert_eq!(config.warnings(), [ConfigWarning::PublishedKey]);
}

#[test]
fn the_configuration_of_our_own_guide_loads_without_a_warning() {
    let guide = include_str!("../../../../docs/security.md");
    let yaml = guide.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    let files = Files::new();
    let key = files.write("key", 0o600, "0123456789abcdef0123456789abcdef\n");
    let config = load(&yaml.replace("/etc/sandkasten/api-key", &key.display().to_string())).expect("valid");
    assert_eq!(config.warnings(), []);
}

#[test]
fn every_key_of_the_security_guide_has_its_meaning() {
    let files = Files::new();
    let path = files.write("sandkasten.yaml", 0o600, GUIDE);
    let config = Config::load(Some(&path), &env(&[])).expect("the guide's configuration");
    let expected = [
        ("listen", "127.0.0.1:8080"),
        ("api_key", "********"),
        ("data_dir", "/var/lib/sandkasten"),
        ("db_path", "/var/lib/sandkasten/sandkasten.db"),
        ("default_image", "python"),
        ("allowed_images", "python"),
        ("session_ttl_seconds", "1800"),
        ("defaults.cpu_limit", "1.0"),
        ("defaults.mem_limit_mb", "512"),
        ("defaults.pids_limit", "256"),
        ("defaults.max_exec_timeout_ms", "120000"),
        ("defaults.network_mode", "none"),
        ("defaults.readonly_rootfs", "true"),
        ("workspace.enabled", "true"),
        ("workspace.persist_by_default", "false"),
        ("security.seccomp", "strict"),
    ];
    let from_file: Vec<_> = config
        .effective()
        .into_iter()
        .filter(|setting| matches!(&setting.source, Source::File { path: file, .. } if *file == path))
        .map(|setting| (setting.key, setting.value))
        .collect();
    assert_eq!(from_file, expected.map(|(key, value)| (key, value.to_owned())));
}

#[test]
fn the_key_of_the_security_guide_opens_nothing_to_other_hosts() {
    let elsewhere = |listen: &str| load(&GUIDE.replace("127.0.0.1:8080", listen));
    for listen in ["0.0.0.0:8080", "192.168.1.1:80", "[::]:80"] {
        let error = elsewhere(listen).expect_err(listen);
        assert!(matches!(error, LoadConfigError::PublishedKey { .. }), "{error}");
        assert!(!error.to_string().contains("sk-replace"), "{error}");
    }
    for listen in ["[::1]:80", "unix:/run/s.sock"] {
        let warnings = elsewhere(listen).expect(listen).warnings();
        assert!(warnings.contains(&ConfigWarning::PublishedKey), "{listen}");
    }
    // Wherever the key comes from.
    let files = Files::new();
    let key = files.write("key", 0o600, "sk-replace-with-long-random-secret\n");
    for (variable, value) in [
        ("SANDKASTEN_API_KEY", "sk-replace-with-long-random-secret"),
        ("SANDKASTEN_API_KEY_FILE", &key.display().to_string()),
    ] {
        let loaded = Config::load(None, &env(&[("SANDKASTEN_LISTEN", "0.0.0.0:1"), (variable, value)]));
        assert!(matches!(loaded, Err(LoadConfigError::PublishedKey { .. })), "{variable}");
    }
}

#[test]
fn no_file_and_an_empty_file_are_the_defaults() {
    let defaults = format!("{:?}", Config::default());
    for config in [Config::load(None, &env(&[])), load(""), load("# nothing\n\n"), load("defaults:\npool:\n")]
    {
        let mut config = config.expect("defaults");
        config.sources.clear();
        assert_eq!(format!("{config:?}"), defaults);
    }
}

#[test]
fn an_unknown_key_is_shown_with_a_caret_and_the_known_ones() {
    let message = refusal("listen: localhost:80\ndefaults:\n  cpu_limt: 2\n");
    assert_eq!(
        message,
        "sandkasten.yaml:3:3: unknown key `cpu_limt`; allowed here: cpu_limit, mem_limit_mb, pids_limit, \
         max_exec_timeout_ms, network_mode, readonly_rootfs, exec_mode, shell_prefer, workspace_mb, tmp_mb\n  \
         |\n3 |   cpu_limt: 2\n  |   ^"
    );
}

#[test]
fn an_unknown_key_is_shown_without_what_may_be_a_secret() {
    for (text, shown) in [
        ("api_kye: sk-0123\n", "1 | api_kye:(hidden)\n  | ^"),
        (
            "{max_sessions: 1, x: abc, listen: y}\n",
            "1 | {max_sessions: 1, x:(hidden)\n  |                   ^",
        ),
        ("cpu: 2 # cores\n", "1 | cpu: 2 # cores\n  | ^"),
        ("wanted: true\n", "1 | wanted: true\n  | ^"),
    ] {
        let message = refusal(text);
        assert!(message.ends_with(shown), "{message}");
    }
    // What belongs to a key of ours is shown, colons and all.
    for (text, shown) in [
        ("listen: 'unix:x/y'\n", "1 | listen: 'unix:x/y'"),
        ("{db_path: b:c, max_sessions: 2}\n", "1 | {db_path: b:c, max_sessions: 2}"),
        ("allowed_images: [\"a b\"]\n", "1 | allowed_images: [\"a b\"]"),
        ("allowed_images:\n  - a b\n", "2 |   - a b"),
    ] {
        assert!(refusal(text).contains(shown), "{}", refusal(text));
    }
}

#[test]
fn a_wrong_type_is_shown_with_the_value_and_what_is_allowed() {
    let cases = [
        (
            "defaults:\n  mem_limit_mb: 512MB # half\n",
            "sandkasten.yaml:2:17: defaults.mem_limit_mb: `512MB` is no whole number that fits; allowed: whole MiB, \
             16 to 1048576\n  |\n2 |   mem_limit_mb: 512MB # half\n  |                 ^",
        ),
        (
            "defaults:\n  cpu_limit: lots\n",
            "2:14: defaults.cpu_limit: `lots` is no number; allowed: a number of cores",
        ),
        (
            "defaults: {readonly_rootfs: yes}\n",
            "1:29: defaults.readonly_rootfs: `yes` is neither true nor false",
        ),
        (
            "security:\n  seccomp: hard\n",
            "2:12: security.seccomp: `hard` is not one of the words it takes; allowed: off, mvp",
        ),
        (
            "allowed_images: python\n",
            "1:17: allowed_images: `python` is no list; allowed: a list of image names",
        ),
        (
            "listen: here\n",
            "1:9: listen: `here` is no IP address with a port; allowed: an IP address or localhost",
        ),
        ("listen: [a]\n", "1:9: listen: `[a` is no text"),
        (
            "admission: {min_free_memory_mb: much}\n",
            "1:33: admission.min_free_memory_mb: `much` is neither auto nor a whole number that fits; allowed: auto",
        ),
        (
            "admission: {min_free_memory_mb: 1.5}\n",
            "1:33: admission.min_free_memory_mb: `1.5` is neither auto nor a whole number that fits",
        ),
        (
            "admission: {concurrent_creates: -1}\n",
            "1:33: admission.concurrent_creates: `-1` is neither auto nor a whole number that fits",
        ),
        (
            "admission: {concurrent_creates: 0}\n",
            "1:33: admission.concurrent_creates: `0` is out of range; allowed: auto",
        ),
        ("defaults: 5\n", "1:11: `5` is no section with keys of its own; allowed: `key: value` lines"),
        ("max_sessions: 1\nmax_sessions: 2\n", "2:1: the key `max_sessions` is there twice; keep one"),
        ("default_image: \"b\n", "1:16: unclosed quote"),
        ("max_sessions: 1\n---\nmax_sessions: 2\n", "a second YAML document"),
    ];
    for (text, expected) in cases {
        let message = refusal(text);
        assert!(message.contains(expected), "{text}\n{message}");
    }
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    for (key, value) in [
        ("cpu_limit", "0"),
        ("cpu_limit", "1025"),
        ("cpu_limit", ".nan"),
        ("mem_limit_mb", "15"),
        ("mem_limit_mb", "1048577"),
        ("pids_limit", "7"),
        ("pids_limit", "4194305"),
        ("max_exec_timeout_ms", "0"),
        ("max_exec_timeout_ms", "600001"),
        ("workspace_mb", "0"),
        ("tmp_mb", "0"),
        ("mem_limit_mb", "-1"),
    ] {
        let message = refusal(&format!("defaults:\n  {key}: {value}\n"));
        assert!(
            message.contains(&format!("2:{}: defaults.{key}: `{value}` is ", key.len() + 5)),
            "{message}"
        );
        assert!(message.contains("; allowed: ") && message.ends_with('^'), "{message}");
    }
    for (key, value) in [
        ("session_ttl_seconds", "0"),
        ("session_ttl_seconds", "86401"),
        ("data_dir", "var/lib"),
        ("data_dir", "/"),
        ("data_dir", "/a/../b"),
        ("db_path", "x.db"),
        ("max_sessions", "0"),
        ("db_max_open_conns", "65"),
        ("default_image", "\"\""),
        ("default_image", "a b"),
    ] {
        let message = refusal(&format!("{key}: {value}\n"));
        assert!(message.contains(&format!("1:{}: {key}: `", key.len() + 3)), "{message}");
    }
    assert!(
        refusal("allowed_hosts: [a.example, \"http://b\"]\n")
            .contains("1:28: allowed_hosts: `http://b` is no host")
    );
    let message = refusal("images: {insecure_registries: [\"http://b\"]}\n");
    assert!(message.contains("images.insecure_registries: `http://b` is no host"), "{message}");
}

#[test]
fn what_is_not_built_yet_is_refused_by_name() {
    for (text, expected) in [
        ("defaults: {network_mode: bridge}", "defaults.network_mode: `bridge` is not built yet"),
        ("defaults: {network_mode: host}", "defaults.network_mode: `host` is not built yet"),
        ("defaults: {exec_mode: stateless}", "defaults.exec_mode: `stateless` is not built yet"),
        ("dashboard: {enabled: true}", "dashboard.enabled: `true` is not built yet"),
    ] {
        assert!(refusal(text).contains(expected), "{}", refusal(text));
    }
}

#[test]
fn the_environment_overrides_the_file() {
    let files = Files::new();
    let path = files.write(
        "sandkasten.yaml",
        0o600,
        "max_sessions: 5\ndefaults:\n  cpu_limit: 2\n  pids_limit: 100\n",
    );
    let variables = env(&[
        ("SANDKASTEN_CPU_LIMIT", "0.5"),
        ("SANDKASTEN_PIDS_LIMIT", ""),
        ("SANDKASTEN_ALLOWED_IMAGES", "python, node,"),
        ("SANDKASTEN_LISTEN", "unix:/run/s.sock"),
        ("SANDKASTEN_POOL_IMAGES", "python=2"),
    ]);
    let config = Config::load(Some(&path), &variables).expect("valid");
    assert_eq!(config.defaults.cpu_limit, 0.5);
    assert_eq!(config.defaults.pids_limit, 100);
    assert_eq!(config.allowed_images.iter().map(ToString::to_string).collect::<Vec<_>>(), ["python", "node"]);
    assert_eq!(config.listen, ListenAddress::Unix(PathBuf::from("/run/s.sock")));
    assert_eq!(config.pool.images.get("python"), Some(&2));

    let sources: BTreeMap<_, _> =
        config.effective().into_iter().map(|s| (s.key, (s.value, s.source))).collect();
    let file = |line| Source::File { path: path.clone(), line };
    assert_eq!(sources["max_sessions"], ("5".to_owned(), file(1)));
    assert_eq!(sources["defaults.pids_limit"], ("100".to_owned(), file(4)));
    assert_eq!(
        sources["defaults.cpu_limit"],
        ("0.5".to_owned(), Source::Environment { variable: "SANDKASTEN_CPU_LIMIT" })
    );
    assert_eq!(sources["db_path"], ("/var/lib/sandkasten/sandkasten.db".to_owned(), Source::Default));
}

#[test]
fn a_refused_variable_is_named_with_its_value() {
    assert_eq!(
        refused_variable("SANDKASTEN_PIDS_LIMIT", "7"),
        "environment variable SANDKASTEN_PIDS_LIMIT sets defaults.pids_limit: `7` is lower than 8; allowed: a whole \
         number, 8 (runner, shell and a short pipeline) to 4194304 (the most the kernel has)"
    );
    for (name, value) in [
        ("SANDKASTEN_LISTEN", "here"),
        ("SANDKASTEN_CPU_LIMIT", "NaN"),
        ("SANDKASTEN_NETWORK_MODE", "host"),
        ("SANDKASTEN_READONLY_ROOTFS", "yes"),
        ("SANDKASTEN_SECCOMP", "hard"),
        ("SANDKASTEN_DATA_DIR", "x"),
        ("SANDKASTEN_POOL_IMAGES", "python"),
        ("SANDKASTEN_ALLOWED_IMAGES", "a b"),
    ] {
        let message = refused_variable(name, value);
        assert!(message.contains(name) && message.contains(&format!("`{value}`")), "{message}");
    }
}

#[test]
fn an_open_api_listens_locally_only() {
    for listen in ["0.0.0.0:8080", "192.168.1.1:80", "[::]:80"] {
        let open = load(&format!("listen: '{listen}'\n"));
        assert!(matches!(open, Err(LoadConfigError::OpenToOthers { .. })), "{listen}");
        assert!(load(&format!("listen: '{listen}'\napi_key: sk-0123456789abcdef\n")).is_ok(), "{listen}");
    }
    assert!(load("listen: unix:/run/s.sock\n").is_ok());
    assert!(load("listen: 127.0.0.1:1\napi_key: ''\n").is_ok_and(|config| config.api_key.is_none()));
}

#[test]
fn a_short_key_is_a_warning() {
    assert_eq!(load("api_key: fifteen-letters\n").expect("valid").warnings(), [ConfigWarning::ShortKey]);
    assert_eq!(load("api_key: sixteen--letters\n").expect("valid").warnings(), []);
}

#[test]
fn a_file_with_a_key_that_others_can_read_is_a_warning() {
    let files = Files::new();
    let path = files.write("sandkasten.yaml", 0o644, "api_key: sk-0123456789abcdef\n");
    let warnings = Config::load(Some(&path), &env(&[])).expect("valid").warnings();
    assert_eq!(warnings, [ConfigWarning::ExposedFile { path, mode: 0o644 }]);
}

#[test]
fn a_key_file_is_read_unless_others_can_read_it() {
    let files = Files::new();
    let key = files.write("key", 0o600, "sk-from-the-key-file\n");
    let config =
        Config::load(None, &env(&[("SANDKASTEN_API_KEY_FILE", &key.display().to_string())])).expect("valid");
    assert!(config.api_key.as_ref().is_some_and(|key| key.expose() == "sk-from-the-key-file"));
    let shown = config.effective().into_iter().find(|setting| setting.key == "api_key").expect("listed");
    assert_eq!((shown.value.as_str(), shown.source), ("********", Source::KeyFile { path: key }));

    for (mode, text) in
        [(0o640, "sk-from-the-key-file"), (0o604, "sk-from-the-key-file"), (0o600, ""), (0o600, "a b")]
    {
        let path = files.write("bad", mode, text);
        let error = Config::load(None, &env(&[("SANDKASTEN_API_KEY_FILE", &path.display().to_string())]))
            .expect_err("refused")
            .to_string();
        assert!(error.contains("bad") && !error.contains("sk-from"), "{error}");
    }
}

#[test]
fn a_key_in_the_environment_wins_over_the_file_and_two_in_one_place_are_refused() {
    let files = Files::new();
    let key = files.write("key", 0o600, "sk-from-the-key-file");
    let with_file = files.write("sandkasten.yaml", 0o600, &format!("api_key_file: {}\n", key.display()));
    let config = Config::load(Some(&with_file), &env(&[("SANDKASTEN_API_KEY", "sk-from-the-environment")]));
    assert!(config.expect("valid").api_key.is_some_and(|key| key.expose() == "sk-from-the-environment"));

    let both = files.write("both.yaml", 0o600, &format!("api_key: x\napi_key_file: {}\n", key.display()));
    assert!(matches!(Config::load(Some(&both), &env(&[])), Err(LoadConfigError::TwoKeys { .. })));
}

#[test]
fn the_key_is_never_printed() {
    let config = load("api_key: sk-top-secret-value\n").expect("valid");
    let shown = format!("{config:?} {:?}", config.effective());
    assert!(!shown.contains("top-secret"), "{shown}");

    for text in [
        "api_key: [sk-top-secret-value]\n",
        "api_key: {a: sk-top-secret-value}\n",
        "api_key: sk-top-secret-value\nlistn: 5\n",
        "api_keys: sk-top-secret-value\n",
        "apikey: 'sk-top-secret-value'\n",
        "api_key sk-top-secret-value\n",
        "api_key= sk-top-secret-value\nlisten: localhost:1\n",
        "api_key: sk-top-secret-value\napi_key: sk-top-secret-value\n",
        "{listen: 5, api_key: sk-top-secret-value, x: 1}\n",
        "api_key: \"sk-top-secret-value\n",
        "api_key: |\n  sk-top-secret-value with spaces\n",
        "api_key: >\n  x\n  sk-top-secret-value\nlisten: 1\n",
        "api_key: !sk-top-secret-value x\n",
        "api_key: *sk-top-secret-value\n",
        "api_key: sk-top-secret-value: x\n",
        "api_key: @sk-top-secret-value\n",
        "api_key: sk-top-secret value\n",
        "api_kye: sk-top-secret-value\n",
        "\"kye\": sk-top-secret-value\n",
        "{max_sessions: 1, api_kye: sk-top-secret-value}\n",
        "{api_kye: sk-top-secret-value, max_sessions: x}\n",
        "api_kye:\n  - sk-top-secret-value\n",
        "api_kye: |\n  sk-top-secret-value\n",
        "api_kye: \"sk-top-secret-value\n",
        "defaults:\n  kye: sk-top-secret-value\n",
    ] {
        let error = load(text).expect_err(text);
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("top-secret"), "{text}\n{shown}");
    }
    let error = Config::load(None, &env(&[("SANDKASTEN_API_KEY", "sk-top secret")])).expect_err("a space");
    assert!(!format!("{error} {error:?}").contains("sk-top"), "{error}");
}

#[test]
fn every_key_and_variable_is_listed_once_and_can_be_set() {
    let config = Config::default();
    let effective = config.effective();
    for names in
        [effective.iter().map(|s| s.key).collect::<Vec<_>>(), effective.iter().map(|s| s.variable).collect()]
    {
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
    }
    // What a setting shows is what it takes, but for the placeholders of what is not set.
    for setting in effective.iter().filter(|setting| !setting.value.starts_with('(')) {
        let again = Config::load(None, &env(&[(setting.variable, &setting.value)]));
        let again = again.expect(setting.key).effective();
        let found = again.iter().find(|other| other.key == setting.key).expect("listed");
        assert_eq!(found.value, setting.value, "{}", setting.key);
    }
}
