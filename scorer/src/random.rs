//! Names and secrets that nobody can guess. Nothing that decides about a line uses them.

/// 256 bits from the system's source, in hexadecimal.
///
/// # Panics
/// The system has no randomness: there is nothing safe to go on with.
pub fn hex() -> String {
    let mut bytes = [0; 32];
    #[expect(clippy::expect_used, reason = "a token that could be guessed must not be")]
    rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes).expect("random bytes");
    blake3::Hash::from(bytes).to_hex().to_string()
}
