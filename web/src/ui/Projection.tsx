// What the month will have cost if it goes on like this, as the daemon reckons it, against the budget.
import { Money } from './figures';
import { State } from './State';

// A forecast moves with each second: three digits of it are the same on every page for a while.
export const forecast = (usd: number | null): number | null => (usd === null ? null : Math.abs(usd) < 0.01 ? Number(usd.toPrecision(3)) : usd);

// `usd` null: in the month's first day nothing can be told.
export function Projection({
  usd,
  allowed,
}: {
  usd: number | null | undefined;
  allowed: number | null | undefined;
}) {
  if (usd === null || usd === undefined) return null;
  const words = (
    <>
      <Money usd={forecast(usd)} /> at the month’s end
    </>
  );
  if (allowed === null || allowed === undefined || usd <= allowed) return <span class="projection">{words}</span>;
  return (
    <span class="projection">
      <State state="over" tone="warn">
        {words}, over the budget
      </State>
    </span>
  );
}
