//! Networks: what is there, and what of the host can be reached.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixStream};
use std::time::Duration;

use sandkasten_attacks::{Outcome, Target};

use crate::attack::Attack;

const GROUP: &str = "network";
const PATIENCE: Duration = Duration::from_secs(2);
/// The most sockets that are knocked at.
const MOST_SOCKETS: usize = 64;

pub(crate) fn attacks() -> Vec<Attack> {
    // Addresses for documentation; a datagram socket that connects looks for a route and sends nothing.
    let routes = [
        ("the internet", "192.0.2.1:53"),
        ("the internet by IPv6", "[2001:db8::1]:53"),
        ("a private network", "10.255.255.254:53"),
        ("the metadata service of a cloud", "169.254.169.254:80"),
    ]
    .map(|(what, address)| Attack::once(GROUP, format!("find a route to {what}"), move |_| route(address)));
    let mut attacks = vec![
        Attack::once(GROUP, "find an interface", |_| find_interface()),
        Attack::once(GROUP, "connect to the host's loopback", |target| {
            let address = SocketAddr::from(([127, 0, 0, 1], target.host.port));
            outcome(TcpStream::connect_timeout(&address, PATIENCE))
        }),
        Attack::once(GROUP, "connect to the daemon's socket", |target| {
            outcome(UnixStream::connect(&target.host.socket))
        }),
        Attack::once(GROUP, "connect to an abstract socket of the host", |target| {
            let address = UnixAddress::from_abstract_name(&target.host.abstract_socket);
            outcome(address.and_then(|address| UnixStream::connect_addr(&address)))
        }),
        Attack::once(GROUP, "connect to the runner", connect_to_listeners),
    ];
    attacks.extend(routes);
    attacks
}

fn outcome<T>(result: io::Result<T>) -> Outcome {
    match result {
        Ok(_) => Outcome::Breach("connected".to_owned()),
        Err(error) => Outcome::Denied(error.to_string()),
    }
}

fn find_interface() -> Outcome {
    let text = match fs::read_to_string("/proc/net/dev") {
        Ok(text) => text,
        Err(error) => return Outcome::Breach(format!("the interfaces cannot be read: {error}")),
    };
    let mut names = text.lines().skip(2).filter_map(|line| line.split(':').next().map(str::trim));
    match names.find(|name| *name != "lo") {
        Some(name) => Outcome::Breach(format!("{name} is there")),
        None => Outcome::Denied("only loopback is there".to_owned()),
    }
}

fn route(address: &str) -> Outcome {
    let any = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    match UdpSocket::bind(any).and_then(|socket| socket.connect(address)) {
        Ok(()) => Outcome::Breach("there is one".to_owned()),
        Err(error) => Outcome::Denied(error.to_string()),
    }
}

/// Knocks at every unix socket that listens in this network namespace.
fn connect_to_listeners(_: &Target) -> Outcome {
    let text = match fs::read_to_string("/proc/net/unix") {
        Ok(text) => text,
        Err(error) => return Outcome::Breach(format!("the sockets cannot be listed: {error}")),
    };
    // Num, RefCount, Protocol, Flags (__SO_ACCEPTCON), Type, St, Inode, Path: proc_net(5).
    let listening = text.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(3) == Some(&"00010000")).then(|| fields.get(7).copied().unwrap_or_default().to_owned())
    });
    for path in listening.take(MOST_SOCKETS) {
        let connected = match path.strip_prefix('@') {
            Some(name) => UnixAddress::from_abstract_name(name).and_then(|at| UnixStream::connect_addr(&at)),
            None => UnixStream::connect(&path),
        };
        if connected.is_ok() {
            return Outcome::Breach(format!("{path} let a connection in"));
        }
    }
    Outcome::Denied("no socket lets a connection in".to_owned())
}
