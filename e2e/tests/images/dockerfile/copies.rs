//! What is copied, and where to.

use std::fs;
use std::os::unix::fs::symlink;

use sandkasten_e2e::with_daemon;

use super::Kitchen;

#[test]
fn copies_go_where_docker_puts_them() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        kitchen
            .file("a.txt", "a")
            .file("b.txt", "b")
            .file("tree/one", "1")
            .file("tree/sub/two", "2")
            .file("c.md", "c");
        symlink("one", kitchen.path("tree/link")).expect("a link");
        symlink("tree", kitchen.path("alias")).expect("a link");
        fs::create_dir(kitchen.path("tree/empty")).expect("a directory");
        kitchen.cook(
            "FROM base\nRUN mkdir /there && ln -s /there /through && touch /there/target && ln -s /there/target /filelink\n\
             COPY a.txt /file\nCOPY a.txt /new/dir/\nCOPY a.txt b.txt /both/\nCOPY *.txt /wild/\nCOPY tree /tree\nCOPY tree/ /there\n\
             COPY a.txt /there\nCOPY a.txt /through/through\nCOPY b.txt /filelink\nCOPY alias/sub /alias\nCOPY --chown=3:4 --chmod=0600 t[r]ee/one /owned\n\
             COPY [\"c.md\", \"/with space\"]\nWORKDIR /work\nCOPY . .\n",
        );
        let shown = kitchen.taste(
            "cd /; cat file new/dir/a.txt both/a.txt both/b.txt wild/a.txt wild/b.txt tree/one tree/sub/two tree/link there/one there/a.txt \
             there/through filelink there/target alias/two 'with space' work/tree/sub/two; echo; ls wild tree; \
             stat -c '%n %a %u:%g %F' owned tree/empty new filelink work/alias",
        );
        assert_eq!(
            shown,
            "aaababab121".to_owned().replace("aaababab121", "aaabab121")
                + "1aabb2c2\n\
             tree:\nempty\nlink\none\nsub\n\nwild:\na.txt\nb.txt\n\
             owned 600 3:4 regular file\ntree/empty 755 0:0 directory\nnew 755 0:0 directory\n\
             filelink 777 0:0 symbolic link\nwork/alias 777 0:0 symbolic link"
        );
        let missing = kitchen.build("FROM base\nCOPY nothing /x\n", &[]);
        missing.failed(4, &["Dockerfile:2:", "\"nothing\" is not there"]);
        kitchen.build("FROM base\nCOPY *.none /x\n", &[]).failed(4, &["\"*.none\" is not there"]);
        kitchen
            .build("FROM base\nCOPY a.txt /bin/sh/x\n", &[])
            .failed(4, &["\"bin/sh\" in the image is no directory"]);
        kitchen.build("FROM base\nCOPY tree /bin/sh\n", &[]).failed(4, &["no directory"]);
        kitchen
            .build("FROM base\nCOPY --chown=nobody-here a.txt /x\n", &[])
            .failed(4, &["no user \"nobody-here\""]);
    });
}

#[test]
fn dockerignore_leaves_out_and_takes_back_in() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        kitchen
            .file(".dockerignore", "*\n!src\n!docs/*.md\nsrc/**/*.o\n")
            .file("secret", "s")
            .file("src/main.c", "m")
            .file("src/deep/x.o", "o")
            .file("src/deep/x.c", "x")
            .file("docs/a.md", "d")
            .file("docs/a.txt", "t");
        kitchen.cook("FROM base\nCOPY . /all\n");
        assert_eq!(
            kitchen.taste("cd /all; echo *; echo docs/* src/* src/deep/*"),
            "docs src\ndocs/a.md src/deep src/main.c src/deep/x.c"
        );
        kitchen
            .build("FROM base\nCOPY secret /x\n", &[])
            .failed(4, &["\"secret\" is not there, or .dockerignore leaves it out"]);
        // The one that belongs to the Dockerfile counts alone.
        kitchen
            .file("other.Dockerfile", "FROM base\nCOPY . /all\n")
            .file("other.Dockerfile.dockerignore", "src\n*Dockerfile*\n");
        let file = kitchen.path("other.Dockerfile").to_string_lossy().into_owned();
        let built = kitchen.command(&["--name", "made", "-f", &file]).output().expect("it runs");
        assert!(built.status.success(), "{built:?}");
        assert_eq!(kitchen.taste("cd /all; echo * .d*"), "docs secret .dockerignore");
        kitchen.file(".dockerignore", "[a\n");
        kitchen.build("FROM base\nCOPY . /all\n", &[]).failed(4, &[".dockerignore: line 1"]);
    });
}

#[test]
fn an_add_unpacks_archives_of_the_context() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        kitchen.file("tree/one", "1").file("tree/sub/two", "2").file("plain.gz", "no archive");
        fs::hard_link(kitchen.path("tree/one"), kitchen.path("tree/same")).expect("a link");
        for (options, name) in [("-cf", "t.tar"), ("-czf", "t.tgz")] {
            let archive = kitchen.path(name);
            let tar = std::process::Command::new("tar")
                .arg(options)
                .arg(archive)
                .arg("-C")
                .arg(kitchen.path("tree"))
                .arg(".")
                .status();
            assert!(tar.expect("tar runs").success());
        }
        kitchen.cook(
            "FROM base\nADD t.tar /a/\nADD --chown=5:6 t.tgz /b\nADD plain.gz tree/one /c/\nCOPY t.tar /d/\n",
        );
        assert_eq!(
            kitchen.taste("cat /a/one /a/sub/two /b/one /c/one /c/plain.gz; ls /d; stat -c '%u:%g %h' /b/one /b/sub/two; [ /a/one -ef /a/same ] && echo same"),
            "1212".to_owned().replace("1212", "1211") + "no archivet.tar\n5:6 2\n5:6 1\nsame"
        );
    });
}
