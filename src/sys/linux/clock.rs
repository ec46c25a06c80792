//! The clock that nobody sets and that runs while the machine sleeps, and a timer by it.
//!
//! Source: clock_gettime(2) CLOCK_BOOTTIME, timerfd_create(2).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// Time since the machine started, sleep included.
pub fn since_boot() -> Duration {
    // Every kernel that we run on has this clock, and reading it cannot fail otherwise.
    nix::time::ClockId::CLOCK_BOOTTIME.now().map(Duration::from).unwrap_or_default()
}

/// A timer that is readable when its time has come: also where that was while the machine slept.
#[derive(Debug)]
pub struct Timer(TimerFd);

impl Timer {
    /// A timer that is not set.
    ///
    /// # Errors
    /// Those of timerfd_create(2).
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        Ok(Self(TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?))
    }

    /// Sets it to the time `at` since the machine started, or to none.
    ///
    /// # Errors
    /// Those of timerfd_settime(2).
    pub fn set(&self, at: Option<Duration>) -> io::Result<()> {
        // Zero would mean none.
        let Some(at) = at.map(|at| at.max(Duration::from_nanos(1))) else { return Ok(self.0.unset()?) };
        Ok(self.0.set(Expiration::OneShot(TimeSpec::from(at)), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    fn has_come(timer: &Timer, patience: PollTimeout) -> bool {
        poll(&mut [PollFd::new(timer.as_fd(), PollFlags::POLLIN)], patience).unwrap() == 1
    }

    #[test]
    fn a_time_that_is_past_has_come() {
        let timer = Timer::new().unwrap();
        assert!(!has_come(&timer, PollTimeout::ZERO));
        for at in [Duration::ZERO, since_boot()] {
            timer.set(Some(at)).unwrap();
            assert!(has_come(&timer, PollTimeout::NONE));
        }
        timer.set(Some(since_boot() + Duration::from_secs(3600))).unwrap();
        assert!(!has_come(&timer, PollTimeout::ZERO));
        timer.set(Some(since_boot())).unwrap();
        timer.set(None).unwrap();
        assert!(!has_come(&timer, PollTimeout::ZERO));
    }
}
