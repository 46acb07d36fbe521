//! What happened, and whether it may have: a history of calls and changes on one monotonic clock, and its judge.
//!
//! Of a call and of a change only the two ends are known. The judge calls wrong only what no order of the moments in
//! between can explain.

use std::{ops::Range, time::Duration};

use super::fleet::LEASES;

/// What can keep a key out. A change closes or opens one of them, for some keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Revoked,
    Disabled,
    Suspended,
    /// The scope that some calls ask for.
    Scope,
}

impl Gate {
    pub const ALL: [Self; 4] = [Self::Revoked, Self::Disabled, Self::Suspended, Self::Scope];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Accepted,
    Refused(Gate),
    Unavailable,
    /// No answer.
    Lost,
}

#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub key: usize,
    pub node: usize,
    /// Whether it asked for the scope.
    pub scoped: bool,
    pub invoked: Duration,
    pub returned: Duration,
    pub answer: Answer,
}

#[derive(Clone, Debug)]
pub struct Change {
    pub gate: Gate,
    pub keys: Range<usize>,
    pub closes: bool,
    pub begun: Duration,
    /// When it was acknowledged: a closing one with its receipt. `None`: it was not, and may still take effect.
    pub ended: Option<Duration>,
}

impl Change {
    /// Whether it can have taken effect after `from` and before `until`.
    fn within(&self, from: Duration, until: Duration) -> bool {
        self.ended.is_none_or(|ended| ended > from) && self.begun < until
    }
}

/// A time in which a node (`None`: every node) could hear nothing from Postgres.
#[derive(Clone, Copy, Debug)]
pub struct Away {
    pub node: Option<usize>,
    pub from: Duration,
    pub until: Duration,
}

#[derive(Default)]
pub struct History {
    pub calls: Vec<Call>,
    pub changes: Vec<Change>,
    pub aways: Vec<Away>,
}

#[derive(Debug)]
pub enum Wrong {
    /// Accepted, though sent after the change was acknowledged, and nothing has opened the gate again.
    Acknowledged(Call, Change),
    /// Accepted, though sent after the same node had refused for a change that nothing has taken back.
    Flapped(Call, Call),
    /// Refused, though nothing has closed the gate since before the last lease.
    Unfounded(Call),
    /// Answered, though sent when the last lease was over.
    Leaseless(Call, Away),
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Acknowledged(call, change) => write!(f, "accepted after the receipt: {call:?} after {change:?}"),
            Self::Flapped(call, refusal) => write!(f, "accepted after it was refused: {call:?} after {refusal:?}"),
            Self::Unfounded(call) => write!(f, "refused for no reason: {call:?}"),
            Self::Leaseless(call, away) => write!(f, "answered without a lease: {call:?} in {away:?}"),
        }
    }
}

impl History {
    pub fn count(&self, answer: impl Fn(Answer) -> bool) -> usize {
        self.calls.iter().filter(|call| answer(call.answer)).count()
    }

    pub fn judge(&self) -> Vec<Wrong> {
        let mut wrongs = Vec::new();
        let keys = self.calls.iter().map(|call| call.key + 1).max().unwrap_or(0);
        let mut by_key = vec![Vec::new(); keys];
        for call in &self.calls {
            by_key[call.key].push(*call);
        }
        for (key, calls) in by_key.iter().enumerate() {
            for gate in Gate::ALL {
                let (closings, openings): (Vec<&Change>, Vec<&Change>) = self
                    .changes
                    .iter()
                    .filter(|change| change.gate == gate && change.keys.contains(&key))
                    .partition(|change| change.closes);
                let of_gate = |call: &Call| call.scoped || gate != Gate::Scope;
                for call in calls.iter().filter(|call| of_gate(call)) {
                    match call.answer {
                        Answer::Accepted => wrongs.extend(acknowledged(call, &closings, &openings)),
                        Answer::Refused(because) if because == gate => {
                            wrongs.extend(unfounded(call, &closings, &openings));
                        }
                        _ => {}
                    }
                }
                let nodes = calls.iter().map(|call| call.node + 1).max().unwrap_or(0);
                for node in 0..nodes {
                    let of_node = calls.iter().filter(|call| call.node == node && of_gate(call));
                    wrongs.extend(flapped(of_node.copied().collect(), gate, &openings));
                }
            }
            wrongs.extend(calls.iter().filter_map(|call| self.leaseless(call)));
        }
        wrongs
    }

