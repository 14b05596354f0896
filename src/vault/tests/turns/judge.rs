//! Whether the log fulfils the promises.

use super::*;
use crate::vault::{conversation::ABANDONED, waiting::SILENCE};

/// How long a device waits for another one.
const PATIENCE: Duration = Duration::from_secs(20);
/// For events that only happen periodically, such as closing abandoned conversations.
const SLACK: Duration = Duration::from_secs(2);
/// A waiting device has noticed by then that it can go on.
const NOTICED: Duration = Duration::from_millis(300);
const STEP: Duration = Duration::from_millis(50);

/// A sync that is or was under way.
struct Hold {
    device: u8,
    session: u8,
    /// The number of its own steps.
    written: i64,
    from: usize,
    /// None if it is still under way.
    to: Option<usize>,
}

struct Judge<'a> {
    events: &'a [Event],
    log: &'a [Line],
    holds: Vec<Hold>,
    committed: i64,
}

/// Checks the log.
///
/// # Errors
/// The promise that was broken, and where.
pub fn judge(events: &[Event], log: &[Line]) -> Result<(), String> {
    let mut judge = Judge {
        events,
        log,
        holds: Vec::new(),
        committed: 0,
    };
    for at in 0..log.len() {
        judge
            .line(at)
            .map_err(|wrong| format!("line {at}: {wrong}"))?;
    }
    Ok(())
}

/// The log, for people.
pub fn as_text(events: &[Event], log: &[Line]) -> String {
    let began = log.first().map(|line| line.at);
    let line = |(number, line): (usize, &Line)| {
        let event = &events[line.event - 1];
        let at = began.map_or(0, |began| (line.at - began).as_millis());
        let (event, deed, device) = (line.event, event.deed, event.device);
        format!(
            "{number:4} {at:7} ms #{event} device {device} {deed:?}: {:?}",
            line.what
        )
    };
    let lines: Vec<_> = log.iter().enumerate().map(line).collect();
    lines.join("\n")
}

fn ensure(right: bool, promise: &str) -> Result<(), String> {
    if right {
        Ok(())
    } else {
        Err(promise.to_owned())
    }
}

