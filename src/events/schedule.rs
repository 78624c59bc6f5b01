//! When the clock tells a rule: `rate(5 minutes)` and `cron(0 12 * * ? *)`, in UTC, to the minute ("Setting a schedule pattern for
//! scheduled rules", EventBridge user guide). Pure: time is passed in.

use std::collections::BTreeSet;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// Years that schedules know.
const YEARS: std::ops::RangeInclusive<i16> = 1970..=2199;
/// How many days are looked at for the next time: leap days that fall on a weekday come every 40 years at the latest.
const MAX_DAYS: usize = 366 * 41;
const MINUTE_MS: i64 = 60_000;

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Parameter ScheduleExpression is not valid. Reason: {0}")]
pub struct ScheduleError(String);

fn bad(why: impl Into<String>) -> ScheduleError {
    ScheduleError(why.into())
}

/// When the clock tells a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Every so many milliseconds.
    Rate(i64),
    Cron(Box<Cron>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cron {
    minutes: BTreeSet<i16>,
    hours: BTreeSet<i16>,
    days: Days,
    months: BTreeSet<i16>,
    years: BTreeSet<i16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Days {
    Every,
    /// Days of the month.
    OfMonth(BTreeSet<i16>),
    /// So many days before the last of the month.
    Last(i16),
    /// The weekday that is nearest to a day of the month, in the same month; of the last day if it is 0.
    Nearest(i16),
    /// Weekdays, 1 for Sunday.
    OfWeek(BTreeSet<i16>),
    /// The last of a weekday in the month.
    LastOfWeek(i16),
    /// The nth of a weekday in the month.
    NthOfWeek(i16, i16),
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Schedule {
    /// Reads a schedule.
    pub fn parse(text: &str) -> Result<Schedule, ScheduleError> {
        let inside = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
        if let Some(rate) = inside("rate") {
            return rate_of(rate);
        }
        let Some(cron) = inside("cron") else {
            return Err(bad("it is rate(5 minutes) or cron(0 12 * * ? *)."));
        };
        let fields: Vec<&str> = cron.split_ascii_whitespace().collect();
        let [minutes, hours, of_month, months, of_week, years] = fields[..] else {
            return Err(bad("cron has six fields: minutes, hours, day of month, month, day of week, year."));
        };
        let days = match (of_month, of_week) {
            ("?", "?") | ("*", "*") => {
                return Err(bad("of day of month and day of week one is `?`, and the other is not."));
            }
            ("?" | "*", "?" | "*") => Days::Every,
            (given, "?") => days_of_month(given)?,
            ("?", given) => days_of_week(given)?,
            _ => return Err(bad("of day of month and day of week one is `?`.")),
        };
        Ok(Schedule(Kind::Cron(Box::new(Cron {
            minutes: field("minutes", minutes, 0, 59, &[], 0)?,
            hours: field("hours", hours, 0, 23, &[], 0)?,
            days,
            months: field("month", months, 1, 12, &MONTHS, 1)?,
            years: field("year", years, *YEARS.start(), *YEARS.end(), &[], 0)?,
        }))))
    }

    /// The first time after `after_ms` that the schedule has, in milliseconds since the Unix epoch; none if it has no more. Rates are
    /// counted from `anchor_ms`.
    pub fn next_after_ms(&self, after_ms: i64, anchor_ms: i64) -> Option<i64> {
        match &self.0 {
            Kind::Rate(every_ms) => {
                let n_passed = (after_ms - anchor_ms).div_euclid(*every_ms);
                Some(anchor_ms + (n_passed.max(0) + 1) * every_ms)
            }
            Kind::Cron(cron) => cron.next_after_ms(after_ms),
        }
    }
}

fn rate_of(text: &str) -> Result<Schedule, ScheduleError> {
    let wrong = || bad("rate is a whole number and a unit: rate(1 minute), rate(5 minutes), hour, hours, day or days.");
    let parts: Vec<&str> = text.split_ascii_whitespace().collect();
    let [count, unit] = parts[..] else { return Err(wrong()) };
    let count: i64 = count.parse().ok().filter(|count| (1..=1_000_000).contains(count)).ok_or_else(wrong)?;
    let unit_ms = match (unit, count) {
        ("minute", 1) => MINUTE_MS,
        ("minutes", 2..) => MINUTE_MS,
        ("hour", 1) | ("hours", 2..) => 60 * MINUTE_MS,
        ("day", 1) | ("days", 2..) => 24 * 60 * MINUTE_MS,
        ("minute" | "hour" | "day", _) => return Err(bad("a unit of more than one is written with `s`.")),
        ("minutes" | "hours" | "days", _) => return Err(bad("a unit of one is written without `s`.")),
        _ => return Err(wrong()),
    };
    Ok(Schedule(Kind::Rate(count * unit_ms)))
}

/// The numbers that a field means: `*`, `1,2`, `3-5`, `0/15`, `*/2`, and names in place of numbers.
fn field(
    what: &str,
    text: &str,
    low: i16,
    high: i16,
    names: &[&str],
    first: i16,
) -> Result<BTreeSet<i16>, ScheduleError> {
    let wrong = || {
        let shown = crate::names::escape_for_people(text.as_bytes(), 50);
        bad(format!("`{shown}` is not valid for {what}: {low} to {high}, with `,`, `-`, `*` and `/`."))
    };
    let number = |text: &str| {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = match named {
            Some(at) => first + i16::try_from(at).expect("names are few"),
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().map_err(|_| wrong())?,
            None => return Err(wrong()),
        };
        if (low..=high).contains(&number) { Ok(number) } else { Err(wrong()) }
    };
    let mut all = BTreeSet::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step: i16 = step.parse().ok().filter(|step| *step > 0).ok_or_else(wrong)?;
                (range, Some(step))
            }
            None => (part, None),
        };
        let (from, to) = match (range, range.split_once('-')) {
            ("*", _) => (low, high),
            (_, Some((from, to))) => (number(from)?, number(to)?),
            (one, None) => {
                let from = number(one)?;
                (from, if step.is_some() { high } else { from })
            }
        };
        if from > to {
            return Err(wrong());
        }
        all.extend((from..=to).step_by(usize::from(step.unwrap_or(1).unsigned_abs())));
    }
    Ok(all)
}

