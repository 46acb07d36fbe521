//! The line between a node and Postgres: a small TCP proxy that can fail.

use std::path::PathBuf;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    /// Connections are dropped, also new ones.
    Cut,
    /// Connections stand, also new ones, and nothing passes. What was sent arrives when the line opens: late, as after
    /// real partitions.
    Silent,
    /// What is sent to Postgres arrives, and its answers do not.
    Mute,
}

pub struct Line {
    pub port: u16,
    state: watch::Sender<State>,
}

impl Line {
    pub async fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (state, watched) = watch::channel(State::Open);
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(client, socket.clone(), watched.clone()));
            }
        });
        Self { port, state }
    }

    pub fn set(&self, state: State) {
        self.state.send_replace(state);
    }
}

/// Whether the line carries, once it is known.
async fn carries(state: &mut watch::Receiver<State>, answers: bool) -> bool {
    let held = |state: &State| *state == State::Silent || (answers && *state == State::Mute);
    state.wait_for(|state| !held(state)).await.is_ok_and(|state| *state != State::Cut)
}

async fn carry(client: TcpStream, socket: PathBuf, mut state: watch::Receiver<State>) {
    if !carries(&mut state, false).await {
        return;
    }
    client.set_nodelay(true).unwrap();
    let Ok(server) = UnixStream::connect(socket).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = pump(from_client, to_server, state.clone(), false) => {}
        () = pump(from_server, to_client, state.clone(), true) => {}
        _ = state.wait_for(|state| *state == State::Cut) => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
    answers: bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await
        && carries(&mut state, answers).await
        && to.write_all(&buffer[..read]).await.is_ok()
    {}
}
