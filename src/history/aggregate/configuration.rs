//! How statuses count (AggregateConfigurationType, Part 13 §4.2.1.2, 1.05).

use opcua::StatusCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Configuration {
    /// Uncertain samples count as Bad instead of as Good.
    pub treat_uncertain_as_bad: bool,
    /// Percentage of Bad data from which a result is Bad.
    pub percent_data_bad: u8,
    /// Percentage of Good data from which a result is Good.
    pub percent_data_good: u8,
    /// After the last sample the line through the last two is continued; otherwise the last value is held.
    pub use_sloped_extrapolation: bool,
}

impl Default for Configuration {
    /// The defaults of the specification.
    fn default() -> Configuration {
        Configuration {
            treat_uncertain_as_bad: true,
            percent_data_bad: 100,
            percent_data_good: 100,
            use_sloped_extrapolation: false,
        }
    }
}

impl Configuration {
    /// BadAggregateInvalidInputs for a percentage above 100, and where a result could be Good and Bad at once:
    /// PercentDataGood must be at least 100 - PercentDataBad (Part 13 §4.2.1.2, 1.05).
    pub fn check(&self) -> Result<(), StatusCode> {
        let is_percentage = self.percent_data_bad <= 100 && self.percent_data_good <= 100;
        if !is_percentage || self.percent_data_good < 100 - self.percent_data_bad {
            return Err(StatusCode::BadAggregateInvalidInputs);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_contradicts_itself_is_refused() {
        //   bad  good  answer
        for (bad, good, answer) in [
            (100, 100, Ok(())),
            (50, 50, Ok(())),
            (100, 0, Ok(())),
            (0, 100, Ok(())),
            (49, 50, Err(StatusCode::BadAggregateInvalidInputs)),
            (0, 99, Err(StatusCode::BadAggregateInvalidInputs)),
            (101, 100, Err(StatusCode::BadAggregateInvalidInputs)),
            (100, 101, Err(StatusCode::BadAggregateInvalidInputs)),
        ] {
            let configuration =
                Configuration { percent_data_bad: bad, percent_data_good: good, ..Configuration::default() };
            assert_eq!(configuration.check(), answer, "{bad} % Bad, {good} % Good");
        }
    }
}
