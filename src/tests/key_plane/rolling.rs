//! Key planes behind a load balancer are restarted one after the other, and no call fails.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Child,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use nix::sys::signal::Signal::{SIGINT, SIGTERM};

use super::proxies::{Desk, Message, Proxy, replace};
use crate::process::{PATIENCE, end, serving, signal};

/// What HAProxy's statistics socket says of a server: `UP`, `DOWN`…
fn state(socket: &Path, server: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(b"show stat\n").unwrap();
    let mut table = String::new();
    stream.read_to_string(&mut table).unwrap();
    let row = table.lines().map(|line| line.split(',').collect::<Vec<_>>()).find(|row| row[..2] == ["nodes", server]);
    row.unwrap_or_else(|| panic!("{table}"))[17].to_owned()
}

fn wait_until(what: &str, met: impl Fn() -> bool) {
    let begun = Instant::now();
    while !met() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        // Another process does it in its own time.
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A caller that keeps its connection, as a service does. Answers what went wrong.
fn call_again_and_again(balancer: SocketAddr, key: &str, stop: &AtomicBool, answered: &AtomicUsize) -> Vec<String> {
    let mut wrong = Vec::new();
    let request = format!("GET /v1/whoami HTTP/1.1\r\nhost: keydesk\r\nx-api-key: {key}\r\n\r\n");
    let mut stream = TcpStream::connect(balancer).unwrap();
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(request.as_bytes()).unwrap();
        match Message::read(&stream) {
            Some(message) if message.status() == 200 => {
                answered.fetch_add(1, Ordering::Relaxed);
                if message.header("connection") != "close" {
                    continue;
                }
            }
            other => wrong.push(format!("{other:?}")),
        }
        stream = TcpStream::connect(balancer).unwrap();
    }
    wrong
}

struct Node {
    child: Child,
    address: SocketAddr,
}

impl Node {
    fn start(desk: &Desk, address: SocketAddr) -> Self {
        let mut command = desk.command(&["serve", "--plane", "keys"]);
        command.env("KEYDESK_KEYS_ADDR", address.to_string()).env("KEYDESK_DRAIN", "5m");
        Self { child: serving(&mut command, &["Key plane"]).unwrap().0, address }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        end(&mut self.child, SIGINT);
    }
}

#[test]
fn no_call_fails_while_the_nodes_behind_a_load_balancer_are_restarted_one_after_the_other() {
    let desk = Desk::new();
    desk.add_org("acme");
    let key = desk.key(&[]);
    // It keeps the embedded Postgres running while no key plane does.
    let (mut console, _) = serving(&mut desk.command(&["serve", "--plane", "console"]), &["Console"]).unwrap();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut nodes = [Node::start(&desk, free()), Node::start(&desk, free())];

    let socket: PathBuf = desk.folder().join("haproxy.sock");
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/proxies/haproxy-nodes.cfg"));
    let text = replace(&text.unwrap(), "127.0.0.1:3001", &nodes[0].address.to_string());
    let text = replace(&text, "127.0.0.1:3002", &nodes[1].address.to_string());
    // What the test watches; nothing that changes what becomes of a call.
    let text = format!("global\n    stats socket {}\n\n{text}", socket.display());
    let balancer = Proxy::haproxy(|listen| replace(&text, "bind :3100", &format!("bind {listen}")));
    for server in ["a", "b"] {
        wait_until("both are in use", || state(&socket, server) == "UP");
    }

    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (stop, answered, key, address) = (stop.clone(), answered.clone(), key.clone(), balancer.address);
            std::thread::spawn(move || call_again_and_again(address, &key, &stop, &answered))
        })
        .collect();
    let more_calls = |n| {
        let before = answered.load(Ordering::Relaxed);
        wait_until("calls are answered", || answered.load(Ordering::Relaxed) >= before + n);
    };
    more_calls(200);
    for (node, server) in nodes.iter_mut().zip(["a", "b"]) {
        signal(&node.child, SIGTERM);
        wait_until("the balancer goes elsewhere", || state(&socket, server).starts_with("DOWN"));
        more_calls(200);
        // The end of the draining, which in real life comes by itself.
        end(&mut node.child, SIGTERM);
        more_calls(200);
        *node = Node::start(&desk, node.address);
        wait_until("the balancer comes back", || state(&socket, server) == "UP");
        more_calls(200);
    }
    stop.store(true, Ordering::Relaxed);
    let wrong: Vec<String> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
    assert!(wrong.is_empty(), "{} of {} calls: {:#?}", wrong.len(), answered.load(Ordering::Relaxed), wrong.first());
    drop((balancer, nodes));
    end(&mut console, SIGTERM);
}
