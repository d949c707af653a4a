//! The built-in image, of this host and of made-up ones.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::allow_list::{ALLOWED, covers, matches};
use crate::tests::require_root;
use crate::{Image, ImageName, ImageStore, NothingInUse};

/// A host made of a few files, and a store beside it.
struct MadeUpHost {
    directory: TempDir,
}

impl MadeUpHost {
    fn new() -> Self {
        let host = Self { directory: TempDir::new().unwrap() };
        for directory in ["usr/bin", "usr/lib", "etc"] {
            fs::create_dir_all(host.root().join(directory)).unwrap();
        }
        for (link, target) in [("bin", "usr/bin"), ("sbin", "/usr/sbin"), ("lib", "usr/lib")] {
            symlink(target, host.root().join(link)).unwrap();
        }
        host
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("host")
    }

    fn file(&self, path: &str, contents: &str) {
        let path = self.root().join("etc").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.root().join("etc").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn store(&self) -> ImageStore {
        ImageStore::open_with_host_root(&self.directory.path().join("data"), &self.root()).unwrap()
    }

    fn etc(&self) -> PathBuf {
        self.store().refresh_host().unwrap().layers[0].join("etc")
    }
}

fn walk(directory: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        visit(&path);
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            walk(&path, visit);
        }
    }
}

fn this_host() -> (TempDir, ImageStore, Image) {
    let directory = TempDir::new().unwrap();
    let store = ImageStore::open(directory.path()).unwrap();
    let image = store.refresh_host().unwrap();
    (directory, store, image)
}

#[test]
fn nothing_of_this_host_that_is_secret_is_in_the_image() {
    require_root!();
    let (_directory, _store, image) = this_host();
    let layer = &image.layers[0];
    let mut files = 0;
    walk(layer, &mut |path| {
        let found = fs::symlink_metadata(path).unwrap();
        if found.is_file() {
            files += 1;
            let contents = fs::read(path).unwrap();
            assert!(!contents.windows(11).any(|text| text == b"PRIVATE KEY"), "{}", path.display());
        }
        assert!(found.is_file() || found.is_dir() || found.is_symlink(), "{}", path.display());
    });
    assert!(files > 5, "{files} files");
    for absent in [
        "shadow",
        "gshadow",
        "passwd-",
        "hosts",
        "hostname",
        "machine-id",
        "resolv.conf",
        "ssh",
        "sudoers",
        "ssl/private",
        "profile",
        "bash.bashrc",
        "environment",
        "pip.conf",
        "npmrc",
        "gitconfig",
        "pam.d",
    ] {
        assert!(fs::symlink_metadata(layer.join("etc").join(absent)).is_err(), "{absent}");
    }
    let passwd = fs::read_to_string(layer.join("etc/passwd")).unwrap();
    assert_eq!(passwd.lines().count(), 3, "{passwd}");
}

#[test]
fn the_image_has_what_a_root_has_and_binds_the_programs() {
    require_root!();
    let (_directory, _store, image) = this_host();
    let layer = &image.layers[0];
    for directory in
        ["tmp", "var/tmp", "var/log", "proc", "dev", "run", "usr", "workspace", "home/sandbox", "etc"]
    {
        assert!(layer.join(directory).is_dir(), "{directory}");
    }
    assert_eq!(fs::metadata(layer.join("tmp")).unwrap().permissions().mode() & 0o7777, 0o1777);
    assert_eq!(image.binds[0].target, Path::new("/usr"));
    assert!(image.binds.iter().all(|bind| bind.source.is_dir() && bind.target.is_absolute()));
    for directory in ["bin", "lib"] {
        let here = fs::symlink_metadata(Path::new("/").join(directory)).unwrap();
        let there = fs::symlink_metadata(layer.join(directory)).unwrap();
        assert_eq!(here.is_symlink(), there.is_symlink(), "{directory}");
    }
}

