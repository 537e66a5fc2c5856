//! The promises that hold whatever the threads do.

mod bursts;
mod changes;
mod forgetting;
mod neighbours;
mod notices;
mod probes;
mod ready;
mod reopening;
mod waiting;