fn days_of_month(text: &str) -> Result<Days, ScheduleError> {
    let wrong = || {
        let shown = crate::names::escape_for_people(text.as_bytes(), 50);
        bad(format!("`{shown}` is not valid for day of month: 1 to 31, with `,`, `-`, `*`, `/`, `L` and `W`."))
    };
    match text {
        "L" => return Ok(Days::Last(0)),
        "LW" => return Ok(Days::Nearest(0)),
        _ => {}
    }
    if let Some(before) = text.strip_prefix("L-") {
        return before.parse().ok().filter(|n| (1..=30).contains(n)).map(Days::Last).ok_or_else(wrong);
    }
    if let Some(day) = text.strip_suffix('W') {
        return day.parse().ok().filter(|day| (1..=31).contains(day)).map(Days::Nearest).ok_or_else(wrong);
    }
    field("day of month", text, 1, 31, &[], 0).map(Days::OfMonth)
}

fn days_of_week(text: &str) -> Result<Days, ScheduleError> {
    let one = |text: &str| {
        let days = field("day of week", text, 1, 7, &WEEKDAYS, 1)?;
        match days.first() {
            Some(day) if days.len() == 1 => Ok(*day),
            _ => Err(bad("`#` and `L` stand behind one day of the week.")),
        }
    };
    if let Some((day, nth)) = text.split_once('#') {
        let nth = nth.parse().ok().filter(|nth| (1..=5).contains(nth));
        return Ok(Days::NthOfWeek(one(day)?, nth.ok_or_else(|| bad("behind `#` stands 1 to 5."))?));
    }
    if text == "L" {
        return Ok(Days::OfWeek(BTreeSet::from([7])));
    }
    if let Some(day) = text.strip_suffix('L') {
        return Ok(Days::LastOfWeek(one(day)?));
    }
    field("day of week", text, 1, 7, &WEEKDAYS, 1).map(Days::OfWeek)
}

