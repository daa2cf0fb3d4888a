//! The simulation can fail: with any one of these rules broken, chance finds a violation, and soon. The other
//! rules guard against what chance brings about too seldom: for those see [`traps`](crate::traps) and
//! [`witness_traps`](crate::witness_traps).

use crate::broken::Broken;
use crate::chance::{Menu, run};

/// Finds a run in which the broken rule shows, within a bounded number of seeds.
fn found(broken: Broken, menu: Menu, seeds: u64) {
    for seed in 0..seeds {
        if let Err(violation) = run(seed, Some(broken), menu, false) {
            println!("{broken:?}, seed {seed}: {violation}");
            assert!(violation.contains("was acknowledged"), "another kind of violation");
            return;
        }
    }
    panic!("{seeds} runs did not show that {broken:?} matters");
}

macro_rules! found {
    ($($test:ident: $broken:ident, $menu:expr;)*) => {$(
        #[test]
        fn $test() {
            found(Broken::$broken, $menu, 2000);
        }
    )*};
}

const FEED: Menu = Menu { store_lies: false, ..Menu::ALL };

found! {
    applied_is_the_head: AppliedIsTheHead, FEED;
    rows_before_t0: RowsBeforeT0, FEED;
    publish_after_the_commit: PublishAfterTheCommit, FEED;
    delete_before_drain: DeleteBeforeDrain, FEED;
    counts_from_before_the_commit: CountsFromBeforeTheCommit, FEED;
    cached_snapshot: CachedSnapshot, FEED;
    cached_clock: CachedClock, FEED;
    deadline_outside_the_snapshot: DeadlineOutsideTheSnapshot, FEED;
    birth_after_the_fact: BirthAfterTheFact, FEED;
    birth_from_the_head: BirthFromTheHead, FEED;
    no_final_snapshot: NoFinalSnapshot, FEED;
}
