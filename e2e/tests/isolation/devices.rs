//! `/dev` holds six nodes, pseudo-terminals and shared memory; no other device can be had.

use sandkasten_e2e::with_daemon;

#[test]
fn dev_holds_the_allow_list_and_nothing_else() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let list = "\
import os, stat
for name in sorted(os.listdir('/dev')):
    found = os.lstat('/dev/' + name)
    if stat.S_ISCHR(found.st_mode): print(name, f'{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}')
    elif stat.S_ISLNK(found.st_mode): print(name, os.readlink('/dev/' + name))
    else: print(name, stat.filemode(found.st_mode))
print(sorted(os.listdir('/dev/pts')), os.listdir('/dev/shm'))";
        let expected = "\
fd /proc/self/fd
full 1:7
null 1:3
ptmx pts/ptmx
pts drwxr-xr-x
random 1:8
shm drwxrwxrwt
stderr /proc/self/fd/2
stdin /proc/self/fd/0
stdout /proc/self/fd/1
tty 5:0
urandom 1:9
zero 1:5
['ptmx'] []";
        assert_eq!(session.python(list).await, expected);
    });
}

#[test]
fn the_allowed_devices_work() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let used = session
            .output(
                "echo gone > /dev/null && cat /dev/null && head -c 3 /dev/zero | od -An -tx1 && \
                 head -c 16 /dev/urandom | wc -c && head -c 1 /dev/random | wc -c; \
                 echo x > /dev/full 2>/dev/null || echo full; (echo t > /dev/tty) 2>/dev/null || echo no terminal",
            )
            .await;
        assert_eq!(used, " 00 00 00\n16\n1\nfull\nno terminal");
    });
}

#[test]
fn pseudo_terminals_work() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let talk = "\
import os, pty, subprocess
controller, terminal = pty.openpty()
print(os.ttyname(terminal))
process = subprocess.Popen(['bash', '-c', 'test -t 0 && read line && echo got $line'], stdin=terminal,
                           stdout=terminal, stderr=terminal, start_new_session=True)
os.write(controller, b'word\\n')
process.wait()
text = b''
while text.count(b'\\n') < 2: text += os.read(controller, 100)
print(text)";
        assert_eq!(session.python(talk).await, "/dev/pts/0\nb'word\\r\\ngot word\\r\\n'");
    });
}

#[test]
fn no_device_node_can_be_made() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let make = "\
import os, stat
for kind in (stat.S_IFCHR, stat.S_IFBLK):
    for directory in ('/workspace', '/tmp', '/dev/shm', '/run', '/home/sandbox'):
        for number in ((1, 1), (1, 3), (254, 0), (10, 229)):
            try: os.mknod(f'{directory}/node', kind | 0o666, os.makedev(*number)); print(directory, number)
            except PermissionError: pass
os.mkfifo('/workspace/pipe'); print('a pipe can be made')";
        assert_eq!(session.python(make).await, "a pipe can be made");
    });
}
