//! The load generator: callers that keep their connections, and the measurements of their calls.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The length of a round.
pub const ROUND: Duration = Duration::from_secs(1);

/// The measurements of one round of calls.
#[derive(Default)]
pub struct Round {
    pub latencies: Vec<Duration>,
    pub took: Duration,
    pub refused: usize,
}

impl Round {
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    pub fn p99(&self) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        sorted[sorted.len() * 99 / 100]
    }
}

/// Whether an answer has arrived with all of its body. It does little work, because this time counts for both sides of
/// a comparison.
fn is_complete(answer: &[u8]) -> bool {
    const LENGTH: &[u8] = b"\r\ncontent-length: ";
    let Some(end) = memmem::find(answer, b"\r\n\r\n") else { return false };
    let length = memmem::find(&answer[..end], LENGTH).map_or(0, |at| {
        let digits = answer[at + LENGTH.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))
    });
    answer.len() >= end + 4 + length
}

/// Sends the requests in turn on one connection until a time.
async fn connection(address: SocketAddr, requests: Arc<Vec<String>>, offset: usize, until: Instant) -> Round {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut round, mut buffer) = (Round::default(), vec![0; 8192]);
    for n in offset.. {
        let begun = Instant::now();
        if begun >= until {
            break;
        }
        stream.write_all(requests[n % requests.len()].as_bytes()).await.unwrap();
        let mut filled = 0;
        loop {
            filled += stream.read(&mut buffer[filled..]).await.unwrap();
            if is_complete(&buffer[..filled]) {
                round.refused += usize::from(!buffer.starts_with(b"HTTP/1.1 200"));
                break;
            }
        }
        round.latencies.push(begun.elapsed());
    }
    round
}

pub async fn load(address: SocketAddr, requests: &Arc<Vec<String>>, connections: usize) -> Round {
    let begun = Instant::now();
    let until = begun + ROUND;
    let callers: Vec<_> =
        (0..connections).map(|n| tokio::spawn(connection(address, Arc::clone(requests), n * 37, until))).collect();
    let mut all = Round::default();
    for caller in callers {
        let round = caller.await.unwrap();
        all.latencies.extend(round.latencies);
        all.refused += round.refused;
    }
    all.took = begun.elapsed();
    all
}

pub fn median<T: Copy + PartialOrd>(values: impl IntoIterator<Item = T>) -> T {
    quantile(values, 50)
}

pub fn quantile<T: Copy + PartialOrd>(values: impl IntoIterator<Item = T>, percent: usize) -> T {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values[(values.len() * percent / 100).min(values.len() - 1)]
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
