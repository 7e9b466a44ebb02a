//! How often an address may try a token that is wrong, and how much is logged of that. One that repeats the same wrong
//! token learns nothing, so that only counts once: a script with an old token does not lock out its neighbours.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong tokens that an address may try at once.
const AT_ONCE: f64 = 10.0;
/// How long until one more is allowed.
const ONE_MORE: Duration = Duration::from_secs(6);
/// Addresses that are remembered.
const MOST: usize = 4_096;
/// Wrong tokens of an address that are remembered.
const REMEMBERED: usize = 4;
/// Lines about wrong tokens that are logged within [`LOGGED_IN`], whoever sends them.
const LOGGED: u32 = 20;
const LOGGED_IN: Duration = Duration::from_secs(60);

/// What is logged of many: the first of each minute, and how many were passed over.
#[derive(Debug, Default)]
pub struct Sample(Mutex<Option<Minute>>);

#[derive(Debug)]
struct Minute {
    began: Instant,
    logged: u32,
    passed_over: u64,
}

impl Sample {
    /// Whether to log one more, with the number of those that were passed over since the last; else it is passed over.
    pub fn take(&self, now: Instant) -> Option<u64> {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = minute.get_or_insert(Minute { began: now, logged: 0, passed_over: 0 });
        if now.saturating_duration_since(minute.began) >= LOGGED_IN {
            (minute.began, minute.logged) = (now, 0);
        }
        if minute.logged == LOGGED {
            minute.passed_over += 1;
            return None;
        }
        minute.logged += 1;
        Some(std::mem::take(&mut minute.passed_over))
    }
}

/// Wrong tokens by address.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<IpAddr, Tries>>);

#[derive(Debug)]
struct Tries {
    left: f64,
    at: Instant,
    wrong: Vec<blake3::Hash>,
}

impl Throttle {
    /// Whether an address may try a token now; else how long it has to wait.
    pub fn allows(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = tries.get(&block_of(peer)).map_or(AT_ONCE, |tries| tries.left_at(now));
        if left >= 1.0 { Ok(()) } else { Err(ONE_MORE.mul_f64(1.0 - left)) }
    }

    /// An address sent a wrong token of this digest; whether it did not do so just before.
    pub fn wrong(&self, peer: IpAddr, token: blake3::Hash, now: Instant) -> bool {
        let peer = block_of(peer);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && !all.contains_key(&peer) {
            all.retain(|_, tries| tries.left_at(now) < AT_ONCE);
            let oldest = all.iter().min_by_key(|(_, tries)| tries.at).map(|(peer, _)| *peer);
            if let Some(oldest) = oldest.filter(|_| all.len() >= MOST) {
                all.remove(&oldest);
            }
        }
        let tries = all.entry(peer).or_insert(Tries { left: AT_ONCE, at: now, wrong: Vec::new() });
        if tries.wrong.contains(&token) {
            return false;
        }
        if tries.wrong.len() == REMEMBERED {
            tries.wrong.remove(0);
        }
        tries.wrong.push(token);
        tries.left = (tries.left_at(now) - 1.0).max(0.0);
        tries.at = now;
        true
    }
}

impl Tries {
    fn left_at(&self, now: Instant) -> f64 {
        let more = now.saturating_duration_since(self.at).as_secs_f64() / ONE_MORE.as_secs_f64();
        (self.left + more).min(AT_ONCE)
    }
}

/// Of IPv6 the network: one machine has as many addresses in it as it likes.
fn block_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(n: usize) -> blake3::Hash {
        blake3::hash(&n.to_le_bytes())
    }

    #[test]
    fn after_ten_wrong_tokens_an_address_waits_and_others_do_not() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let (one, other) = (IpAddr::from([192, 0, 2, 7]), IpAddr::from([192, 0, 2, 8]));
        for n in 0..10 {
            assert_eq!(throttle.allows(one, now), Ok(()), "{n}");
            throttle.wrong(one, token(n), now);
        }
        assert_eq!(throttle.allows(one, now), Err(ONE_MORE));
        assert_eq!(throttle.allows(other, now), Ok(()));
        assert_eq!(throttle.allows(one, now + ONE_MORE), Ok(()));
        throttle.wrong(one, token(11), now + ONE_MORE);
        assert!(throttle.allows(one, now + ONE_MORE).is_err(), "one more, not ten");
    }

    #[test]
    fn the_same_wrong_token_again_counts_once() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let peer = IpAddr::from([127, 0, 0, 1]);
        (0..1_000).for_each(|n| {
            assert_eq!(throttle.wrong(peer, token(n % REMEMBERED), now), n < REMEMBERED, "{n}")
        });
        assert_eq!(throttle.allows(peer, now), Ok(()));
    }

    #[test]
    fn of_many_wrong_tokens_a_minute_some_are_logged_and_the_others_counted() {
        let (sample, now) = (Sample::default(), Instant::now());
        let logged: Vec<u64> = (0..1_000).filter_map(|_| sample.take(now)).collect();
        assert_eq!(logged, [0; LOGGED as usize]);
        assert_eq!(sample.take(now + LOGGED_IN), Some(1_000 - u64::from(LOGGED)));
        assert_eq!(sample.take(now + LOGGED_IN), Some(0));
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..10_u16 {
            throttle.wrong(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, n).into(), token(n.into()), now);
        }
        assert!(throttle.allows(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 9, 9, 9, 9).into(), now).is_err());
        assert!(throttle.allows(Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 1).into(), now).is_ok());
    }

    #[test]
    fn memory_is_bounded_however_many_addresses_try() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..2 * MOST {
            let [_, a, b, c] = u32::try_from(n).unwrap().to_be_bytes();
            throttle.wrong(IpAddr::from([10, a, b, c]), token(n), now + Duration::from_micros(n as u64));
        }
        assert_eq!(throttle.0.lock().unwrap().len(), MOST);
    }
}
