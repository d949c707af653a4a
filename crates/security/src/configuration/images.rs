//! The images that sessions may use.

use sandkasten_daemon::config::Config;

use super::finding;
use crate::{Finding, Verdict};

/// The built-in image of the host's own programs.
const HOST: &str = "host";
/// A list of more is no choice.
const BROAD: usize = 20;

pub(super) fn check(config: &Config) -> Vec<Finding> {
    vec![allowed(config), default(config), host_programs(config)]
}

fn allowed(config: &Config) -> Finding {
    let name = "allowed images";
    let advice = "name the images that you have looked at in allowed_images";
    match config.allowed_images.len() {
        0 => finding(name, Verdict::Warn, "every image that is present may be used", advice),
        _ if config.allowed_images.iter().any(|allowed| allowed.is_everything()) => {
            finding(name, Verdict::Warn, "* is every image that is present", advice)
        }
        count if count > BROAD => finding(
            name,
            Verdict::Warn,
            format!("{count} images may be used: too many to look after"),
            advice,
        ),
        _ => finding(
            name,
            Verdict::Ok,
            config.allowed_images.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            "",
        ),
    }
}

fn default(config: &Config) -> Finding {
    let name = "default image";
    let image = &config.default_image;
    if config.allows_image_name(image) {
        finding(name, Verdict::Ok, image, "")
    } else {
        finding(
            name,
            Verdict::Warn,
            format!("{image} is not among allowed_images: requests that name no image are refused"),
            "name one of allowed_images in default_image",
        )
    }
}

fn host_programs(config: &Config) -> Finding {
    let name = "programs of the host";
    if config.allows_image_name(HOST) {
        finding(
            name,
            Verdict::Warn,
            "the image host may be used: sessions can read all of /usr of this host",
            "name other images in allowed_images, unless the host has nothing there that others may not see",
        )
    } else {
        finding(name, Verdict::Ok, "the image host may not be used", "")
    }
}

#[cfg(test)]
mod tests {
    use sandkasten_daemon::config::Config;

    use super::check;
    use crate::Verdict::{self, Ok, Warn};

    fn verdicts(default: &str, allowed: &[&str]) -> Vec<Verdict> {
        let mut config = Config::default();
        config.default_image = default.to_owned();
        config.allowed_images = allowed.iter().map(|image| image.parse().expect("a pattern")).collect();
        check(&config).into_iter().map(|finding| finding.verdict).collect()
    }

    #[test]
    fn broad_lists_and_the_hosts_programs_are_warned_of() {
        assert_eq!(verdicts("python", &["python"]), [Ok, Ok, Ok]);
        assert_eq!(verdicts("python", &[]), [Warn, Ok, Warn]);
        assert_eq!(verdicts("python", &["node"]), [Ok, Warn, Ok]);
        assert_eq!(verdicts("python:3", &["node", "python:*"]), [Ok, Ok, Ok]);
        assert_eq!(verdicts("python", &["python", "*"]), [Warn, Ok, Warn]);
        let content = format!("*@sha256:{}", "0f".repeat(32));
        assert_eq!(verdicts("python", &[&content]), [Ok, Ok, Warn]);
        assert_eq!(verdicts("host", &["host"]), [Ok, Ok, Warn]);
        let many: Vec<String> = (0..30).map(|number| format!("image{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(verdicts("image1", &many)[0], Warn);
    }
}
