//! A socket that listens already when the daemon starts: a service manager such as systemd has made it and hands it over.
//!
//! Who made it decided where it listens and who may connect, so that both are looked at before it is served.

use std::io;
use std::net::TcpListener;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketType, sockopt};

use crate::config::{Config, ListenAddress, LoadConfigError, ParseListenAddressError, Source};

/// Who has write permission may connect: unix(7).
const OTHERS_MAY_CONNECT: u32 = 0o002;

/// A socket of another's making on which the API is served, in place of what `listen` says.
#[derive(Debug)]
pub struct PassedSocket {
    listener: PassedListener,
    address: ListenAddress,
}

/// The socket by its kind.
#[derive(Debug)]
pub(crate) enum PassedListener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Why the API is not served on a socket that was handed over.
#[derive(Debug, thiserror::Error)]
pub enum PassedSocketError {
    /// There is no such descriptor, or it is no socket.
    #[error("failed to look at descriptor {number}, which should be a socket")]
    Inspect {
        /// Its number.
        number: RawFd,
        /// The kernel's reason.
        source: io::Error,
    },
    /// It is of another kind.
    #[error("descriptor {number} is no listening stream socket of TCP or unix")]
    Kind {
        /// Its number.
        number: RawFd,
    },
    /// It has no path.
    #[error("descriptor {number} is a unix socket without a path: no permission says who may connect to it")]
    Nameless {
        /// Its number.
        number: RawFd,
    },
    /// Its path could not be one of the configuration.
    #[error("the unix socket {path:?} cannot be named")]
    Name {
        /// The path.
        path: PathBuf,
        /// Why.
        source: ParseListenAddressError,
    },
    /// The API would be open to other hosts.
    #[error("failed to serve the API on the socket that was handed over")]
    OpenToHosts {
        /// With the address.
        source: LoadConfigError,
    },
    /// The API would be open to every user of this host.
    #[error(
        "without an api_key every user of this host could run commands by {path:?}, which is of uid {owner} with mode \
         {mode:04o}: set api_key, or let root own it and others not write to it (SocketMode=0600)"
    )]
    OpenToUsers {
        /// The path of the socket.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not known who may connect.
    #[error("failed to find out who may connect to {path:?}; without an api_key that has to be known")]
    Unknown {
        /// The path of the socket.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
}

impl PassedSocket {
    /// Takes the socket with this number. To be called once for each, before this process opens anything of its own.
    ///
    /// # Errors
    /// `Inspect`, `Kind`, `Nameless` and `Name`.
    pub fn take(number: RawFd) -> Result<Self, PassedSocketError> {
        let socket = sandkasten_isolation::take_inherited(number)
            .map_err(|source| PassedSocketError::Inspect { number, source })?;
        Self::of(socket, number)
    }

    fn of(socket: OwnedFd, number: RawFd) -> Result<Self, PassedSocketError> {
        let failed = |source: io::Error| PassedSocketError::Inspect { number, source };
        let inspected = || {
            let streams = sockopt::socket_type(&socket)? == SocketType::STREAM;
            Ok((streams && sockopt::socket_acceptconn(&socket)?, sockopt::socket_domain(&socket)?))
        };
        let (listens, domain) = inspected().map_err(|error: rustix::io::Errno| failed(error.into()))?;
        let listener = match domain {
            AddressFamily::INET | AddressFamily::INET6 if listens => PassedListener::Tcp(socket.into()),
            AddressFamily::UNIX if listens => PassedListener::Unix(socket.into()),
            _ => return Err(PassedSocketError::Kind { number }),
        };
        let address = match &listener {
            PassedListener::Tcp(listener) => {
                listener.set_nonblocking(true).map_err(failed)?;
                ListenAddress::Tcp(listener.local_addr().map_err(failed)?)
            }
            PassedListener::Unix(listener) => {
                listener.set_nonblocking(true).map_err(failed)?;
                let address = listener.local_addr().map_err(failed)?;
                let path = address.as_pathname().ok_or(PassedSocketError::Nameless { number })?;
                ListenAddress::unix(path)
                    .map_err(|source| PassedSocketError::Name { path: path.to_owned(), source })?
            }
        };
        Ok(Self { listener, address })
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Puts its address in place of the configured one, and refuses to where that would leave the API open. Blocking.
    ///
    /// # Errors
    /// `OpenToHosts`, `OpenToUsers` and `Unknown`.
    pub(crate) fn admit(&self, mut config: Config) -> Result<Config, PassedSocketError> {
        config.listen_elsewhere(self.address.clone(), Source::PassedSocket { pid: std::process::id() });
        config.refuse_open_api().map_err(|source| PassedSocketError::OpenToHosts { source })?;
        if let (ListenAddress::Unix(path), None) = (&self.address, &config.api_key) {
            refuse_open_socket(path)?;
        }
        Ok(config)
    }

    pub(crate) fn into_parts(self) -> (PassedListener, ListenAddress) {
        (self.listener, self.address)
    }
}

/// A socket that the daemon makes itself has the mode 0600; one that was made for it may have any. A group is named by somebody
/// who means it.
fn refuse_open_socket(path: &Path) -> Result<(), PassedSocketError> {
    let path = path.to_owned();
    let found = match std::fs::symlink_metadata(&path) {
        Ok(found) if found.file_type().is_socket() => found,
        Ok(_) => {
            let source = io::Error::other("it is no socket");
            return Err(PassedSocketError::Unknown { path, source });
        }
        Err(source) => return Err(PassedSocketError::Unknown { path, source }),
    };
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    if owner == 0 && mode & OTHERS_MAY_CONNECT == 0 {
        Ok(())
    } else {
        Err(PassedSocketError::OpenToUsers { path, owner, mode })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::net::{TcpListener, UdpSocket};
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

    use super::{PassedSocket, PassedSocketError};
    use crate::config::{ApiKey, Config, ListenAddress};

    fn of(socket: impl Into<OwnedFd>) -> Result<PassedSocket, PassedSocketError> {
        PassedSocket::of(socket.into(), 3)
    }

    fn keyed() -> Config {
        let mut config = Config::default();
        config.api_key = Some(ApiKey::new("sk-0123456789abcdef".to_owned()));
        config
    }

    #[test]
    fn its_address_takes_the_place_of_the_configured_one() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = ListenAddress::Tcp(listener.local_addr().expect("an address"));
        let config = of(listener).expect("a listener").admit(Config::default()).expect("a local one");
        assert_eq!(config.listen, address);
        let shown = config.effective().into_iter().find(|setting| setting.key == "listen").expect("a key");
        assert_eq!(shown.source.to_string(), format!("the socket passed to process {}", std::process::id()));
    }

    #[test]
    fn what_does_not_listen_or_has_no_name_is_refused() {
        let (stream, _other) = UnixStream::pair().expect("a pair");
        let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a port");
        for socket in [OwnedFd::from(stream), datagrams.into()] {
            assert!(matches!(of(socket), Err(PassedSocketError::Kind { number: 3 })));
        }
        let file = tempfile::tempfile().expect("a file");
        assert!(matches!(of(file), Err(PassedSocketError::Inspect { number: 3, .. })));
        use std::os::linux::net::SocketAddrExt;
        let name = format!("sandkasten-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).expect("a name");
        let hidden = UnixListener::bind_addr(&address).expect("it binds");
        assert!(matches!(of(hidden), Err(PassedSocketError::Nameless { number: 3 })));
        assert!(matches!(
            PassedSocket::take(987_654),
            Err(PassedSocketError::Inspect { number: 987_654, .. })
        ));
    }

    #[test]
    fn without_a_key_a_socket_that_other_hosts_reach_is_refused() {
        let socket = || of(TcpListener::bind("0.0.0.0:0").expect("a port")).expect("a listener");
        let refused = socket().admit(Config::default()).expect_err("open to other hosts");
        assert!(matches!(refused, PassedSocketError::OpenToHosts { .. }), "{refused:?}");
        assert!(socket().admit(keyed()).is_ok());
    }

    #[test]
    fn without_a_key_a_unix_socket_that_every_user_can_write_to_is_refused() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIP: giving a socket away needs root");
            return;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).expect("it binds");
        let socket = of(listener).expect("a listener");
        for (mode, admitted) in [(0o600, true), (0o660, true), (0o666, false), (0o602, false)] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
            assert_eq!(socket.admit(Config::default()).is_ok(), admitted, "{mode:04o}");
            assert!(socket.admit(keyed()).is_ok(), "{mode:04o}");
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("a mode");
        std::os::unix::fs::chown(&path, Some(65_534), None).expect("an owner");
        assert!(matches!(
            socket.admit(Config::default()),
            Err(PassedSocketError::OpenToUsers { owner: 65_534, .. })
        ));
        std::fs::remove_file(&path).expect("removed");
        assert!(matches!(socket.admit(Config::default()), Err(PassedSocketError::Unknown { .. })));
    }
}
