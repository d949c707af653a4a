//! A session without a network has a loopback interface and nothing else.

use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use sandkasten_e2e::with_daemon;

#[test]
fn there_is_only_loopback_and_it_works() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let probe = "\
import socket, threading, urllib.request, http.server
print(socket.if_nameindex())
print(len(open('/proc/net/route').read().splitlines()))
print(sorted(set(line.split()[-1] for line in open('/proc/net/if_inet6'))))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'hello')
    def log_message(self, *arguments): pass
server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(urllib.request.urlopen(f'http://localhost:{server.server_port}/').read())
six = socket.create_server(('::1', 0), family=socket.AF_INET6)
socket.create_connection(six.getsockname()[:2]); print('six')";
        assert_eq!(session.python(probe).await, "[(1, 'lo')]\n1\n['lo']\nb'hello'\nsix");
    });
}

#[test]
fn the_host_its_loopback_its_abstract_sockets_and_the_daemon_cannot_be_reached() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let tcp = TcpListener::bind("0.0.0.0:0").expect("a listener of the host");
        let udp = UdpSocket::bind("0.0.0.0:0").expect("a socket of the host");
        udp.set_nonblocking(true).expect("a mode");
        tcp.set_nonblocking(true).expect("a mode");
        let name = format!("sandkasten-e2e-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).expect("a name");
        let _unix = UnixListener::bind_addr(&abstract_name).expect("an abstract socket of the host");
        let daemon_port = daemon.url().rsplit(':').next().expect("a port").to_owned();
        let probe = format!(
            "\
import errno, socket
def attempt(what, call):
    try:
        call()
        print(what, 'worked')
    except OSError as error:
        if error.errno not in (errno.ECONNREFUSED, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EPERM, -2, -3):
            print(what, error)
for address in ('127.0.0.1', '127.0.0.2', '10.0.0.1', '172.17.0.1', '192.168.0.1', '169.254.169.254', '8.8.8.8'):
    for port in ({tcp}, {daemon_port}, 80):
        attempt((address, port), lambda: socket.create_connection((address, port), 2))
    attempt(('udp', address), lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b'out', (address, {udp}))
            if not address.startswith('127') else None)
attempt('six', lambda: socket.create_connection(('2001:db8::1', 80), 2))
attempt('abstract', lambda: socket.socket(socket.AF_UNIX).connect('\\0{name}'))
attempt('resolve', lambda: socket.getaddrinfo('example.com', 80))",
            tcp = tcp.local_addr().expect("an address").port(),
            udp = udp.local_addr().expect("an address").port(),
        );
        let printed = session.python(&probe).await;
        let unexpected: Vec<_> = printed
            .lines()
            .filter(|line| !(line.starts_with("('udp', '127") && line.ends_with("worked")))
            .collect();
        assert!(unexpected.is_empty(), "{unexpected:#?}");
        assert!(tcp.accept().is_err(), "nobody has connected");
        assert!(udp.recv(&mut [0; 8]).is_err(), "nobody has sent");
    });
}

#[test]
fn nothing_can_be_learned_of_the_hosts_network() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        assert_eq!(
            session.output("cat /etc/resolv.conf | grep -v '^#'; cat /proc/net/arp | tail -n +2").await,
            ""
        );
        assert_eq!(
            session.output("cat /etc/hosts").await,
            format!("127.0.0.1 localhost {0}\n::1 localhost", session.id)
        );
        assert_eq!(session.output("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '").await, "lo");
        assert_eq!(
            session.output("tail -n +2 /proc/net/tcp; tail -n +2 /proc/net/unix | grep -c /; true").await,
            "0"
        );
    });
}
