// Sums of usage as charts and tables want them.
import type { Schema } from '../../api/client';
import type { Series } from '../../ui';

export type Sum = Schema<'UsageSum'>;
export type Group = 'day' | 'model' | 'user' | 'key' | 'provider' | 'organization';
export const groups: { value: Group; label: string }[] = [
  { value: 'day', label: 'by day' }, { value: 'model', label: 'by model' }, { value: 'user', label: 'by user' },
  { value: 'key', label: 'by key' }, { value: 'provider', label: 'by model provider' }, { value: 'organization', label: 'by organization' },
];

// The head of the column that has what a row is the sum of.
export const headOf: Record<Group, string> = {
  day: 'Day', model: 'Model', user: 'User', key: 'Key', provider: 'Model provider', organization: 'Organization',
};
// What a row is the sum of.
export const nameOf = (row: Sum, group: Group): string => row[group] ?? '';

// One value for each day of the range; a day without a row had nothing.
export function byDay(rows: Sum[], days: string[], pick: (row: Sum) => number): number[] {
  const found = new Map(rows.map((row) => [row.day ?? '', pick(row)]));
  return days.map((day) => found.get(day) ?? 0);
}

export function daySeries(rows: Sum[], days: string[]): { spent: Series[]; requests: Series[]; tokens: Series[] } {
  return {
    spent: [{ label: 'Spent', values: byDay(rows, days, (row) => row.cost_usd) }],
    requests: [
      { label: 'Answered', values: byDay(rows, days, (row) => row.requests - row.failures) },
      { label: 'Failed', values: byDay(rows, days, (row) => row.failures), tone: 'bad' },
    ],
    tokens: [
      { label: 'Read', values: byDay(rows, days, (row) => row.input_tokens) },
      { label: 'Written', values: byDay(rows, days, (row) => row.output_tokens) },
    ],
  };
}
