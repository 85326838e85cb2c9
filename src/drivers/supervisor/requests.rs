//! Write requests that wait, in the order of their arrival.
//!
//! One that was taken may be put back: it was checked against plans that the link does not follow yet.

use tokio::sync::mpsc;

use crate::tags::WriteRequest;

pub(super) struct Requests {
    /// The request that was put back; it comes before the others.
    first: Option<WriteRequest>,
    receiver: mpsc::Receiver<WriteRequest>,
}

impl Requests {
    pub(super) fn new(receiver: mpsc::Receiver<WriteRequest>) -> Requests {
        Requests { first: None, receiver }
    }

    pub(super) fn next_now(&mut self) -> Option<WriteRequest> {
        self.first.take().or_else(|| self.receiver.try_recv().ok())
    }

    /// Waits for the next request; `None` when there will be no more. No request is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Option<WriteRequest> {
        match self.first.take() {
            Some(request) => Some(request),
            None => self.receiver.recv().await,
        }
    }

    /// Makes the request that was taken last the next one again.
    pub(super) fn put_back(&mut self, request: WriteRequest) {
        self.first = Some(request);
    }

    /// Takes no more requests; those that wait stay.
    pub(super) fn close(&mut self) {
        self.receiver.close();
    }
}