    fn leaseless(&self, call: &Call) -> Option<Wrong> {
        if !matches!(call.answer, Answer::Accepted | Answer::Refused(_)) {
            return None;
        }
        let over = |away: &&Away| {
            away.node.is_none_or(|node| node == call.node)
                && call.invoked > away.from + LEASES[call.node]
                && call.returned < away.until
        };
        Some(Wrong::Leaseless(*call, *self.aways.iter().find(over)?))
    }
}

fn acknowledged(call: &Call, closings: &[&Change], openings: &[&Change]) -> Option<Wrong> {
    let against = closings.iter().find(|closing| {
        closing.ended.is_some_and(|ended| ended < call.invoked)
            && !openings.iter().any(|opening| opening.within(closing.begun, call.returned))
    });
    Some(Wrong::Acknowledged(*call, (**against?).clone()))
}

/// A node that answers has seen every change that ended its lease before. In the beginning every gate is open.
fn unfounded(call: &Call, closings: &[&Change], openings: &[&Change]) -> Option<Wrong> {
    let seen = |opening: &&&Change| opening.ended.is_some_and(|ended| ended + LEASES[call.node] < call.invoked);
    let opened = openings.iter().filter(seen).map(|opening| opening.begun).max().unwrap_or_default();
    let founded = closings.iter().any(|closing| closing.within(opened, call.returned));
    (!founded).then_some(Wrong::Unfounded(*call))
}

/// One node's calls of one key. A refusal tells how it was a lease before the refused call, or later; an accepted call that
/// was sent after the refusal tells how it was later still.
fn flapped(mut calls: Vec<Call>, gate: Gate, openings: &[&Change]) -> Vec<Wrong> {
    let mut refusals: Vec<Call> = calls.iter().filter(|call| call.answer == Answer::Refused(gate)).copied().collect();
    refusals.sort_by_key(|call| call.returned);
    calls.retain(|call| call.answer == Answer::Accepted);
    calls.sort_by_key(|call| call.invoked);
    let (mut wrongs, mut refusals, mut last) = (Vec::new(), refusals.into_iter().peekable(), None::<Call>);
    for call in calls {
        while let Some(refusal) = refusals.next_if(|refusal| refusal.returned < call.invoked) {
            // The one that was sent last leaves the least room for an excuse.
            last = last.filter(|last| last.invoked > refusal.invoked).or(Some(refusal));
        }
        if let Some(refusal) = last
            && !openings
                .iter()
                .any(|opening| opening.within(refusal.invoked.saturating_sub(LEASES[call.node]), call.returned))
        {
            wrongs.push(Wrong::Flapped(call, refusal));
        }
    }
    wrongs
}

