//! The bus of a command of operators that sends commands: they are decided where the shop's are, by the holder of the seat. Without a
//! running shop they are decided here.

use daybook_bus::{Bus, BusSettings, Clock};
use daybook_command_api::forward::Forwarder;
use daybook_event_store::{Daybook, Seat};
use tokio::task::JoinHandle;

/// A part in the seat, and the end of the bus. The part is needed as long as the bus is used.
pub(crate) struct Door {
    stopped: JoinHandle<()>,
    _seat: Seat,
}

/// Opens the bus on a book.
pub(crate) async fn open(book: Daybook) -> (Bus, Door) {
    let seat = Seat::start(book.clone(), None).await;
    let (bus, stopped) = Bus::start(book, Clock::system(), &BusSettings::default());
    (bus.with_elsewhere(Forwarder::new(seat.holder())), Door { stopped, _seat: seat })
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
