// Sums of usage as charts and tables want them.
import type { Schema } from '../../api/client';
import { isOperator, type Me } from '../../api/session';
import { type Series, shortId } from '../../ui';

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

// Whose calls the sums are of: all that the caller sees, but for what the address leaves out.
export function scopeOf(me: Me, filter: Record<string, string>, organizations: Record<string, string> = {}): string {
  const one = filter['org_id'] ?? (isOperator(me) ? '' : (me.organization_id ?? ''));
  if (one !== '') return organizations[one] ?? 'one organization';
  return filter['user_id'] || filter['key_id'] ? 'what is chosen here' : 'all organizations';
}

// One value for each day of the range; a day without a row had nothing. Several rows of a day are its parts.
export function byDay(rows: Sum[], days: string[], pick: (row: Sum) => number): number[] {
  const found = new Map<string, number>();
  for (const row of rows) found.set(row.day ?? '', (found.get(row.day ?? '') ?? 0) + pick(row));
  return days.map((day) => found.get(day) ?? 0);
}

const namedMax = 5;
// What was spent each day, stacked: the dearest by name, the rest as one.
export function stackedSpend(rows: Sum[], days: string[], group: Group): Series[] {
  const spent = new Map<string, number>();
  for (const row of rows) spent.set(nameOf(row, group), (spent.get(nameOf(row, group)) ?? 0) + row.cost_usd);
  const names = [...spent].filter(([, usd]) => usd !== 0).sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const named = names.slice(0, names.length > namedMax + 1 ? namedMax : names.length);
  const of = (mine: (name: string) => boolean) => byDay(rows.filter((row) => mine(nameOf(row, group))), days, (row) => row.cost_usd);
  const series: Series[] = named.map((name) => ({ label: group === 'model' || group === 'provider' ? name || '–' : shortId(name, 18) || '–', values: of((one) => one === name) }));
  const rest = new Set(names.slice(named.length));
  if (rest.size > 0) series.push({ label: `${rest.size} others`, values: of((one) => rest.has(one)), others: true });
  return series.length > 0 ? series : [{ label: 'Spent', values: days.map(() => 0) }];
}

export function requestSeries(rows: Sum[], days: string[]): Series[] {
  return [
    { label: 'Answered', values: byDay(rows, days, (row) => row.requests - row.failures) },
    { label: 'Failed', values: byDay(rows, days, (row) => row.failures), tone: 'bad' },
  ];
}
