//! An image of a shell and a handful of programs.

use sandkasten_e2e::{RootArchive, with_daemon};

use crate::whole_way::{Script, curl_is_here, go, import};

#[test]
fn an_image_of_a_few_programs_goes_the_whole_way() {
    if !curl_is_here() {
        println!("SKIP: curl is not installed");
        return;
    }
    with_daemon(async |daemon| {
        let archive = RootArchive::of_programs(&["mkdir", "sleep", "cat", "ls", "setsid"]);
        import(daemon, "small", &archive.path());
        let script = Script {
            path: "scripts/count.sh",
            text: "for i in 1 2 3; do echo line $i; done; cat /etc/made-for-a-test",
            command: "sh scripts/count.sh",
            output: "line 1\nline 2\nline 3\nyes\n",
        };
        go(daemon, "small", &script);
    });
}

#[test]
fn the_sessions_of_an_image_share_its_files_and_change_none_of_them() {
    with_daemon(async |daemon| {
        let archive = RootArchive::of_programs(&["cat", "ls", "rm"]);
        import(daemon, "small", &archive.path());
        let client = daemon.client();
        let request = sandkasten_api::session::CreateSessionRequest {
            image: Some("small".to_owned()),
            ..sandkasten_api::session::CreateSessionRequest::default()
        };
        let mut sessions = Vec::new();
        for _ in 0..2 {
            let session = client.create_session(&request).await.expect("a session");
            assert_eq!(session.image, "small");
            sessions.push(sandkasten_e2e::TestSession { id: session.id, client: client.clone() });
        }
        sessions[0]
            .exec("rm -f /etc/made-for-a-test; echo spoilt > /etc/made-for-a-test; echo x > /etc/new")
            .await;
        assert_eq!(sessions[1].output("cat /etc/made-for-a-test").await, "yes");
        // An image that is replaced under its sessions stays as it was for them.
        import(daemon, "small", &RootArchive::of_programs(&["cat"]).path());
        assert_eq!(sessions[1].output("ls /etc/made-for-a-test").await, "/etc/made-for-a-test");
    });
}