#[test]
fn an_unchanged_host_gives_the_same_layer_quickly() {
    require_root!();
    let (_directory, store, image) = this_host();
    let start = Instant::now();
    assert_eq!(store.refresh_host().unwrap(), image);
    assert_eq!(store.resolve(&ImageName::host()).unwrap(), image);
    println!("renewed in {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_changed_host_gives_another_layer_and_the_old_one_is_pruned() {
    require_root!();
    let host = MadeUpHost::new();
    host.file("os-release", "old");
    let store = host.store();
    let old = store.resolve(&ImageName::host()).unwrap();
    host.file("os-release", "new");
    assert_eq!(store.resolve(&ImageName::host()).unwrap(), old);
    let new = store.refresh_host().unwrap();
    assert_ne!(new.digest, old.digest);
    assert_eq!(fs::read_to_string(new.layers[0].join("etc/os-release")).unwrap(), "new");
    assert!(old.layers[0].is_dir());
    assert_eq!(store.prune(&NothingInUse).unwrap().removed_layers, old.layers);
    assert!(new.layers[0].is_dir());
}

#[test]
fn keys_closed_files_and_secret_names_stay_out() {
    require_root!();
    let host = MadeUpHost::new();
    host.file("ssl/certs/good.pem", "-----BEGIN CERTIFICATE-----");
    host.file("ssl/certs/both.pem", "-----BEGIN CERTIFICATE-----\n-----BEGIN RSA PRIVATE KEY-----");
    host.file("ssl/certs/named.key", "binary");
    host.file("ssl/certs/closed.pem", "-----BEGIN CERTIFICATE-----");
    fs::set_permissions(host.root().join("etc/ssl/certs/closed.pem"), fs::Permissions::from_mode(0o640))
        .unwrap();
    host.file("ssl/certs/closed/f.pem", "-----BEGIN CERTIFICATE-----");
    fs::set_permissions(host.root().join("etc/ssl/certs/closed"), fs::Permissions::from_mode(0o700)).unwrap();
    host.file("ssl/private/x.pem", "x");
    host.file("java-21-openjdk/management/jmxremote.password", "secret");
    host.file("java-21-openjdk/net.properties", "x");
    host.file("maven/settings.xml", "<password>");
    host.file("maven/m2.conf", "x");
    host.file("shadow", "root:hash");
    host.file("services", "x");
    fs::set_permissions(host.root().join("etc/services"), fs::Permissions::from_mode(0o600)).unwrap();
    let etc = host.etc();
    for there in ["ssl/certs/good.pem", "java-21-openjdk/net.properties", "maven/m2.conf"] {
        assert!(etc.join(there).is_file(), "{there}");
    }
    for absent in [
        "ssl/certs/both.pem",
        "ssl/certs/named.key",
        "ssl/certs/closed.pem",
        "ssl/certs/closed",
        "ssl/private",
        "java-21-openjdk/management/jmxremote.password",
        "maven/settings.xml",
        "shadow",
        "services",
    ] {
        assert!(fs::symlink_metadata(etc.join(absent)).is_err(), "{absent}");
    }
}

#[test]
fn links_that_lead_out_of_the_image_stay_out() {
    require_root!();
    let host = MadeUpHost::new();
    host.link("alternatives/awk", "/usr/bin/mawk");
    host.link("alternatives/pager", "/etc/alternatives/awk");
    host.link("alternatives/key", "/root/.ssh/id_rsa");
    host.link("alternatives/shadow", "/etc/shadow");
    host.link("alternatives/climb", "/usr/../etc/shadow");
    host.link("alternatives/relative", "../../../../etc/shadow");
    host.file("alternatives/README", "a file among the links");
    host.link("ssl/certs/a.0", "a.pem");
    host.link("localtime", "/usr/share/zoneinfo/Etc/UTC");
    host.link("os-release", "../usr/lib/os-release");
    let etc = host.etc();
    for there in ["alternatives/awk", "alternatives/pager", "ssl/certs/a.0", "localtime", "os-release"] {
        assert!(fs::symlink_metadata(etc.join(there)).unwrap().is_symlink(), "{there}");
    }
    for absent in ["key", "shadow", "climb", "relative", "README"] {
        assert!(fs::symlink_metadata(etc.join("alternatives").join(absent)).is_err(), "{absent}");
    }
}

#[test]
fn pipes_and_loops_on_the_host_do_not_stop_it() {
    require_root!();
    let host = MadeUpHost::new();
    let (mode, kind) = (rustix::fs::Mode::from_raw_mode(0o666), rustix::fs::FileType::Fifo);
    rustix::fs::mknodat(rustix::fs::CWD, host.root().join("etc/services"), kind, mode, 0).unwrap();
    host.link("fonts", "fonts");
    host.link("ld.so.conf.d/loop", "..");
    let etc = host.etc();
    assert!(!etc.join("services").exists());
    assert!(etc.join("ld.so.conf.d").is_dir());
}

#[test]
fn directories_beside_usr_are_bound_where_they_are_real() {
    require_root!();
    let host = MadeUpHost::new();
    fs::remove_file(host.root().join("lib")).unwrap();
    fs::create_dir(host.root().join("lib")).unwrap();
    symlink("../outside", host.root().join("lib64")).unwrap();
    let image = host.store().refresh_host().unwrap();
    let targets: Vec<&Path> = image.binds.iter().map(|bind| bind.target.as_path()).collect();
    assert_eq!(targets, [Path::new("/usr"), Path::new("/lib")]);
    let layer = &image.layers[0];
    assert!(fs::symlink_metadata(layer.join("lib")).unwrap().is_dir());
    assert_eq!(fs::read_link(layer.join("sbin")).unwrap(), Path::new("usr/sbin"));
    assert!(fs::symlink_metadata(layer.join("lib64")).is_err());
}

#[test]
fn the_table_matches_by_component() {
    assert!(
        matches("java-*", "java-21-openjdk") && !matches("java-*", "java-") && !matches("java-*", "xjava-1")
    );
    assert!(covers("ssl/certs/ca.pem") && covers("java-21-openjdk/a/b"));
    assert!(!covers("ssl/private/x") && !covers("ssl") && !covers("shadow") && !covers(""));
    assert!(ALLOWED.windows(2).all(|pair| pair[0].path < pair[1].path), "the table is in order");
    assert!(crate::host_configuration().iter().all(|(_, reason)| !reason.is_empty()));
}
