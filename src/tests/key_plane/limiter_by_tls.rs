//! A node counts on a Redis that is asked by TLS, and trusts no server but one whose certificate it was told to trust.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal::SIGTERM;

use super::proxies::Desk;
use crate::process::{PATIENCE, end, ran, serving};

/// Killed at the end.
struct Redis(Child);

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_with_the_right_certificate_counts_and_another_does_not() {
    let desk = Desk::new();
    desk.add_org("acme");
    let key = desk.key(&[]);
    let file = |name: &str| desk.folder().join(name).display().to_string();
    let (certificate, private_key) = (file("redis.pem"), file("redis-key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=redis", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=CA:FALSE"])
        .args(["-keyout", &private_key, "-out", &certificate])
        .output()
        .expect("this test needs openssl: make test installs it");
    assert!(made.status.success(), "{made:?}");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let redis = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"])
        .args(["--tls-cert-file", &certificate, "--tls-key-file", &private_key, "--save", "60 1", "--dir", &file("")])
        .stdout(Stdio::null())
        .spawn();
    let _redis = Redis(redis.unwrap());
    let begun = Instant::now();
    while std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
        assert!(begun.elapsed() < PATIENCE, "redis-server did not start");
        std::thread::sleep(Duration::from_millis(20));
    }

    let node = |limiter: String, trusted: &str| {
        let mut command = desk.command(&["serve"]);
        command.env("KEYDESK_LIMITER", limiter).env("SSL_CERT_FILE", trusted);
        command
    };
    let by_tls = format!("rediss://localhost:{port}");
    ran(&mut node(by_tls.clone(), "/dev/null"), "").fails("the limiter");
    // The certificate is another host's.
    ran(&mut node(format!("rediss://127.0.0.1:{port}"), &certificate), "").fails("the limiter");
    let (mut server, at) = serving(&mut node(by_tls, &certificate), &["Key plane"]).unwrap();
    let ask = |path: &str| {
        let url = format!("{}{path}", at[0]);
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let answer = reqwest::Client::new().get(url).header("x-api-key", &key).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    };
    assert_eq!(ask("/v1/whoami").0, 200);
    let (status, ready) = ask("/readyz");
    assert!(status == 200 && ready.contains("\"warnings\":[]"), "{ready}");
    end(&mut server, SIGTERM);
}
