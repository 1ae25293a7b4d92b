//! What the user's signals do to a run.

use rustix::process::Signal;

use super::output::Output;
use super::run::Run;
use crate::daemon::message::HostRequest;
use crate::event::RunEvent;
use crate::pool::{Received, stop_self};

impl Run<'_> {
    /// Reacts to one signal.
    pub(super) fn signal(&mut self, signal: Received) {
        match (signal, self.output.debugged()) {
            // What it means is the debugger's affair.
            (Received::End(Signal::INT), Some(slot)) => self.lanes.pool().signal(slot, Signal::INT),
            (Received::Resize, Some(slot)) => self.lanes.pool().signal(slot, Signal::WINCH),
            (signal, _) => self.own_signal(signal),
        }
    }

    fn own_signal(&mut self, signal: Received) {
        match signal {
            // The status line looks at the width whenever it is drawn.
            Received::Resize => {}
            Received::Suspend => self.suspend(),
            Received::End(signal) => {
                self.closing.interrupts += 1;
                self.tell(&RunEvent::Terminal { ours: false });
                self.note_running();
                self.exit_status.signal(signal);
                self.lanes.segment.stop();
                let is_any_alive = self.lanes.pool().any_alive();
                match self.closing.interrupts {
                    1 if is_any_alive => self.lanes.pool().signal_all(Signal::INT),
                    1 => {
                        self.host.send(&HostRequest::Interrupt, &[]);
                    }
                    2 if is_any_alive => self.lanes.pool().signal_all(Signal::KILL),
                    _ => self.disconnect(),
                }
                self.wake_stopped();
            }
        }
    }

    /// Ctrl-Z: nothing runs until this process is continued.
    fn suspend(&mut self) {
        let ours = self.output.debugged().is_none() && self.closing.interrupts == 0;
        if ours {
            self.tell(&RunEvent::Terminal { ours: false });
        }
        self.show(Output::flush);
        self.lanes.pool().signal_all(Signal::STOP);
        stop_self();
        self.lanes.pool().signal_all(Signal::CONT);
        if ours {
            self.tell(&RunEvent::Terminal { ours: true });
        }
    }

    /// A process that is stopped does not see a signal that is to end it before it goes on.
    fn wake_stopped(&self) {
        self.lanes.pool().signal_all(Signal::CONT);
        if let Some(host) = self.host.process() {
            let _ = rustix::process::kill_process(host, Signal::CONT);
        }
    }
}