impl Judge<'_> {
    fn line(&mut self, at: usize) -> Result<(), String> {
        let line = &self.log[at];
        match (&line.what, self.event(at).deed) {
            (What::Worked { inside, outside }, deed) => {
                ensure(
                    *outside == self.committed,
                    "others see what is not finished, or not what is",
                )?;
                self.worked(at, *inside, deed)
            }
            (What::Answered(answer), deed) => self.answered(at, answer, deed),
            (What::Left, Deed::Restart { .. }) => {
                self.end_hold(at);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn worked(&mut self, at: usize, inside: i64, deed: Deed) -> Result<(), String> {
        if let Deed::Step(session, end) = deed {
            return self.stepped(at, inside, session, end);
        }
        ensure(
            inside == self.committed,
            "what was not finished was not rolled back",
        )?;
        if deed == Deed::BackUp {
            return Ok(());
        }
        self.may_take_over(at)?;
        self.end_hold(at);
        let (device, written) = (self.event(at).device, self.number(at));
        match deed {
            Deed::Start(session) => self.holds.push(Hold {
                device,
                session,
                written,
                from: at,
                to: None,
            }),
            Deed::Upload => {
                ensure(
                    !self.is_being_read(at),
                    "a collection that a backup reads was replaced",
                )?;
                self.committed = written;
            }
            _ => {}
        }
        Ok(())
    }

    /// The device in the middle of a sync was silent, or was to be ended.
    fn may_take_over(&self, at: usize) -> Result<(), String> {
        let Some(hold) = self.current() else {
            return Ok(());
        };
        let is_fair = hold.device == self.event(at).device
            || self.silence(hold.device, self.log[at].at) >= SILENCE
            || self.may_be_over(hold, at);
        ensure(is_fair, "a device that was talking was interrupted")
    }

    fn stepped(&mut self, at: usize, inside: i64, session: u8, end: End) -> Result<(), String> {
        let device = self.event(at).device;
        let Some(hold) = self
            .current()
            .filter(|hold| (hold.device, hold.session) == (device, session))
        else {
            return Err("a step that belongs to no sync under way was let in".to_owned());
        };
        ensure(
            inside == hold.written,
            "a sync does not find what it has written",
        )?;
        let gap = self.longest_silence(device, self.log[hold.from].at, self.log[at].at);
        ensure(gap < ABANDONED + SLACK, "an abandoned sync went on")?;
        let written = self.number(at);
        match end {
            End::Continue => {
                if let Some(hold) = self.holds.last_mut() {
                    hold.written = written;
                }
            }
            End::Commit => {
                self.committed = written;
                self.end_hold(at);
            }
            End::RollBack | End::Fail | End::Panic => self.end_hold(at),
        }
        Ok(())
    }

    fn answered(&mut self, at: usize, answer: &Answer, deed: Deed) -> Result<(), String> {
        let asked = self.find(at, &What::Asked);
        let waited = self.log[at].at - self.log[asked].at;
        ensure(waited < PATIENCE + SLACK, "an answer took too long")?;
        match answer {
            Answer::Unexpected(error) => Err(error.clone()),
            Answer::NotInSync => self.refused(asked, at, deed),
            Answer::Occupied => self.occupied(asked, at, deed),
            Answer::Done | Answer::Failed if deed == Deed::Abort => {
                let device = self.event(at).device;
                let is_ended = |hold: &Hold| hold.device == device && hold.from < asked;
                if self.current().is_some_and(is_ended) {
                    self.end_hold(at);
                }
                Ok(())
            }
            Answer::Done | Answer::Failed => {
                let worked = |line: &Line| {
                    line.event == self.log[at].event && matches!(line.what, What::Worked { .. })
                };
                ensure(
                    self.log[asked..at].iter().any(worked),
                    "done, but it had no turn",
                )
            }
        }
    }

    /// Only a step may be refused, and only if its sync was not under way all the time.
    fn refused(&self, asked: usize, at: usize, deed: Deed) -> Result<(), String> {
        let Deed::Step(session, _) = deed else {
            return Err("what begins was refused as if it belonged to a sync".to_owned());
        };
        let device = self.event(at).device;
        let is_its_own = |hold: &&Hold| {
            (hold.device, hold.session) == (device, session)
                && hold.from < asked
                && hold.to.is_none_or(|to| to > at)
                && !self.may_be_over(hold, at)
        };
        ensure(
            !self.holds.iter().any(|hold| is_its_own(&hold)),
            "a sync that nobody ended was ended",
        )
    }

    /// Only a device that has waited long, and all the time for another one.
    fn occupied(&self, asked: usize, at: usize, deed: Deed) -> Result<(), String> {
        let (from, to) = (self.log[asked].at, self.log[at].at);
        ensure(to - from >= PATIENCE, "a device was sent away too early")?;
        let device = self.event(at).device;
        let (mut moment, mut free) = (from, Duration::ZERO);
        while moment < to {
            let is_held = self
                .holds
                .iter()
                .any(|hold| self.holds_up(hold, device, moment));
            let is_read = deed == Deed::Upload && self.is_read_at(moment);
            free = if is_held || is_read {
                Duration::ZERO
            } else {
                free + STEP
            };
            ensure(free < NOTICED, "a device waited for nobody")?;
            moment += STEP;
        }
        Ok(())
    }

    fn holds_up(&self, hold: &Hold, device: u8, moment: Instant) -> bool {
        hold.device != device
            && self.log[hold.from].at <= moment
            && hold.to.is_none_or(|to| self.log[to].at >= moment)
            && self.silence(hold.device, moment) <= SILENCE
    }

    fn event(&self, at: usize) -> &Event {
        &self.events[self.log[at].event - 1]
    }

    fn number(&self, at: usize) -> i64 {
        i64::try_from(self.log[at].event).unwrap()
    }

    fn current(&self) -> Option<&Hold> {
        self.holds.last().filter(|hold| hold.to.is_none())
    }

    fn end_hold(&mut self, at: usize) {
        if let Some(hold) = self.holds.last_mut() {
            hold.to.get_or_insert(at);
        }
    }

    /// The line of the same event with this content.
    fn find(&self, at: usize, what: &What) -> usize {
        let same = |line: &Line| line.event == self.log[at].event && line.what == *what;
        self.log.iter().position(same).unwrap()
    }

    /// Whether it may be over although no line says so. The moment of an abort is not known, nor
    /// whether an abort without a recipient took effect; and abandoned syncs are closed in the
    /// background.
    fn may_be_over(&self, hold: &Hold, at: usize) -> bool {
        let is_aborted = (hold.from..at).any(|line| {
            let event = self.event(line);
            event.deed == Deed::Abort
                && event.device == hold.device
                && self.log[line].what != What::Arrived
        });
        let (from, to) = (self.log[hold.from].at, self.log[at].at);
        is_aborted || self.longest_silence(hold.device, from, to) >= ABANDONED
    }

    /// When requests of a device, or backups, were under way; some have no end.
    fn presences(&self, is_of: impl Fn(&Event) -> bool) -> Vec<(Instant, Option<Instant>)> {
        let mut presences = Vec::new();
        for (at, line) in self.log.iter().enumerate() {
            if line.what == What::Arrived && is_of(self.event(at)) {
                let left = |end: &&Line| end.event == line.event && end.what == What::Left;
                let end = self.log[at..].iter().find(left);
                presences.push((line.at, end.map(|end| end.at)));
            }
        }
        presences
    }

    fn of(&self, device: u8) -> Vec<(Instant, Option<Instant>)> {
        self.presences(|event| event.device == device && event.deed != Deed::BackUp)
    }

    /// Events at this very moment may count or not; here they do not.
    fn silence(&self, device: u8, moment: Instant) -> Duration {
        let before = self
            .of(device)
            .into_iter()
            .filter(|(from, _)| *from < moment);
        let silences = before.map(|(_, to)| match to {
            Some(to) if to <= moment => moment - to,
            _ => Duration::ZERO,
        });
        silences.min().unwrap_or(Duration::MAX)
    }

    /// The longest silence of the device between the two moments.
    fn longest_silence(&self, device: u8, from: Instant, to: Instant) -> Duration {
        let mut presences = self.of(device);
        presences.sort();
        let (mut heard, mut longest) = (from, Duration::ZERO);
        for (came, left) in presences {
            longest = longest.max(came.min(to).saturating_duration_since(heard));
            heard = heard.max(left.unwrap_or(to));
        }
        longest.max(to.saturating_duration_since(heard))
    }

    fn is_being_read(&self, at: usize) -> bool {
        let moment = self.log[at].at;
        let readings = self.presences(|event| event.deed == Deed::BackUp);
        let is_on = |(from, to): &(Instant, Option<Instant>)| {
            *from < moment && to.is_none_or(|to| to > moment)
        };
        readings.iter().any(is_on)
    }

    fn is_read_at(&self, moment: Instant) -> bool {
        let readings = self.presences(|event| event.deed == Deed::BackUp);
        let is_on = |(from, to): &(Instant, Option<Instant>)| {
            *from <= moment && to.is_none_or(|to| to >= moment)
        };
        readings.iter().any(is_on)
    }
}
