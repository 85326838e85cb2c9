//! A link whose device sends by itself: what the driver feeds, with writes between.

use super::state::Listened;
use super::{Stopped, Supervisor};
use crate::drivers::contract::LinkError;
use crate::drivers::link::Way;

impl Supervisor {
    /// Takes what the driver feeds and writes what clients want, until the link fails.
    pub(super) async fn listen(&mut self) -> Result<LinkError, Stopped> {
        loop {
            if self.state.is_stopped() {
                return Err(Stopped);
            }
            if let Some(error) = self.waiting_write().await? {
                return Ok(error);
            }
            let Way::Push { push, .. } = &mut self.way else { unreachable!("only pushing drivers are listened to") };
            let feed = self.state.feed.clone();
            let listened = self.state.listen(push.run(&feed)).await?;
            self.state.remark(push.remark());
            match listened {
                Listened::Write(request) => {
                    if let Some(error) = self.write(request).await? {
                        return Ok(error);
                    }
                }
                Listened::Ended(error) => {
                    self.state.take_fed();
                    return Ok(error);
                }
            }
        }
    }
}
