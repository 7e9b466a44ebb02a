//! A receiver whose certificate nobody here trusts.

use std::io::Read as _;
use std::net::TcpListener;
use std::sync::Arc;

use notify::Outcome;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::server::{records, tell};

#[tokio::test]
async fn a_wrong_certificate_is_named_and_nothing_is_sent() {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/topsecret", listener.local_addr().unwrap().port());
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream);
        let mut sent = Vec::new();
        // The client hangs up: an error is what is expected.
        let _ = stream.read_to_end(&mut sent);
        sent
    });
    let outcome = tell(&[("ALERT_WEBHOOK_URL", url)], &records()[0].1).await;
    assert!(
        matches!(&outcome, Outcome::Retry { why, .. } if why.contains("certificate") && why.contains("trust") && !why.contains("topsecret")),
        "{outcome:?}"
    );
    assert_eq!(server.join().unwrap(), b"");
}
