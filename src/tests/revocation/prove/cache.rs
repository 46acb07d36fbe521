//! What the checker has to catch: a cache as gateways put it before an authorizer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Body, extract::Request, response::Response};
use http::{StatusCode, header};
use tokio::{net::TcpListener, sync::watch};

/// By path, credential and body: when it was answered, and what.
type Known = Mutex<HashMap<(String, String, Vec<u8>), (Instant, StatusCode, Vec<u8>)>>;

/// Starts one before a node, and answers where it is. What it has answered it answers again for so long.
pub async fn before(node: watch::Receiver<String>, lasts: Duration) -> watch::Receiver<String> {
    let (known, client) = (Arc::new(Known::default()), reqwest::Client::new());
    let answer = async move |request: Request| {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 64 * 1024).await.unwrap().to_vec();
        let credential = parts.headers["x-api-key"].to_str().unwrap().to_owned();
        let question = (parts.uri.path().to_owned(), credential, body);
        let found = known.lock().unwrap().get(&question).filter(|(at, ..)| at.elapsed() < lasts).cloned();
        let (_, status, answer) = match found {
            Some(found) => found,
            None => {
                let url = format!("http://{}{}", *node.borrow(), question.0);
                let asked = client.request(parts.method, url).headers(parts.headers).body(question.2.clone());
                let answer = asked.send().await.unwrap();
                let fresh = (Instant::now(), answer.status(), answer.bytes().await.unwrap().to_vec());
                known.lock().unwrap().insert(question, fresh.clone());
                fresh
            }
        };
        Response::builder()
            .status(status)
            .header(header::CONTENT_LENGTH, answer.len())
            .body(Body::from(answer))
            .unwrap()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    watch::Sender::new(at).subscribe()
}
