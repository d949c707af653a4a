//! The key of the API, against who can reach it.

use std::collections::BTreeSet;

use sandkasten_daemon::config::{Config, ListenAddress};

use super::finding;
use crate::{Finding, Verdict};

/// From this many characters on a random key cannot be guessed.
const LONG: usize = 32;
/// A text of fewer different characters is no random one.
const VARIED: usize = 10;

const MAKE_ONE: &str = "set api_key_file to a file of mode 0600 made by `openssl rand -hex 32`";

pub(super) fn check(config: &Config) -> Vec<Finding> {
    vec![posture(config), strength(config), address(config)]
}

/// Who could run commands without knowing a secret.
fn posture(config: &Config) -> Finding {
    let name = "api key against listen address";
    let listen = &config.listen;
    let known = config.api_key.as_ref().filter(|key| !key.is_published()).is_some();
    match (known, listen) {
        (true, _) => finding(name, Verdict::Ok, format!("{listen} is open to holders of the key"), ""),
        (false, ListenAddress::Unix(_)) => {
            finding(name, Verdict::Ok, format!("{listen} is open to root alone, by its permissions"), "")
        }
        (false, _) if listen.is_local() => finding(
            name,
            Verdict::Warn,
            format!("every program and user of this host can use {listen}"),
            MAKE_ONE,
        ),
        (false, _) => {
            finding(name, Verdict::Fail, format!("everybody who reaches {listen} can use it"), MAKE_ONE)
        }
    }
}

fn strength(config: &Config) -> Finding {
    let name = "api key strength";
    let Some(key) = &config.api_key else {
        return finding(name, Verdict::Skip, "there is no key", "");
    };
    // What only this host can try is worth a warning, what others can is not acceptable.
    let weak = if config.listen.is_local() { Verdict::Warn } else { Verdict::Fail };
    let text = key.expose();
    let different = text.chars().collect::<BTreeSet<_>>().len();
    if key.is_published() {
        finding(name, weak, "the key is an example from a document, and so known to everybody", MAKE_ONE)
    } else if key.is_short() || different < VARIED {
        let detail = format!("{} characters, {different} different ones: it can be guessed", text.len());
        finding(name, weak, detail, MAKE_ONE)
    } else if text.len() < LONG {
        let detail = format!("{} characters; {LONG} and more are beyond guessing", text.len());
        finding(name, Verdict::Warn, detail, MAKE_ONE)
    } else {
        finding(name, Verdict::Ok, format!("{} characters", text.len()), "")
    }
}

fn address(config: &Config) -> Finding {
    let name = "listen address";
    let listen = &config.listen;
    if listen.is_local() {
        finding(name, Verdict::Ok, format!("{listen} is reached from this host alone"), "")
    } else {
        finding(
            name,
            Verdict::Warn,
            format!("{listen} is reached from other hosts, without encryption"),
            "listen on 127.0.0.1 and put a reverse proxy with TLS in front",
        )
    }
}

#[cfg(test)]
mod tests {
    use sandkasten_daemon::config::{ApiKey, Config};

    use super::check;
    use crate::Verdict::{self, Fail, Ok, Skip, Warn};

    fn verdicts(listen: &str, key: Option<&str>) -> Vec<Verdict> {
        let mut config = Config::default();
        config.listen = listen.parse().expect("an address");
        config.api_key = key.map(|key| ApiKey::from(key.to_owned()));
        check(&config).into_iter().map(|finding| finding.verdict).collect()
    }

    #[test]
    fn a_key_is_judged_against_who_can_reach_the_api() {
        let long = Some("0123456789abcdef0123456789abcdef");
        let example = Some("sk-replace-with-long-random-secret");
        for (listen, key, expected) in [
            ("127.0.0.1:8080", long, [Ok, Ok, Ok]),
            ("127.0.0.1:8080", None, [Warn, Skip, Ok]),
            ("127.0.0.1:8080", example, [Warn, Warn, Ok]),
            ("127.0.0.1:8080", Some("secret"), [Ok, Warn, Ok]),
            ("127.0.0.1:8080", Some("0123456789abcdefghij"), [Ok, Warn, Ok]),
            ("127.0.0.1:8080", Some("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), [Ok, Warn, Ok]),
            ("unix:/run/s.sock", None, [Ok, Skip, Ok]),
            ("0.0.0.0:8080", long, [Ok, Ok, Warn]),
            ("0.0.0.0:8080", example, [Fail, Fail, Warn]),
            ("0.0.0.0:8080", Some("secret"), [Ok, Fail, Warn]),
            ("0.0.0.0:8080", None, [Fail, Skip, Warn]),
        ] {
            assert_eq!(verdicts(listen, key), expected, "{listen} {key:?}");
        }
    }

    #[test]
    fn no_finding_shows_the_key() {
        let mut config = Config::default();
        config.api_key = Some(ApiKey::from("hunter2hunter2".to_owned()));
        assert!(check(&config).iter().all(|finding| !format!("{finding:?}").contains("hunter2")));
    }
}