impl Cron {
    fn next_after_ms(&self, after_ms: i64) -> Option<i64> {
        let from = Timestamp::from_millisecond(after_ms.div_euclid(MINUTE_MS) * MINUTE_MS + MINUTE_MS).ok()?;
        let from = from.to_zoned(TimeZone::UTC).datetime();
        let mut date = from.date();
        let first_year = *self.years.range(date.year()..).next()?;
        if first_year > date.year() {
            date = Date::new(first_year, 1, 1).ok()?;
        }
        for _ in 0..MAX_DAYS {
            if date.year() > *self.years.last()? {
                return None;
            }
            if self.has_date(date) {
                for hour in &self.hours {
                    for minute in &self.minutes {
                        let time = date.at(i8::try_from(*hour).ok()?, i8::try_from(*minute).ok()?, 0, 0);
                        if time >= from {
                            return Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond());
                        }
                    }
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn has_date(&self, date: Date) -> bool {
        let (day, n_days) = (i16::from(date.day()), i16::from(date.days_in_month()));
        let of_week = i16::from(date.weekday().to_sunday_one_offset());
        self.years.contains(&date.year())
            && self.months.contains(&i16::from(date.month()))
            && match &self.days {
                Days::Every => true,
                Days::OfMonth(days) => days.contains(&day),
                Days::Last(before) => day == n_days - before,
                Days::Nearest(0) => nearest_weekday(date, n_days) == Some(day),
                Days::Nearest(wanted) => *wanted <= n_days && nearest_weekday(date, *wanted) == Some(day),
                Days::OfWeek(days) => days.contains(&of_week),
                Days::LastOfWeek(wanted) => of_week == *wanted && day + 7 > n_days,
                Days::NthOfWeek(wanted, nth) => of_week == *wanted && (day - 1) / 7 + 1 == *nth,
            }
    }
}

/// The weekday that is nearest to a day of the date's month, without leaving the month.
fn nearest_weekday(date: Date, day: i16) -> Option<i16> {
    let there = Date::new(date.year(), date.month(), i8::try_from(day).ok()?).ok()?;
    let moved = match there.weekday() {
        Weekday::Saturday if there.day() == 1 => there.checked_add(2.days()).ok()?,
        Weekday::Saturday => there.yesterday().ok()?,
        Weekday::Sunday if there.day() == there.days_in_month() => there.checked_sub(2.days()).ok()?,
        Weekday::Sunday => there.tomorrow().ok()?,
        _ => there,
    };
    Some(i16::from(moved.day()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn next(schedule: &str, after: &str) -> Option<String> {
        let next = Schedule::parse(schedule).unwrap().next_after_ms(ms(after), ms("2026-01-01T00:00:30Z"));
        next.map(|ms| Timestamp::from_millisecond(ms).unwrap().to_string())
    }

    // The examples of the user guide, and the corners of the calendar.
    #[test]
    fn the_next_time() {
        let cases = [
            ("cron(0 10 * * ? *)", "2026-11-24T10:00:00Z", "2026-11-25T10:00:00Z"),
            ("cron(15 12 * * ? *)", "2026-11-24T10:00:00Z", "2026-11-24T12:15:00Z"),
            ("cron(0 18 ? * MON-FRI *)", "2026-11-27T18:00:00Z", "2026-11-30T18:00:00Z"),
            ("cron(0 8 1 * ? *)", "2026-11-24T10:00:00Z", "2026-12-01T08:00:00Z"),
            ("cron(0/15 * * * ? *)", "2026-11-24T10:00:00Z", "2026-11-24T10:15:00Z"),
            ("cron(0/5 8-17 ? * MON-FRI *)", "2026-11-27T17:55:00Z", "2026-11-30T08:00:00Z"),
            ("cron(0 9 ? * 2#1 *)", "2026-11-24T10:00:00Z", "2026-12-07T09:00:00Z"),
            ("cron(0 0 L * ? *)", "2027-02-01T00:00:00Z", "2027-02-28T00:00:00Z"),
            ("cron(0 0 L-2 * ? *)", "2028-02-01T00:00:00Z", "2028-02-27T00:00:00Z"),
            ("cron(0 0 15W * ? *)", "2026-11-01T00:00:00Z", "2026-11-16T00:00:00Z"),
            ("cron(0 0 1W * ? *)", "2026-08-01T00:00:00Z", "2026-08-03T00:00:00Z"),
            ("cron(0 0 LW * ? *)", "2026-10-01T00:00:00Z", "2026-10-30T00:00:00Z"),
            ("cron(0 0 ? * 6L *)", "2026-11-24T00:00:00Z", "2026-11-27T00:00:00Z"),
            ("cron(0 0 29 FEB ? *)", "2026-11-24T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("cron(0 0 1 1 ? 2040)", "2026-11-24T00:00:00Z", "2040-01-01T00:00:00Z"),
            ("rate(5 minutes)", "2026-01-01T00:00:30Z", "2026-01-01T00:05:30Z"),
            ("rate(1 day)", "2026-01-03T00:00:00Z", "2026-01-03T00:00:30Z"),
        ];
        for (schedule, after, expected) in cases {
            assert_eq!(next(schedule, after).as_deref(), Some(expected), "{schedule} after {after}");
        }
        assert_eq!(next("cron(0 0 1 1 ? 2020)", "2026-11-24T00:00:00Z"), None);
        assert_eq!(next("cron(0 0 31 2 ? *)", "2026-11-24T00:00:00Z"), None);
    }

    #[test]
    fn what_is_no_schedule() {
        for bad in [
            "",
            "rate(0 minutes)",
            "rate(1 minutes)",
            "rate(5 minute)",
            "rate(5 seconds)",
            "rate(-5 minutes)",
            "rate(5)",
            "cron(0 12 * * ?)",
            "cron(0 12 * * * *)",
            "cron(0 12 ? * ? *)",
            "cron(60 12 * * ? *)",
            "cron(0 24 * * ? *)",
            "cron(0 12 32 * ? *)",
            "cron(0 12 * 13 ? *)",
            "cron(0 12 ? * 8 *)",
            "cron(0 12 ? * 2#6 *)",
            "cron(0 12 5-1 * ? *)",
            "cron(0/0 12 * * ? *)",
            "at(2026-11-24T00:00:00)",
        ] {
            let error = Schedule::parse(bad).unwrap_err();
            assert!(error.to_string().starts_with("Parameter ScheduleExpression is not valid."), "{bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        // Against asking every minute.
        #[test]
        fn no_minute_is_left_out(minute in 0..60i16, step in 1..30i16, hour in 0..24i16, day in 1..8i16, after in 0..200_000i64) {
            let schedule = Schedule::parse(&format!("cron({minute}/{step} {hour} ? * {day} *)")).unwrap();
            let Kind::Cron(cron) = &schedule.0 else { unreachable!() };
            let after_ms = ms("2026-11-24T00:00:00Z") + after * 997;
            let found = schedule.next_after_ms(after_ms, 0).unwrap();
            let mut at = after_ms.div_euclid(MINUTE_MS) * MINUTE_MS + MINUTE_MS;
            loop {
                let time = Timestamp::from_millisecond(at).unwrap().to_zoned(TimeZone::UTC).datetime();
                let is_one = cron.minutes.contains(&i16::from(time.minute()))
                    && cron.hours.contains(&i16::from(time.hour()))
                    && cron.has_date(time.date());
                if is_one {
                    break;
                }
                at += MINUTE_MS;
            }
            prop_assert_eq!(found, at);
        }
    }
}
