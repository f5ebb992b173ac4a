//! Whether a series grows.

/// How a series of looks went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trend {
    /// What it gained from the end of the warm-up to the end, by its slope.
    pub(crate) growth: f64,
    /// The middle of its values.
    pub(crate) median: f64,
}

/// The first part of the run, in which caches, pools and tables get their size, does not count.
const WARM_UP: f64 = 0.34;

impl Trend {
    /// The trend of a series whose looks are evenly spaced: by the median of the slopes of all pairs
    /// (Theil and Sen), which a look that is far off does not move.
    pub(crate) fn of(series: &[f64]) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small count"
        )]
        let warm = (series.len() as f64 * WARM_UP).ceil() as usize;
        let rest = &series[warm.min(series.len())..];
        let pairs = rest.iter().enumerate().flat_map(|(at, earlier)| {
            let later = rest.iter().enumerate().skip(at + 1);
            later.map(move |(then, value)| (value - earlier) / (then - at) as f64)
        });
        let slope = median(pairs.collect());
        let growth = slope * rest.len().saturating_sub(1) as f64;
        Self { growth, median: median(rest.to_vec()) }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
