const SECONDS_A_DAY = 86_400;

/** Days since 1970-01-01 of a date of the proleptic Gregorian calendar. */
function daysFrom(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  return era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719_468;
}

/** A broken-down time as the clock's registers hold it. */
export interface CalendarTime {
  readonly second: number;
  readonly minute: number;
  /** 0 to 23. */
  readonly hour: number;
  /** 1 (Sunday) to 7. */
  readonly weekday: number;
  readonly day: number;
  readonly month: number;
  /** With century. */
  readonly year: number;
}

/** Seconds since 1970-01-01 00:00:00 of a time in UTC. Fields past their ranges carry over. */
export function toSeconds(time: Omit<CalendarTime, "weekday">): number {
  const month = Math.min(Math.max(time.month, 1), 12);
  return daysFrom(time.year, month, time.day) * SECONDS_A_DAY + time.hour * 3600 + time.minute * 60 + time.second;
}

/** The calendar's fields of `seconds` since 1970-01-01 00:00:00 UTC. */
export function fromSeconds(seconds: number): CalendarTime {
  const days = Math.floor(seconds / SECONDS_A_DAY);
  const rest = seconds - days * SECONDS_A_DAY;
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthIndex = Math.floor((5 * dayOfYear + 2) / 153);
  const month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9;
  return {
    second: rest % 60,
    minute: Math.floor(rest / 60) % 60,
    hour: Math.floor(rest / 3600),
    weekday: ((((days + 4) % 7) + 7) % 7) + 1,
    day: dayOfYear - Math.floor((153 * monthIndex + 2) / 5) + 1,
    month,
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
  };
}
