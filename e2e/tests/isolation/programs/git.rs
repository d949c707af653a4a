//! git: a repository from its first commit to a clone and its repacking.

use sandkasten_e2e::{TestSession, with_daemon};

use super::has;

async fn first_commits(session: &TestSession) {
    session
        .output(
            "git config --global user.name Someone && git config --global user.email someone@localhost && \
             git config --global advice.detachedHead false && mkdir /workspace/one && cd /workspace/one && \
             git init --quiet --initial-branch=main && seq 100 > numbers && git add . && \
             git commit --quiet --message first",
        )
        .await;
}

#[test]
fn git_commits_merges_clones_and_repacks() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        if !has(&session, &["git"]).await {
            return;
        }
        first_commits(&session).await;
        session
            .output(
                "git switch --quiet --create side && sed -i s/^100$/hundred/ numbers && git commit --quiet -am side && \
                 git switch --quiet main && sed -i s/^1$/one/ numbers && git commit --quiet -am main && \
                 git merge --quiet --message merged side",
            )
            .await;
        assert_eq!(session.output("sed -n '1p;$p' numbers").await, "one\nhundred");
        assert_eq!(session.output("git log --format=%s --first-parent").await, "merged\nmain\nfirst");

        let conflict = "git switch --quiet side && sed -i s/^1$/uno/ numbers && git commit --quiet -am other && \
                        git merge main";
        assert_eq!(session.exec(conflict).await.exit_code, 1);
        assert_eq!(session.output("git status --short").await, "UU numbers");
        session.output("git merge --abort && git switch --quiet main && git diff --exit-code").await;

        // The first clone links files, the second one speaks the protocol to a second git.
        session.output("git clone --quiet /workspace/one /workspace/linked").await;
        session.output("git clone --quiet file:///workspace/one /workspace/spoken").await;
        session
            .output(
                "cd /workspace/spoken && echo new > new && git add . && git commit --quiet --message new && \
                 git push --quiet origin HEAD:pushed && cd ../linked && git pull --quiet origin pushed",
            )
            .await;
        assert_eq!(session.output("cat new").await, "new");
        assert_eq!(
            session
                .output("git gc --quiet --prune=now && git fsck && git count-objects -v | grep -E '^(count|packs)'")
                .await,
            "count: 0\npacks: 1"
        );
        assert_eq!(session.output("git worktree add --quiet ../tree && ls ../tree").await, "new\nnumbers");
    });
}
