use proto::v1;
use proto::v1::scoring_service_client::ScoringServiceClient;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::{Running, settings};

/// An authority and the certificates it signs, as files.
struct Pki {
    dir: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    fn new() -> Self {
        // More than one test of this process may come first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let pki = Self { dir: tempfile::tempdir().unwrap(), authority };
        pki.write("ca.pem", &pki.authority.pem());
        let (cert, key) = pki.issue("localhost");
        pki.write("server.pem", &cert);
        pki.write("server.key", &key);
        pki
    }

    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.authority).unwrap().pem(), key.serialize_pem())
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn trusting(&self) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(self.authority.pem()))
            .domain_name("localhost")
    }
}

async fn ask(running: &Running, tls: Option<ClientTlsConfig>) -> Result<(), String> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{}", running.grpc)).unwrap();
    if let Some(tls) = tls {
        endpoint = endpoint.tls_config(tls).unwrap();
    }
    let channel = endpoint.connect().await.map_err(|error| format!("{error:?}"))?;
    let mut client = ScoringServiceClient::new(channel);
    client.get_model_info(v1::GetModelInfoRequest {}).await.map(drop).map_err(|status| status.to_string())
}

#[tokio::test]
async fn with_tls_only_encrypted_calls_are_answered() {
    let pki = Pki::new();
    let (cert, key) = (pki.path("server.pem"), pki.path("server.key"));
    let running = Running::start(&[("GRPC_TLS_CERT", &cert), ("GRPC_TLS_KEY", &key)]).await;
    ask(&running, Some(pki.trusting())).await.unwrap();
    ask(&running, None).await.unwrap_err();
    ask(&running, Some(Pki::new().trusting())).await.unwrap_err();
    running.stop().await;
}

#[tokio::test]
async fn with_mutual_tls_only_clients_of_the_authority_are_answered() {
    let pki = Pki::new();
    let (cert, key, authority) = (pki.path("server.pem"), pki.path("server.key"), pki.path("ca.pem"));
    let files = [("GRPC_TLS_CERT", &*cert), ("GRPC_TLS_KEY", &*key), ("GRPC_TLS_CLIENT_CA", &*authority)];
    let running = Running::start(&files).await;
    let with =
        |pki: &Pki, (cert, key): (String, String)| pki.trusting().identity(Identity::from_pem(cert, key));
    ask(&running, Some(with(&pki, pki.issue("client")))).await.unwrap();
    ask(&running, Some(pki.trusting())).await.unwrap_err();
    ask(&running, Some(with(&pki, Pki::new().issue("client")))).await.unwrap_err();
    running.stop().await;
}

#[tokio::test]
async fn a_certificate_file_that_cannot_be_used_is_named_with_its_setting() {
    let pki = Pki::new();
    pki.write("other.key", &pki.issue("other").1);
    pki.write("text.pem", "hello");
    let path = |name: &str| pki.path(name);
    for (cert, key, named) in [
        ("missing.pem", "server.key", "GRPC_TLS_CERT"),
        ("text.pem", "server.key", "GRPC_TLS_CERT"),
        ("server.pem", "server.pem", "GRPC_TLS_KEY"),
        ("server.pem", "other.key", "GRPC_TLS_KEY"),
    ] {
        let (cert, key) = (path(cert), path(key));
        let environment = [
            ("HTTP_ADDR", ""),
            ("GRPC_ADDR", "127.0.0.1:0"),
            ("GRPC_TLS_CERT", &cert),
            ("GRPC_TLS_KEY", &key),
        ];
        let Err(error) = Running::try_start(settings(&environment)).await else {
            panic!("{cert} and {key} were accepted")
        };
        let error = format!("{error:#}");
        assert!(error.contains(named) && error.contains(pki.dir.path().to_str().unwrap()), "{error}");
    }
}
