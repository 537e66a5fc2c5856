//! The fleet's task: connects, goes on until something fails, leaves Redis alone for
//! a while, and connects again.

use std::sync::Arc;
use std::time::Duration;

use redis::ConnectionInfo;
use tokio::time::sleep;

use super::link::{Member, Stage};
use super::pace::Pace;
use super::server::{Failure, Keys, Server};
use super::session::{End, Known, Session, give_first};
use super::status::Status;
use crate::ambient;
use crate::cooldowns::{Cooldowns, WeakCooldowns};

/// How long a table must have been in step for the breaker to forget what was before.
///
/// A Redis that comes and goes is not to be asked as if it were well each time.
const WELL: Duration = Duration::from_secs(5);

/// A table in a fleet; leaves it when dropped.
pub(super) struct Driver {
    pub(super) member: Member,
    pub(super) table: WeakCooldowns,
    pub(super) at: ConnectionInfo,
    pub(super) keys: Keys,
    pub(super) me: Arc<str>,
    pub(super) status: Arc<Status>,
}

impl Driver {
    /// Keeps the table in step for as long as anybody else holds it.
    pub(super) async fn drive(self) {
        let mut pace = Pace::default();
        let mut known = Known::default();
        loop {
            let end = match self.connect().await {
                Ok((server, pushes)) => {
                    let (table, me) = (self.table.clone(), Arc::clone(&self.me));
                    let session = Session::new(table, &self.status, me, server, pushes, &mut known);
                    let (end, in_step) = session.run(self.member).await;
                    if in_step >= WELL {
                        pace.is_well();
                    }
                    end
                }
                Err(failure) => failure.into(),
            };
            let End::Trouble(trouble, why) = end else {
                return;
            };
            {
                let Some(table) = self.table.upgrade() else {
                    return;
                };
                table.link().enter(self.member, Stage::Away);
                stand_alone(&table);
            }
            self.status.lost(&why);
            sleep(pace.after(trouble, ambient::sample())).await;
        }
    }

    async fn connect(&self) -> Result<(Server, super::server::Pushes), Failure> {
        Server::connect(&self.at, self.keys.clone(), Arc::clone(&self.me)).await
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(table) = self.table.upgrade() {
            table.link().leave(self.member);
            stand_alone(&table);
        }
        self.status.left();
    }
}

/// Gives a table that is out of step the first places of upstreams that reopen.
///
/// In step it has none but those that the fleet gives; now nobody would give any.
fn stand_alone(table: &Cooldowns) {
    for (upstream, _) in table.known(table.moment_now()) {
        give_first(table, &upstream);
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use tower::{ServiceExt, service_fn};
    use tower_layer::Layer;

    use super::*;
    use crate::cooldown::{Cause, News, Told, Word};
    use crate::{Error, Reason, RetryAfterBackoffLayer, State, Upstream};

    #[tokio::test(start_paused = true)]
    async fn out_of_step_an_upstream_that_reopens_lets_calls_through_here_as_well() {
        let layer = RetryAfterBackoffLayer::new();
        let upstream = Upstream::from_uri(&"http://a.example".parse().unwrap());
        let table = layer.cooldowns();
        let client = layer.layer(service_fn(|_: Request<()>| async {
            Ok::<_, std::io::Error>(Response::new(()))
        }));
        let call = || client.clone().oneshot(Request::get("http://a.example").body(()).unwrap());
        table.hear(&upstream, |_, now| {
            let cause = Cause { rung: 1, status: None, hint: None };
            let standing = Told::Reopening;
            let news = News {
                standing,
                cause,
                began: now,
                ends: now,
                by_hand: false,
                outdates: true,
                is_echo: false,
            };
            Some(Word::Heard(news))
        });
        assert_eq!(table.get(&upstream).unwrap().state(), State::Reopening);
        let Err(Error::RateLimited(limited)) = call().await else { panic!("it has no places") };
        assert_eq!(limited.reason(), Reason::Reopening);

        stand_alone(&table);

        assert!(call().await.is_ok());
    }
}