/// Hand-made histories of one key on one node; times in milliseconds.
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn call(invoked: u64, returned: u64, answer: Answer) -> Call {
        Call { key: 0, node: 0, scoped: true, invoked: ms(invoked), returned: ms(returned), answer }
    }

    fn change(closes: bool, begun: u64, ended: Option<u64>) -> Change {
        Change { gate: Gate::Disabled, keys: 0..1, closes, begun: ms(begun), ended: ended.map(ms) }
    }

    fn judged(calls: &[Call], changes: &[Change]) -> Vec<Wrong> {
        History { calls: calls.to_vec(), changes: changes.to_vec(), aways: Vec::new() }.judge()
    }

    const YES: Answer = Answer::Accepted;
    const NO: Answer = Answer::Refused(Gate::Disabled);

    #[test]
    fn what_is_sent_after_the_receipt_must_not_be_accepted() {
        let disabled = [change(true, 100, Some(200))];
        assert!(matches!(judged(&[call(201, 210, YES)], &disabled)[..], [Wrong::Acknowledged(..)]));
        assert!(judged(&[call(199, 900, YES)], &disabled).is_empty(), "sent before the receipt");
        assert!(judged(&[call(201, 210, YES)], &[change(true, 100, None)]).is_empty(), "never acknowledged");
        assert!(judged(&[call(201, 210, NO), call(220, 230, Answer::Unavailable)], &disabled).is_empty());
        let other = Call { key: 1, ..call(201, 210, YES) };
        assert!(judged(&[other], &disabled).is_empty(), "another key");
        let scope = [Change { gate: Gate::Scope, ..change(true, 100, Some(200)) }];
        assert!(judged(&[Call { scoped: false, ..call(201, 210, YES) }], &scope).is_empty(), "it did not ask for it");
        assert_eq!(judged(&[call(201, 210, YES)], &scope).len(), 1);
    }

    #[test]
    fn opening_excuses_from_when_it_was_begun_and_only_what_came_before_it() {
        let open = |begun, ended| [change(true, 100, Some(200)), change(false, begun, ended)];
        assert!(judged(&[call(310, 320, YES)], &open(300, Some(305))).is_empty());
        assert!(judged(&[call(250, 301, YES)], &open(300, Some(305))).is_empty(), "it may have been opened in between");
        assert_eq!(judged(&[call(250, 299, YES)], &open(300, Some(305))).len(), 1, "not begun yet");
        assert!(judged(&[call(250, 260, YES)], &open(150, None)).is_empty(), "it may have taken effect since");
        assert_eq!(judged(&[call(250, 260, YES)], &open(10, Some(99))).len(), 1, "it was before");
        let again = [change(true, 100, Some(200)), change(false, 300, Some(310)), change(true, 400, Some(500))];
        assert!(judged(&[call(450, 460, YES)], &again).is_empty());
        assert_eq!(judged(&[call(510, 520, YES)], &again).len(), 1);
    }

    #[test]
    fn a_node_that_has_refused_does_not_accept_again() {
        let unsure = [change(true, 100, None)];
        assert!(matches!(judged(&[call(110, 120, NO), call(121, 130, YES)], &unsure)[..], [Wrong::Flapped(..)]));
        assert!(judged(&[call(110, 120, YES), call(121, 130, NO)], &unsure).is_empty(), "it took effect late");
        assert!(judged(&[call(110, 120, NO), call(119, 130, YES)], &unsure).is_empty(), "both were under way");
        let elsewhere = Call { node: 1, ..call(121, 130, YES) };
        assert!(judged(&[call(110, 120, NO), elsewhere], &unsure).is_empty(), "another node may be behind");
        let opened = [change(true, 100, None), change(false, 125, Some(128))];
        assert!(judged(&[call(110, 120, NO), call(121, 130, YES)], &opened).is_empty());
        // The refusal may tell of before the opening, but no longer ago than a lease.
        let seen = [change(true, 100, None), change(false, 200, Some(210)), change(true, 220, None)];
        assert!(judged(&[call(2_200, 2_210, NO), call(2_220, 2_230, YES)], &seen).is_empty());
        assert_eq!(judged(&[call(2_211, 2_220, NO), call(2_230, 2_240, YES)], &seen).len(), 1);
    }

    #[test]
    fn a_refusal_has_a_reason_no_older_than_a_lease() {
        assert!(matches!(judged(&[call(10, 20, NO)], &[])[..], [Wrong::Unfounded(_)]));
        assert!(judged(&[call(10, 20, NO)], &[change(true, 15, None)]).is_empty());
        let opened = [change(true, 10, Some(20)), change(false, 30, Some(40))];
        assert!(judged(&[call(2_040, 2_050, NO)], &opened).is_empty());
        assert_eq!(judged(&[call(2_041, 2_050, NO)], &opened).len(), 1);
    }

    #[test]
    fn without_postgres_nothing_is_answered_longer_than_a_lease() {
        let away = |node| vec![Away { node, from: ms(100), until: ms(5_000) }];
        let judged = |call, aways| History { calls: vec![call], changes: Vec::new(), aways }.judge().len();
        assert_eq!(judged(call(2_101, 2_110, YES), away(None)), 1);
        assert_eq!(judged(call(2_101, 2_110, YES), away(Some(0))), 1);
        assert_eq!(judged(call(2_101, 2_110, YES), away(Some(1))), 0);
        assert_eq!(judged(call(2_100, 2_110, YES), away(None)), 0, "the lease may have lasted");
        assert_eq!(judged(call(2_101, 5_000, YES), away(None)), 0, "it may be back");
        assert_eq!(judged(call(2_101, 2_110, Answer::Unavailable), away(None)), 0);
    }
}
