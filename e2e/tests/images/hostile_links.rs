//! An image whose directories are links to where they should not lead.

use std::fs;

use sandkasten_api::session::CreateSessionRequest;
use sandkasten_e2e::{RootArchive, TestSession, with_daemon};

use crate::whole_way::import;

#[test]
fn links_in_the_places_of_mount_points_lead_nowhere() {
    let links = [
        ("proc", "/etc"),
        ("dev", ".."),
        ("etc", "/root"),
        ("tmp", "/var/lib"),
        ("workspace", "/etc"),
        ("run", "/proc"),
        ("home", "../../../root"),
    ];
    let before = fs::read("/etc/passwd").expect("the host's own file can be read");
    with_daemon(async |daemon| {
        import(daemon, "hostile", &RootArchive::with_links(&["cat", "ls", "stat", "touch"], &links).path());
        let request =
            CreateSessionRequest { image: Some("hostile".to_owned()), ..CreateSessionRequest::default() };
        let client = daemon.client();
        let id = client.create_session(&request).await.expect("a session").id;
        let session = TestSession { id, client };
        for (link, _) in links {
            assert_eq!(session.output(&format!("stat -c %F /{link}")).await, "directory", "{link}");
        }
        assert_eq!(session.output("ls -A /workspace; pwd").await, "/workspace");
        let hosts = session.output("cat /etc/hosts").await;
        assert!(hosts.contains(session.id.as_str()), "{hosts}");
        assert!(session.output("cat /etc/passwd").await.contains("sandbox:x:1000:1000"));
        session.output("touch /workspace/a /tmp/b /run/c /home/sandbox/d").await;
        assert_eq!(session.output("ls /proc/self/status /dev/null").await, "/dev/null\n/proc/self/status");
    });
    assert_eq!(fs::read("/etc/passwd").expect("the host's own file can be read"), before);
    assert!(!fs::exists("/var/lib/b").expect("the host can be looked at"));
}
