//! The seat of the simulation: which process decides, as each process knows it. Processes learn of a new holder at different times. So
//! sometimes two decide, and sometimes a process forwards to one that has just lost the seat.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use daybook_bus::{Bus, Elsewhere, Forwarded, Runtime, Submission};
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::{network::Network, scheduler::Process};
use crate::nemesis::random::Random;

/// How long a process waits for an answer, in microseconds.
const SILENCE: u64 = 50_000;
/// How long a process waits for a holder.
const PATIENCE: Duration = Duration::from_micros(500);

/// A process that decides the commands that it gets.
struct Member {
    process: Process,
    bus: Bus,
}

/// The seat.
pub struct Seat {
    network: Arc<Network>,
    members: Mutex<Vec<Option<Member>>>,
    /// The holder, as each process knows it.
    known: Mutex<Vec<Option<usize>>>,
    /// How many forwarded commands were answered, and how many were not.
    counts: Mutex<(u64, u64)>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seat {
    /// A seat for so many processes, which the first one holds.
    #[must_use]
    pub fn new(network: Arc<Network>, processes: usize) -> Arc<Self> {
        let members = (0..processes).map(|_| None).collect();
        Arc::new(Self {
            network,
            members: Mutex::new(members),
            known: Mutex::new(vec![Some(0); processes]),
            counts: Mutex::default(),
        })
    }

    /// The bus of a new process, which takes part.
    #[must_use]
    pub fn join(self: &Arc<Self>, nr: usize, process: &Process, bus: Bus) -> Bus {
        lock(&self.members)[nr] = Some(Member { process: process.clone(), bus: bus.clone() });
        bus.with_elsewhere(Arc::new(Way { nr, process: process.clone(), seat: Arc::clone(self) }))
    }

    /// A process has ended.
    pub fn leave(&self, nr: usize) {
        lock(&self.members)[nr] = None;
    }

    /// Gives the seat to a process, or to none. The others learn of it one by one.
    pub fn give(self: &Arc<Self>, holder: Option<usize>, process: &Process, random: &mut Random) {
        process.log(|| format!("the seat goes to {holder:?}"));
        for nr in 0..lock(&self.known).len() {
            let (seat, learns) = (Arc::clone(self), process.clone());
            let delay = Duration::from_micros(random.between(0, 6_000));
            drop(process.spawn(async move {
                learns.sleep(delay).await;
                lock(&seat.known)[nr] = holder;
            }));
        }
    }

    /// How many forwarded commands were answered, and how many were not.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        *lock(&self.counts)
    }

    /// Ends it, so that the buses can stop.
    pub fn close(&self) {
        lock(&self.members).fill_with(|| None);
    }
}

/// The way of one process to the holder.
struct Way {
    nr: usize,
    process: Process,
    seat: Arc<Seat>,
}

impl Way {
    fn holder(&self) -> Option<usize> {
        lock(&self.seat.known)[self.nr]
    }

    async fn send(&self, submission: &Submission, is_patient: bool) -> Forwarded {
        if self.holder().is_none() {
            self.process.sleep(PATIENCE).await;
        }
        let Some(holder) = self.holder().filter(|holder| *holder != self.nr) else { return Forwarded::NotSent };
        let member =
            lock(&self.seat.members)[holder].as_ref().map(|member| (member.process.clone(), member.bus.clone()));
        let (Some((there, bus)), Some(delivery)) = (member, self.seat.network.draw_delivery()) else {
            return Forwarded::NotSent;
        };
        let (reply, answer) = oneshot::channel();
        let (submission, id) = (submission.clone(), submission.command_id);
        self.process.log(|| format!("forwards {id} to {there:?}"));
        drop(there.clone().spawn(async move {
            there.sleep(delivery.request_delay).await;
            if !delivery.request_arrives {
                return;
            }
            let answer = bus.answer_here(submission, is_patient).await;
            there.sleep(delivery.response_delay).await;
            if delivery.response_arrives {
                // The sender may have stopped waiting.
                reply.send(answer).ok();
            }
        }));
        let silence = delivery.cut_after.unwrap_or(Duration::from_micros(SILENCE));
        let answer = self.process.within(silence, answer).await;
        let mut counts = lock(&self.seat.counts);
        match answer {
            Some(Ok(answer)) => {
                counts.0 += 1;
                Forwarded::Answered(answer)
            }
            Some(Err(_)) | None => {
                counts.1 += 1;
                Forwarded::Unanswered
            }
        }
    }
}

impl Elsewhere for Way {
    fn is_here(&self) -> bool {
        self.holder() == Some(self.nr)
    }

    fn forward<'f>(&'f self, submission: &'f Submission, is_patient: bool) -> BoxFuture<'f, Forwarded> {
        Box::pin(self.send(submission, is_patient))
    }
}
