//! Compares concurrent maps at what the table of upstreams asks of one: look-ups
//! by many threads, mostly misses, of names that are in trouble; rare writes.

use std::hash::BuildHasher;
use std::hint::black_box;
use std::sync::{PoisonError, RwLock};

use foldhash::fast::RandomState;
use tower_retry_after::Upstream;
use tower_retry_after_benches::pace::{self, BATCH, Maker, Work};
use tower_retry_after_benches::{OTHERS, host, upstream};

const MILLION: usize = 1_000_000;

/// A concurrent map, as far as the table needs one.
trait Map: Default + Sync {
    const NAME: &str;
    fn insert(&self, key: Upstream, value: u64);
    fn read(&self, key: &Upstream) -> Option<u64>;
}

type Papaya = papaya::HashMap<Upstream, u64, RandomState>;

impl Map for Papaya {
    const NAME: &str = "papaya";

    fn insert(&self, key: Upstream, value: u64) {
        self.pin().insert(key, value);
    }

    fn read(&self, key: &Upstream) -> Option<u64> {
        self.pin().get(key).copied()
    }
}

type Scc = scc::HashIndex<Upstream, u64, RandomState>;

impl Map for Scc {
    const NAME: &str = "scc::HashIndex";

    fn insert(&self, key: Upstream, value: u64) {
        drop(self.insert_sync(key, value));
    }

    fn read(&self, key: &Upstream) -> Option<u64> {
        self.peek_with(key, |_, value| *value)
    }
}

type Dash = dashmap::DashMap<Upstream, u64, RandomState>;

impl Map for Dash {
    const NAME: &str = "dashmap";

    fn insert(&self, key: Upstream, value: u64) {
        self.insert(key, value);
    }

    fn read(&self, key: &Upstream) -> Option<u64> {
        self.get(key).map(|value| *value)
    }
}

type Shard = RwLock<hashbrown::HashMap<Upstream, u64, RandomState>>;

/// As many shards as dashmap has on eight cores.
#[derive(Default)]
struct Sharded {
    hash: RandomState,
    shards: [Shard; 32],
}

impl Sharded {
    fn shard(&self, key: &Upstream) -> &Shard {
        let hash = self.hash.hash_one(key);
        // The upper bits: the shard's own map places by the lower ones.
        &self.shards[(hash >> 48) as usize % self.shards.len()]
    }
}

impl Map for Sharded {
    const NAME: &str = "sharded hashbrown";

    fn insert(&self, key: Upstream, value: u64) {
        let mut shard = self.shard(&key).write().unwrap_or_else(PoisonError::into_inner);
        shard.insert(key, value);
    }

    fn read(&self, key: &Upstream) -> Option<u64> {
        let shard = self.shard(key).read().unwrap_or_else(PoisonError::into_inner);
        shard.get(key).copied()
    }
}

fn main() {
    println!("ns and 2 threads: of {OTHERS} names; bytes: of a million");
    println!("map                hit ns  miss ns  2 threads, one key hit  bytes each");
    compare::<Papaya>();
    compare::<Scc>();
    compare::<Dash>();
    compare::<Sharded>();
}

fn compare<M: Map>() {
    let map = filled::<M>(OTHERS);
    let makers = [reads(&map, 0, BATCH), reads(&map, OTHERS, BATCH), reads(&map, 0, 1)];
    let paces = pace::measure(&makers).unwrap_or_default();
    let [hit, miss, one] = paces.as_slice() else {
        println!("{:<18} NOT MEASURED: two threads did not get two cores", M::NAME);
        return;
    };
    let (hit, miss, scaling) = (hit.nanos(), miss.nanos(), one.scaling());

    let mut large = M::default();
    let allocated = allocation_counter::measure(|| large = filled::<M>(MILLION));
    let bytes = allocated.bytes_current as f64 / MILLION as f64;
    println!("{:<18} {hit:>6.1}   {miss:>6.1}  {scaling:>22.2}  {bytes:>10.0}", M::NAME);
}

fn filled<M: Map>(names: usize) -> M {
    let map = M::default();
    for n in 0..names {
        map.insert(upstream(&host(n)), n as u64);
    }
    map
}

/// Makes look-ups of so many names, the first of which has that number.
fn reads<M: Map>(map: &M, first: usize, names: usize) -> Maker<'_> {
    Box::new(move || -> Work<'_> {
        let keys: Vec<Upstream> = (first..first + names).map(|n| upstream(&host(n))).collect();
        Box::new(move || {
            for key in keys.iter().cycle().take(BATCH) {
                black_box(map.read(key));
            }
        })
    })
}
