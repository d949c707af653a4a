//! What of the host's `/etc` is in the built-in image, and why. Whatever is not in this table is not in the image.
//!
//! Left out on purpose although programs read them: `hosts`, `hostname`, `resolv.conf` and `machine-id`, which tell of the
//! host; `profile`, `bash.bashrc`, `environment`, `gitconfig`, `npmrc`, `pip.conf` and the like, where people keep
//! tokens; `shadow`, `ssh`, `sudoers`, `pam.d` and all other of its kind.

/// What is taken from a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// One file, or a link to one.
    File,
    /// A directory, of which only the links count.
    Links,
    /// A directory with all below it but what looks secret.
    Tree,
}

/// A path below `/etc` that may be in the image. One `*` stands for any text within a component.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    pub(super) path: &'static str,
    pub(super) take: Take,
    reason: &'static str,
}

const fn allow(path: &'static str, take: Take, reason: &'static str) -> Allowed {
    Allowed { path, take, reason }
}

/// Returns the paths below `/etc` that the built-in image takes from the host where they are there, each with the reason.
/// One `*` stands for any text within a component.
#[must_use]
pub fn host_configuration() -> Vec<(&'static str, &'static str)> {
    ALLOWED.iter().map(|allowed| (allowed.path, allowed.reason)).collect()
}

/// The table.
pub(super) const ALLOWED: &[Allowed] = &[
    allow("alternatives", Take::Links, "programs in /usr/bin are links through it: awk, cc, editor, java"),
    allow("ca-certificates.conf", Take::File, "names the certificates that are trusted"),
    allow("crypto-policies", Take::Tree, "openssl.cnf of Red Hat systems includes it"),
    allow("debian_version", Take::File, "tells programs the release"),
    allow("fonts", Take::Tree, "fontconfig finds no font without it"),
    allow("inputrc", Take::File, "keys of interactive shells"),
    allow(
        "java-*",
        Take::Tree,
        "the configuration that /usr/lib/jvm links to; java does not start without it",
    ),
    allow("ld.so.cache", Take::File, "finds the libraries of packages outside the usual directories"),
    allow("ld.so.conf", Take::File, "lets ldconfig and programs that read it find the same libraries"),
    allow("ld.so.conf.d", Take::Tree, "is included by ld.so.conf"),
    allow("localtime", Take::File, "the time zone of the host, as people expect it in output"),
    allow(
        "maven/logging",
        Take::Tree,
        "mvn does not start without it; settings.xml may hold passwords and stays out",
    ),
    allow("maven/m2.conf", Take::File, "mvn does not start without it"),
    allow("mime.types", Take::File, "types of files, read by web servers and Python"),
    allow("os-release", Take::File, "tells programs the distribution"),
    allow("pki/ca-trust/extracted", Take::Tree, "trusted certificates of Red Hat systems"),
    allow("pki/tls/cert.pem", Take::File, "trusted certificates, where OpenSSL looks on Red Hat systems"),
    allow("pki/tls/certs", Take::Tree, "trusted certificates of Red Hat systems"),
    allow("pki/tls/openssl.cnf", Take::File, "openssl complains without it on Red Hat systems"),
    allow("protocols", Take::File, "names of protocols for getprotobyname"),
    allow("python3", Take::Tree, "packaging defaults that /usr/share/python3 links to"),
    allow("python3.*", Take::Tree, "sitecustomize.py, which /usr/lib/python3.* links to"),
    allow("redhat-release", Take::File, "tells programs the release"),
    allow("services", Take::File, "names of ports for getservbyname"),
    allow("ssl/cert.pem", Take::File, "trusted certificates, where OpenSSL looks on some systems"),
    allow("ssl/certs", Take::Tree, "trusted certificates: no TLS without it"),
    allow("ssl/openssl.cnf", Take::File, "openssl complains without it"),
    allow("timezone", Take::File, "the name of the time zone, read by Java and others"),
];

/// Says whether a path below `/etc` is in the table or below an entry of it.
pub(super) fn covers(path: &str) -> bool {
    ALLOWED.iter().any(|allowed| {
        let wanted = allowed.path.split('/').count();
        let given: Vec<&str> = path.split('/').collect();
        given.len() >= wanted
            && allowed.path.split('/').zip(&given).all(|(pattern, component)| matches(pattern, component))
    })
}

/// Matches a component against one of the table.
pub(super) fn matches(pattern: &str, component: &str) -> bool {
    match pattern.split_once('*') {
        Some((before, after)) => component
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|middle| !middle.is_empty()),
        None => pattern == component,
    }
}
