//! A histogram in the terminal.

use std::time::Duration;

use hdrhistogram::Histogram;

/// How many bars there are.
const BARS: u64 = 12;

/// How many columns a bar has at most, besides what stands around it.
const LONGEST: usize = 60;
const AROUND: usize = 30;

/// Eighths of a column.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// A time in a few characters.
pub(crate) fn time(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    let (value, unit) = match micros {
        _ if micros >= 1e6 => (micros / 1e6, "s"),
        _ if micros >= 1e3 => (micros / 1e3, "ms"),
        _ => (micros, "µs"),
    };
    let digits = match value {
        _ if value >= 100.0 || unit == "µs" => 0,
        _ if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}

/// One line a range of latencies: of equal width from the shortest to where all but one in a hundred
/// are, and one for what is beyond.
pub(super) fn bars(latency: &Histogram<u64>, width: Option<u16>) -> Vec<String> {
    let ranges = ranges(latency);
    let counts: Vec<_> =
        ranges.iter().map(|(low, high)| latency.count_between(*low, high - 1)).collect();
    let most = counts.iter().copied().max().unwrap_or_default().max(1);
    let room = width.map_or(LONGEST, |width| usize::from(width).saturating_sub(AROUND));
    let room = room.clamp(8, LONGEST);
    let line = |(low, high): &(u64, u64), count: u64| {
        let range = format!(
            "{:>8} – {:>8}",
            time(Duration::from_micros(*low)),
            time(Duration::from_micros(*high))
        );
        format!("{range}  {} {count}", bar(count, most, room)).trim_end().to_owned()
    };
    ranges.iter().zip(counts).map(|(range, count)| line(range, count)).collect()
}

fn ranges(latency: &Histogram<u64>) -> Vec<(u64, u64)> {
    let (low, high) = (latency.min(), latency.value_at_quantile(0.99).max(latency.min()) + 1);
    let step = (high - low).div_ceil(BARS).max(1);
    let mut ranges: Vec<_> = (0..BARS)
        .map(|number| (low + number * step, (low + (number + 1) * step).min(high)))
        .filter(|(from, to)| from < to)
        .collect();
    if latency.max() >= high {
        ranges.push((high, latency.max() + 1));
    }
    ranges
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "it is a picture"
)]
fn bar(count: u64, most: u64, room: usize) -> String {
    let eighths = (count as f64 / most as f64 * (room * 8) as f64).round() as usize;
    // What there is has to be seen.
    let eighths = if count > 0 { eighths.max(1) } else { 0 };
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_in_one_bar() {
        for values in [vec![5], vec![100; 50], (0..1000).collect(), vec![1, 1, 1, 900_000]] {
            let mut latency = Histogram::<u64>::new(3).unwrap();
            values.iter().for_each(|value| latency.record(*value).unwrap());
            let lines = bars(&latency, Some(80));
            let counts = lines.iter().map(|line| {
                line.rsplit(' ')
                    .next()
                    .unwrap()
                    .parse::<usize>()
                    .unwrap_or_else(|_| panic!("{line}"))
            });
            assert_eq!(counts.sum::<usize>(), values.len(), "{lines:#?}");
            assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        }
    }

    #[test]
    fn times_have_three_digits() {
        for (micros, text) in [
            (5, "5 µs"),
            (950, "950 µs"),
            (1_234, "1.23 ms"),
            (56_700, "56.7 ms"),
            (2_000_000, "2.00 s"),
        ] {
            assert_eq!(time(Duration::from_micros(micros)), text);
        }
    }
}
