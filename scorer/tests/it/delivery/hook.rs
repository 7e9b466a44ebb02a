//! An HTTP receiver on loopback that answers as a test wants and keeps what it was sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

/// One request.
#[derive(Clone, Debug)]
pub struct Post {
    pub headers: HeaderMap,
    /// As it came.
    pub text: String,
    /// `text` where it is JSON.
    pub body: Value,
}

/// What it does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Answers with this status, headers and body.
    Status(u16, Vec<(&'static str, String)>, &'static str),
    /// Never answers.
    Silence,
}

pub fn status(status: u16) -> Answer {
    Answer::Status(status, Vec::new(), "")
}

/// Answers by the number of the request, from 0, and what it holds.
type Answers = dyn Fn(usize, &Post) -> Answer + Send + Sync;

/// A running receiver; it ends with the test.
pub struct Hook {
    address: SocketAddr,
    posts: Arc<Mutex<Vec<Post>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Hook {
    pub fn start(answers: impl Fn(usize, &Post) -> Answer + Send + Sync + 'static) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let posts: Arc<Mutex<Vec<Post>>> = Arc::default();
        let (kept, answers): (_, Arc<Answers>) = (Arc::clone(&posts), Arc::new(answers));
        let handler = move |headers: HeaderMap, body: Bytes| {
            let (kept, answers) = (Arc::clone(&kept), Arc::clone(&answers));
            async move {
                let text = String::from_utf8_lossy(&body).into_owned();
                let body = serde_json::from_str(&text).unwrap_or(Value::Null);
                let post = Post { headers, text, body };
                let answer = {
                    let mut kept = kept.lock().unwrap();
                    let answer = answers(kept.len(), &post);
                    kept.push(post);
                    answer
                };
                respond(answer).await
            }
        };
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
        Self { address, posts, _runtime: runtime }
    }

    /// An address with a secret in its path.
    pub fn url(&self) -> String {
        format!("http://{}/topsecret", self.address)
    }

    pub fn posts(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }

    /// Alert ids in the order in which they came.
    pub fn ids(&self) -> Vec<String> {
        self.posts().iter().map(|post| post.body["id"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

async fn respond(answer: Answer) -> Response {
    match answer {
        Answer::Silence => std::future::pending().await,
        Answer::Status(status, headers, body) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
    }
}
