//! The engine of reactions: what a reactor is, how its reactions are kept, and how they are sent.
//!
//! A reactor is a consumer of the stream, as a view is. Its [effect] writes [rows](queue) in the transaction of its checkpoint, so no
//! event is forgotten and a repeated one changes nothing. A [worker] claims due rows and sends their commands. A command that was
//! accepted or refused is done. One that failed is tried again, with the same id, so it is done once.
//!
//! What belongs here: everything that is the same for all reactors. What does not: what is done after which event, which is a file in
//! the folder of its slice.

mod effect;
pub mod queue;
pub mod reactor;
pub mod runner;
mod wake;
mod worker;

pub use self::worker::{OVERDUE_AFTER, ReactorSettings};
