//! TLS in the binary: a certificate and its key from files, read again when they change. Connections
//! stay; the next handshake meets the new certificate. A pair that cannot be used leaves the old one.

use std::fmt;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use grantry_core::{Clock, Timestamp};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::signal::unix::Signal;
use tokio_rustls::TlsAcceptor;
use x509_cert::der::Decode as _;
use zeroize::Zeroizing;

use crate::failure::{Failure, chain};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// From when on the log warns of the certificate's end, once a day.
pub const WARN_BEFORE: Duration = Duration::from_secs(14 * 24 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The section `[tls]`.
#[derive(Clone)]
pub struct Files {
    /// The chain.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// What servers answer handshakes with.
#[derive(Clone)]
pub struct Tls {
    files: Files,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
}

struct Current(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl Current {
    fn get(&self) -> Arc<CertifiedKey> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

impl Tls {
    /// Reads `files`.
    ///
    /// # Errors
    /// [`crate::failure::Exit::Usage`]: a file that cannot be read or is no PEM, a key that others may read
    /// or that is not the certificate's.
    pub fn load(files: &Files) -> Result<Self, Failure> {
        let current = Arc::new(Current(RwLock::new(Arc::new(read(files)?))));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::usage(chain(&error)))?
            .with_no_client_auth();
        let mut config = config.with_cert_resolver(Arc::clone(&current) as _);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            files: files.clone(),
            current,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// Makes streams of it.
    pub const fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// When the certificate in use ends, as far as it can be read.
    pub fn ends_at(&self) -> Option<Timestamp> {
        let current = self.current.get();
        let certificate = x509_cert::Certificate::from_der(current.cert.first()?).ok()?;
        let end = certificate.tbs_certificate.validity.not_after;
        Some(Timestamp(0).after(end.to_unix_duration()))
    }

    /// Takes the pair that is on disk now.
    ///
    /// # Errors
    /// As [`Tls::load`]; the old pair stays.
    pub fn reload(&self) -> Result<(), Failure> {
        let fresh = Arc::new(read(&self.files)?);
        let mut current = self.current.0.write();
        **current
            .as_mut()
            .unwrap_or_else(|poisoned| poisoned.get_mut()) = fresh;
        Ok(())
    }

    /// Watches the files for ever, and listens to `hangup` (SIGHUP).
    pub async fn watch(self, clock: &dyn Clock, mut hangup: Signal) {
        let mut seen = self.stamps();
        let mut warned = None;
        loop {
            self.warn_of_end(clock, &mut warned);
            let asked = tokio::select! {
                heard = hangup.recv() => heard.is_some(),
                () = clock.sleep(LOOK) => false,
            };
            let stamps = self.stamps();
            if stamps == seen && !asked {
                continue;
            }
            seen = stamps;
            match self.reload() {
                Ok(()) => {
                    warned = None;
                    tracing::info!(cert_file = %self.files.cert.display(), ends = %shown(self.ends_at()), "the certificate was read again");
                }
                Err(failure) => tracing::error!(
                    error = failure.message,
                    "the new certificate cannot be used, the old one stays"
                ),
            }
        }
    }

    /// What tells one state of the files from another.
    fn stamps(&self) -> [Option<(u64, i64, i64, u64)>; 2] {
        let stamp = |path: &Path| {
            let file = fs::metadata(path).ok()?;
            Some((file.ino(), file.mtime(), file.mtime_nsec(), file.len()))
        };
        [stamp(&self.files.cert), stamp(&self.files.key)]
    }

    fn warn_of_end(&self, clock: &dyn Clock, warned: &mut Option<Duration>) {
        let lately = warned.is_some_and(|at| clock.boot().saturating_sub(at) < DAY);
        let Some(end) = self.ends_at().filter(|_| !lately) else {
            return;
        };
        let now = clock.now();
        if now.after(WARN_BEFORE) < end {
            return;
        }
        *warned = Some(clock.boot());
        let (cert_file, ends) = (self.files.cert.display(), shown(Some(end)));
        if now < end {
            tracing::warn!(%cert_file, %ends, "the certificate ends soon: put a new one in its place");
        } else {
            tracing::error!(%cert_file, %ends, "the certificate has ended: clients refuse it; put a new one in its place");
        }
    }
}

/// An instant for people.
fn shown(at: Option<Timestamp>) -> String {
    let at = at.and_then(|at| jiff::Timestamp::from_second(at.as_secs()).ok());
    at.map_or_else(|| "unknown".to_owned(), |at| at.to_string())
}

fn read(files: &Files) -> Result<CertifiedKey, Failure> {
    let Files { cert, key } = files;
    let pem = fs::read(cert).map_err(|error| unreadable("cert_file", cert, &error))?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = parsed.unwrap_or_default();
    if certificates.is_empty() {
        return Err(useless(
            "cert_file",
            cert,
            "holds no certificate in PEM form",
        ));
    }
    let pem = private(key)?;
    let der = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| useless("key_file", key, "holds no private key in PEM form"))?;
    CertifiedKey::from_der(certificates, der, &aws_lc_rs::default_provider()).map_err(|error| {
        let why = format!("cannot be used with {}: {error}", cert.display());
        useless("key_file", key, &why)
    })
}

/// The text of a key that nobody else may read. A group may: services share keys with a group of their own.
fn private(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let wrong = |error: std::io::Error| unreadable("key_file", path, &error);
    let mut file = File::open(path).map_err(wrong)?;
    let mode = file.metadata().map_err(wrong)?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(
            useless("key_file", path, "is open to every user of this machine").hint(format!(
                "If nobody has taken it: chmod 600 {}",
                path.display()
            )),
        );
    }
    let mut text = Zeroizing::new(Vec::new());
    file.read_to_end(&mut text).map_err(wrong)?;
    Ok(text)
}

fn unreadable(setting: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!(
        "cannot read tls.{setting} {}: {error}",
        path.display()
    ))
}

fn useless(setting: &str, path: &Path, why: &str) -> Failure {
    Failure::usage(format!("tls.{setting} {} {why}", path.display()))
}

/// Pairs for tests.
#[cfg(test)]
pub mod testing {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    pub fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A folder with a pair in it that ends in that year.
    pub fn pair(folder: &Path, year: i32) -> Files {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["grantry.example".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let files = Files {
            cert: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        };
        write(&files.cert, &params.self_signed(&key).unwrap().pem(), 0o644);
        write(&files.key, &key.serialize_pem(), 0o600);
        files
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{pair, write};
    use super::*;

    #[test]
    fn a_new_pair_replaces_the_old_and_a_broken_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = pair(folder.path(), 2030);
        let tls = Tls::load(&files).unwrap();
        assert_eq!(shown(tls.ends_at()), "2030-01-01T00:00:00Z");
        let seen = tls.stamps();
        fs::write(&files.cert, "no certificate").unwrap();
        assert!(tls.stamps() != seen);
        let failure = tls.reload().unwrap_err();
        assert!(
            failure.message.contains("no certificate in PEM form"),
            "{}",
            failure.message
        );
        assert_eq!(shown(tls.ends_at()), "2030-01-01T00:00:00Z");
        pair(folder.path(), 2031);
        tls.reload().unwrap();
        assert_eq!(shown(tls.ends_at()), "2031-01-01T00:00:00Z");
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_setting_and_path() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let files = pair(folder.path(), 2030);
        let stranger = pair(other.path(), 2030);
        let open = folder.path().join("open.pem");
        write(&open, &fs::read_to_string(&files.key).unwrap(), 0o604);
        for (cert, key, words) in [
            (&files.cert, &open, "open.pem is open to every user"),
            (&files.cert, &stranger.key, "cannot be used with"),
            (&files.cert, &files.cert, "is open to every user"),
            (&files.key, &files.key, "holds no certificate"),
            (
                &files.cert,
                &folder.path().join("absent"),
                "cannot read tls.key_file",
            ),
            (
                &folder.path().join("absent"),
                &files.key,
                "cannot read tls.cert_file",
            ),
        ] {
            let files = Files {
                cert: cert.clone(),
                key: key.clone(),
            };
            let failure = Tls::load(&files).err().unwrap();
            assert!(failure.message.contains(words), "{}", failure.message);
        }
    }
}
