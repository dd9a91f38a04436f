//! How much of a stock can be had: one function, which decisions and read models ask.

/// How many units can be claimed now, were there no backorders. Of what is `reserved`, those whose time is over (`lapsed`) do
/// not count. Negative after an oversale by backorder.
#[must_use]
pub const fn availability(on_hand: i64, reserved: i64, lapsed: i64) -> i64 {
    on_hand.saturating_sub(reserved.saturating_sub(lapsed))
}

#[cfg(test)]
mod tests {
    use super::availability;

    #[test]
    fn claims_whose_time_is_over_do_not_count() {
        assert_eq!(availability(5, 3, 0), 2);
        assert_eq!(availability(5, 3, 2), 4);
        assert_eq!(availability(1, 3, 0), -2);
    }
}
