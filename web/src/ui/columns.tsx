// Columns that rows of what happened share.
import { Duration, Time } from './figures';
import type { Column } from './Table';

export const whenColumn = <T extends { ts: string }>(narrow: Column<T>['narrow']): Column<T> => ({
  key: 'ts',
  label: 'When',
  align: 'right',
  cell: (one) => <Time at={one.ts} />,
  ...(narrow && { narrow }),
});

export const tookColumn = <T,>(msOf: (row: T) => number | null | undefined): Column<T> => ({
  key: 'took',
  label: 'Took',
  align: 'right',
  cell: (one) => <Duration ms={msOf(one)} />,
  narrow: 'hide',
});
