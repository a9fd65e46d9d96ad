// A span of days in the address (?range=30d, or ?from=2026-01-01&to=2026-01-31), in UTC as the
// daemon counts months and days.
import { fieldRefusal } from '../api/error';
import { serverNow } from '../clock';
import { setParams, usePlace } from '../router';

// `from` and `to`: days, "2026-01-31", both inclusive.
export interface Range {
  from: string;
  to: string;
  name: string;
}

// The moments between which the daemon is asked for what happened in these days.
export const instantsOf = ({ from, to }: Pick<Range, 'from' | 'to'>) => ({
  from: `${from}T00:00:00Z`,
  to: `${to}T23:59:59.999Z`,
});

const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
const dayMs = 86_400_000;
const isDay = (text: string | null): text is string =>
  text !== null && /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text));
// Browsers take years of six digits where a field has no last day.
export const lastDay = '9999-12-31';
// The end of a day that was typed, in UTC; `field`: where it was typed.
export function endOfDay(field: string, typed: string): string {
  if (!isDay(typed)) throw fieldRefusal(field, `${typed} is no day of a year of four digits, as 2027-01-31 is.`);
  return `${typed}T23:59:59Z`;
}
const names: Record<string, string> = {
  month: 'This month',
  '7d': '7 days',
  '30d': '30 days',
  '90d': '90 days',
  last: 'Last month',
};

export function rangeOf(query: URLSearchParams, fallback: string, now = serverNow()): Range {
  const from = query.get('from');
  const to = query.get('to');
  if (isDay(from) && isDay(to) && from <= to) return { from, to, name: 'custom' };
  const asked = query.get('range') ?? '';
  const name = Object.hasOwn(names, asked) ? asked : fallback;
  const date = new Date(now);
  if (name === 'month')
    return {
      from: day(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1)),
      to: day(now),
      name,
    };
  if (name === 'last') {
    return {
      from: day(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - 1, 1)),
      to: day(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 0)),
      name,
    };
  }
  return { from: day(now - (parseInt(name, 10) - 1) * dayMs), to: day(now), name };
}

// The days of a range, for the x axis of a chart.
export function daysOf(range: Range): string[] {
  const days: string[] = [];
  for (
    let at = Date.parse(range.from);
    at <= Date.parse(range.to) && days.length < 1000;
    at += dayMs
  )
    days.push(day(at));
  return days;
}

export function useRange(fallback = 'month'): Range {
  return rangeOf(usePlace().query, fallback);
}

// Named spans, or two days.
export function DateRange({ fallback = 'month' }: { fallback?: string }) {
  const range = useRange(fallback);
  const set = (from: string, to: string) => {
    if (from && to) setParams({ from, to, range: null });
  };
  return (
    <div class="date-range" role="group" aria-label="Days, in UTC">
      <label class="filter">
        <span>Days</span>
        <select
          value={range.name}
          onChange={(event) => {
            const name = event.currentTarget.value;
            if (name === 'custom') setParams({ from: range.from, to: range.to, range: null });
            else setParams({ range: name === fallback ? null : name, from: null, to: null });
          }}
        >
          {Object.entries(names).map(([name, label]) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
          <option value="custom">From … to …</option>
        </select>
      </label>
      {range.name === 'custom' && (
        <>
          <input
            type="date"
            max={lastDay}
            aria-label="From"
            value={range.from}
            onChange={({ currentTarget: { value } }) => set(value, value > range.to ? value : range.to)}
          />
          <input
            type="date"
            max={lastDay}
            aria-label="To"
            value={range.to}
            onChange={({ currentTarget: { value } }) =>
              set(value < range.from ? value : range.from, value)
            }
          />
        </>
      )}
    </div>
  );
}
