//! Who reads the log of a server.

use parking_lot::Mutex;
use serde_json::value::RawValue;

use crate::{log::LogMessage, queue::Writer};

/// The readers of one server's log; none once its session has ended.
pub(crate) struct LogBook(Mutex<Option<Vec<Writer<LogMessage>>>>);

impl Default for LogBook {
    fn default() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }
}

impl LogBook {
    pub(crate) fn add(&self, reader: Writer<LogMessage>) {
        let mut book = self.0.lock();
        if let Some(readers) = book.as_mut() {
            return readers.push(reader);
        }
        // Its end wakes whoever reads, which is foreign code.
        drop(book);
        drop(reader);
    }

    pub(super) fn tell(&self, params: Option<&RawValue>) {
        let mut book = self.0.lock();
        let Some(readers) = book.as_mut().filter(|readers| !readers.is_empty()) else { return };
        readers.retain(|reader| !reader.is_deaf());
        let readers = readers.clone();
        drop(book);
        if let Some(message) = params.and_then(LogMessage::read) {
            for reader in &readers {
                reader.send(message.clone());
            }
        }
    }

    pub(super) fn close(&self) {
        let readers = self.0.lock().take();
        drop(readers);
    }
}
