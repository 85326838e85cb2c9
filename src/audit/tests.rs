//! The queue, the thread and the files together, without a server.

use super::*;
