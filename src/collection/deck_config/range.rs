//! The values that clients accept.

use crate::collection::proto::DeckConfig;

/// Replaces each value that is out of range or not a number with the default.
pub(super) fn restore(config: &mut DeckConfig) {
    let standard = DeckConfig::standard();
    macro_rules! restore_unless_in_range {
        ($($field:ident: $range:expr,)+) => {
            $(if !$range.contains(&config.$field) {
                config.$field = standard.$field;
            })+
        };
    }
    restore_unless_in_range! {
        new_per_day: (0..=9999),
        reviews_per_day: (0..=9999),
        new_per_day_minimum: (0..=9999),
        initial_ease: (1.31..=5.0),
        easy_multiplier: (1.0..=5.0),
        hard_multiplier: (0.5..=1.3),
        lapse_multiplier: (0.0..=1.0),
        interval_multiplier: (0.5..=2.0),
        maximum_review_interval: (1..=36500),
        minimum_lapse_interval: (1..=36500),
        graduating_interval_good: (1..=36500),
        graduating_interval_easy: (1..=36500),
        leech_threshold: (1..=9999),
        cap_answer_time_to_secs: (1..=9999),
        desired_retention: (0.7..=0.99),
        historical_retention: (0.7..=0.97),
        seconds_to_show_question: (f32::MIN..=f32::MAX),
        seconds_to_show_answer: (f32::MIN..=f32::MAX),
    }
    // JSON has no number for these values. They would be sent as null, which no client reads.
    for (list, standard) in [
        (&mut config.learn_steps, standard.learn_steps),
        (&mut config.relearn_steps, standard.relearn_steps),
        (&mut config.fsrs_params_4, standard.fsrs_params_4),
        (&mut config.fsrs_params_5, standard.fsrs_params_5),
        (&mut config.fsrs_params_6, standard.fsrs_params_6),
        (
            &mut config.easy_days_percentages,
            standard.easy_days_percentages,
        ),
    ] {
        if list.iter().any(|number| !number.is_finite()) {
            *list = standard;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_is_in_range() {
        let mut config = DeckConfig::standard();
        restore(&mut config);
        assert_eq!(config, DeckConfig::standard());
    }

    #[test]
    fn values_out_of_range_become_standard_and_not_the_nearest() {
        let limits = |ints: u32, floats: f32| DeckConfig {
            new_per_day: ints,
            reviews_per_day: ints,
            new_per_day_minimum: ints,
            initial_ease: floats,
            easy_multiplier: floats,
            hard_multiplier: floats,
            lapse_multiplier: floats,
            interval_multiplier: floats,
            maximum_review_interval: ints,
            minimum_lapse_interval: ints,
            graduating_interval_good: ints,
            graduating_interval_easy: ints,
            leech_threshold: ints,
            cap_answer_time_to_secs: ints,
            desired_retention: floats,
            historical_retention: floats,
            ..DeckConfig::standard()
        };
        for (ints, floats) in [
            (36501, 5.1),
            (100_000, -0.1),
            (u32::MAX, f32::NAN),
            (36501, f32::INFINITY),
        ] {
            let mut config = limits(ints, floats);
            restore(&mut config);
            assert_eq!(config, DeckConfig::standard(), "{ints} {floats}");
        }
    }

    #[test]
    fn what_json_has_no_number_for_is_not_sent() {
        for number in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let mut config = DeckConfig::standard();
            config.seconds_to_show_question = number;
            config.seconds_to_show_answer = number;
            for list in [
                &mut config.learn_steps,
                &mut config.relearn_steps,
                &mut config.fsrs_params_4,
                &mut config.fsrs_params_5,
                &mut config.fsrs_params_6,
                &mut config.easy_days_percentages,
            ] {
                list.push(number);
            }
            restore(&mut config);
            assert_eq!(config, DeckConfig::standard());
        }
    }

    #[test]
    fn bounds_are_in_range() {
        let bounds = DeckConfig {
            new_per_day: 0,
            reviews_per_day: 9999,
            new_per_day_minimum: 9999,
            initial_ease: 1.31,
            easy_multiplier: 5.0,
            hard_multiplier: 0.5,
            lapse_multiplier: 1.0,
            interval_multiplier: 2.0,
            maximum_review_interval: 1,
            minimum_lapse_interval: 36500,
            graduating_interval_good: 36500,
            graduating_interval_easy: 1,
            leech_threshold: 9999,
            cap_answer_time_to_secs: 1,
            desired_retention: 0.99,
            historical_retention: 0.97,
            ..DeckConfig::standard()
        };
        let mut config = bounds.clone();
        restore(&mut config);
        assert_eq!(config, bounds);
    }
}
