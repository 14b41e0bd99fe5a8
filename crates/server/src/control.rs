//! The control socket: whoever may open it acts as the server.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Longest path that fits an address of a Unix socket: 108 bytes, the last one zero.
const PATH_BYTES_MAX: usize = 107;

/// A path under which this process reaches a socket, however deep its directory lies.
pub struct Reach {
    path: PathBuf,
    /// Open while the path through it is used.
    _directory: Option<File>,
}

impl Reach {
    /// The path itself, or one through an open directory where it is too long.
    pub fn of(socket: &Path) -> io::Result<Self> {
        if socket.as_os_str().as_bytes().len() <= PATH_BYTES_MAX {
            return Ok(Self {
                path: socket.to_owned(),
                _directory: None,
            });
        }
        let (Some(parent), Some(name)) = (socket.parent(), socket.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let directory = File::open(parent)?;
        let through = format!("/proc/self/fd/{}", directory.as_raw_fd());
        Ok(Self {
            path: Path::new(&through).join(name),
            _directory: Some(directory),
        })
    }

    /// Where to connect to, or to listen.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether a server listens at `socket`. The file of a killed one stays, and does not answer.
pub fn answers(socket: &Path) -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks whether a server is there"
    )]
    Reach::of(socket).is_ok_and(|reach| UnixStream::connect(reach.path()).is_ok())
}

/// The socket while a server listens at it; its file goes with this value.
pub struct ControlSocket {
    /// For connections.
    pub listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Listens at `path` (mode 0600), in place of a socket that a killed server left there. The
    /// caller holds the lock of the directory, so no living server loses its own.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Ok(left) = fs::symlink_metadata(path)
            && left.file_type().is_socket()
        {
            fs::remove_file(path)?;
        }
        let reach = Reach::of(path)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that opens the control socket"
        )]
        let listener = UnixListener::bind(reach.path())?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // A file that is gone already, or stays, harms nobody: the next server replaces it.
        let _left_behind = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_private_replaces_a_stale_one_and_goes_with_the_server() {
        let folder = tempfile::tempdir().unwrap();
        // Far beyond what fits an address.
        let deep = folder.path().join("d".repeat(100)).join("e".repeat(100));
        fs::create_dir_all(&deep).unwrap();
        for directory in [folder.path(), &deep] {
            let path = directory.join("control.sock");
            let stale = ControlSocket::open(&path).unwrap();
            std::mem::forget(stale);
            let socket = ControlSocket::open(&path).unwrap();
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
            let reach = Reach::of(&path).unwrap();
            #[expect(clippy::disallowed_methods, reason = "the test is the client")]
            let client = tokio::net::UnixStream::connect(reach.path());
            let (client, served) = tokio::join!(client, socket.listener.accept());
            assert!(client.is_ok() && served.is_ok());
            assert!(answers(&path));
            drop(socket);
            assert!(!answers(&path));
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        fs::write(&path, "precious").unwrap();
        assert!(ControlSocket::open(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
