//! The command line of the benchmark of calls.

use std::time::Duration;

use crate::placement::Placement;
use crate::round::Load;

pub(crate) struct Options {
    callers: Vec<usize>,
    sizes: Vec<usize>,
    names: Vec<String>,
    on: Vec<String>,
    pub(crate) rounds: usize,
    millis: u64,
}

impl Options {
    /// What the command line asks for; everything where it asks for nothing.
    pub(crate) fn from_args() -> Self {
        let mut options = Self {
            callers: Vec::new(),
            sizes: Vec::new(),
            names: Vec::new(),
            on: Vec::new(),
            rounds: 7,
            millis: 200,
        };
        let mut args = std::env::args().skip(1);
        while let Some(name) = args.next() {
            let mut number = || args.next().and_then(|value| value.parse::<usize>().ok());
            match name.as_str() {
                "--callers" => options.callers.extend(number()),
                "--size" => options.sizes.extend(number()),
                "--rounds" => options.rounds = number().expect("a number of rounds").max(1),
                "--millis" => options.millis = number().expect("milliseconds") as u64,
                "--on" => options.on.extend(args.next()),
                // Cargo adds it.
                "--bench" => {}
                _ => options.names.push(name),
            }
        }
        options
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|named| named == name)
    }

    pub(crate) fn placements(&self) -> impl Iterator<Item = Placement> {
        let asked =
            |place: &Placement| self.on.is_empty() || self.on.iter().any(|on| on == place.name());
        [Placement::One, Placement::All].into_iter().filter(asked)
    }

    /// Every size for every number of callers; these where the command line says nothing.
    pub(crate) fn loads_of(
        &self,
        callers: &[usize],
        sizes: &[usize],
    ) -> impl Iterator<Item = Load> + use<> {
        let or =
            |given: &[usize], all: &[usize]| if given.is_empty() { all } else { given }.to_vec();
        let sizes = or(&self.sizes, sizes);
        let span = Duration::from_millis(self.millis);
        or(&self.callers, callers).into_iter().flat_map(move |callers| {
            let load = move |size| Load { callers, size, span };
            sizes.clone().into_iter().map(load)
        })
    }
}
