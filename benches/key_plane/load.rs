//! Callers that keep their connections, and what their calls came to.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const ROUND: Duration = Duration::from_secs(2);

/// What one round of calls came to.
#[derive(Default)]
pub struct Round {
    /// Of each call.
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

/// One connection that calls again and again until `until`; the requests are sent in turn.
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
            let text = std::str::from_utf8(&buffer[..filled]).unwrap();
            let Some(end) = text.find("\r\n\r\n") else { continue };
            let length = text[..end]
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse::<usize>().unwrap());
            if filled >= end + 4 + length {
                round.refused += usize::from(!text.starts_with("HTTP/1.1 200"));
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
