//! What is put out on the host for attacks that get out of the sandbox.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process;

use sandkasten_attacks::Bait;
use sandkasten_daemon::PrivateDaemon;
use tempfile::NamedTempFile;

use super::CanaryError;

/// What is in the file; nothing that is read inside may have it.
pub(super) const SECRET: &str = "a secret of the host";

/// The baits; they are gone with this. Nothing listens to what connects: that it is let in says enough.
#[derive(Debug)]
pub(super) struct Baits {
    pub(super) bait: Bait,
    _tcp: TcpListener,
    _abstract_socket: UnixListener,
    _file: NamedTempFile,
}

impl Baits {
    pub(super) fn put_out(daemon: &PrivateDaemon) -> Result<Self, CanaryError> {
        let failed = |what| move |source| CanaryError::Bait { what, source };
        let tcp = TcpListener::bind(("127.0.0.1", 0)).map_err(failed("a port"))?;
        let port = tcp.local_addr().map_err(failed("a port"))?.port();
        let file = secret_file().map_err(failed("a file"))?;
        let abstract_name = unique_name(&file);
        let abstract_socket = SocketAddr::from_abstract_name(&abstract_name)
            .and_then(|address| UnixListener::bind_addr(&address))
            .map_err(failed("an abstract socket"))?;
        let name = fs::read_to_string("/proc/self/comm").map_err(failed("a process"))?;
        let bait = Bait {
            port,
            socket: daemon.socket().to_owned(),
            abstract_socket: abstract_name,
            file: file.path().to_owned(),
            process: i32::try_from(process::id()).map_err(io::Error::other).map_err(failed("a process"))?,
            process_name: name.trim_end().to_owned(),
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        };
        Ok(Self { bait, _tcp: tcp, _abstract_socket: abstract_socket, _file: file })
    }
}

/// A file that everybody may read, so that nothing but where it is keeps it from a sandbox.
fn secret_file() -> io::Result<NamedTempFile> {
    let file = tempfile::Builder::new().prefix("sandkasten-bait-").tempfile()?;
    fs::write(file.path(), SECRET)?;
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644))?;
    Ok(file)
}

fn unique_name(file: &NamedTempFile) -> String {
    file.path().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
