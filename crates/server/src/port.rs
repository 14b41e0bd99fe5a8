//! Who listens at a port of this machine, as `/proc` tells it.

use std::fs;
use std::path::Path;

/// The state of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// The process that listens at TCP port `port`: "nginx (process 812)". `None` when it belongs to
/// another user, or `/proc` is not there.
pub fn holder_of(port: u16) -> Option<String> {
    let inodes = inodes_at(port);
    let sockets: Vec<String> = inodes
        .iter()
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    // Beside one folder for each process there are `self` and other names.
    let is_process = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
    };
    let processes = fs::read_dir("/proc").ok()?.flatten().filter(is_process);
    let mut holders = processes.filter(|process| holds(&process.path(), &sockets));
    let holder = holders.next()?;
    let name = fs::read_to_string(holder.path().join("comm")).ok()?;
    let pid = holder.file_name();
    Some(format!(
        "{} (process {})",
        name.trim(),
        pid.to_string_lossy()
    ))
}

/// Whether anybody listens at TCP port `port`; false where `/proc` is not there.
pub fn is_listened_at(port: u16) -> bool {
    !inodes_at(port).is_empty()
}

fn inodes_at(port: u16) -> Vec<String> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening(&table, port))
        .collect()
}

/// Inodes of the sockets in a table of the kernel that listen at `port`.
fn listening(table: &str, port: u16) -> Vec<String> {
    let wanted = format!(":{port:04X}");
    let rows = table
        .lines()
        .skip(1)
        .map(|row| row.split_whitespace().collect::<Vec<_>>());
    let listening = rows.filter_map(|row| match (row.get(1), row.get(3), row.get(9)) {
        (Some(local), Some(&LISTEN), Some(inode)) if local.ends_with(&wanted) => {
            Some((*inode).to_owned())
        }
        _ => None,
    });
    listening.collect()
}

fn holds(process: &Path, sockets: &[String]) -> bool {
    let descriptors = fs::read_dir(process.join("fd"))
        .into_iter()
        .flatten()
        .flatten();
    let mut targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    targets.any(|target| {
        sockets
            .iter()
            .any(|socket| target.as_os_str() == socket.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2253 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1
   1: 0100007F:2253 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 222 1
   2: 0100007F:2254 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1
   3: damaged";
        assert_eq!(listening(table, 0x2253), ["111"]);
        assert!(listening(table, 80).is_empty());
    }
}
