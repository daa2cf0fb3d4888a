//! A child process that cannot outlive the test, and that can be frozen together with its own children.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;
use std::{fs, mem};

use std::os::unix::process::CommandExt as _;

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use super::wait;

/// How long a process may take to die of a signal that it cannot refuse.
const DEATH: Duration = Duration::from_secs(10);

/// Waits at the other end of a pipe. A line on it means that the process was looked after; its end means that the
/// test process is gone (it finished with the server in a static, was killed, or crashed), so the process has to go
/// too, its children with it, and its directory.
const WATCHDOG: &str = r#"
trap '' HUP INT TERM
read -r _ && exit 0
process=$1 farewell=$2 directory=$3
children=$(for stat in /proc/[0-9]*/stat; do
    read -r pid _ _ parent _ <"$stat" && [ "$parent" = "$process" ] && echo "$pid"
done)
kill -CONT $process $children
kill -"$farewell" $process
left=20
while [ $left -gt 0 ] && read -r _ _ state _ </proc/$process/stat && [ "$state" != Z ]; do
    sleep 0.1
    left=$((left - 1))
done
kill -KILL $process $children
[ -z "$directory" ] || rm -rf -- "$directory"
"#;

/// How a process is told that it is no longer wanted.
#[derive(Clone, Copy, Debug)]
pub enum Farewell {
    /// Nothing outside its directory is lost by just ending it.
    Kill,
    /// PostgreSQL's immediate shutdown: like a crash, but it gives back what it holds from the kernel.
    Quit,
}

/// A running child.
pub struct Process {
    child: Child,
    watchdog: Child,
    /// Writing to it stands the watchdog down, dropping it wakes it up.
    leash: Option<ChildStdin>,
    ended: Option<ExitStatus>,
    farewell: Farewell,
}

impl Process {
    /// Starts `command`, in a process group of its own so that a Ctrl-C at the terminal reaches it only through us.
    /// `directory` is removed if the test process dies before it could do so itself.
    pub fn spawn(command: &mut Command, farewell: Farewell, directory: Option<&Path>) -> Self {
        let child = command
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", command.get_program().display()));
        let mut watchdog = watchdog(child.id(), farewell, directory, Stdio::piped());
        let leash = watchdog.stdin.take();
        Self { child, watchdog, leash, ended: None, farewell }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("a child of ours can be waited for");
        }
        self.ended
    }

    /// How it ended, if it does so within `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        wait::try_until(limit, || self.ended())
    }

    /// Sends a signal to the process alone.
    pub fn signal(&mut self, signal: Signal) {
        // Once it was waited for, its id may belong to somebody else.
        if self.ended().is_none() {
            send(self.child.id(), signal);
        }
    }

    /// Stops it and its children where they are; returns when all have stopped.
    pub fn freeze(&mut self) {
        // The parent first: a stopped parent has no further children.
        self.signal(Signal::STOP);
        wait_until_stopped(self.child.id());
        for child in self.children() {
            send(child, Signal::STOP);
            wait_until_stopped(child);
        }
    }

    /// Whether it was stopped where it is.
    pub fn is_frozen(&self) -> bool {
        matches!(stat(self.child.id()), Some(('T' | 't', _)))
    }

    /// Lets it and its children go on.
    pub fn thaw(&mut self) {
        for child in self.children() {
            send(child, Signal::CONT);
        }
        self.signal(Signal::CONT);
    }

    /// Ends it and its children at once, as a power cut would.
    pub fn kill(&mut self) {
        let children = self.children();
        self.signal(Signal::KILL);
        for child in &children {
            send(*child, Signal::KILL);
        }
        self.wait(DEATH).expect("a killed process dies");
        wait::until_true("the children of a killed process die", DEATH, || {
            children.iter().all(|child| matches!(stat(*child), None | Some(('Z' | 'X', _))))
        });
    }

    /// Its id and those of its children.
    pub fn family(&mut self) -> Vec<u32> {
        let mut family = self.children();
        family.insert(0, self.id());
        family
    }

    fn children(&mut self) -> Vec<u32> {
        if self.ended().is_some() {
            return Vec::new();
        }
        let parent = self.child.id();
        let processes = fs::read_dir("/proc").expect("/proc is mounted");
        processes
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|process| stat(*process).is_some_and(|(_, its_parent)| its_parent == parent))
            .collect()
    }
}

/// Starts a watchdog over a process. It acts when `leash` ends.
pub fn watchdog(process: u32, farewell: Farewell, directory: Option<&Path>, leash: Stdio) -> Child {
    let signal = match farewell {
        Farewell::Kill => "KILL",
        Farewell::Quit => "QUIT",
    };
    Command::new("sh")
        .args(["-c", WATCHDOG, "watchdog", &process.to_string(), signal])
        .arg(directory.unwrap_or(Path::new("")))
        .stdin(leash)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("sh starts")
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Farewell::Quit = self.farewell {
            self.thaw();
            self.signal(Signal::QUIT);
            self.wait(Duration::from_secs(2));
        }
        if self.ended().is_none() {
            self.kill();
        }
        if let Some(mut leash) = mem::take(&mut self.leash) {
            // If the watchdog is already gone, there is nobody to stand down.
            let _ = leash.write_all(b"looked after\n");
        }
        let _ = self.watchdog.wait();
    }
}

fn send(process: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        // A process that has just ended needs no signal.
        let _ = kill_process(pid, signal);
    }
}

/// Ends a process that somebody else holds; returns when it can do nothing any more.
pub fn kill_at_once(process: u32) {
    send(process, Signal::KILL);
    wait::until_true("a killed process dies", DEATH, || matches!(stat(process), None | Some(('Z' | 'X', _))));
}

/// State letter and parent of a process.
fn stat(process: u32) -> Option<(char, u32)> {
    let line = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let (_, rest) = line.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn wait_until_stopped(process: u32) {
    wait::until_true("a process that was told to stop has stopped", DEATH, || {
        matches!(stat(process), None | Some(('T' | 't' | 'Z' | 'X', _)))
    });
}
