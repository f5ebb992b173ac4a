//! How long calls took, and how many failed, within the last minute.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The time is cut into slices of this length, in seconds.
const SLICE: u64 = 10;

/// So many of them are looked at beside the one that is not over yet: a minute.
const PAST: u64 = 6;

/// One decimal digit: sixteen steps from one power of two to the next, so that what is read, in the
/// middle of a step, is within 3 %. Two digits would take eight times the memory for each tool.
const DIGITS: u8 = 1;

/// The last minute of one tool, slice by slice.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Each in its place: a slice follows the one of seven before.
    slices: [Slice; PAST as usize + 1],
}

#[derive(Debug, Default)]
struct Slice {
    number: u64,
    failed: u64,
    /// In microseconds. Only a slice with calls in it has one, for most tools are called now and then.
    took: Option<Box<Histogram<u32>>>,
}

impl Window {
    /// A call that ended `at` this time; times are counted from a beginning that never changes.
    pub(super) fn record(&mut self, at: Duration, took: Duration, failed: bool) {
        let number = at.as_secs() / SLICE;
        let slice = &mut self.slices[(number % (PAST + 1)) as usize];
        if slice.number != number {
            slice.number = number;
            slice.failed = 0;
            if let Some(took) = &mut slice.took {
                took.reset();
            }
        }
        slice.failed += u64::from(failed);
        if slice.took.is_none() {
            slice.took = histogram().map(Box::new);
        }
        if let Some(histogram) = &mut slice.took {
            // It resizes itself, so that everything fits.
            histogram.record(micros(took)).unwrap_or_default();
        }
    }

    /// Adds the slices of the last minute before `now`.
    pub(super) fn add_to(&self, recent: &mut Recent, now: Duration) {
        let number = now.as_secs() / SLICE;
        for slice in self.slices.iter().filter(|slice| slice.number + PAST >= number) {
            recent.failed += slice.failed;
            if let (Some(sum), Some(took)) = (&mut recent.took, &slice.took) {
                sum.add(&**took).unwrap_or_default();
            }
        }
        let begun = Duration::from_secs(number.saturating_sub(PAST) * SLICE);
        recent.span = recent.span.max(now.saturating_sub(begun));
    }
}

/// What calls came to within the last minute.
#[derive(Debug)]
pub(crate) struct Recent {
    took: Option<Histogram<u32>>,
    failed: u64,
    /// How much time was looked at.
    span: Duration,
}

impl Recent {
    pub(crate) fn new() -> Self {
        Self { took: histogram(), failed: 0, span: Duration::ZERO }
    }

    /// How many ended.
    pub(crate) fn ended(&self) -> u64 {
        self.took.as_ref().map_or(0, Histogram::len)
    }

    /// The share that failed, from 0 to 1.
    pub(crate) fn error_rate(&self) -> f64 {
        if self.ended() == 0 { 0.0 } else { self.failed as f64 / self.ended() as f64 }
    }

    /// How many ended in a minute. What has not lasted a minute yet is not made longer.
    pub(crate) fn per_minute(&self) -> f64 {
        let minutes = self.span.as_secs_f64().max(60.0) / 60.0;
        self.ended() as f64 / minutes
    }

    /// How long a call took that no more than this share of all outlasted; zero without calls.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let took = self.took.as_ref().filter(|took| !took.is_empty());
        took.map_or(Duration::ZERO, |took| {
            let value = took.value_at_quantile(share);
            Duration::from_micros(took.median_equivalent(value).min(took.max()))
        })
    }

    /// How long the longest took.
    pub(crate) fn longest(&self) -> Duration {
        self.took.as_ref().map_or(Duration::ZERO, |took| Duration::from_micros(took.max()))
    }
}

/// The digits are in the range that it takes.
fn histogram() -> Option<Histogram<u32>> {
    Histogram::new(DIGITS).ok()
}

fn micros(took: Duration) -> u64 {
    // A day is for ever; what is longer does not need another step.
    const MOST: u64 = 86_400_000_000;
    u64::try_from(took.as_micros()).unwrap_or(MOST).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recent(window: &Window, now: u64) -> Recent {
        let mut recent = Recent::new();
        window.add_to(&mut recent, Duration::from_secs(now));
        recent
    }

    fn close(found: Duration, wanted: u64) {
        let (found, wanted) = (found.as_secs_f64(), Duration::from_micros(wanted).as_secs_f64());
        assert!((found / wanted - 1.0).abs() <= 0.035, "{found} for {wanted}");
    }

    #[test]
    fn quantiles_are_those_of_the_calls_within_a_few_per_cent() {
        let mut window = Window::default();
        (1..=1000).for_each(|n| {
            window.record(Duration::from_secs(5), Duration::from_micros(n * 100), n % 10 == 0);
        });
        let recent = recent(&window, 6);
        assert_eq!(recent.ended(), 1000);
        close(recent.quantile(0.5), 50_000);
        close(recent.quantile(0.9), 90_000);
        close(recent.quantile(0.99), 99_000);
        close(recent.longest(), 100_000);
        assert!((recent.error_rate() - 0.1).abs() < 1e-9, "{recent:?}");
    }

    #[test]
    fn what_is_longer_ago_than_a_minute_is_forgotten() {
        let mut window = Window::default();
        for second in 0..200 {
            window.record(Duration::from_secs(second), Duration::from_millis(1), false);
        }
        let counted = recent(&window, 199).ended();
        assert!((61..=70).contains(&counted), "{counted}");
        let rate = recent(&window, 199).per_minute();
        assert!((59.0..=61.0).contains(&rate), "{rate}");
        assert_eq!(recent(&window, 300).ended(), 0);
        assert_eq!(recent(&window, 300).quantile(0.99), Duration::ZERO);
    }

    #[test]
    fn a_slice_is_begun_afresh_when_its_place_comes_again() {
        let mut window = Window::default();
        window.record(Duration::from_secs(3), Duration::from_secs(1000), true);
        window.record(Duration::from_secs(73), Duration::from_millis(1), false);
        let recent = recent(&window, 74);
        assert_eq!((recent.ended(), recent.error_rate()), (1, 0.0));
        close(recent.longest(), 1000);
    }

    #[test]
    fn a_call_that_took_days_is_recorded_as_one_that_took_long() {
        let mut window = Window::default();
        window.record(Duration::from_secs(1), Duration::MAX, false);
        window.record(Duration::from_secs(1), Duration::ZERO, false);
        assert!(recent(&window, 1).longest() > Duration::from_secs(80_000));
    }
}
