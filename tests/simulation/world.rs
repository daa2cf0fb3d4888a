//! Machines, the tasks that run on them, and what befalls both. One step is one poll of one task, one statement
//! executed by a server, or a moment that passes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use symbolon::domain::identifier::GrantId;
use symbolon::domain::position::ChangeNumber;

use crate::Shared;
use crate::checker::Grant;
use crate::process::Process;
use crate::request::client;
use crate::server::Fate;
use crate::time::{LEASE, MachineClock};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Commits,
    Lease,
    Witness,
    Link,
    Request,
    Change,
}

/// Set where a task can go on.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task {
    machine: usize,
    kind: Kind,
    /// It is not polled before this true time, while everything else goes on.
    stalled: u64,
    woken: Arc<Woken>,
    /// When it wants to be polled even if nobody has woken it; zero is never.
    alarm: u64,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
}

pub struct Machine {
    pub clock: MachineClock,
    /// Operators may give each replica another one.
    pub lease: Duration,
    /// Whether it is a replica, or a command line.
    pub is_replica: bool,
    pub process: Option<Arc<Process>>,
    /// Nothing on it runs before this true time.
    frozen: u64,
    cut_off: u64,
    /// What its workers published last: positions never go back.
    position: ChangeNumber,
}

pub struct World {
    pub shared: Arc<Shared>,
    pub machines: Vec<Machine>,
    tasks: Vec<Task>,
    /// The share of statements that are lost, or whose answer is, in percent.
    pub losses: u64,
    pub steps: u64,
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl World {
    /// A few replicas and one command line, all serving nothing yet; some grants exist.
    pub fn new(shared: Shared) -> Self {
        let shared = Arc::new(shared);
        let rng = Arc::clone(&shared.rng);
        let replicas = 2 + rng.index(2);
        let machine = |number| Machine {
            clock: MachineClock {
                time: Arc::clone(&shared.time),
                per_mille: [950, 1050, 1000, 975][rng.index(4)],
                booted: Duration::from_secs(rng.below(1000)),
                skew: i64::try_from(rng.below(4000)).unwrap_or(0) - 2000,
                rng: Arc::clone(&rng),
            },
            lease: if rng.percent(80) { LEASE } else { LEASE * 3 / 5 },
            is_replica: number < replicas,
            process: None,
            frozen: 0,
            cut_off: 0,
            position: ChangeNumber::ZERO,
        };
        let machines = (0..=replicas).map(machine).collect();
        shared.sql.state().ends_the_idle = rng.percent(70);
        for number in 0..4 {
            let id = GrantId::from_bytes([u8::try_from(40 * number).unwrap_or(0); 12]);
            shared.store.state().insert(id);
            let justified = ChangeNumber::ZERO;
            let grant = Grant { id, client: client(number), born: justified, justified };
            shared.checker.handed_out(0, &grant);
        }
        let mut world = Self { shared, machines, tasks: Vec::new(), losses: 0, steps: 0 };
        for machine in 0..world.machines.len() {
            world.start(machine);
        }
        world
    }

    pub fn now(&self) -> u64 {
        self.shared.time.micros()
    }

    pub fn replicas(&self) -> std::ops::Range<usize> {
        0..self.machines.len() - 1
    }

    pub fn command_line(&self) -> usize {
        self.machines.len() - 1
    }

    pub fn spawn(&mut self, machine: usize, kind: Kind, task: impl Future<Output = ()> + Send + 'static) {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        self.tasks.push(Task { machine, kind, stalled: 0, woken, alarm: 0, future: Box::pin(task) });
    }

    pub fn start(&mut self, machine: usize) {
        let (process, commits) = Process::start(
            &self.shared,
            machine,
            &self.machines[machine].clock,
            self.machines[machine].lease,
        );
        self.spawn(machine, Kind::Commits, commits);
        if self.machines[machine].is_replica {
            self.spawn(machine, Kind::Lease, Arc::clone(&process).keep_the_lease());
            self.spawn(machine, Kind::Witness, Arc::clone(&process).keep_the_witness());
            self.spawn(machine, Kind::Link, Arc::clone(&process).keep_the_link());
        }
        self.machines[machine].position = ChangeNumber::ZERO;
        self.machines[machine].process = Some(process);
    }

    /// The process dies: every task is dropped where it stands.
    pub fn kill(&mut self, machine: usize) {
        self.shared.note(|| format!("machine {machine} is killed"));
        let rng = Arc::clone(&self.shared.rng);
        self.shared.sql.settle(machine, || Fate::of_the_broken(&rng));
        self.shared.store.settle(machine, || Fate::of_the_broken(&rng));
        self.tasks.retain(|task| task.machine != machine);
        self.machines[machine].process = None;
        self.shared.sql.state().hang_up(machine);
    }

    pub fn freeze(&mut self, machine: usize, time: Duration) {
        self.shared.note(|| format!("machine {machine} is frozen for {time:?}"));
        self.machines[machine].frozen = self.now() + micros(time);
    }

    pub fn stall(&mut self, machine: usize, kind: Kind, time: Duration) {
        self.shared.note(|| format!("machine {machine}: {kind:?} is stalled for {time:?}"));
        let end = self.now() + micros(time);
        let of_it = |task: &&mut Task| task.machine == machine && task.kind == kind;
        self.tasks.iter_mut().filter(of_it).for_each(|task| task.stalled = end);
    }

    pub fn cut_off(&mut self, machine: usize, time: Duration) {
        self.shared.note(|| format!("machine {machine} is cut off from SQL for {time:?}"));
        self.machines[machine].cut_off = self.now() + micros(time);
        self.shared.sql.cut_off(machine, &self.shared.rng);
        self.shared.sql.state().hang_up(machine);
    }

    pub fn leave(&mut self, machine: usize) {
        if let Some(process) = &self.machines[machine].process {
            self.shared.note(|| format!("machine {machine} is asked to leave"));
            process.leaving.store(true, Ordering::Relaxed);
        }
    }

    pub fn crash_sql(&mut self) {
        self.shared.note(|| "SQL crashes".to_owned());
        let rng = Arc::clone(&self.shared.rng);
        for machine in 0..self.machines.len() {
            self.shared.sql.settle(machine, || Fate::of_the_broken(&rng));
        }
        self.shared.sql.state().crash();
    }

    /// No more faults: everything is thawed, connected and running.
    pub fn heal(&mut self) {
        self.losses = 0;
        for task in &mut self.tasks {
            task.stalled = 0;
        }
        for machine in 0..self.machines.len() {
            self.machines[machine].frozen = 0;
            self.shared.sql.reconnect(machine);
        }
    }

    pub fn pass(&mut self, time: Duration) {
        self.shared.time.pass(time);
        let now = self.now();
        self.shared.sql.state().now = now;
        self.shared.store.state().now = now;
        for (number, machine) in self.machines.iter_mut().enumerate() {
            if machine.cut_off != 0 && machine.cut_off <= now {
                machine.cut_off = 0;
                self.shared.sql.reconnect(number);
            }
        }
    }

    /// One step, whose kind chance decides.
    pub fn step(&mut self) {
        self.steps += 1;
        let rng = Arc::clone(&self.shared.rng);
        let went_on = match rng.below(100) {
            0..55 => self.poll_one(),
            55..75 => self.sql_step(),
            75..90 => self.store_step(),
            90..99 => false,
            _ => {
                self.pass(LEASE / 30);
                true
            }
        };
        if !went_on {
            self.pass(Duration::from_micros(rng.below(3000)));
        }
    }

    fn sql_step(&mut self) -> bool {
        let Some((machine, what, fate)) = self.shared.sql.step(&self.shared.rng, self.losses) else {
            return false;
        };
        self.shared.note(|| format!("SQL: {what} of machine {machine}: {fate:?}"));
        true
    }

    fn store_step(&mut self) -> bool {
        let Some((machine, what, fate)) = self.shared.store.step(&self.shared.rng, self.losses) else {
            return false;
        };
        self.shared.note(|| format!("store: {what} of machine {machine}: {fate:?}"));
        true
    }

    fn poll_one(&mut self) -> bool {
        let now = self.now();
        let runs = |task: &Task| {
            let asked = task.woken.0.load(Ordering::Relaxed) || task.alarm != 0 && task.alarm <= now;
            asked && task.stalled <= now && self.machines[task.machine].frozen <= now
        };
        let Some(chosen) = self.choose(runs) else { return false };
        let task = &mut self.tasks[chosen];
        let (machine, kind) = (task.machine, task.kind);
        task.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&task.woken));
        let ended = task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        task.alarm = self.shared.time.take_alarm();
        if ended {
            drop(self.tasks.swap_remove(chosen));
            if kind == Kind::Lease {
                // It has left, and its process ends.
                self.kill(machine);
            }
        }
        self.check_position(machine);
        true
    }

    fn choose(&self, runs: impl Fn(&Task) -> bool) -> Option<usize> {
        // Any that runs, from a random place on: far cheaper than a list of all.
        let len = self.tasks.len();
        let from = self.shared.rng.index(len);
        (0..len).map(|offset| (from + offset) % len).find(|&at| runs(&self.tasks[at]))
    }

    fn check_position(&mut self, number: usize) {
        let machine = &mut self.machines[number];
        let newest = machine.process.as_ref().and_then(|process| process.published.newest());
        let Some(newest) = newest else { return };
        let position = newest.position.number;
        if position < machine.position {
            let from = machine.position;
            self.shared.checker.violated(format!("machine {number} went back from {from} to {position}"));
        }
        machine.position = position;
    }

    /// Whether any task of this kind is still there.
    pub fn has(&self, kind: Kind) -> bool {
        self.tasks.iter().any(|task| task.kind == kind)
    }

    /// Runs until it is so.
    ///
    /// # Errors
    /// A violation; or that it did not become so.
    pub fn run_until(&mut self, what: &str, so: impl Fn(&Self) -> bool) -> Result<(), String> {
        for _ in 0..40_000 {
            if let Some(violation) = self.shared.checker.violation() {
                return Err(violation);
            }
            if so(self) {
                return Ok(());
            }
            self.step();
        }
        Err(format!("stuck: {what} did not happen"))
    }

    pub fn run_for(&mut self, time: Duration) -> Result<(), String> {
        let end = self.now() + micros(time);
        self.run_until("the end of that time", |world| world.now() >= end)
    }

    pub fn serves(&self, machine: usize) -> bool {
        let process = self.machines[machine].process.as_ref();
        process.is_some_and(|process| process.serves() && !process.leaving.load(Ordering::Relaxed))
    }

    pub fn all_serve_at_the_head(&self) -> bool {
        let head = self.shared.sql.state().position();
        self.replicas().all(|machine| {
            let process = self.machines[machine].process.as_ref();
            let newest = process.and_then(|process| process.published.newest());
            self.serves(machine) && newest.is_some_and(|newest| newest.position == head)
        })
    }
}
