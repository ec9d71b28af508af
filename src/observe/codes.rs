//! The values of the label `code`: the registered statuses of HTTP, and one value per class for all others, so that a backend that invents
//! statuses cannot add series without bound.
//!
//! Must not know what is counted.

/// The statuses below 400, in order, as they are counted per core. Registered at
/// <https://www.iana.org/assignments/http-status-codes/>.
const PASSED: [u16; 24] =
    [100, 101, 102, 103, 104, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308];
/// The statuses of errors, in order. 499 is what the log says of a client that left before a response began.
const ERRORS: [u16; 42] = [
    400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 425, 426, 428, 429,
    431, 451, 499, 500, 501, 502, 503, 504, 505, 506, 507, 508, 509, 510, 511,
];

/// The number of slots of statuses below 400, which come first.
pub(super) const PASSED_SLOTS: usize = PASSED.len() + 3;
/// The number of slots.
pub(super) const SLOTS: usize = PASSED_SLOTS + ERRORS.len() + 2;

/// The slot of each status below 600.
const SLOT_OF: [u8; 600] = {
    let mut slots = [0; 600];
    let mut status = 0;
    while status < 600 {
        slots[status] = match status {
            0..200 => PASSED.len(),
            200..300 => PASSED.len() + 1,
            300..400 => PASSED.len() + 2,
            400..500 => PASSED_SLOTS + ERRORS.len(),
            _ => PASSED_SLOTS + ERRORS.len() + 1,
        } as u8;
        status += 1;
    }
    let mut at = 0;
    while at < PASSED.len() {
        slots[PASSED[at] as usize] = at as u8;
        at += 1;
    }
    let mut at = 0;
    while at < ERRORS.len() {
        slots[ERRORS[at] as usize] = (PASSED_SLOTS + at) as u8;
        at += 1;
    }
    slots
};

/// The slot of 200, whose series exists before the first request.
pub(super) const OK: usize = SLOT_OF[200] as usize;

/// Returns the slot of a status. One above 599, which is no status of HTTP, counts as one of the class 5xx.
pub(super) fn slot(status: u16) -> usize {
    usize::from(SLOT_OF[usize::from(status.min(599))])
}

/// Returns the value of the label for each slot.
pub(super) fn labels() -> impl Iterator<Item = String> {
    let number = |status: &u16| status.to_string();
    let classes = |classes: &'static [&'static str]| classes.iter().map(|class| (*class).to_owned());
    PASSED.iter().map(number).chain(classes(&["1xx", "2xx", "3xx"])).chain(ERRORS.iter().map(number)).chain(classes(&["4xx", "5xx"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_slot_and_its_label() {
        let labels: Vec<String> = labels().collect();
        assert_eq!(labels.len(), SLOTS);
        assert_eq!(labels[OK], "200");
        for status in 100..=999 {
            let label = &labels[slot(status)];
            let class = format!("{}xx", status.min(599) / 100);
            assert!(*label == status.to_string() || *label == class, "{status}: {label}");
            assert_eq!(slot(status) < PASSED_SLOTS, status < 400, "{status}");
        }
        for status in PASSED.into_iter().chain(ERRORS) {
            assert_eq!(labels[slot(status)], status.to_string());
        }
    }
}
