//! Which steps are not carried out again.

use std::fs;

use sandkasten_e2e::with_daemon;
use serde_json::Value;

use super::Kitchen;

const DOCKERFILE: &str = "FROM base\nARG WHO\nENV A=1\nCOPY one /one\nRUN echo \"for $WHO\" > /who; cat /dev/urandom | dd bs=8 count=1 of=/random\nCOPY two /two\nRUN true\n";

/// How many steps came out of the cache, and the digest.
fn cached(kitchen: &Kitchen<'_>, options: &[&str]) -> (u64, String) {
    let options: Vec<&str> = ["--json"].iter().chain(options).copied().collect();
    let built = kitchen.build(DOCKERFILE, &options);
    assert_eq!(built.code, Some(0), "{built:?}");
    let shown: Value = serde_json::from_str(&built.stdout).expect("JSON");
    let digest = shown["digest"].as_str().expect("a digest").to_owned();
    (shown["cached_steps"].as_u64().expect("a number"), digest)
}

#[test]
fn a_step_is_carried_out_again_when_something_it_depends_on_has_changed() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        kitchen.file("one", "1").file("two", "2");
        let (count, first) = cached(&kitchen, &[]);
        assert_eq!(count, 0);
        assert_eq!(cached(&kitchen, &[]), (4, first.clone()), "the same build is the same image");
        let random = kitchen.taste("cat /random | grep -c . ; stat -c %Y /random");
        // Contents count, times do not.
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1000);
        fs::File::options()
            .append(true)
            .open(kitchen.path("one"))
            .expect("it opens")
            .set_modified(later)
            .expect("a time");
        assert_eq!(cached(&kitchen, &[]).0, 4);
        kitchen.file("two", "zwei");
        assert_eq!(cached(&kitchen, &[]).0, 2, "the steps before it are still the same");
        assert_eq!(kitchen.taste("cat /random | grep -c . ; stat -c %Y /random"), random);
        kitchen.file("two", "2");
        assert_eq!(cached(&kitchen, &[]), (4, first.clone()), "older results are remembered");
        assert_eq!(cached(&kitchen, &["--build-arg", "WHO=me"]).0, 1, "an argument is a variable of a RUN");
        assert_eq!(kitchen.taste("cat /who"), "for me");
        let (none, other) = cached(&kitchen, &["--no-cache"]);
        assert_eq!(none, 0);
        assert_ne!(other, first);
    });
}

#[test]
fn what_is_remembered_goes_with_its_layers() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        kitchen.file("one", "1").file("two", "2");
        // Without a name there is no image, but what was built is remembered.
        kitchen.file("Dockerfile", DOCKERFILE);
        let quiet = kitchen.command(&["-q"]).output().expect("it runs");
        assert!(quiet.status.success() && quiet.stderr.is_empty(), "{quiet:?}");
        assert!(String::from_utf8_lossy(&quiet.stdout).starts_with("sha256:"), "{quiet:?}");
        assert!(!kitchen.is_made());
        assert_eq!(cached(&kitchen, &[]).0, 4);
        assert!(daemon.command(&["image", "rm", "made"]).output().expect("it runs").status.success());
        assert!(daemon.command(&["image", "prune"]).output().expect("it runs").status.success());
        assert_eq!(fs::read_dir(daemon.data_dir().join("build-cache")).expect("a directory").count(), 0);
        assert_eq!(cached(&kitchen, &[]).0, 0);
        // An entry that says nonsense, and one whose layer has gone, are none.
        for entry in fs::read_dir(daemon.data_dir().join("build-cache")).expect("a directory") {
            fs::write(entry.expect("an entry").path(), "{\"layer\": [\"../../etc\", 1]}").expect("written");
        }
        assert_eq!(cached(&kitchen, &[]).0, 0);
    });
}
