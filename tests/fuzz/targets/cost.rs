//! What text costs most to look through? Inputs are repeated to 64 KiB and judged in every way; the more a byte costs beside a byte of
//! prose, the further a ladder of functions is climbed, so that coverage leads the fuzzer to the slowest text. Linear work stays within
//! the ladder on a busy machine too; what thrashes or is quadratic leaves it.
#![no_main]

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use lockgate::redact::{Redactor, mask};
use lockgate::text::Untrusted;

static REDACTOR: LazyLock<Redactor> = LazyLock::new(Redactor::default);
/// What prose costs here.
static PROSE: LazyLock<Duration> = LazyLock::new(|| {
    let prose = repeated("The quick brown fox reads the manual of order 7 and an error occurred while it was read.\n");
    (0..9).map(|_| cost(&prose)).min().unwrap_or_default()
});
/// A text may cost this many times as much as prose.
const MOST: u32 = 64;

fn repeated(text: &str) -> String {
    text.repeat((64 * 1024 / text.len()).max(1))
}

fn cost(text: &str) -> Duration {
    let begun = Instant::now();
    black_box(REDACTOR.document(black_box(text)));
    black_box(REDACTOR.clear(&Untrusted::new(text)));
    black_box(mask(text, 8 * 1024));
    begun.elapsed()
}

/// One step of the ladder: a place of its own for the coverage to see.
#[inline(never)]
fn climbed<const STEP: u32>(steps: u32) {
    if steps > STEP {
        black_box(STEP);
    }
}

fuzz_target!(|text: &str| {
    if text.is_empty() {
        return;
    }
    let text = repeated(text);
    let limit = *PROSE * MOST;
    let mut least = cost(&text);
    // A run that was interrupted proves nothing: only a text that is slow each time is.
    for _ in 0..8 {
        if least < limit {
            break;
        }
        least = least.min(cost(&text));
    }
    assert!(least < limit, "{least:?} beside {:?} for prose: {:?}", *PROSE, text.get(..80));
    let steps = (4 * least.as_micros() / PROSE.as_micros().max(1)) as u32;
    climbed::<2>(steps);
    climbed::<4>(steps);
    climbed::<6>(steps);
    climbed::<8>(steps);
    climbed::<12>(steps);
    climbed::<16>(steps);
    climbed::<24>(steps);
    climbed::<32>(steps);
    climbed::<48>(steps);
    climbed::<64>(steps);
    climbed::<96>(steps);
    climbed::<128>(steps);
});
