//! Sessions see and reach nothing of each other.

use sandkasten_e2e::with_daemon;

#[test]
fn a_session_sees_no_process_file_socket_or_memory_of_another() {
    with_daemon(async |daemon| {
        let (first, second) = (daemon.session().await, daemon.session().await);
        let serve = "\
import mmap, os, socket, sys, time
keep = [socket.create_server(('127.0.0.1', 4711)), socket.create_server(('0.0.0.0', 4712))]
hidden = socket.socket(socket.AF_UNIX); hidden.bind('\\0shared-name'); hidden.listen(); keep.append(hidden)
named = socket.socket(socket.AF_UNIX); named.bind('/tmp/socket'); named.listen(); keep.append(named)
for place in ('/workspace', '/tmp', '/home/sandbox', '/dev/shm', '/run'):
    open(place + '/secret', 'w').write('mine\\n')
os.system('ipcmk -M 4096 -Q -S 1 >/dev/null')
open('/workspace/ready', 'w').close()
time.sleep(4711)";
        first.client.write_file(&first.id, "serve.py", serve.as_bytes()).await.expect("written");
        first.exec("export SECRET=mine; python3 serve.py >/dev/null 2>&1 &").await;
        sandkasten_e2e::until("it serves", async || {
            first.client.read_file(&first.id, "ready", None).await.is_ok()
        })
        .await;
        let look = "\
import os, socket, subprocess
def attempt(what, call):
    try:
        call(); print(what, 'worked')
    except OSError: pass
for port in (4711, 4712): attempt(port, lambda: socket.create_connection(('127.0.0.1', port), 2))
for name in ('\\0shared-name', '/tmp/socket'):
    attempt(name, lambda: socket.socket(socket.AF_UNIX).connect(name))
for place in ('/workspace', '/tmp', '/home/sandbox', '/dev/shm', '/run'):
    attempt(place, lambda: open(place + '/secret'))
if 'serve.py' in subprocess.run(['ps', '-eo', 'args'], capture_output=True, text=True).stdout: print('processes')
print(len([l for l in open('/proc/sysvipc/shm')]), len([l for l in open('/proc/sysvipc/msg')]), len([l for l in open('/proc/sysvipc/sem')]))
for pid in range(1, 500):
    attempt(f'kill {pid}', lambda: os.kill(pid, 9) if pid not in (1, os.getpid(), os.getppid()) and not os.path.exists(f'/proc/{pid}') else 1 / 1 and os.stat('/absent'))";
        assert_eq!(second.python(look).await, "1 1 1");
        assert_eq!(first.output("cat /workspace/secret; jobs -r | wc -l").await, "mine\n1");
    });
}

#[test]
fn names_ids_and_errors_of_one_session_do_not_reach_another() {
    with_daemon(async |daemon| {
        let (first, second) = (daemon.session().await, daemon.session().await);
        let umask = second.output("umask").await;
        first.exec("cd /tmp; X=1; alias ls=false; umask 0; ulimit -n 64; trap 'exit 9' DEBUG").await;
        assert_eq!(second.output("pwd; echo [$X]; umask; ls -A").await, format!("/workspace\n[]\n{umask}"));
        let everything =
            second.output("env; cat /proc/self/mountinfo /proc/self/cgroup /etc/hosts; ls /run /tmp").await;
        assert!(!everything.contains(first.id.as_str()), "{everything}");
    });
}

#[test]
fn destroying_a_session_leaves_the_others_alone() {
    with_daemon(async |daemon| {
        let (first, second) = (daemon.session().await, daemon.session().await);
        second.exec("KEPT=yes; sleep 4711 &").await;
        first.exec("sleep 4711 & (setsid sleep 4711 &)").await;
        let traces = daemon.traces(first.id.as_str());
        daemon.client().destroy_session(&first.id).await.expect("destroyed");
        let left = traces.remaining();
        assert!(left.is_empty(), "{left:#?}");
        assert_eq!(second.output("echo $KEPT; jobs -r | wc -l").await, "yes\n1");
    });
}
