// How much of its month's budget at model providers an organization has spent: as a bar, or in words where
// there is none. A budget of 0 is one that nobody has set, and without a limit there is nothing to fill.
import type { Schema } from '../api/client';
import { Money } from './figures';
import { Meter } from './State';

// `operates`: whoever looks may set it.
export function Budget({
  use: { used, allowed },
  operates,
}: {
  use: Schema<'UsedUsd'>;
  operates: boolean;
}) {
  if (allowed === null) return <>this month; no limit</>;
  if (allowed === 0)
    return <>{operates ? 'no budget is set yet' : 'no budget is set; an operator sets it'}</>;
  return (
    <Meter
      used={used}
      allowed={allowed}
      label="Spent of the budget"
      text={
        <>
          this month, of <Money usd={allowed} />
        </>
      }
    />
  );
}
