//! One run: verifiers that call at full speed, changers, and what they saw.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use keydesk::revocation::Receipt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
};

use super::{
    fleet::{Fleet, SCOPE},
    history::{Answer, Away, Call, Change, Gate, History},
};

/// xorshift64*: nothing here needs a better one.
pub struct Dice(u64);

impl Dice {
    pub fn new() -> Self {
        Self(uuid::Uuid::new_v4().as_u64_pair().0 | 1)
    }

    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }

    pub fn ms(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.roll((to - from) as usize) as u64)
    }
}

pub struct Run {
    pub fleet: Arc<Fleet>,
    begun: Instant,
    over: AtomicBool,
    /// For each key that is called: whoami, and verify with the scope.
    requests: Vec<[String; 2]>,
    /// Keys that are being changed: every other call is about one of them.
    hot: [AtomicUsize; 8],
    pub answered: AtomicUsize,
    history: Mutex<History>,
    pub receipts: Mutex<Vec<Receipt>>,
}

impl Run {
    /// Only the first so many keys are called.
    pub fn new(fleet: &Arc<Fleet>, called: usize) -> Arc<Self> {
        let requests = fleet.keys[..called].iter().map(|key| requests(&key.secret, &fleet.service)).collect();
        Arc::new(Self {
            fleet: Arc::clone(fleet),
            begun: Instant::now(),
            over: AtomicBool::new(false),
            requests,
            hot: Default::default(),
            answered: AtomicUsize::new(0),
            history: Mutex::default(),
            receipts: Mutex::default(),
        })
    }

    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// The history so far.
    pub fn take(&self) -> History {
        std::mem::take(&mut self.history.lock().unwrap())
    }

    /// Says that a change begins: what it is about is called more often.
    pub fn begins(&self, keys: &Range<usize>) -> Duration {
        self.hot[keys.start % self.hot.len()].store(keys.start, Ordering::Relaxed);
        self.now()
    }

    pub fn note(&self, change: Change) {
        self.history.lock().unwrap().changes.push(change);
    }

    pub fn note_away(&self, node: Option<usize>, from: Duration, until: Duration) {
        self.history.lock().unwrap().aways.push(Away { node, from, until });
    }

    /// Starts verifiers, dealt out over addresses, each resting that long between calls.
    pub fn verify(
        self: &Arc<Self>,
        tasks: &mut JoinSet<()>,
        verifiers: usize,
        at: &[watch::Receiver<String>],
        rest: Duration,
    ) {
        for verifier in 0..verifiers {
            let node = verifier % at.len();
            tasks.spawn(Arc::clone(self).verifier(node, at[node].clone(), rest));
        }
    }

    async fn verifier(self: Arc<Self>, node: usize, at: watch::Receiver<String>, rest: Duration) {
        let (mut dice, mut calls, mut connection) = (Dice::new(), Vec::new(), None);
        while !self.is_over() {
            let key = match dice.roll(2) {
                0 => self.hot[dice.roll(self.hot.len())].load(Ordering::Relaxed) % self.requests.len(),
                _ => dice.roll(self.requests.len()),
            };
            let scoped = dice.roll(4) == 0;
            let invoked = self.now();
            let answer = ask(&mut connection, &at, &self.requests[key][usize::from(scoped)]).await;
            calls.push(Call { key, node, scoped, invoked, returned: self.now(), answer });
            self.answered.fetch_add(usize::from(answer != Answer::Lost), Ordering::Relaxed);
            match answer {
                // Nobody there.
                Answer::Lost => tokio::time::sleep(Duration::from_millis(20)).await,
                _ if rest.is_zero() => {}
                _ => tokio::time::sleep(rest).await,
            }
        }
        self.history.lock().unwrap().calls.append(&mut calls);
    }

    /// What a node says of a key.
    pub async fn ask_once(&self, node: usize, key: usize) -> Answer {
        ask(&mut None, &self.fleet.addresses[node].subscribe(), &self.requests[key][0]).await
    }
}

fn requests(secret: &str, service: &str) -> [String; 2] {
    let body = serde_json::json!({ "key": secret, "scopes": [SCOPE] }).to_string();
    [
        format!("GET /v1/whoami HTTP/1.1\r\nhost: x\r\nx-api-key: {secret}\r\n\r\n"),
        format!(
            "POST /v1/keys/verify HTTP/1.1\r\nhost: x\r\nx-api-key: {service}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ),
    ]
}

const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

async fn ask(connection: &mut Option<TcpStream>, at: &watch::Receiver<String>, request: &str) -> Answer {
    let asked = async {
        if connection.is_none() {
            let address = at.borrow().clone();
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            *connection = Some(stream);
        }
        let stream = connection.as_mut().unwrap();
        stream.write_all(request.as_bytes()).await?;
        read(stream).await
    };
    match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
        Ok(Ok(answer)) => answer,
        _ => {
            *connection = None;
            Answer::Lost
        }
    }
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Answer> {
    let (mut buffer, mut filled) = ([0; 8192], 0);
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        filled += read;
        let text = std::str::from_utf8(&buffer[..filled]).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return Ok(answer(head, body));
        }
    }
}

fn answer(head: &str, body: &str) -> Answer {
    let code = body.split_once("\"code\":\"").and_then(|(_, rest)| rest.split('"').next());
    match code {
        // Only whoami has none, when it accepts.
        None if head.starts_with("HTTP/1.1 200") => Answer::Accepted,
        Some("VALID") => Answer::Accepted,
        Some("REVOKED") => Answer::Refused(Gate::Revoked),
        Some("DISABLED") => Answer::Refused(Gate::Disabled),
        Some("SUSPENDED") => Answer::Refused(Gate::Suspended),
        Some("INSUFFICIENT_SCOPE") => Answer::Refused(Gate::Scope),
        Some("UNAVAILABLE") => Answer::Unavailable,
        _ => panic!("nobody expects this: {head}\n\n{body}"),
    }
}
