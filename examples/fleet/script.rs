//! What befalls the processes, and when.

use std::io;
use std::time::Duration;

use crate::server::Server;
use crate::show::Show;
use crate::team::Team;

/// One of the things that happen.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Scene {
    RedisKilled,
    RedisBack,
    WorkerKilled,
    WorkerBack,
}

const SCRIPT: [(Duration, Scene); 4] = [
    (Duration::from_secs(5), Scene::RedisKilled),
    (Duration::from_secs(9), Scene::RedisBack),
    (Duration::from_secs(12), Scene::WorkerKilled),
    (Duration::from_secs(14), Scene::WorkerBack),
];

/// How long the worker's return waits for a cooldown, of which it can learn then.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the script is.
pub(crate) struct Script {
    next: usize,
    /// The worker that is killed: the last.
    victim: usize,
    /// When Redis or the worker came back, while somebody is out of step.
    waits_since: Option<(Duration, Scene)>,
}

impl Script {
    pub(crate) fn begin(workers: usize) -> Self {
        Self { next: 0, victim: workers.saturating_sub(1), waits_since: None }
    }

    /// Plays what is due.
    pub(crate) async fn play(
        &mut self,
        now: Duration,
        teams: &mut [Team],
        mut redis: Option<&mut Server>,
        show: &mut Show,
    ) -> io::Result<()> {
        self.look(now, teams, show);
        let Some((at, scene)) = SCRIPT.get(self.next).filter(|(at, _)| now >= *at) else {
            return Ok(());
        };
        if *scene == Scene::WorkerBack && !is_cooling(teams) && now < at.saturating_add(PATIENCE) {
            return Ok(());
        }
        self.next = self.next.saturating_add(1);
        let name = self.victim.saturating_add(1);
        match (scene, redis.as_mut()) {
            (Scene::RedisKilled, Some(redis)) => {
                redis.kill()?;
                for team in teams.iter().filter(|team| team.is_fleet()) {
                    show.turn(now, team, true);
                }
                show.mark(now, "redis killed: each goes by its own table");
            }
            (Scene::RedisBack, Some(redis)) => {
                redis.revive().await?;
                show.mark(now, "redis back, and empty");
                self.waits_since = Some((now, Scene::RedisBack));
            }
            (Scene::RedisKilled | Scene::RedisBack, None) => {}
            (Scene::WorkerKilled, _) => {
                for team in teams {
                    team.kill(self.victim);
                }
                show.mark(now, &format!("worker {name} killed"));
            }
            (Scene::WorkerBack, _) => {
                for team in teams {
                    team.revive(self.victim)?;
                }
                show.mark(now, &format!("worker {name} back, and knows nothing"));
                self.waits_since = Some((now, Scene::WorkerBack));
            }
        }
        Ok(())
    }

    /// Tells when all are in step again.
    fn look(&mut self, now: Duration, teams: &[Team], show: &mut Show) {
        let Some((since, scene)) = self.waits_since else { return };
        let Some(team) = teams.iter().find(|team| team.is_fleet() && team.is_in_step()) else {
            return;
        };
        self.waits_since = None;
        show.turn(now, team, false);
        let after = now.saturating_sub(since).as_millis();
        let left = team.report(self.victim).unwrap_or_default().left.as_millis();
        let knows = match (scene, left) {
            (Scene::WorkerBack, 0) => ", nothing is cooling".to_owned(),
            (Scene::WorkerBack, left) => format!(", it knows of {left} ms to wait"),
            _ => String::new(),
        };
        show.mark(now, &format!("all in step, {after} ms later{knows}"));
    }
}

/// Returns whether there is a while to wait, as the first worker knows.
fn is_cooling(teams: &[Team]) -> bool {
    let report = teams.first().and_then(|team| team.report(0));
    report.is_some_and(|report| report.left > Duration::from_millis(500))
}
