// Metrics over time: each column has a value for each time, null in a gap.
import type { Schema } from '../../api/client';

export type History = Schema<'MetricsHistory'>;
export const planes: { name: keyof History['planes']; title: string }[] = [
  { name: 'portal', title: 'Artifacts, people and pages' }, { name: 'ai', title: 'Calls of models' },
  { name: 'gateway', title: 'Calls of tools' }, { name: 'admin', title: 'Administration' },
];

// The sum of what is known, and the last value that is.
export const sumOf = (values: (number | null)[]): number => values.reduce<number>((sum, one) => sum + (one ?? 0), 0);
export const lastOf = (values: (number | null)[]): number | null => values.reduce<number | null>((last, one) => one ?? last, null);
