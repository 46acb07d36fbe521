//! What goes wrong, on purpose.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};

use super::{
    fleet::{LEASES, NODES},
    line::State,
    run::{Dice, Run},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A node stands still for longer than a lease, and goes on.
    Paused,
    /// A node is killed and started anew.
    Killed,
    /// A node's connections to Postgres break, and it gets no new ones.
    Cut,
    /// A node's connections to Postgres stand, and nothing passes.
    Silent,
    /// Nodes hear of no change.
    Deaf,
    /// Postgres is stopped, and started after a while.
    Stopped,
    /// Postgres crashes, and recovers.
    Crashed,
}

/// How many there were of each.
#[derive(Default)]
pub struct Faults([AtomicUsize; 7]);

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = |fault: Fault| self.0[fault as usize].load(Ordering::Relaxed);
        write!(
            f,
            "nodes paused {} times, killed {}, cut off {}, left in silence {}; listeners ended {}; Postgres crashed {}, stopped {}",
            count(Fault::Paused),
            count(Fault::Killed),
            count(Fault::Cut),
            count(Fault::Silent),
            count(Fault::Deaf),
            count(Fault::Crashed),
            count(Fault::Stopped)
        )
    }
}

impl Faults {
    pub async fn of_processes(&self, run: &Run) {
        self.each(run, &[Fault::Paused, Fault::Killed]).await;
    }

    pub async fn of_connections(&self, run: &Run) {
        self.each(run, &[Fault::Deaf, Fault::Cut, Fault::Crashed, Fault::Silent]).await;
    }

    /// On nodes at random.
    async fn each(&self, run: &Run, faults: &[Fault]) {
        let mut dice = Dice::new();
        for fault in faults {
            self.commit(run, *fault, &mut dice).await;
            tokio::time::sleep(dice.ms(50, 300)).await;
        }
    }

    pub async fn commit(&self, run: &Run, fault: Fault, dice: &mut Dice) {
        self.0[fault as usize].fetch_add(1, Ordering::Relaxed);
        let (fleet, node) = (&run.fleet, dice.roll(NODES));
        // Longer than some leases and shorter than others: some nodes answer all the while, and go on under their row. Whoever
        // waits for a receipt has a little more patience than a lease lasts.
        let long = dice.ms(2_300, 5_000);
        match fault {
            Fault::Paused => {
                fleet.signal(node, SIGSTOP);
                tokio::time::sleep(long).await;
                fleet.signal(node, SIGCONT);
            }
            Fault::Killed => {
                fleet.kill(node).await;
                tokio::time::sleep(dice.ms(0, 1_500)).await;
                fleet.run_node(node).await;
            }
            Fault::Cut | Fault::Silent => {
                let state = if fault == Fault::Cut { State::Cut } else { State::Silent };
                fleet.lines[node].set(state);
                let from = run.now();
                tokio::time::sleep(long).await;
                run.note_away(Some(node), from, run.now());
                fleet.lines[node].set(State::Open);
            }
            Fault::Deaf => {
                // A node that has just started may not listen yet.
                while fleet.deafen().await == 0 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            Fault::Stopped | Fault::Crashed => {
                fleet.stop_postgres(fault == Fault::Crashed).await;
                let from = run.now();
                if fault == Fault::Stopped {
                    tokio::time::sleep(LEASES[NODES - 1] + dice.ms(300, 1_300)).await;
                }
                run.note_away(None, from, run.now());
                fleet.start_postgres().await;
            }
        }
    }
}
