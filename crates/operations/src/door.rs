//! The bus of a command of operators that sends commands: they are decided where the shop's are, by the holder of the seat. Without a
//! running shop they are decided here.

use daybook_bus::{Bus, BusSettings, CLOCK_LIMIT, Clock};
use daybook_command_api::forward::Forwarder;
use daybook_event_store::{Daybook, Seat};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

/// A part in the seat, and the end of the bus. The part is needed as long as the bus is used.
pub(crate) struct Door {
    stopped: JoinHandle<()>,
    _seat: Seat,
    _compared: AbortOnDropHandle<()>,
}

/// Opens the bus on a book.
pub(crate) async fn open(book: Daybook) -> (Bus, Door) {
    let seat = Seat::start(book.clone(), None).await;
    let clock = Clock::system().within(CLOCK_LIMIT);
    if let Err(error) = clock.compare(&book).await {
        tracing::debug!(%error, "the clock was not compared with the database's");
    }
    let (bus, stopped) = Bus::start(book.clone(), clock.clone(), &BusSettings::default());
    let compared = AbortOnDropHandle::new(tokio::spawn(async move { clock.keep_compared(&book).await }));
    (bus.with_elsewhere(Forwarder::new(seat.holder())), Door { stopped, _seat: seat, _compared: compared })
}

impl Door {
    /// Waits until every command is answered, after the last handle of the bus is dropped.
    ///
    /// # Errors
    /// When the bus has panicked.
    pub(crate) async fn closed(self) -> anyhow::Result<()> {
        Ok(self.stopped.await?)
    }
}
