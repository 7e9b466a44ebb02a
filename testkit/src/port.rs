//! Ports that stay ours: a server that is stopped and started again finds its port free.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

/// Below the range that Linux takes for outgoing connections, so that no client can sit on a stopped server's port.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// Locks of the ports handed out, held until the process ends.
static RESERVED: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A TCP port of 127.0.0.1 that nothing listens on, and that no other process is given before this one ends.
///
/// # Errors
/// When the directory of lock files cannot be written or no port is left.
pub fn free_port() -> Result<u16> {
    let locks = std::env::temp_dir().join("isolog-testkit-ports");
    std::fs::create_dir_all(&locks).with_context(|| format!("cannot create {}", locks.display()))?;
    let start = u16::try_from(std::process::id() % u32::from(COUNT))?;
    for step in 0..COUNT {
        let port = FIRST + (start + step) % COUNT;
        let path = locks.join(port.to_string());
        let lock = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            RESERVED.lock().map_err(|_| anyhow::anyhow!("a test panicked in free_port"))?.push(lock);
            return Ok(port);
        }
    }
    bail!("no free port of 127.0.0.1 from {FIRST} to {}", FIRST + COUNT - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let ports: Vec<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        let distinct: std::collections::HashSet<u16> = ports.iter().copied().collect();
        assert_eq!(distinct.len(), ports.len());
        for port in ports {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }
}
